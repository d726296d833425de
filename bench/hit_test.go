package bench_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/golang/groupcache"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
)

// getFunc looks a key up and returns the length of its value.
type getFunc func(ctx context.Context, key string) (int, error)

// capacity is enough for all keys of the hit benchmarks, in bytes.
const capacity = 256 << 20

// BenchmarkHit is a local hit through the whole of each library's look-up:
// Group.Get for the caches, the bare map as the floor.
func BenchmarkHit(b *testing.B) {
	for _, distinct := range []int{1_000, 100_000} {
		keys := zipfKeys(distinct, 1<<20)
		for _, impl := range []struct {
			name string
			make func(testing.TB, int) getFunc
		}{
			{"map+RWMutex", mapGet},
			{"golang-groupcache", groupcacheGet},
			{"gcnode", gcnodeGet},
		} {
			get := impl.make(b, distinct)
			ctx := b.Context()
			for _, key := range keys { // everything is there before the clock runs
				_, err := get(ctx, key)
				require.NoError(b, err)
			}
			b.Run(fmt.Sprintf("keys=%d/mode=serial/impl=%s", distinct, impl.name), func(b *testing.B) {
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					look(b, get, keys[i&(len(keys)-1)])
					i++
				}
			})
			b.Run(fmt.Sprintf("keys=%d/mode=parallel/impl=%s", distinct, impl.name), func(b *testing.B) {
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					for i := 0; pb.Next(); i++ {
						look(b, get, keys[i&(len(keys)-1)])
					}
				})
			})
		}
	}
}

func look(b *testing.B, get getFunc, key string) {
	n, err := get(b.Context(), key)
	if err != nil || n != valueBytes {
		b.Errorf("got %d bytes, %v", n, err)
	}
}

func gcnodeGet(tb testing.TB, _ int) getFunc {
	tb.Helper()
	node, err := gcnode.NewNode(gcnode.Config{})
	require.NoError(tb, err)
	v := gcnode.StringValue(value())
	g, err := node.Group("bench", gcnode.GetterFunc[gcnode.Value](func(context.Context, string) (gcnode.Item[gcnode.Value], error) {
		return gcnode.Item[gcnode.Value]{Value: v}, nil
	}), gcnode.GroupOptions{MaxBytes: capacity})
	require.NoError(tb, err)
	return func(ctx context.Context, key string) (int, error) {
		v, err := g.Get(ctx, key)
		return v.Len(), err
	}
}

func groupcacheGet(tb testing.TB, distinct int) getFunc {
	tb.Helper()
	name := fmt.Sprintf("hit-%d", distinct)
	g := groupcache.GetGroup(name) // the library keeps one for ever
	if g == nil {
		v := value()
		g = groupcache.NewGroup(name, capacity, groupcache.GetterFunc(func(_ context.Context, _ string, dest groupcache.Sink) error {
			return dest.SetString(v)
		}))
	}
	return func(ctx context.Context, key string) (int, error) {
		var v groupcache.ByteView
		err := g.Get(ctx, key, groupcache.ByteViewSink(&v))
		return v.Len(), err
	}
}

func mapGet(tb testing.TB, distinct int) getFunc {
	tb.Helper()
	var mu sync.RWMutex
	m := make(map[string]string, distinct)
	v := value()
	for i := range distinct {
		m[keyOf(i)] = v
	}
	return func(_ context.Context, key string) (int, error) {
		mu.RLock()
		defer mu.RUnlock()
		return len(m[key]), nil
	}
}
