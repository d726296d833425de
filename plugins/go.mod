module github.com/gcnode/gcnode/plugins

go 1.26.0

require (
	github.com/gcnode/gcnode/plugins/sdk/go v0.0.0
	github.com/stretchr/testify v1.12.1
	github.com/tetratelabs/wazero v1.12.0
	github.com/yuin/goldmark v1.8.7
	golang.org/x/image v0.48.0
)

require (
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sys v0.50.0 // indirect
)

replace github.com/gcnode/gcnode/plugins/sdk/go => ./sdk/go
