package bench_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/bench/guesttest"
	"github.com/gcnode/gcnode/getters/wasm"
)

// BenchmarkWasmReload exchanges a module a thousand times while four callers
// ask for keys as fast as they can, and counts what fails. The heap and the
// goroutines after the first exchanges are compared with those after the last.
func BenchmarkWasmReload(b *testing.B) {
	const callers, warmUp = 4, 20
	g := guesttest.Probes(b)[0]
	opts := wasm.Options{AllowFetch: []string{"http://origin.invalid"}, StoreBytes: 1 << 16, CacheDir: b.TempDir() + "/cache"}
	load := func() *wasm.Plugin {
		p, err := wasm.Load(b.Context(), g.Module, opts)
		require.NoError(b, err)
		return p
	}
	runOnce(b, g.Name, func(b *testing.B) {
		s := wasm.NewSwitch(load())
		var gets, failed atomic.Int64
		var over atomic.Bool
		var asking sync.WaitGroup
		for range callers {
			asking.Go(func() {
				for !over.Load() {
					gets.Add(1)
					if _, err := s.GetItem(b.Context(), small); err != nil {
						failed.Add(1)
					}
				}
			})
		}
		var took times
		exchange := func(n int) (heapMiB, goroutines float64) {
			for range n {
				took = append(took, measure(func() { require.NoError(b, s.Exchange(b.Context(), load())) }))
			}
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			return float64(m.HeapAlloc) / (1 << 20), float64(runtime.NumGoroutine())
		}
		heap, goroutines := exchange(warmUp)
		heapAfter, goroutinesAfter := exchange(amount(1_000))
		over.Store(true)
		asking.Wait()
		require.NoError(b, s.Close(b.Context()))
		b.ReportMetric(float64(gets.Load()), "gets")
		b.ReportMetric(float64(failed.Load()), "failed")
		b.ReportMetric(float64(took.quantile(0.5))/float64(time.Millisecond), "reload-ms")
		b.ReportMetric(heapAfter-heap, "grown-MiB")
		b.ReportMetric(goroutinesAfter-goroutines, "grown-goroutines")
	})
}
