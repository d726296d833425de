package bench_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/bench/guesttest"
	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/getters/wasm"
)

// small is what guests are asked for: 16 bytes that they answer with.
const small = "echo:0123456789abcdef"

// nativeEcho is a native getter that answers as the guests do.
func nativeEcho(_ context.Context, key string) (gcnode.Item[gcnode.Value], error) {
	const command = len("echo:")
	return gcnode.Item[gcnode.Value]{Value: gcnode.BytesValue([]byte(key[command:]))}, nil
}

func getOne(b *testing.B, p *wasm.Plugin, key string) {
	if _, err := p.GetItem(b.Context(), key); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkWasmGet is a small get of one caller from a guest that is warm.
func BenchmarkWasmGet(b *testing.B) {
	for _, g := range guesttest.Probes(b) {
		p := g.Load(b, wasm.Options{Instances: 1})
		b.Run("impl="+g.Name, func(b *testing.B) {
			getOne(b, p, small)
			b.ReportAllocs()
			begun := cpuTime()
			for b.Loop() {
				getOne(b, p, small)
			}
			b.ReportMetric(float64(cpuTime()-begun)/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkWasmNode is a miss through a node: the key is in no cache, its
// flight runs the getter, and the value is stored. The same with a native
// getter, and the guest without a node, take turns with it; the median turn
// counts.
func BenchmarkWasmNode(b *testing.B) {
	for _, g := range guesttest.Probes(b) {
		p := g.Load(b, wasm.Options{Instances: 1})
		runOnce(b, g.Name, func(b *testing.B) {
			native, guests := missing(b, gcnode.GetterFunc[gcnode.Value](nativeEcho)), missing(b, p)
			const batch = 1_000
			var nativeTimes, guestTimes, nodeTimes times // of a batch
			for first := 0; first < amount(200_000); first += batch {
				keys := newKeys(first, batch)
				for i, key := range keys {
					keys[i] = "echo:" + key
				}
				each := func(get func(key string)) time.Duration {
					return measure(func() {
						for _, key := range keys {
							get(key)
						}
					})
				}
				nativeTimes = append(nativeTimes, each(native))
				guestTimes = append(guestTimes, each(func(key string) { getOne(b, p, key) }))
				nodeTimes = append(nodeTimes, each(guests))
			}
			nativeTime, guestTime, nodeTime := nativeTimes.quantile(0.5), guestTimes.quantile(0.5), nodeTimes.quantile(0.5)
			b.ReportMetric(float64(nativeTime)/batch, "native-ns")
			b.ReportMetric(float64(guestTime)/batch, "guest-ns")
			b.ReportMetric(float64(nodeTime)/batch, "node-ns")
			b.ReportMetric(float64(nodeTime-guestTime)/float64(nativeTime), "node/native")
		})
	}
}

// missing is a node whose group has nothing yet.
func missing(b *testing.B, getter gcnode.Getter[gcnode.Value]) func(key string) {
	b.Helper()
	node, err := gcnode.NewNode(gcnode.Config{})
	require.NoError(b, err)
	b.Cleanup(func() { _ = node.Close(context.Background()) })
	group, err := node.Group("bench", getter, gcnode.GroupOptions{MaxBytes: capacity})
	require.NoError(b, err)
	return func(key string) {
		if _, err := group.Get(b.Context(), key); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWasmFlat asks a Go guest ten million times and compares the memory
// of the process, in which that of the guest is, with that after the first
// hundred thousand.
func BenchmarkWasmFlat(b *testing.B) {
	for _, g := range guesttest.Probes(b) {
		if !g.IsGo() {
			continue
		}
		p := g.Load(b, wasm.Options{Instances: 1})
		runOnce(b, g.Name, func(b *testing.B) {
			ask := func(n int) (heapMiB float64) {
				for range n {
					getOne(b, p, small)
				}
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				return float64(m.HeapAlloc) / (1 << 20)
			}
			before := ask(amount(100_000) / 2)
			after := ask(amount(10_000_000))
			b.ReportMetric(before, "before-MiB")
			b.ReportMetric(after, "after-MiB")
			b.ReportMetric(after/before, "after/before")
			b.ReportMetric(float64(p.Stats().Instances.Discarded.Memory), "outgrown")
		})
	}
}
