module github.com/gcnode/gcnode/transport/http

go 1.26.0
