package store_test

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/gcnode/gcnode/core/internal/store"
)

// clock is a clock that stands still until it is set.
type clock int64

func (c *clock) now() int64 { return int64(*c) }

func entry(value string) store.Entry { return store.Entry{Value: value, Expires: store.Never} }

func TestWhatIsSetIsThereUntilItIsRemoved(t *testing.T) {
	s := store.New(1<<20, new(clock).now)
	if _, ok := s.Get("k"); ok {
		t.Error("an empty store had it")
	}
	s.Set("k", entry("old"))
	s.Set("k", entry("new"))
	if e, ok := s.Get("k"); !ok || e.Value != "new" {
		t.Errorf("got %v, %v", e, ok)
	}
	if !s.Remove("k") || s.Remove("k") {
		t.Error("Remove did not tell whether it was there")
	}
	if _, ok := s.Get("k"); ok {
		t.Error("removed, and still there")
	}
	want := store.Stats{MaxBytes: 1 << 20, Removed: 1, Replaced: 1}
	if got := s.Stats(); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
}

func TestExpiredEntriesAreNeverServed(t *testing.T) {
	var c clock
	s := store.New(1<<20, c.now)
	s.Set("k", store.Entry{Value: "v", Expires: 100})
	c = 99
	if _, ok := s.Get("k"); !ok {
		t.Error("gone before its time")
	}
	c = 100
	if _, ok := s.Get("k"); ok {
		t.Error("served at its expiry")
	}
	if st := s.Stats(); st.Expired != 1 || st.Entries != 0 || st.Bytes != 0 {
		t.Errorf("stats %+v", st)
	}
}

func TestTheLeastRecentlyUsedGoesFirst(t *testing.T) {
	s := store.New(2000*store.Overhead, new(clock).now)
	s.Set("kept", entry(""))
	for i := range 20_000 {
		if _, ok := s.Get("kept"); !ok {
			t.Fatalf("the most recently used key was evicted at %d", i)
		}
		s.Set(strconv.Itoa(i), entry(""))
	}
	if _, ok := s.Get("0"); ok {
		t.Error("the oldest of ten times what fits is still there")
	}
	if st := s.Stats(); st.Evicted == 0 {
		t.Error("nothing was evicted")
	}
}

func TestTheLimitHolds(t *testing.T) {
	const limit = 1 << 20
	s := store.New(limit, new(clock).now)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 20_000 {
		s.Set(strconv.Itoa(r.IntN(2000)), entry(strings.Repeat("x", r.IntN(4000))))
		if st := s.Stats(); st.Bytes > limit {
			t.Fatalf("%d bytes after %d entries, limit %d", st.Bytes, i+1, limit)
		}
	}
}

func TestWhatCannotFitEvictsNothing(t *testing.T) {
	s := store.New(1<<20, new(clock).now)
	for i := range 100 {
		s.Set(strconv.Itoa(i), entry("v"))
	}
	s.Set("big", entry("small once"))
	if s.Set("big", entry(strings.Repeat("x", 1<<20))) {
		t.Error("it fits?")
	}
	st := s.Stats()
	if st.Entries != 100 || st.Evicted != 0 || st.Rejected != 1 || st.Replaced != 1 {
		t.Errorf("stats %+v", st)
	}
	if _, ok := s.Get("big"); ok {
		t.Error("the older value is still served")
	}
}

func TestKeysListsWhatIsThere(t *testing.T) {
	s := store.New(1<<20, new(clock).now)
	for i := range 50 {
		s.Set(strconv.Itoa(i), entry("v"))
	}
	seen := map[string]bool{}
	for _, k := range s.Keys() {
		seen[k] = true
	}
	if len(seen) != 50 {
		t.Errorf("%d keys", len(seen))
	}
}

func TestHammerStore(t *testing.T) {
	const limit = 256 << 10
	s := store.New(limit, new(clock).now)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 1))
			for range 3000 {
				key := strconv.Itoa(r.IntN(300))
				switch r.IntN(4) {
				case 0:
					s.Set(key, entry(key+strings.Repeat("x", r.IntN(2000))))
				case 1:
					s.Remove(key)
				default:
					if e, ok := s.Get(key); ok && !strings.HasPrefix(e.Value, key) {
						t.Errorf("key %s has the value of another: %.20s", key, e.Value)
					}
				}
			}
		})
	}
	wg.Wait()
	if st := s.Stats(); st.Bytes > limit || st.Bytes < int64(st.Entries)*store.Overhead {
		t.Errorf("stats %+v", st)
	}
}
