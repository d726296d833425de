// Package guesttest has the modules with which getters in WebAssembly are measured.
package guesttest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/getters/wasm"
)

// root is the repository as the tests of bench see it.
const root = ".."

// Guest is a module with what it is called in results.
type Guest struct {
	Name   string
	Module []byte
}

// IsGo reports whether the guest brings the runtime of Go with it.
func (g Guest) IsGo() bool { return g.Name == "gcnode-go" }

// Probes are getters with the same commands in the languages that there are
// SDKs for; package wasmtest lists the commands.
func Probes(tb testing.TB) []Guest {
	tb.Helper()
	guests := make([]Guest, 0, 5)
	for _, language := range []string{"c", "cpp", "rust", "assemblyscript"} {
		module, err := os.ReadFile(filepath.Join(root, "getters/wasm/wasmtest/testdata", language+".wasm"))
		require.NoError(tb, err)
		guests = append(guests, Guest{"gcnode-" + language, module})
	}
	return append(guests, Guest{"gcnode-go", buildGo(tb, "plugins/testdata/probe/go")})
}

// buildGo builds the Go guest in a directory of the repository.
func buildGo(tb testing.TB, dir string) []byte {
	tb.Helper()
	out := filepath.Join(tb.TempDir(), "guest.wasm")
	cmd := exec.CommandContext(tb.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-buildmode=c-shared", "-o", out, ".")
	cmd.Dir = filepath.Join(root, dir)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOWORK=off", "GOFLAGS=")
	text, err := cmd.CombinedOutput()
	require.NoError(tb, err, "%s", text)
	module, err := os.ReadFile(out)
	require.NoError(tb, err)
	return module
}

// Load loads a guest that may fetch from an origin, for as long as a benchmark
// runs.
func (g Guest) Load(tb testing.TB, opts wasm.Options) *wasm.Plugin {
	tb.Helper()
	if opts.AllowFetch == nil {
		opts.AllowFetch = []string{"http://origin.invalid"}
	}
	opts.Name, opts.StoreBytes = g.Name, 1<<16
	p, err := wasm.Load(tb.Context(), g.Module, opts)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, p.Close(context.Background())) })
	return p
}

// moduleDir is where the source of a required module is.
func moduleDir(tb testing.TB, path string) string {
	tb.Helper()
	dir, err := exec.CommandContext(tb.Context(), "go", "list", "-m", "-f", "{{.Dir}}", path).Output()
	require.NoError(tb, err, "find the module "+path)
	return strings.TrimSpace(string(dir))
}
