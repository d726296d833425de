package bench_test

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/bench/contestant"
)

// most is the highest number of goroutines.
const most = 16

// BenchmarkHit is a local hit: all keys are there before the clock runs.
func BenchmarkHit(b *testing.B) {
	for _, run := range []struct {
		keys       int
		goroutines []int
	}{
		{1_000, []int{1, 2, 8}},
		{100_000, []int{1, 2, 4, 8, most}},
	} {
		keys := zipfKeys(run.keys)
		caches := warm(b, contestant.All(), run.keys, 0)
		for _, goroutines := range run.goroutines {
			for _, c := range caches {
				b.Run(fmt.Sprintf("keys=%d/goroutines=%d/impl=%s", run.keys, goroutines, c.name), func(b *testing.B) {
					hit(b, c.Cache, keys, goroutines)
				})
			}
		}
		closeAll(caches)
	}
}

// BenchmarkHitTTL is a local hit of entries without and with a life.
func BenchmarkHitTTL(b *testing.B) {
	all := slices.DeleteFunc(contestant.All(), func(c contestant.Contestant) bool { return !c.TTL })
	for _, distinct := range []int{1_000, 100_000} {
		keys := zipfKeys(distinct)
		without, with := warm(b, all, distinct, 0), warm(b, all, distinct, time.Hour)
		for _, goroutines := range []int{1, 2} {
			for i, c := range all {
				name := fmt.Sprintf("keys=%d/goroutines=%d/impl=%s", distinct, goroutines, c.Name)
				b.Run(name+"/ttl=none", func(b *testing.B) { hit(b, without[i].Cache, keys, goroutines) })
				b.Run(name+"/ttl=1h", func(b *testing.B) { hit(b, with[i].Cache, keys, goroutines) })
			}
		}
		closeAll(without)
		closeAll(with)
	}
}

func hit(b *testing.B, cache *contestant.Cache, keys []string, goroutines int) {
	b.ReportAllocs()
	if goroutines > 1 {
		threads(b, goroutines)
		inParallel(b, goroutines, func(i int) { cache.Load(keys[i&(draws-1)]) })
		return
	}
	i := 0
	for b.Loop() {
		cache.Load(keys[i&(draws-1)])
		i++
	}
}

// threads gives the benchmark as many threads as it has goroutines, so that
// they are preempted wherever they happen to be, as under load, also where
// there are fewer processors.
func threads(b *testing.B, n int) {
	old := runtime.GOMAXPROCS(n)
	b.Cleanup(func() { runtime.GOMAXPROCS(old) })
}

// inParallel calls op with numbers that are far apart for different
// goroutines. There are as many of them as threads.
func inParallel(b *testing.B, goroutines int, op func(i int)) {
	starts := make(chan int, goroutines)
	for g := range goroutines {
		starts <- g * (draws / goroutines)
	}
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := <-starts; pb.Next(); i++ {
			op(i)
		}
	})
}

// warmed is a cache that has all keys.
type warmed struct {
	name string
	*contestant.Cache
}

// warm makes caches that have all keys, on as many threads as will use them:
// some size their buffers by that. It takes several passes, because some drop
// entries when they are busy.
func warm(b *testing.B, all []contestant.Contestant, distinct int, ttl time.Duration) []warmed {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(most))
	keys := newKeys(0, distinct)
	var caches []warmed
	for _, c := range all {
		origin := contestant.NewSameValue(valueBytes)
		cache, err := c.New(contestant.Options{
			Origin:     origin,
			Entries:    max(4*distinct, 16_000),
			EntryBytes: keyBytes + valueBytes,
			TTL:        ttl,
		})
		require.NoError(b, err)
		missing := int64(1)
		for pass := 0; missing > 0; pass++ {
			require.Less(b, pass, 50, "%s: there are always some keys missing", c.Name)
			before := origin.Loads()
			for _, key := range keys {
				cache.Load(key)
			}
			missing = origin.Loads() - before
			cache.Len() // which waits for what is done in the background
		}
		caches = append(caches, warmed{c.Name, cache})
	}
	runtime.GC()
	return caches
}

func closeAll(caches []warmed) {
	for _, c := range caches {
		c.Close()
	}
}
