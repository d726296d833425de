//go:build !race

// These tests compile and run large modules in one goroutine: with the race
// detector, which has nothing to find there, that takes ten times as long.

package fuel_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/gcnode/gcnode/getters/wasm/fuel"
)

// TestGoGuest runs a compiled Go program with and without fuel, compares the
// results, and then gives it more to do than it has fuel for.
func TestGoGuest(t *testing.T) {
	plain := compileGo(t)
	instrumented, report, err := fuel.Inject(plain, fuel.Options{})
	require.NoError(t, err)
	require.Greater(t, report.Functions, 500)
	require.Greater(t, report.Loops, 500)
	require.Positive(t, report.BulkInstructions)
	require.Less(t, report.OutputBytes, report.InputBytes*3/2)

	ticks := 0
	plenty := func() int64 { ticks++; return 10_000 }
	tick := plenty
	r := newRuntime(t, func() int64 { return tick() })
	compiled, err := r.CompileModule(t.Context(), instrumented)
	require.NoError(t, err)
	start := func(t *testing.T) api.Module {
		t.Helper()
		tick = plenty
		m, err := r.InstantiateModule(t.Context(), compiled,
			wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize"))
		require.NoError(t, err)
		return m
	}

	before, after := instantiate(t, r, plain), start(t)
	require.Positive(t, ticks, "the start of the guest spends fuel")
	for what, n := range map[string]uint64{
		"hash": 100, "parse": 100, "order": 5_000, "fibonacci": 15, "matrix": 20, "descend": 1_000,
	} {
		t.Run(what, func(t *testing.T) {
			want, err := before.ExportedFunction(what).Call(t.Context(), n)
			require.NoError(t, err)
			got, err := after.ExportedFunction(what).Call(t.Context(), n)
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
	for what, n := range map[string]int32{
		"hash": 1 << 30, "parse": 1 << 12, "order": 1 << 24, "fibonacci": 1 << 20, "matrix": 1 << 10,
	} {
		t.Run(what+"/stopped", func(t *testing.T) {
			m := start(t)
			tick = stopAfter(100, 10_000)
			_, err := within(t, m, what, api.EncodeI32(n))
			require.ErrorIs(t, err, errStop)
		})
	}
	t.Run("descend/trapped", func(t *testing.T) {
		m := start(t)
		_, err := within(t, m, "descend", 1<<20)
		require.ErrorContains(t, err, fuel.CallDepthTrap)
		require.ErrorContains(t, err, "main.descend")
	})
}
