package bench_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/bench/contestant"
)

const (
	// fillEntries is how many entries fit into a cache that is full.
	fillEntries = 100_000
	// growTo is how large a cache grows before a new one is begun.
	growTo = 500_000
	// mixedEntries is how many entries fit into a cache under mixed load, and
	// mixedKeys how many keys there are.
	mixedEntries    = 20_000
	mixedKeys       = 200_000
	mixedGoroutines = 2
)

// meter reports what an operation costs beside the time.
type meter struct {
	origin *contestant.SameValue
	loads  int64
	cpu    time.Duration
}

func startMeter(o *contestant.SameValue) meter { return meter{o, o.Loads(), cpuTime()} }

func (m meter) report(b *testing.B) {
	if cpu := cpuTime() - m.cpu; cpu > 0 {
		b.ReportMetric(float64(cpu)/float64(b.N), "cpu-ns/op")
	}
	b.ReportMetric(float64(m.origin.Loads()-m.loads)/float64(b.N), "loads/op")
}

// BenchmarkFill writes keys that are not there into a cache that is full, and
// into one that grows. Writing is a Set, for those that have one, or, with
// writes=load, a look-up that loads the value, which the origin has at once.
func BenchmarkFill(b *testing.B) {
	keys := newKeys(0, draws) // many more than a cache remembers
	for _, writes := range []string{"set", "load"} {
		for _, c := range contestant.All() {
			if c.Limit == contestant.Nothing {
				continue
			}
			origin, cache := newCache(b, c, fillEntries)
			write := writer(cache, writes)
			for _, key := range keys[:2*fillEntries] {
				write(key)
			}
			i := 2 * fillEntries
			b.Run("state=full/writes="+writes+"/impl="+c.Name, func(b *testing.B) {
				b.ReportAllocs()
				m := startMeter(origin)
				for b.Loop() {
					write(keys[i&(draws-1)])
					i++
				}
				m.report(b)
			})
			cache.Close()
		}
		for _, c := range contestant.All() {
			b.Run("state=growing/writes="+writes+"/impl="+c.Name, func(b *testing.B) { fillGrowing(b, c, writes, keys) })
		}
	}
}

// fillGrowing fills one cache after the other.
func fillGrowing(b *testing.B, c contestant.Contestant, writes string, keys []string) {
	b.ReportAllocs()
	origin, cache := newCache(b, c, 2*growTo)
	write := writer(cache, writes)
	m := startMeter(origin)
	i := 0
	for b.Loop() {
		if i == growTo {
			b.StopTimer()
			cache.Close()
			begun := cpuTime()
			origin, cache = newCache(b, c, 2*growTo)
			write = writer(cache, writes)
			m = meter{origin, m.loads - m.origin.Loads() + origin.Loads(), m.cpu + cpuTime() - begun}
			i = 0
			b.StartTimer()
		}
		write(keys[i])
		i++
	}
	m.report(b)
	cache.Close()
}

// writer is how a cache is written to: one without Set can only load.
func writer(cache *contestant.Cache, writes string) func(key string) {
	if writes == "set" && cache.Set != nil {
		return cache.Set
	}
	return func(key string) { cache.Load(key) }
}

// BenchmarkMixed reads popular keys and writes between the reads, into a cache
// that is full. A write is a Set of a key of the same distribution, or, with
// writes=load and for those that have no Set, a look-up of a key that is not
// there.
func BenchmarkMixed(b *testing.B) {
	popular := zipfKeys(mixedKeys)
	unknown := newKeys(mixedKeys, draws)
	for _, writes := range []string{"set", "load"} {
		for _, reads := range []int{90, 50} {
			for _, c := range contestant.All() {
				if c.Limit == contestant.Nothing {
					continue
				}
				origin, cache := newCache(b, c, mixedEntries)
				write := func(i int) { cache.Load(unknown[i&(draws-1)]) }
				if writes == "set" && cache.Set != nil {
					write = func(i int) { cache.Set(popular[i&(draws-1)]) }
				}
				every := 100 / (100 - reads)
				op := func(i int) {
					if i%every == 0 {
						write(i)
					} else {
						cache.Load(popular[i&(draws-1)])
					}
				}
				for i := range 4 * mixedEntries {
					op(i)
				}
				b.Run(fmt.Sprintf("writes=%s/reads=%d/impl=%s", writes, reads, c.Name), func(b *testing.B) {
					threads(b, mixedGoroutines)
					b.ReportAllocs()
					m := startMeter(origin)
					inParallel(b, mixedGoroutines, op)
					m.report(b)
				})
				cache.Close()
			}
		}
	}
}

func newCache(b *testing.B, c contestant.Contestant, entries int) (*contestant.SameValue, *contestant.Cache) {
	origin := contestant.NewSameValue(valueBytes)
	cache, err := c.New(contestant.Options{Origin: origin, Entries: entries, EntryBytes: keyBytes + valueBytes})
	require.NoError(b, err)
	return origin, cache
}
