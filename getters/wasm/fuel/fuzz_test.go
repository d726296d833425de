package fuel_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"

	"github.com/gcnode/gcnode/getters/wasm/fuel"
)

// FuzzInject mutates modules of the test suite. Whatever comes out of Inject
// must compile exactly if what went in does: an invalid module that becomes
// valid would be one that reaches injected things.
func FuzzInject(f *testing.F) {
	count := 0
	specModules(f, func(suite, _ string, module []byte) {
		if count++; suite != "typed-function-references" && len(module) < 1_000 && count%16 == 0 {
			f.Add(module)
		}
	})
	f.Add(everything().bytes())
	for seed := range uint64(10) {
		f.Add(randomModule(seed))
	}
	ctx := context.Background()
	// Without debug information, because reading it the engine takes an empty
	// custom section at the end of a module for a truncated one.
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().
		WithCoreFeatures(features).WithDebugInfoEnabled(false))
	f.Cleanup(func() { require.NoError(f, r.Close(ctx)) })
	compile := func(module []byte) error {
		c, err := r.CompileModule(ctx, module)
		if err != nil {
			return err
		}
		return c.Close(ctx)
	}
	f.Fuzz(func(t *testing.T, module []byte) {
		out, _, err := fuel.Inject(module, fuel.Options{})
		if err != nil {
			require.Nil(t, out)
			return
		}
		before, after := compile(module), compile(out)
		if before == nil {
			require.NoError(t, after)
		} else {
			require.Error(t, after, "was refused before: %v", before)
		}
		_, _, err = fuel.Inject(out, fuel.Options{})
		require.ErrorIs(t, err, fuel.ErrRefused, "fuel is injected once")
	})
}
