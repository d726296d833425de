package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/plugins/godoc/godoctest"
	"github.com/gcnode/gcnode/plugins/internal/guesttest"
)

// memoryPages is the 64 MiB that the getter has to do with.
const memoryPages = 1024

func instantiate(t *testing.T, config map[string]string) *guesttest.Instance {
	t.Helper()
	wasm, err := guesttest.Build(t.Context(), ".", t.TempDir())
	require.NoError(t, err)
	t.Logf("module of %d bytes", len(wasm))
	module, err := guesttest.Compile(t.Context(), wasm, guesttest.Options{
		Config:      config,
		Transport:   http.DefaultTransport,
		MemoryPages: memoryPages,
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
	for _, format := range []string{"text", "html"} {
		native := start(t, origin, "format", format)
		guest := instantiate(t, map[string]string{"origin": origin.URL, "format": format})
		for _, importPath := range packages {
			before := guest.MemoryBytes()
			answer, err := guest.Get(t.Context(), importPath)
			require.NoError(t, err, importPath)
			require.EqualValues(t, 0, answer.Status, "%s: %s", importPath, answer.Bytes)
			require.EqualValues(t, 3_600_000, answer.TTLMillis, importPath)
			require.True(t, value(t, native, importPath) == answer.Bytes, "%s differs", importPath)
			if after := guest.MemoryBytes(); after > before {
				t.Logf("%s: memory grew from %d to %d KiB", importPath, before>>10, after>>10)
			}
		}
	}
}
