package contestant_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/bench/contestant"
	"github.com/gcnode/gcnode/bench/policy"
	"github.com/gcnode/gcnode/bench/trace"
)

func keyOf(i int) string { return fmt.Sprintf("key-%012d", i) }

const entryBytes = 16 + 128

func newCache(t *testing.T, c contestant.Contestant, o contestant.Options) *contestant.Cache {
	t.Helper()
	cache, err := c.New(o)
	require.NoError(t, err)
	t.Cleanup(cache.Close)
	return cache
}

// TestContestants checks of each contestant what the benchmarks build on.
func TestContestants(t *testing.T) {
	for _, c := range contestant.All() {
		t.Run(c.Name, func(t *testing.T) {
			t.Run("hits", func(t *testing.T) { testHits(t, c) })
			t.Run("values", func(t *testing.T) { testValues(t, c) })
			t.Run("eviction", func(t *testing.T) { testEviction(t, c) })
			t.Run("TTL", func(t *testing.T) { testTTL(t, c) })
			t.Run("goroutines", func(t *testing.T) { testGoroutines(t, c) })
		})
	}
}

// testHits wants everything to be there when there is room for all of it.
func testHits(t *testing.T, c contestant.Contestant) {
	const n = 1000
	origin := contestant.NewSameValue(128)
	cache := newCache(t, c, contestant.Options{Origin: origin, Entries: 16 * n, EntryBytes: entryBytes})
	for pass := range 20 { // some caches drop entries when they are busy
		before := origin.Loads()
		for i := range n {
			require.Equal(t, 128, cache.Load(keyOf(i)))
		}
		if pass > 0 && origin.Loads() == before {
			assert.Equal(t, n, cache.Len())
			return
		}
	}
	t.Error("there are always some keys missing")
}

// testValues wants each key to have its own value.
func testValues(t *testing.T, c contestant.Contestant) {
	const n = 100
	cache := newCache(t, c, contestant.Options{Origin: contestant.FreshValue{Size: func(key string) int {
		var i int
		_, _ = fmt.Sscanf(key, "key-%d", &i)
		return i + 1
	}}, Entries: 10_000, EntryBytes: entryBytes})
	for range 3 {
		for i := range n {
			require.Equal(t, i+1, cache.Load(keyOf(i)))
		}
	}
	if cache.Set != nil {
		cache.Set(keyOf(n))
	}
	require.Equal(t, n+1, cache.Load(keyOf(n)))
}

// testEviction wants a cache to keep its limit, and to use it.
func testEviction(t *testing.T, c contestant.Contestant) {
	if c.Limit == contestant.Nothing {
		t.Skip("it does not evict")
	}
	const n = 20_000
	origin := contestant.NewSameValue(128)
	o := contestant.Options{Origin: origin, Entries: n, EntryBytes: entryBytes, InStep: true}
	cache := newCache(t, c, o)
	for i := range 4 * n {
		cache.Load(keyOf(i))
	}
	assert.InDelta(t, n, cache.Len(), 0.2*n)
	before := origin.Loads()
	for i := range 4 * n {
		cache.Load(keyOf(i))
	}
	assert.GreaterOrEqual(t, origin.Loads()-before, int64(2*n))
}

// testTTL wants entries with a life to be served within it.
func testTTL(t *testing.T, c contestant.Contestant) {
	if !c.TTL {
		t.Skip("it has no lives")
	}
	origin := contestant.NewSameValue(128)
	cache := newCache(t, c, contestant.Options{Origin: origin, Entries: 10_000, EntryBytes: entryBytes, TTL: time.Hour, InStep: true})
	for range 3 {
		cache.Load(keyOf(1))
	}
	assert.Equal(t, int64(1), origin.Loads())
}

func testGoroutines(t *testing.T, c contestant.Contestant) {
	if c.Serial {
		t.Skip("it is for one goroutine")
	}
	cache := newCache(t, c, contestant.Options{Origin: contestant.NewSameValue(128), Entries: 10_000, EntryBytes: entryBytes})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 1000 {
				assert.Equal(t, 128, cache.Load(keyOf(i)))
				if cache.Set != nil {
					cache.Set(keyOf(i))
				}
			}
		})
	}
	wg.Wait()
}

func TestCalibrate(t *testing.T) {
	for _, c := range contestant.All() {
		if c.Limit != contestant.Bytes || c.Coarse {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			const n = 8_000
			keys := make([]string, 4*n)
			for i := range keys {
				keys[i] = keyOf(i)
			}
			o := contestant.Options{Origin: contestant.NewSameValue(128), Entries: n, EntryBytes: entryBytes}
			var err error
			o.MaxBytes, err = contestant.Calibrate(c, o, keys)
			require.NoError(t, err)
			cache := newCache(t, c, o)
			for _, key := range keys {
				cache.Load(key)
			}
			assert.InDelta(t, n, cache.Len(), 0.04*n) // a slab goes as a whole
		})
	}
}

// TestLRU holds the contestants that are said to be LRU to it.
func TestLRU(t *testing.T) {
	const n = 300
	requests := trace.Zipf(0.9, 2_000, 20_000)
	want := int64(len(requests) - policy.Hits(policy.NewLRU(n), requests))
	for _, c := range contestant.All() {
		if c.LRU {
			origin := contestant.NewSameValue(128)
			cache := newCache(t, c, contestant.Options{Origin: origin, Entries: n, EntryBytes: entryBytes})
			for _, key := range requests {
				cache.Load(keyOf(int(key)))
			}
			assert.Equal(t, want, origin.Loads(), c.Name)
		}
	}
}

func TestNamed(t *testing.T) {
	names := map[string]bool{}
	for _, c := range contestant.All() {
		got, err := contestant.Named(c.Name)
		require.NoError(t, err)
		assert.Equal(t, c.Name, got.Name)
		names[c.Name] = true
	}
	assert.Len(t, names, len(contestant.All()))
	_, err := contestant.Named("nobody")
	require.ErrorContains(t, err, `"nobody"`)
}

func TestFreshValue(t *testing.T) {
	for _, n := range []int{0, 1, 64, 100, 1000} {
		o := contestant.FreshValue{Size: func(string) int { return n }}
		assert.Len(t, o.String("k"), n)
		assert.Equal(t, o.String("k"), string(o.Bytes("k")))
	}
}
