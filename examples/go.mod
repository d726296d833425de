module github.com/gcnode/gcnode/examples

go 1.26.0

require (
	github.com/gcnode/gcnode/codec/proto v0.0.0
	github.com/gcnode/gcnode/compat/mailgun v0.0.0
	github.com/gcnode/gcnode/core v0.0.0
	github.com/gcnode/gcnode/transport/http v0.0.0
	github.com/gcnode/gcnode/transport/nats v0.0.0
	github.com/nats-io/nats-server/v2 v2.15.2
	github.com/nats-io/nats.go v1.55.0
)

require (
	github.com/antithesishq/antithesis-sdk-go v0.8.0-default-no-op // indirect
	github.com/google/go-tpm v0.9.8 // indirect
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/minio/highwayhash v1.0.4 // indirect
	github.com/nats-io/jwt/v2 v2.8.2 // indirect
	github.com/nats-io/nkeys v0.4.16 // indirect
	github.com/nats-io/nuid v1.0.1 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/time v0.16.0 // indirect
)

require (
	github.com/gcnode/gcnode/transport/wire v0.0.0 // indirect
	github.com/stretchr/testify v1.12.1
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	google.golang.org/protobuf v1.36.12
)

replace (
	github.com/gcnode/gcnode/codec/proto => ../codec/proto
	github.com/gcnode/gcnode/compat/mailgun => ../compat/mailgun
	github.com/gcnode/gcnode/core => ../core
	github.com/gcnode/gcnode/transport/http => ../transport/http
	github.com/gcnode/gcnode/transport/nats => ../transport/nats
	github.com/gcnode/gcnode/transport/wire => ../transport/wire
)
