module github.com/gcnode/gcnode/getters/wasm

go 1.26.0
