module github.com/gcnode/gcnode/examples

go 1.26.0
