package store_test

import (
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/gcnode/gcnode/core/internal/store"
)

// zipfKeys are n look-ups among as many keys.
func zipfKeys(n int) []string {
	z := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.01, 1, uint64(n-1))
	keys := make([]string, 1<<20)
	for i := range keys {
		keys[i] = "key-" + strconv.FormatUint(z.Uint64(), 10)
	}
	return keys
}

func BenchmarkGet(b *testing.B) {
	value := string(make([]byte, 128))
	for _, n := range []int{1_000, 100_000} {
		keys := zipfKeys(n)
		s := store.New(store.Options{MaxBytes: 1 << 30, Now: new(clock).now})
		m := map[string]store.Entry{}
		for _, k := range keys {
			s.Set(k, entry(value))
			m[k] = entry(value)
		}
		b.Run("impl=store/keys="+strconv.Itoa(n), func(b *testing.B) {
			i := 0
			for b.Loop() {
				s.Get(keys[i&(len(keys)-1)])
				i++
			}
		})
		b.Run("impl=map/keys="+strconv.Itoa(n), func(b *testing.B) {
			i := 0
			for b.Loop() {
				_ = m[keys[i&(len(keys)-1)]]
				i++
			}
		})
		b.Run("impl=store/parallel/keys="+strconv.Itoa(n), func(b *testing.B) {
			var next atomic.Int64
			b.RunParallel(func(pb *testing.PB) {
				i := int(next.Add(7919))
				for pb.Next() {
					s.Get(keys[i&(len(keys)-1)])
					i++
				}
			})
		})
	}
}

func BenchmarkSet(b *testing.B) {
	value := string(make([]byte, 128))
	b.Run("evicting", func(b *testing.B) {
		s := store.New(store.Options{MaxBytes: 16 << 20, Now: new(clock).now})
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			s.Set("key-"+strconv.Itoa(i), entry(value))
			i++
		}
	})
}
