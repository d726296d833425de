package wasm

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// compiled is the compilation cache of all tests: the Go guest takes seconds
// to compile under the race detector.
var compiled string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "gcnode-wasm-test-")
	if err == nil {
		err = os.Setenv("GETTER_CACHE", dir) // for the example
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	compiled = dir
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}
