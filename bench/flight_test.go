package bench_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	groupflight "github.com/golang/groupcache/singleflight"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/singleflight"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/corebench"
)

// BenchmarkFlight has so many goroutines ask for one key at the same time. The
// one call that is made for it ends when all of them have asked.
func BenchmarkFlight(b *testing.B) {
	for _, waiters := range []int{1, 1000} {
		for _, impl := range []struct {
			name string
			make func(*testing.B, func()) func() error
		}{
			{"gcnode-flight", gcnodeFlight},
			{"gcnode-group", gcnodeGet},
			{"x-sync", xsyncFlight},
			{"golang-groupcache", groupcacheFlight},
		} {
			b.Run(fmt.Sprintf("waiters=%d/impl=%s", waiters, impl.name), func(b *testing.B) {
				var asked, calls atomic.Int64
				var all atomic.Pointer[chan struct{}]
				do := impl.make(b, func() {
					calls.Add(1)
					<-*all.Load()
				})
				ask := func() {
					if asked.Add(1) == int64(waiters) {
						close(*all.Load())
					}
					if err := do(); err != nil {
						b.Error(err)
					}
				}
				b.ReportAllocs()
				for b.Loop() {
					asked.Store(0)
					gate := make(chan struct{})
					all.Store(&gate)
					if waiters == 1 {
						ask()
						continue
					}
					var wg sync.WaitGroup
					for range waiters {
						wg.Go(ask)
					}
					wg.Wait()
				}
				b.ReportMetric(float64(b.Elapsed())/float64(b.N*waiters), "ns/waiter")
				b.ReportMetric(float64(calls.Load())/float64(b.N), "calls/op")
			})
		}
	}
}

func xsyncFlight(_ *testing.B, call func()) func() error {
	var g singleflight.Group
	return func() error {
		_, err, _ := g.Do("key", func() (any, error) {
			call()
			return nil, nil //nolint:nilnil // the value does not matter
		})
		return err
	}
}

func groupcacheFlight(_ *testing.B, call func()) func() error {
	var g groupflight.Group
	return func() error {
		_, err := g.Do("key", func() (any, error) {
			call()
			return nil, nil //nolint:nilnil // the value does not matter
		})
		return err
	}
}

func gcnodeFlight(_ *testing.B, call func()) func() error {
	f := corebench.NewFlights(func(context.Context, string) (string, error) {
		call()
		return "", nil
	})
	return func() error {
		_, err := f.Do(context.Background(), "key")
		return err
	}
}

// gcnodeGet is a Get of a key whose value is not kept: a look into the cache,
// statistics, and a flight.
func gcnodeGet(b *testing.B, call func()) func() error {
	node, err := gcnode.NewNode(gcnode.Config{})
	require.NoError(b, err)
	group, err := node.Group("bench", gcnode.GetterFunc[gcnode.Value](func(context.Context, string) (gcnode.Item[gcnode.Value], error) {
		call()
		return gcnode.Item[gcnode.Value]{Keep: gcnode.NoStore}, nil
	}), gcnode.GroupOptions{MaxBytes: gcnode.MinBytes})
	require.NoError(b, err)
	return func() error {
		_, err := group.Get(context.Background(), "key")
		return err
	}
}
