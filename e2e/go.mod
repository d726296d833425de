module github.com/gcnode/gcnode/e2e

go 1.26.0

require (
	github.com/anishathalye/porcupine v1.3.1
	github.com/gcnode/gcnode/core v0.0.0
	github.com/miekg/dns v1.1.73
	github.com/stretchr/testify v1.12.1
)

require (
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/net v0.57.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
)

replace github.com/gcnode/gcnode/core => ../core
