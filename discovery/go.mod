module github.com/gcnode/gcnode/discovery

go 1.26.0

require (
	github.com/fsnotify/fsnotify v1.10.1
	github.com/gcnode/gcnode/core v0.0.0
	github.com/miekg/dns v1.1.73
	github.com/stretchr/testify v1.12.1
	go.uber.org/goleak v1.3.0
	go.yaml.in/yaml/v4 v4.0.0
)

require (
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/net v0.57.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
)

replace github.com/gcnode/gcnode/core => ../core
