module github.com/gcnode/gcnode/transport/wire

go 1.26.0
