package store_test

import (
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gcnode/gcnode/core/internal/store"
)

// sealed is a value that tells whether it is whole, whose it is, and its
// edition.
func sealed(key string, edition uint32, size int) string {
	b := make([]byte, 8, 8+len(key)+size)
	binary.LittleEndian.PutUint32(b[4:], edition)
	b = append(b, key...)
	for range size {
		b = append(b, byte(edition))
	}
	binary.LittleEndian.PutUint32(b, crc32.ChecksumIEEE(b[4:]))
	return string(b)
}

func unseal(t *testing.T, key, value string) (edition uint32) {
	t.Helper()
	b := []byte(value)
	if len(b) < 8+len(key) || binary.LittleEndian.Uint32(b) != crc32.ChecksumIEEE(b[4:]) {
		t.Errorf("key %q: a torn value of %d bytes", key, len(b))
		return 0
	}
	if string(b[8:8+len(key)]) != key {
		t.Errorf("key %q: the value of another key", key)
	}
	return binary.LittleEndian.Uint32(b[4:])
}

// yield lets others run where goroutines are not preempted.
func yield() {
	if runtime.GOARCH == "wasm" {
		runtime.Gosched()
	}
}

// Readers never see a torn value, one of another key, one older than they saw
// before, or one that was removed, while slabs are given up, indexes grow, and
// everything is cleared.
func TestHammerReadersSeeWholeValuesOfTheirKey(t *testing.T) {
	const keys = 400
	for _, limit := range []int64{store.MinBytes, 64 << 10, 16 << 20} {
		t.Run(strconv.FormatInt(limit>>10, 10)+" KiB", func(t *testing.T) {
			s := newStore(limit, new(clock))
			var written [keys]atomic.Uint32 // the latest edition of each key
			var removed [keys]atomic.Uint32 // older editions were removed
			var locks [keys]sync.Mutex      // writers of a key take turns
			var stop atomic.Bool
			var writers, readers sync.WaitGroup
			for w := range 3 {
				writers.Go(func() {
					rng := rand.New(rand.NewPCG(uint64(w), 1))
					for range 5_000 {
						yield()
						k := rng.IntN(keys)
						key := "key " + strconv.Itoa(k)
						locks[k].Lock()
						switch n := rng.IntN(100); {
						case n < 80:
							size := rng.IntN(200)
							if n == 0 {
								size = rng.IntN(int(min(limit, 1<<20) / 3))
							}
							edition := written[k].Add(1)
							s.Set(key, store.Entry{Value: sealed(key, edition, size), Expires: store.Never})
						case n < 99:
							s.Remove(key)
							removed[k].Store(written[k].Load())
						default:
							for i := rng.IntN(2000); i > 0; i-- { // fills the index
								s.Set("filler "+strconv.Itoa(i), entry(""))
							}
						}
						locks[k].Unlock()
						if rng.IntN(2000) == 0 {
							s.Clear()
						}
					}
				})
			}
			var hits atomic.Uint64
			for r := range 2 {
				readers.Go(func() {
					rng := rand.New(rand.NewPCG(uint64(r), 2))
					var seen [keys]uint32
					for !stop.Load() {
						yield()
						k := rng.IntN(keys)
						key := "key " + strconv.Itoa(k)
						gone := removed[k].Load()
						e, ok := s.Get(key)
						if !ok {
							continue
						}
						hits.Add(1)
						edition := unseal(t, key, e.Value)
						if edition < seen[k] {
							t.Errorf("key %q: edition %d after %d", key, edition, seen[k])
						}
						if edition <= gone {
							t.Errorf("key %q: edition %d, when all up to %d had been removed", key, edition, gone)
						}
						seen[k] = edition
						for range s.Keys() {
							break
						}
					}
				})
			}
			writers.Wait()
			stop.Store(true)
			readers.Wait()
			if hits.Load() == 0 || limit < 16<<20 && s.Stats().Evicted == 0 {
				t.Errorf("%d hits, stats %+v: the test did not test it", hits.Load(), s.Stats())
			}
			if st := s.Stats(); st.Bytes > limit {
				t.Errorf("stats %+v", st)
			}
			if err := store.Check(s); err != nil {
				t.Error(err)
			}
		})
	}
}
