module github.com/gcnode/gcnode/e2e

go 1.26.0
