//go:build !race

// These tests fill stores in one goroutine: with the race detector, which has
// nothing to find there, they take ten times as long.

package store_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gcnode/gcnode/core/internal/store"
)

// The limit is one for the heap, not for what was counted.
func TestTheLimitBoundsTheHeap(t *testing.T) {
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapInuse
	}
	tenBytes := func(*rand.Rand) int { return 10 }
	mixed := func(rng *rand.Rand) int { return int(10 * 1 << uint(rng.IntN(20)) * uint(8+rng.IntN(8)) / 8) }
	for _, of := range []struct {
		name string
		size func(*rand.Rand) int
		most int64
	}{{"ten bytes", tenBytes, 16 << 20}, {"mixed", mixed, 48 << 20}} {
		for _, limit := range []int64{4 << 20, of.most} {
			t.Run(fmt.Sprintf("%s/%d MiB", of.name, limit>>20), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(1, 2))
				value := strings.Repeat("v", 20<<20)
				before := heap()
				var c clock
				s := newStore(limit, &c)
				for stored := int64(0); stored < 6*limit; c++ {
					n := of.size(rng)
					expires := store.Never
					if rng.IntN(2) == 0 {
						expires = int64(c) + rng.Int64N(10_000)
					}
					s.Set(strconv.Itoa(rng.IntN(1_000_000)), store.Entry{Value: value[:n], Expires: expires})
					stored += int64(min(n+100, int(limit/4)))
				}
				used := int64(heap() - before)
				if used > limit*110/100 {
					t.Errorf("%d bytes on the heap, with a limit of %d; stats %+v", used, limit, s.Stats())
				}
				if used < limit*80/100 {
					t.Errorf("only %d bytes on the heap, with a limit of %d; stats %+v", used, limit, s.Stats())
				}
				runtime.KeepAlive(s)
				runtime.KeepAlive(value)
			})
		}
	}
}

// What an entry takes beyond its key and value depends on how lately the indices
// of the shards have grown, each when a random hash says so. While one grows there
// are two of it.
func TestOverheadPerEntry(t *testing.T) {
	const mean, usual, most = 32, 40, 64 // bytes
	s := newStore(64<<20, new(clock))
	value := strings.Repeat("v", 100)
	var sum, worst float64
	samples, growing := 0, 0
	for n := 1; s.Stats().Evicted == 0; n++ {
		s.Set(fmt.Sprintf("%016d", n), entry(value))
		if n >= 25_000 && n%100 == 0 {
			got := float64(s.Stats().Bytes)/float64(n) - 116
			sum, worst, samples = sum+got, max(worst, got), samples+1
			if got > usual {
				growing++
			}
		}
	}
	if got := sum / float64(samples); got > mean || worst > most || growing > samples/8 {
		t.Errorf("%.1f bytes beyond key and value in the mean, up to %.1f, and more than %d at %d of %d sizes", got, worst, usual, growing, samples)
	}
	t.Logf("%.1f bytes in the mean, up to %.1f, more than %d at %d of %d sizes", sum/float64(samples), worst, usual, growing, samples)
}

// Live entries are evicted only when expired ones hold less than a twentieth
// of the bytes.
func TestExpiredEntriesGoFirst(t *testing.T) {
	const second = 1_000_000_000
	for name, life := range map[string]func(i int) int64{
		"every second one": func(i int) int64 { return []int64{60 * second, store.Never}[i%2] },
		"all kinds":        func(i int) int64 { return second << (i % 20) },
		"one in ten":       func(i int) int64 { return []int64{20 * second, 9000 * second}[min(i%10, 1)] },
	} {
		t.Run(name, func(t *testing.T) {
			var c clock
			s := newStore(8<<20, &c)
			live := map[string]int64{}
			value := strings.Repeat("v", 100)
			set := func(i int) {
				expires := life(i)
				if expires != store.Never {
					expires += int64(c)
				}
				key := strconv.Itoa(i)
				s.Set(key, store.Entry{Value: value, Expires: expires})
				live[key] = expires
			}
			i := 0
			for ; s.Stats().Bytes < 7<<20; i++ {
				set(i)
				c += second / 1000
			}
			for range 60_000 {
				evicted := s.Stats().Evicted
				set(i)
				i++
				c += second / 100
				if s.Stats().Evicted == evicted {
					continue
				}
				expired, all := 0, 0
				for key := range s.Keys() {
					all++
					if live[key] <= int64(c) {
						expired++
					}
				}
				// Times are kept to a quarter of the time to live.
				if expired*100 > all*15 {
					t.Fatalf("live entries were evicted while %d of %d had expired; stats %+v", expired, all, s.Stats())
				}
			}
			if st := s.Stats(); st.Expired == 0 || st.Evicted == 0 {
				t.Errorf("stats %+v: the test did not test it", st)
			}
		})
	}
}

// The store does better than first in, first out.
func TestWhatIsUsedAgainStays(t *testing.T) {
	const entries = 6000 // about what fits
	value := strings.Repeat("v", 100)
	ask := func(s *store.Store, key string) bool {
		if _, ok := s.Get(key); ok {
			return true
		}
		s.Set(key, entry(value))
		return false
	}
	t.Run("a loop longer than the store", func(t *testing.T) {
		s := newStore(1<<20, new(clock))
		hits := 0
		for round := range 20 {
			for i := range entries * 3 / 2 {
				if ask(s, strconv.Itoa(i)) && round >= 10 {
					hits++
				}
			}
		}
		if ratio := float64(hits) / (10 * entries * 3 / 2); ratio < 0.5 {
			t.Errorf("hit ratio %.2f", ratio)
		}
	})
	t.Run("a scan beside what is in use", func(t *testing.T) {
		s := newStore(1<<20, new(clock))
		hits, asked, scanned := 0, 0, 0
		for round := range 200 {
			for i := range entries / 10 {
				if hit := ask(s, "used-"+strconv.Itoa(i)); round >= 20 {
					asked++
					if hit {
						hits++
					}
				}
			}
			for range entries {
				scanned++
				ask(s, "once-"+strconv.Itoa(scanned))
			}
		}
		if ratio := float64(hits) / float64(asked); ratio < 0.95 {
			t.Errorf("hit ratio %.2f of what is in use", ratio)
		}
	})
}

func TestWhatWasRemovedIsNotHeld(t *testing.T) {
	const limit, shards = 64 << 20, 16
	large := strings.Repeat("v", limit/5)
	s := store.NewSharded(store.Options{MaxBytes: limit, Now: new(clock).now}, shards)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 4 * shards {
		s.Set(strconv.Itoa(i), entry(large))
		s.Remove(strconv.Itoa(i))
	}
	for range 200_000 { // has what is of no use given up
		s.Set("k", entry(large[:1000]))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if used := int64(after.HeapAlloc - before.HeapAlloc); used > limit*11/10 {
		t.Errorf("%d bytes on the heap, with a limit of %d", used, limit)
	}
	runtime.KeepAlive(s)
	runtime.KeepAlive(large)
}

// What a large value takes the place of need not be free before.
func TestALargeEntryThatIsReplacedPushesNothingOut(t *testing.T) {
	const limit = 4 << 20
	s := store.NewSharded(store.Options{MaxBytes: limit, Now: new(clock).now}, 4)
	for i := range 3 {
		s.Set("large-"+strconv.Itoa(i), entry(strings.Repeat("v", limit/5)))
	}
	for i := 0; s.Stats().Bytes < limit*9/10; i++ {
		s.Set(strconv.Itoa(i), entry(strings.Repeat("v", 100)))
	}
	for i := range 300 {
		s.Set("large-"+strconv.Itoa(i%3), entry(strings.Repeat("w", limit/5)))
	}
	if st := s.Stats(); st.Evicted > 0 || st.Replaced != 300 {
		t.Errorf("stats %+v", st)
	}
}

// What is written over and over again does not hold the memory of others.
func TestReplacedEntriesMakeRoom(t *testing.T) {
	s := newStore(4<<20, new(clock))
	value := strings.Repeat("v", 100)
	for i := range 10_000 {
		s.Set("kept-"+strconv.Itoa(i), entry(value))
	}
	for i := range 500_000 {
		s.Set("hot-"+strconv.Itoa(i%5000), entry(value))
	}
	kept := slices.Collect(s.Keys())
	if st := s.Stats(); len(kept) != 15_000 || st.Evicted != 0 {
		t.Errorf("%d of 15000 entries are there, stats %+v", len(kept), st)
	}
}
