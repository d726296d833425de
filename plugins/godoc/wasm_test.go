//go:build !race

// These tests compile and run large modules in one goroutine: with the race
// detector, which has nothing to find there, that takes ten times as long.

package main

import (
	"context"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"

	"github.com/gcnode/gcnode/plugins/godoc/godoctest"
	"github.com/gcnode/gcnode/plugins/internal/guesttest"
)

// memoryPages is the 64 MiB that the getter has to do with.
const memoryPages = 1024

// cache keeps the compiled getter for all tests.
var cache = wazero.NewCompilationCache()

// buildSelf builds the getter once.
var buildSelf = sync.OnceValues(func() ([]byte, error) { return guesttest.Build(context.Background(), ".") })

func instantiate(t *testing.T, config map[string]string) *guesttest.Instance {
	t.Helper()
	wasm, err := buildSelf()
	require.NoError(t, err)
	t.Logf("module of %d bytes", len(wasm))
	module, err := guesttest.Compile(t.Context(), wasm, guesttest.Options{
		Config:      config,
		Transport:   http.DefaultTransport,
		MemoryPages: memoryPages,
		Cache:       cache,
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, module.Close(t.Context())) })
	instance, err := module.Instantiate(t.Context())
	require.NoError(t, err)
	return instance
}

// The sandboxed getter answers byte for byte what the same code answers
// natively, for the whole standard library, one package after the other in one
// instance of 64 MiB.
func TestWholeStandardLibraryInOneSandbox(t *testing.T) {
	origin := goroot(t)
	packages, err := godoctest.Toolchain{}.AllStdPackages(t.Context())
	require.NoError(t, err)
	for format, packages := range map[string][]string{"html": packages, "text": packages[:50]} {
		native := start(t, origin, "format", format)
		guest := instantiate(t, map[string]string{"origin": origin.URL, "format": format})
		for _, importPath := range packages {
			answer, err := guest.Get(t.Context(), importPath)
			require.NoError(t, err, importPath)
			require.EqualValues(t, 0, answer.Status, "%s: %s", importPath, answer.Bytes)
			require.EqualValues(t, 3_600_000, answer.TTLMillis, importPath)
			require.True(t, value(t, native, importPath) == answer.Bytes, "%s differs", importPath)
		}
		t.Logf("%d packages as %s in %d KiB", len(packages), format, guest.MemoryBytes()>>10)
	}
}

// An instance may live for as long as the node does: a few hundred answers need
// no more memory than the first dozen.
func TestMemoryStaysFlat(t *testing.T) {
	guest := instantiate(t, map[string]string{"origin": goroot(t).URL})
	keys := []string{"fmt", "net/url.URL.Parse", "sort", "no/such/package", "strings", "errors.Is", "..", "context"}
	round := func() {
		for _, key := range keys {
			_, err := guest.Get(t.Context(), key)
			require.NoError(t, err, key)
		}
	}
	for range 3 {
		round()
	}
	settled := guest.MemoryBytes()
	for range 30 {
		round()
	}
	t.Logf("%d KiB, then %d KiB", settled>>10, guest.MemoryBytes()>>10)
	assert.LessOrEqual(t, guest.MemoryBytes(), settled+2<<20)
	assert.Less(t, guest.MemoryBytes(), uint32(16<<20))
}
