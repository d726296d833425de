package bench_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/bench/guesttest"
	"github.com/gcnode/gcnode/getters/wasm"
)

// BenchmarkWasmStart loads a module that has been compiled before, up to the
// first answer: what a node does when it starts again.
func BenchmarkWasmStart(b *testing.B) {
	for _, g := range guesttest.Probes(b) {
		opts := wasm.Options{
			Name: g.Name, AllowFetch: []string{"http://origin.invalid"}, StoreBytes: 1 << 16, CacheDir: b.TempDir() + "/cache",
		}
		start := func(b *testing.B) time.Duration {
			return measure(func() {
				p, err := wasm.Load(b.Context(), g.Module, opts)
				require.NoError(b, err)
				getOne(b, p, small)
				b.Cleanup(func() { require.NoError(b, p.Close(context.Background())) })
			})
		}
		runOnce(b, g.Name, func(b *testing.B) {
			cold := start(b)
			var warm times
			cpu := cpuTime()
			for range amount(20) {
				warm = append(warm, start(b))
			}
			cpu = (cpuTime() - cpu) / time.Duration(len(warm))
			b.ReportMetric(us(cold)/1000, "cold-ms")
			b.ReportMetric(us(cpu)/1000, "warm-cpu-ms")
			b.ReportMetric(us(warm.quantile(0.5))/1000, "warm-ms")
		})
	}
}
