module github.com/gcnode/gcnode/cmd/gcnode

go 1.26.0
