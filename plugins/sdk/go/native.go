//go:build !wasip1

package getter

import (
	"context"
	"log/slog"
	"runtime"
	"time"
)

// A Host stands in for the node where a getter runs natively, as in package
// sdktest. Compiled to WebAssembly there is none: the imports of the guest ABI
// take its place. Its methods may be called concurrently.
type Host interface {
	// Log takes one line without a line break at its end.
	Log(level slog.Level, line string)
	// LogLevel returns the lowest level that is recorded.
	LogLevel() slog.Level
	// Fetch answers a fetch request of the guest ABI, both as encoded bytes.
	// An error means that the request itself was refused; everything else is
	// told in the answer.
	Fetch(ctx context.Context, request []byte) ([]byte, error)
	// StoreGet and StoreSet are the methods of Store. A negative ttl removes
	// the key.
	StoreGet(key string) (value []byte, found bool)
	StoreSet(key string, value []byte, ttl time.Duration) bool
}

// Register names the function that opens the getter. Call it from an init
// function, once: in a reactor nothing else of package main runs. Natively it
// does nothing; tests pass the function to sdktest.Start.
func Register(Open) {}

// Start opens a getter on a host and returns a Func to call it with, which
// lets the getter fetch from that host.
func (o Open) Start(config Config, host Host) (Func, error) {
	get, err := o.open(&Env{Config: config, sink: host, host: host})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, key string) (Item, error) {
		return get(context.WithValue(ctx, hostKey{}, host), key)
	}, nil
}

// platform is what an Env has natively beside its log.
type platform = Host

// hostKey is the context key of the Host.
type hostKey struct{}

// exchange performs one fetch in terms of encoded messages.
func exchange(ctx context.Context, message []byte) ([]byte, error) {
	host, ok := ctx.Value(hostKey{}).(Host)
	if !ok {
		return nil, errNoRequest
	}
	return host.Fetch(ctx, message)
}

// yield lets other goroutines run: natively that is all there is to do.
func yield(ctx context.Context) error {
	if _, ok := ctx.Value(hostKey{}).(Host); !ok {
		return errNoRequest
	}
	runtime.Gosched()
	return ctx.Err()
}

func (e *Env) storeGet(key string) ([]byte, bool) { return e.host.StoreGet(key) }

func (e *Env) storeSet(key string, value []byte, ttl time.Duration) bool {
	return e.host.StoreSet(key, value, ttl)
}
