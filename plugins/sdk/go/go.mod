module github.com/gcnode/gcnode/plugins/sdk/go

go 1.26.0
