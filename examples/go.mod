module github.com/gcnode/gcnode/examples

go 1.26.0

require (
	github.com/gcnode/gcnode/core v0.0.0
	github.com/gcnode/gcnode/transport/http v0.0.0
)

require (
	github.com/gcnode/gcnode/transport/wire v0.0.0 // indirect
	github.com/stretchr/testify v1.12.1
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace (
	github.com/gcnode/gcnode/core => ../core
	github.com/gcnode/gcnode/transport/http => ../transport/http
	github.com/gcnode/gcnode/transport/wire => ../transport/wire
)
