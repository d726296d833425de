module github.com/gcnode/gcnode/cmd/gcnode

go 1.26.0

require (
	github.com/alecthomas/kong v1.17.0
	github.com/fatih/color v1.19.0
	github.com/gcnode/gcnode/core v0.0.0
	github.com/gcnode/gcnode/discovery v0.0.0
	github.com/gcnode/gcnode/getters/wasm v0.0.0
	github.com/gcnode/gcnode/plugins v0.0.0
	github.com/gcnode/gcnode/tracing v0.0.0
	github.com/gcnode/gcnode/transport/http v0.0.0
	github.com/gcnode/gcnode/transport/nats v0.0.0
	github.com/nats-io/jwt/v2 v2.8.2
	github.com/nats-io/nats.go v1.55.0
	github.com/nats-io/nkeys v0.4.16
	github.com/prometheus/client_golang v1.25.0
	github.com/prometheus/common v0.72.0
	github.com/rogpeppe/go-internal v1.16.0
	github.com/stretchr/testify v1.12.1
	go.opentelemetry.io/otel v1.47.0
	go.opentelemetry.io/otel/trace v1.47.0
	go.uber.org/goleak v1.3.0
	go.yaml.in/yaml/v4 v4.0.0
	golang.org/x/time v0.16.0
)

require (
	github.com/antithesishq/antithesis-sdk-go v0.8.0-default-no-op // indirect
	github.com/google/go-tpm v0.9.8 // indirect
	github.com/minio/highwayhash v1.0.4 // indirect
)

require (
	github.com/beorn7/perks v1.0.1 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/fsnotify/fsnotify v1.10.1 // indirect
	github.com/gcnode/gcnode/transport/wire v0.0.0 // indirect
	github.com/go-logr/logr v1.4.4 // indirect
	github.com/go-logr/stdr v1.2.2 // indirect
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/mattn/go-colorable v0.1.14 // indirect
	github.com/mattn/go-isatty v0.0.20 // indirect
	github.com/munnerz/goautoneg v0.0.0-20191010083416-a7dc8b61c822 // indirect
	github.com/nats-io/nats-server/v2 v2.15.2
	github.com/nats-io/nuid v1.0.1 // indirect
	github.com/prometheus/client_model v0.6.3 // indirect
	github.com/prometheus/procfs v0.22.0 // indirect
	github.com/tetratelabs/wazero v1.12.0 // indirect
	go.opentelemetry.io/auto/sdk v1.2.1 // indirect
	go.opentelemetry.io/otel/log v1.47.0 // indirect
	go.opentelemetry.io/otel/metric v1.47.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
	golang.org/x/tools v0.42.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace (
	github.com/gcnode/gcnode/core => ../../core
	github.com/gcnode/gcnode/discovery => ../../discovery
	github.com/gcnode/gcnode/getters/wasm => ../../getters/wasm
	github.com/gcnode/gcnode/plugins => ../../plugins
	github.com/gcnode/gcnode/plugins/sdk/go => ../../plugins/sdk/go
	github.com/gcnode/gcnode/tracing => ../../tracing
	github.com/gcnode/gcnode/transport/http => ../../transport/http
	github.com/gcnode/gcnode/transport/nats => ../../transport/nats
	github.com/gcnode/gcnode/transport/wire => ../../transport/wire
)
