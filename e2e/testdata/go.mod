module example.com/e2e

go 1.26.0

require (
	github.com/gcnode/gcnode/plugins v0.0.0
	github.com/gcnode/gcnode/plugins/sdk/go v0.0.0
)

replace (
	github.com/gcnode/gcnode/plugins => ../../plugins
	github.com/gcnode/gcnode/plugins/sdk/go => ../../plugins/sdk/go
)
