package fuel_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/getters/wasm/fuel"
)

// BenchmarkFuel compares a compiled Go guest with and without fuel, with a tick
// that always grants more.
func BenchmarkFuel(b *testing.B) {
	plain := compileGo(b)
	for _, mode := range []struct {
		name   string
		module []byte
	}{{"plain", plain}, {"fuel", inject(b, plain, fuel.Options{})}} {
		b.Run("mode="+mode.name, func(b *testing.B) {
			m := instantiate(b, newRuntime(b, func() int64 { return 10_000 }), mode.module)
			for _, c := range []struct {
				export string
				n      uint64
			}{{"hash", 1_000}, {"parse", 50}, {"order", 20_000}, {"fibonacci", 20}, {"matrix", 50}} {
				b.Run("guest="+c.export, func(b *testing.B) {
					b.ReportAllocs()
					f := m.ExportedFunction(c.export)
					stack := make([]uint64, 1)
					for b.Loop() {
						stack[0] = c.n
						require.NoError(b, f.CallWithStack(b.Context(), stack))
					}
				})
			}
		})
	}
}

// BenchmarkInject measures the transformation of a Go module.
func BenchmarkInject(b *testing.B) {
	module := compileGo(b)
	b.SetBytes(int64(len(module)))
	b.ReportAllocs()
	for b.Loop() {
		_, _, err := fuel.Inject(module, fuel.Options{})
		require.NoError(b, err)
	}
}
