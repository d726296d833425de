// Package getter is the Go SDK for gcnode getters: write an ordinary blocking
// function from a key to a value, compile it to WebAssembly, and let a node
// run it.
//
//	package main
//
//	import (
//		"context"
//		"time"
//
//		getter "github.com/gcnode/gcnode/plugins/sdk/go"
//	)
//
//	func main() {} // never called: a getter is a library
//
//	func init() { getter.Register(open) }
//
//	func open(env *getter.Env) (getter.Func, error) {
//		greeting := env.Config.String("greeting", "hello")
//		return func(ctx context.Context, key string) (getter.Item, error) {
//			return getter.Item{Value: []byte(greeting + ", " + key), TTL: time.Minute}, nil
//		}, nil
//	}
//
// Build it as a WASI reactor:
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -trimpath -ldflags="-s -w" -o hello.wasm
//
// A node runs several instances of a module, which share nothing but a [Store].
// An instance has many requests at a time, each in a goroutine. There is one
// thread: goroutines take turns, and only where they block, as in [Fetch], or
// call [Yield]. When all wait, the node brings the next answer to a fetch or the
// next key; between the two nothing runs, and timers stand still. time.Now and
// crypto/rand work: the node serves the real clocks and randomness. There are no
// files and no sockets; use Fetch, or package getterhttp for an
// http.RoundTripper, to reach an origin.
//
// The same code compiles natively, where package sdktest runs it under
// "go test" without any WebAssembly.
package getter
