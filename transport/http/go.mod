module github.com/gcnode/gcnode/transport/http

go 1.26.0

require (
	github.com/gcnode/gcnode/core v0.0.0
	github.com/gcnode/gcnode/transport/wire v0.0.0
	github.com/stretchr/testify v1.12.1
	go.uber.org/goleak v1.3.0
)

require (
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace (
	github.com/gcnode/gcnode/core => ../../core
	github.com/gcnode/gcnode/transport/wire => ../wire
)
