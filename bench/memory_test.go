package bench_test

import (
	"fmt"
	"hash/fnv"
	"math"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/gcnode/gcnode/bench/contestant"
)

const (
	memoryValueBytes = 100
	collections      = 3
)

// BenchmarkMemory fills a cache with entries of 16 + 100 bytes, each in memory
// of its own, and measures what they cost: bytes beyond key and value for each
// entry, and the time of a full garbage collection. Not everyone takes part
// in the largest size, which takes long.
func BenchmarkMemory(b *testing.B) {
	scale := 1
	if testing.Short() {
		scale = 10
	}
	for _, entries := range []int{250_000, 1_000_000, 5_000_000} {
		for _, c := range contestant.All() {
			if entries > 1_000_000 && !slices.Contains(largest(), c.Name) {
				continue
			}
			b.Run(fmt.Sprintf("entries=%d/impl=%s", entries, c.Name), func(b *testing.B) {
				for b.Loop() {
					inChild(b, job{Impl: c.Name, Entries: entries / scale}).report(b)
				}
			})
		}
	}
}

// largest are the contestants in the largest size: ours, the floor, and those
// that others are measured by.
func largest() []string {
	names := []string{"map", "otter", "freecache", "bigcache", "golang-groupcache"}
	for _, c := range contestant.Ours() {
		names = append(names, c.Name)
	}
	return names
}

// measureEntries fills a cache that has room for all entries.
func measureEntries(j job) (measures, error) {
	c, err := contestant.Named(j.Impl)
	if err != nil {
		return nil, err
	}
	before := heap()
	cache, err := c.New(contestant.Options{
		Origin:     contestant.FreshValue{Size: func(string) int { return memoryValueBytes }},
		Entries:    j.Entries,
		EntryBytes: keyBytes + memoryValueBytes,
	})
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	for i := range j.Entries {
		cache.Load(keyOf(i))
	}
	filled := time.Since(begun)
	for range 20 { // ristretto drops entries when it is busy
		if cache.Len() > j.Entries*95/100 {
			break
		}
		for i := range j.Entries {
			cache.Load(keyOf(i))
		}
	}
	entries := float64(cache.Len())
	if entries < 0.8*float64(j.Entries) {
		return nil, fmt.Errorf("only %.0f entries are there", entries)
	}
	var took [collections]time.Duration
	for i := range took {
		begun := time.Now()
		runtime.GC()
		took[i] = time.Since(begun)
	}
	slices.Sort(took[:])
	after := heap()
	runtime.KeepAlive(cache)
	const payload = keyBytes + memoryValueBytes
	return measures{
		"entries":       entries,
		"fill-s":        filled.Seconds(),
		"gc-ms":         float64(took[len(took)/2]) / float64(time.Millisecond),
		"heap-B/entry":  (float64(after.HeapAlloc)-float64(before.HeapAlloc))/entries - payload,
		"inuse-B/entry": (float64(after.HeapInuse)-float64(before.HeapInuse))/entries - payload,
	}, nil
}

// heap is the heap after a collection.
func heap() runtime.MemStats {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m
}

const (
	// Values under a limit have 10 B to 10 MB, every order of magnitude as
	// many as any other.
	smallestValue = 10
	largestValue  = 10_000_000
	// rounds of the limit are written in all.
	limitRounds = 4
)

// BenchmarkHeapLimit writes values of very different sizes, several times as
// many as fit, and compares the heap in use after a garbage collection with
// the limit that the cache was given.
func BenchmarkHeapLimit(b *testing.B) {
	for _, limit := range []int64{4 << 20, 64 << 20, 1 << 30} {
		if testing.Short() && limit > 64<<20 {
			continue
		}
		for _, c := range contestant.All() {
			if c.Limit != contestant.Bytes || c.Front || c.Name == "bigcache" { // whose shards are not made for such values
				continue
			}
			b.Run(fmt.Sprintf("limit=%dMiB/impl=%s", limit>>20, c.Name), func(b *testing.B) {
				for b.Loop() {
					inChild(b, job{Impl: c.Name, Limit: limit}).report(b)
				}
			})
		}
	}
}

func measureLimit(j job) (measures, error) {
	c, err := contestant.Named(j.Impl)
	if err != nil {
		return nil, err
	}
	before := heap()
	cache, err := c.New(contestant.Options{
		Origin:     contestant.FreshValue{Size: mixedSize},
		MaxBytes:   j.Limit,
		EntryBytes: keyBytes + valueBytes,
		Entries:    int(j.Limit) / (keyBytes + largestValue/100),
	})
	if err != nil {
		return nil, err
	}
	for i, written := 0, int64(0); written < limitRounds*max(j.Limit, 10*largestValue); i++ {
		key := keyOf(i)
		if got, want := cache.Load(key), mixedSize(key); got != want {
			return nil, fmt.Errorf("a value of %d bytes has %d", want, got)
		}
		written += int64(mixedSize(key))
	}
	entries := cache.Len()
	runtime.GC() // what has a finalizer is freed by the second one only
	after := heap()
	runtime.KeepAlive(cache)
	return measures{
		"entries":    float64(entries),
		"heap/limit": (float64(after.HeapInuse) - float64(before.HeapInuse)) / float64(j.Limit),
	}, nil
}

// mixedSize is the size of a key's value, spread evenly over the orders of
// magnitude.
func mixedSize(key string) int {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key))
	u := float64(h.Sum64()>>11) / (1 << 53)
	return int(smallestValue * math.Pow(largestValue/smallestValue, u))
}
