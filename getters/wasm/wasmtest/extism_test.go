package wasmtest_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/getters/wasm"
)

func TestExtismC(t *testing.T) { testExtism(t, "c") }

func TestExtismRust(t *testing.T) { testExtism(t, "rust") }

// testExtism tests a module for Extism that was built just now, or the one
// that is kept.
func testExtism(t *testing.T, language string) {
	t.Helper()
	t.Parallel()
	path := "testdata/extism-" + language + ".wasm"
	if installed() {
		path = root + "/bin/plugins/extism-" + language + ".wasm"
	}
	plugin, err := wasm.LoadFile(t.Context(), path, wasm.Options{
		Instances: 1, Config: map[string]string{"place": "here"},
	})
	require.NoError(t, err)
	defer func() { assert.NoError(t, plugin.Close(context.Background())) }()
	long := strings.Repeat("0123456789\xff", 1000)
	for _, c := range []struct {
		key, want string
		keep      gcnode.Lifetime
	}{
		{"=value", "value", 0},
		{"=", "", 0},
		{"=" + long, long, 0},
		{"cplace", "here", 0},
		{"cnowhere", "", 0},
		{"vfirst", "", 0},
		{"vsecond", "first", 0},
		{"v", "second", 0},
		{"vthird", "", 0}, // a variable without bytes is none
		{"t2500", "2500", gcnode.For(2500 * time.Millisecond)},
		{"t0", "0", gcnode.NoStore},
	} {
		item, err := plugin.GetItem(t.Context(), c.key)
		require.NoError(t, err, "%.20q", c.key)
		assert.Equal(t, c.want, item.Value.String(), "%.20q", c.key)
		assert.Equal(t, c.keep, item.Keep, "%.20q", c.key)
	}
	_, err = plugin.GetItem(t.Context(), "n")
	require.ErrorIs(t, err, gcnode.ErrNotFound)
	_, err = plugin.GetItem(t.Context(), "ebroken")
	require.ErrorContains(t, err, "broken")
	_, err = plugin.GetItem(t.Context(), "")
	require.ErrorContains(t, err, "get returned 2")
	assert.Equal(t, wasm.DiscardStats{}, plugin.Stats().Instances.Discarded)
}
