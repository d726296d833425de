//go:build !race

// These tests compile and run large modules in one goroutine: with the race
// detector, which has nothing to find there, that takes ten times as long.

package fuel_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/getters/wasm/fuel"
)

// TestSpecModules injects fuel into the official test suite: what the engine
// accepts must be accepted and stay acceptable, and what it refuses must not
// become acceptable. Only modules of proposals that are not supported may be
// refused although the engine accepts them.
func TestSpecModules(t *testing.T) {
	r := newRuntime(t, func() int64 { return 0 })
	compile := func(module []byte) error {
		c, err := r.CompileModule(t.Context(), module)
		if err != nil {
			return err
		}
		return c.Close(t.Context())
	}
	valid, invalid := map[string]int{}, map[string]int{}
	specModules(t, func(suite, name string, module []byte) {
		out, _, err := fuel.Inject(module, fuel.Options{})
		plain := compile(module)
		switch {
		case plain != nil && err != nil:
			invalid[suite]++
		case plain != nil:
			require.Error(t, compile(out), "%s was refused before: %v", name, plain)
			invalid[suite]++
		case errors.Is(err, fuel.ErrRefused):
			require.Contains(t, []string{"typed-function-references", "exception-handling", "threads"}, suite, "%s: %v", name, err)
		default:
			require.NoError(t, err, name)
			require.NoError(t, compile(out), name)
			valid[suite]++
		}
	})
	for _, suite := range []string{"v1", "v2", "tail-call", "extended-const"} {
		require.Positive(t, valid[suite], suite)
		require.Positive(t, invalid[suite], suite)
	}
}
