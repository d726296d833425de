module github.com/gcnode/gcnode/transport/wire

go 1.26.0

require github.com/gcnode/gcnode/core v0.0.0

require google.golang.org/protobuf v1.36.12

require (
	github.com/stretchr/testify v1.12.1
	go.yaml.in/yaml/v3 v3.0.5 // indirect
)

replace github.com/gcnode/gcnode/core => ../../core

tool google.golang.org/protobuf/cmd/protoc-gen-go
