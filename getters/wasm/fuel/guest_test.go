package fuel_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/gcnode/gcnode/getters/wasm/fuel"
)

// TestGoGuest compares a compiled Go program with and without fuel.
func TestGoGuest(t *testing.T) {
	plain := compileGo(t)
	instrumented, report, err := fuel.Inject(plain, fuel.Options{})
	require.NoError(t, err)
	require.Greater(t, report.Functions, 1_000)
	require.Greater(t, report.Loops, 1_000)
	require.Positive(t, report.BulkInstructions)
	require.Less(t, report.OutputBytes, report.InputBytes*3/2)

	ticks := 0
	r := newRuntime(t, func() int64 { ticks++; return 10_000 })
	before, after := instantiate(t, r, plain), instantiate(t, r, instrumented)
	require.Positive(t, ticks, "the start of the guest spends fuel")
	for what, n := range map[string]uint64{
		"hash": 100, "parse": 20, "order": 5_000, "fibonacci": 15, "matrix": 20, "descend": 1_000,
	} {
		t.Run(what, func(t *testing.T) {
			want, err := before.ExportedFunction(what).Call(t.Context(), n)
			require.NoError(t, err)
			got, err := after.ExportedFunction(what).Call(t.Context(), n)
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
}

// TestGoGuestIsStopped gives real code more to do than it has fuel for.
func TestGoGuestIsStopped(t *testing.T) {
	var tick func() int64
	r := newRuntime(t, func() int64 { return tick() })
	compiled, err := r.CompileModule(t.Context(), inject(t, compileGo(t), fuel.Options{}))
	require.NoError(t, err)
	start := func(t *testing.T) api.Module {
		t.Helper()
		tick = func() int64 { return 10_000 }
		m, err := r.InstantiateModule(t.Context(), compiled,
			wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize"))
		require.NoError(t, err)
		return m
	}
	for what, n := range map[string]int32{
		"hash": 1 << 30, "parse": 1 << 20, "order": 1 << 24, "fibonacci": 1 << 20, "matrix": 1 << 10,
	} {
		t.Run(what, func(t *testing.T) {
			m := start(t)
			tick = stopAfter(100, 10_000)
			_, err := within(t, m, what, api.EncodeI32(n))
			require.ErrorIs(t, err, errStop)
		})
	}
	t.Run("descend", func(t *testing.T) {
		m := start(t)
		_, err := within(t, m, "descend", 1<<20)
		require.ErrorContains(t, err, fuel.CallDepthTrap)
		require.ErrorContains(t, err, "main.descend")
	})
}
