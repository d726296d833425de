package store_test

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gcnode/gcnode/core/internal/store"
)

// clock is a clock that stands still until it is set.
type clock int64

func (c *clock) now() int64 { return int64(*c) }

func entry(value string) store.Entry { return store.Entry{Value: value, Expires: store.Never} }

func newStore(maxBytes int64, c *clock) *store.Store {
	return store.New(store.Options{MaxBytes: maxBytes, Now: c.now})
}

// keySet is the keys that are there. Asking for them is no use of them.
func keySet(s *store.Store) map[string]bool {
	set := map[string]bool{}
	for key := range s.Keys() {
		set[key] = true
	}
	return set
}

func TestWhatIsSetIsThereUntilItIsRemoved(t *testing.T) {
	s := newStore(1<<20, new(clock))
	if _, ok := s.Get("k"); ok {
		t.Error("an empty store had it")
	}
	if s.Remove("k") {
		t.Error("an empty store removed it")
	}
	s.Set("k", entry("old"))
	s.Set("k", entry("new"))
	if e, ok := s.Get("k"); !ok || e != entry("new") {
		t.Errorf("got %v, %v", e, ok)
	}
	if !s.Remove("k") || s.Remove("k") {
		t.Error("Remove did not tell whether it was there")
	}
	if _, ok := s.Get("k"); ok {
		t.Error("removed, and still there")
	}
	if got := s.Stats(); got.Removed != 1 || got.Replaced != 1 || got.Entries != 0 {
		t.Errorf("stats %+v", got)
	}
}

func TestEntriesComeBackAsTheyWere(t *testing.T) {
	s := newStore(64<<20, new(clock))
	keys := []string{"", "k", "a b", "a/b", "//", ".", "..", "%2F", "\x00", "\xff\xfe", strings.Repeat("k", 64<<10)}
	entries := []store.Entry{
		{Expires: store.Never},
		{Value: "v", Expires: 7},
		{Value: strings.Repeat("v", 8<<20), Expires: store.Never},
		{NotFound: true, Expires: 1 << 62},
		{Value: "why", NotFound: true, Expires: store.Never},
		{Value: "v", Expires: store.Never, Stamp: store.Stamp{Time: math.MaxInt64, Incarnation: math.MaxUint64}},
		{Value: "v", Expires: 1 << 40, Stamp: store.Stamp{Time: math.MinInt64}},
		{NotFound: true, Expires: 1 << 40, Stamp: store.Stamp{Incarnation: 1}},
	}
	for _, key := range keys {
		for _, want := range entries {
			if !s.Set(key, want) {
				t.Fatalf("a value of %d bytes was rejected", len(want.Value))
			}
			if got, ok := s.Get(key); !ok || got != want {
				t.Fatalf("key of %d bytes: got %d bytes, %v, %d, %v, %v; want %d bytes, %v, %d, %v",
					len(key), len(got.Value), got.NotFound, got.Expires, got.Stamp, ok,
					len(want.Value), want.NotFound, want.Expires, want.Stamp)
			}
		}
	}
}

// An entry keeps its stamp when it is moved: to the main queue, and from a slab
// that others have left.
func TestStampsAreMovedWithTheirEntries(t *testing.T) {
	s := newStore(256<<10, new(clock))
	stamped := func(i int) store.Entry {
		e := store.Entry{Value: strings.Repeat("v", 60), Expires: store.Never}
		if i%2 == 0 {
			e.Stamp = store.Stamp{Time: int64(i + 1), Incarnation: uint64(i) << 40}
		}
		return e
	}
	const kept = 400
	for i := range kept {
		s.Set("kept "+strconv.Itoa(i), stamped(i))
		s.Set("removed "+strconv.Itoa(i), stamped(i))
		s.Remove("removed " + strconv.Itoa(i))
	}
	for i := range 20_000 {
		s.Set("passing "+strconv.Itoa(i), stamped(i))
		key := "kept " + strconv.Itoa(i%kept)
		if e, ok := s.Get(key); !ok || e != stamped(i%kept) {
			t.Fatalf("key %q: got %+v, %v; want %+v", key, e, ok, stamped(i%kept))
		}
	}
	if s.Stats().Evicted == 0 {
		t.Error("nothing was evicted: the test did not test it")
	}
}

// Only what has a stamp pays for one.
func TestAStampTakesSixteenBytes(t *testing.T) {
	var bytes [2]int
	for i, stamp := range []store.Stamp{{}, {Time: 1}} {
		s := store.NewSharded(store.Options{MaxBytes: 1 << 20, Now: new(clock).now}, 1)
		for n := range 1000 {
			s.Set(fmt.Sprintf("%04d", n), store.Entry{Value: "value", Expires: store.Never, Stamp: stamp})
		}
		bytes[i] = store.Filled(s)
	}
	if bytes[0] != 1000*20 || bytes[1] != 1000*36 {
		t.Errorf("1,000 records take %d bytes, and %d with a stamp", bytes[0], bytes[1])
	}
}

// The caller may do what it likes with the memory of what it has set.
func TestEntriesAreCopies(t *testing.T) {
	s := newStore(1<<20, new(clock))
	b := []byte("before")
	s.Set("k", entry(string(b)))
	e, _ := s.Get("k")
	for i := range 100_000 { // and what was got stays as it was when its slab is given up
		s.Set(strconv.Itoa(i), entry(strings.Repeat("x", 64)))
	}
	if e.Value != "before" {
		t.Errorf("got %q", e.Value)
	}
}

func TestExpiredEntriesAreNeverServed(t *testing.T) {
	for _, grace := range []int64{0, 50} {
		var c clock
		s := store.New(store.Options{MaxBytes: 1 << 20, Now: c.now, Grace: grace})
		s.Set("k", store.Entry{Value: "v", Expires: 100})
		c = clock(99 + grace)
		if _, ok := s.Get("k"); !ok {
			t.Error("gone before its time")
		}
		c = clock(100 + grace)
		if _, ok := s.Get("k"); ok {
			t.Error("served after its time")
		}
		s.Set("k", entry("new"))
		s.Set("l", store.Entry{Value: "v", Expires: 100})
		if s.Remove("l") {
			t.Error("removed what had expired")
		}
		if st := s.Stats(); st.Expired != 2 || st.Replaced != 0 || st.Removed != 0 || st.Entries != 1 {
			t.Errorf("stats %+v", st)
		}
	}
}

func TestAValueThatCannotFitPushesNothingOut(t *testing.T) {
	for _, limit := range []int64{store.MinBytes, 64 << 10, 1 << 20, 64 << 20} {
		s := newStore(limit, new(clock))
		for i := range 20 {
			s.Set(strconv.Itoa(i), entry("v"))
		}
		s.Set("large", entry("small"))
		if s.Set("large", entry(strings.Repeat("x", int(limit/4)))) {
			t.Error("more than a quarter of the limit was stored")
		}
		if _, ok := s.Get("large"); ok {
			t.Error("the older value is still there")
		}
		if st := s.Stats(); st.Rejected != 1 || st.Evicted != 0 || st.Entries != 20 {
			t.Errorf("limit %d: stats %+v", limit, st)
		}
		if !s.Set("large", entry(strings.Repeat("x", int(limit/4-100)))) {
			t.Error("less than a quarter of the limit was not stored")
		}
		if _, ok := s.Get("large"); !ok {
			t.Error("less than a quarter of the limit is not there")
		}
	}
}

func TestSlabsGrowWithTheLimit(t *testing.T) {
	for limit, want := range map[int64]int{store.MinBytes: 1 << 10, 4 << 20: 64 << 10, 1 << 40: 256 << 10, math.MaxInt64: 256 << 10} {
		if got := store.SlabBytes(limit); got != want {
			t.Errorf("limit %d: slabs of %d bytes, want %d", limit, got, want)
		}
	}
}

func TestClearTakesEverything(t *testing.T) {
	s := newStore(16<<20, new(clock))
	for i := range 10_000 {
		s.Set(strconv.Itoa(i), entry("v"))
	}
	before := s.Stats().Bytes
	s.Clear()
	if n := len(keySet(s)); n != 0 {
		t.Errorf("%d keys are left", n)
	}
	st := s.Stats()
	if st.Entries != 0 || st.Removed != 10_000 || st.Bytes >= before {
		t.Errorf("stats %+v, %d bytes before", st, before)
	}
	s.Set("k", entry("v"))
	if _, ok := s.Get("k"); !ok {
		t.Error("a cleared store does not store")
	}
}

func TestTheHitPathAllocatesNothing(t *testing.T) {
	s := newStore(1<<20, new(clock))
	s.Set("k", store.Entry{Value: "v", Expires: 100})
	if n := testing.AllocsPerRun(100, func() { s.Get("k") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestTheLengthOfALifeIsKeptRoughly(t *testing.T) {
	s := newStore(1<<20, new(clock))
	for _, life := range []int64{0, 1, 7, 8, 1000, 59_999_999_999, 60_000_000_000, 1 << 62} {
		s.Set("k", store.Entry{Expires: 1 << 62, Life: life})
		if e, _ := s.Get("k"); e.Life > life || e.Life < life-life/5 {
			t.Errorf("life %d came back as %d", life, e.Life)
		}
	}
}

// Readers that use everything again between two evictions do not hold up the
// one who stores: the clock, which is read for each eviction, lets them.
func TestQuickReadersDoNotHoldUpAWriter(t *testing.T) {
	const limit = 64 << 10
	var s *store.Store
	var keys []string
	reads, storing := 0, false
	s = store.NewSharded(store.Options{MaxBytes: limit, Now: func() int64 {
		reads++
		for _, key := range keys {
			if storing {
				s.Get(key)
			}
		}
		return 0
	}}, 1)
	for i := range 100 {
		keys = append(keys, strconv.Itoa(i))
	}
	most := 0
	for round := range 30 {
		for i, key := range keys {
			reads, storing = 0, true
			s.Set(key, entry(strings.Repeat("v", limit/200+(i*13+round*17)%(limit/200))))
			storing = false
			most = max(most, reads)
		}
	}
	if most > 1000 {
		t.Errorf("the clock was read %d times for one entry", most)
	}
	if s.Stats().Evicted == 0 {
		t.Error("nothing was evicted: the test did not test it")
	}
}

// A large value need not wait until it is asked for again where there is
// nothing but what was removed, or has expired.
func TestALargeValueTakesThePlaceOfWhatIsOfNoUse(t *testing.T) {
	for _, how := range []string{"removed", "expired", "in use"} {
		var c clock
		s := newStore(1<<20, &c)
		for i := range 20_000 {
			s.Set(strconv.Itoa(i), store.Entry{Value: strings.Repeat("v", 60), Expires: 100, Life: 100})
		}
		switch how {
		case "removed":
			for key := range s.Keys() {
				s.Remove(key)
			}
		case "expired":
			c = 1000
		}
		if stored := s.Set("large", entry(strings.Repeat("v", 150_000))); stored == (how == "in use") {
			t.Errorf("all others %s: stored is %v", how, stored)
		}
	}
}

func TestExpiredEntriesGoFirstInSmallStoresToo(t *testing.T) {
	const second = 1_000_000_000
	for _, limit := range []int64{64 << 10, 256 << 10, 1 << 20} {
		var c clock
		s := newStore(limit, &c)
		ends := map[string]int64{}
		lives := []int64{3600 * second, 7200 * second, second}
		for i := range int(limit >> 10 * 20) {
			key := strconv.Itoa(i)
			ends[key] = int64(c) + lives[i%3]
			evicted := s.Stats().Evicted
			s.Set(key, store.Entry{Value: strings.Repeat("v", 60), Expires: ends[key]})
			c += second / 20
			if s.Stats().Evicted == evicted {
				continue
			}
			expired, all := 0, 0
			for key := range s.Keys() {
				all++
				if ends[key] <= int64(c) {
					expired++
				}
			}
			if expired*100 > all*20 { // a slab is a sixtieth, and the one that is being filled stays
				t.Fatalf("limit %d: live entries were evicted while %d of %d had expired", limit, expired, all)
			}
		}
	}
}

// What is moved meanwhile is found each time.
func TestHammerNothingIsMissedThatIsThere(t *testing.T) {
	s := newStore(256<<10, new(clock))
	keys := make([]string, 100)
	for i := range keys {
		keys[i] = strconv.Itoa(i)
		s.Set(keys[i], entry("v"))
	}
	var stop atomic.Bool
	var readers sync.WaitGroup
	var misses atomic.Int64
	readers.Go(func() {
		for i := 0; !stop.Load(); i++ {
			if _, ok := s.Get(keys[i%len(keys)]); !ok {
				misses.Add(1)
			}
			yield()
		}
	})
	for i := range 100_000 {
		s.Set(keys[i*7%len(keys)], entry(strings.Repeat("v", 100+i%200)))
		if i%100 == 0 {
			yield()
		}
	}
	stop.Store(true)
	readers.Wait()
	if n, st := misses.Load(), s.Stats(); n > 0 || st.Evicted > 0 {
		t.Errorf("%d misses, stats %+v", n, st)
	}
}

// Large entries share the limit with those that were stored just before,
// whichever shards they are in, and however many are stored at once: the
// others make room first.
func TestLargeEntriesStayWithinTheLimit(t *testing.T) {
	const limit, shards = 4 << 20, 16
	large := strings.Repeat("v", limit/5)
	var s *store.Store
	var most atomic.Int64
	s = store.NewSharded(store.Options{MaxBytes: limit, Now: func() int64 { // which is read while something is evicted
		for used := store.Used(s); ; {
			if was := most.Load(); was >= used || most.CompareAndSwap(was, used) {
				return 0
			}
		}
	}}, shards)
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for i := range 60 {
				key := strconv.Itoa(w) + "-" + strconv.Itoa(i)
				s.Set(key, entry(large))
				s.Remove(key)
				s.Set(key, entry(large)) // comes back soon, and is stored for that
			}
		})
	}
	writers.Wait()
	if most := most.Load(); most > limit || most < limit*3/5 {
		t.Errorf("up to %d bytes, with a limit of %d", most, limit)
	}
	if st := s.Stats(); st.Evicted == 0 || st.Entries < 3 || st.Bytes > limit {
		t.Errorf("stats %+v", st)
	}
	if err := store.Check(s); err != nil {
		t.Error(err)
	}
}

// A shard that gets a large entry has more than its share, and the others make
// room for it though they have less.
func TestAllShardsMakeRoomForALargeEntry(t *testing.T) {
	const limit, shards = 4 << 20, 16
	s := store.NewSharded(store.Options{MaxBytes: limit, Now: new(clock).now}, shards)
	for i := range 60_000 {
		s.Set(strconv.Itoa(i), entry(strings.Repeat("v", 100)))
	}
	before := s.Stats()
	s.Set("large", entry(strings.Repeat("v", limit/5)))
	s.Set("large", entry(strings.Repeat("v", limit/5))) // comes back soon, and is stored for that
	if _, ok := s.Get("large"); !ok {
		t.Error("it is not there")
	}
	st := s.Stats()
	if st.Bytes > limit {
		t.Errorf("%d bytes, with a limit of %d", st.Bytes, limit)
	}
	if st.Entries < before.Entries*6/10 {
		t.Errorf("%d entries before, %d after", before.Entries, st.Entries)
	}
}
