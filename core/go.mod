module github.com/gcnode/gcnode/core

go 1.26.0
