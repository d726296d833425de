//go:build !race

// These tests fill stores in one goroutine, as those in sizes_test.go do.

package store_test

import (
	"cmp"
	"container/list"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gcnode/gcnode/core/internal/store"
)

// one makes a store with one shard.
func one(maxBytes int64, c *clock) *store.Store {
	return store.NewSharded(store.Options{MaxBytes: maxBytes, Now: c.now}, 1)
}

// use looks the key up n times.
func use(s *store.Store, key string, n int) {
	for range n {
		s.Get(key)
	}
}

// passer stores entries that nobody asks for.
type passer struct {
	store *store.Store
	value string
	n     int
}

func (p *passer) pass(n int) {
	for range n {
		p.store.Set("passing-"+strconv.Itoa(p.n), entry(p.value))
		p.n++
	}
}

// full is a store with one shard that has begun to evict.
func full(maxBytes int64, c *clock) (*store.Store, *passer) {
	s := one(maxBytes, c)
	p := &passer{store: s, value: strings.Repeat("v", 100)}
	for s.Stats().Evicted == 0 {
		p.pass(1)
	}
	p.pass(s.Stats().Entries)
	return s, p
}

// held are the entries whose keys begin so.
func held(s *store.Store, prefix string) map[string]store.Held {
	found := map[string]store.Held{}
	for _, h := range store.Order(s) {
		if strings.HasPrefix(h.Key, prefix) {
			found[h.Key] = h
		}
	}
	return found
}

// few is how many of some hundred keys may be taken for others that have left,
// which is so for one in 4,000.
const few = 4

// What was used twice on probation goes to the main queue, and what was not
// used there leaves it.
func TestUsesDecideWhoStays(t *testing.T) {
	s, others := full(512<<10, new(clock))
	const probes = 400
	key := func(i int) string { return "probe-" + strconv.Itoa(i) }
	for i := range probes {
		s.Set(key(i), entry(others.value))
		use(s, key(i), i%4)
	}
	others.pass(s.Stats().Entries / 2) // more than small has
	on, wrong := held(s, "probe-"), [4]int{}
	for i := range probes {
		if h, ok := on[key(i)]; ok != (i%4 >= 2) || ok && (!h.Main || h.Uses != 0) {
			wrong[i%4]++
		}
	}
	for uses, n := range wrong {
		if n > few {
			t.Errorf("%d of %d entries with %d uses at the end of small are not where they belong", n, probes/4, uses)
		}
	}

	// Those that are in main now are used 0, 1, 2 or 3 times.
	uses := func(i int) int { return i / 4 % 4 }
	for i := range probes {
		if i%4 >= 2 {
			use(s, key(i), uses(i))
		}
	}
	// One that was taken for another that had left was in main when it was
	// used on probation, and stays longer.
	var unused []string
	on = held(s, "probe-")
	for i := range probes {
		if i%4 >= 2 && uses(i) == 0 && on[key(i)].Uses == 0 {
			unused = append(unused, key(i))
		}
	}
	left := len(unused)
	for range 1000 {
		others.pass(1000)
		on, left = held(s, "probe-"), 0
		for _, k := range unused {
			if _, ok := on[k]; ok {
				left++
			}
		}
		if left == 0 {
			break
		}
	}
	if left > 0 {
		t.Errorf("%d entries are in main that nobody used", left)
	}
	wrong = [4]int{}
	for i := range probes {
		if h, ok := on[key(i)]; i%4 >= 2 && (ok != (uses(i) > 0) || int(h.Uses) != min(max(uses(i)-1, 0), 1)) {
			wrong[uses(i)]++
		}
	}
	for uses, n := range wrong {
		if n > few {
			t.Errorf("%d of %d entries with %d uses at the end of main are not where they belong", n, probes/8, uses)
		}
	}
}

// What comes back soon after it has left the small queue is known again, and
// goes to the main one.
func TestWhatComesBackSoonGoesToMain(t *testing.T) {
	s, others := full(1<<20, new(clock))
	const probes = 100
	set := func(name string) (main int) {
		for i := range probes {
			s.Set(name+strconv.Itoa(i), entry(others.value))
		}
		for _, h := range held(s, name) {
			if h.Main {
				main++
			}
		}
		return main
	}
	if n := set("probe-"); n > few {
		t.Errorf("%d of %d entries go to main that were never there", n, probes)
	}
	for n := 0; len(held(s, "probe-")) > few; n++ {
		if n > s.Stats().Entries {
			t.Fatal("what nobody uses stays")
		}
		others.pass(10)
	}
	if n := set("probe-"); n < probes-few {
		t.Errorf("%d of %d entries go to main that were there", n, probes)
	}
}

// A large entry has a slab of its own, which goes on as it is.
func TestALargeEntryStaysAsOthersDo(t *testing.T) {
	s, others := full(1<<20, new(clock))
	s.Set("k", entry(strings.Repeat("v", 30_000)))
	use(s, "k", 3)
	others.pass(s.Stats().Entries / 2)
	if h, ok := held(s, "k")["k"]; !ok || !h.Main || h.Uses != 0 {
		t.Errorf("%v, %+v", ok, h)
	}
	if e, ok := s.Get("k"); !ok || len(e.Value) != 30_000 {
		t.Errorf("%d bytes, %v", len(e.Value), ok)
	}
}

// A new value of a key is as good as the old one was.
func TestAReplacedEntryIsWhatItWas(t *testing.T) {
	s, others := full(1<<20, new(clock))
	const probes = 100
	for i := range probes {
		s.Set("probe-"+strconv.Itoa(i), entry(others.value))
		use(s, "probe-"+strconv.Itoa(i), 2)
	}
	others.pass(s.Stats().Entries / 2) // they go to main
	for i := range probes {
		s.Set("small-"+strconv.Itoa(i), entry(others.value))
		use(s, "small-"+strconv.Itoa(i), i%4)
		use(s, "probe-"+strconv.Itoa(i), i%4)
	}
	main, small := held(s, "probe-"), held(s, "small-")
	for i := range probes {
		s.Set("probe-"+strconv.Itoa(i), entry("new"))
		s.Set("small-"+strconv.Itoa(i), entry("new"))
	}
	for name, before := range map[string]map[string]store.Held{"probe-": main, "small-": small} {
		wrong := 0
		for key, h := range held(s, name) {
			if h.Main != (name == "probe-") {
				wrong++
			}
			if was := before[key]; h.Main != was.Main || h.Uses != was.Uses {
				t.Errorf("%+v before, %+v after", was, h)
			}
		}
		if wrong > few || len(before) != probes {
			t.Errorf("%s: %d of %d entries are in the wrong queue", name, wrong, len(before))
		}
	}
}

// A slab knows how many keys had been stored when it got its first one.
func TestSlabsKnowTheirAge(t *testing.T) {
	s := one(1<<20, new(clock))
	p := &passer{store: s, value: strings.Repeat("v", 100)}
	p.pass(5000)
	slabs := map[uint32]bool{}
	for _, h := range store.Order(s) {
		if slabs[h.Since] {
			continue
		}
		slabs[h.Since] = true
		if want := "passing-" + strconv.Itoa(int(h.Since)-1); h.Key != want {
			t.Errorf("key number %d is %q, not %q", h.Since, want, h.Key)
		}
	}
	if st := s.Stats(); len(slabs) < 10 || st.Evicted > 0 {
		t.Errorf("%d slabs, stats %+v: the test does not test it", len(slabs), st)
	}
}

// What comes back late, when the main queue has got others in the meantime, is
// on probation again.
func TestWhatComesBackLateDoesNotGoToMain(t *testing.T) {
	s, others := full(1<<20, new(clock))
	const probes = 100
	busy := func(n int) { // all of them go to main, and through it
		for range n {
			s.Set("busy-"+strconv.Itoa(others.n), entry(others.value))
			use(s, "busy-"+strconv.Itoa(others.n), 2)
			others.n++
		}
	}
	set := func() (main int) {
		for i := range probes {
			s.Set("probe-"+strconv.Itoa(i), entry(others.value))
		}
		for _, h := range held(s, "probe-") {
			if h.Main {
				main++
			}
		}
		return main
	}
	entries := s.Stats().Entries
	busy(3 * entries)
	set()
	busy(entries * 3 / 2)
	if n := len(held(s, "probe-")); n > few {
		t.Fatalf("%d entries are there that nobody used", n)
	}
	if n := set(); n > probes/2 {
		t.Errorf("%d of %d entries go to main", n, probes)
	}
}

// Large entries between small ones leave the slab open that the small ones go
// to.
func TestSmallEntriesShareASlabWhateverComesBetween(t *testing.T) {
	const limit, pairs = 16 << 20, 100
	s := one(limit, new(clock))
	large := strings.Repeat("v", 100_000)
	for i := range pairs {
		s.Set("small-"+strconv.Itoa(i), entry("v"))
		s.Set("large-"+strconv.Itoa(i), entry(large))
	}
	st := s.Stats()
	if st.Entries != 2*pairs || st.Bytes > pairs*112_000+limit/16 {
		t.Errorf("stats %+v", st)
	}
}

// A slab of which a part is of no use is written anew. What is in use stays
// what it was, in its place of the queue, or at the beginning of the queue if
// it is little.
func TestCompactionChangesNothingElse(t *testing.T) {
	for _, tc := range []struct {
		of10  int
		moved bool
	}{{4, false}, {7, false}, {9, true}} {
		t.Run(fmt.Sprintf("%d of 10 are of no use", tc.of10), func(t *testing.T) {
			const limit = 8 << 20
			s := one(limit, new(clock))
			p := &passer{store: s, value: strings.Repeat("v", 100)}
			for s.Stats().Bytes < limit*95/100 {
				p.pass(1)
			}
			for i := range p.n {
				key := "passing-" + strconv.Itoa(i)
				use(s, key, i/10%4)
				if i%10 < tc.of10 {
					s.Remove(key)
				}
			}
			before := store.Order(s)
			for i := range p.n / 10 * tc.of10 * 9 / 10 {
				s.Set("new-"+strconv.Itoa(i), entry(p.value))
			}
			after := slices.DeleteFunc(store.Order(s), func(h store.Held) bool { return strings.HasPrefix(h.Key, "new-") })
			if tc.moved {
				for _, order := range [][]store.Held{before, after} {
					slices.SortFunc(order, func(a, b store.Held) int { return cmp.Compare(a.Key, b.Key) })
					for i := range order {
						order[i].Since = 0
					}
				}
			}
			if st := s.Stats(); st.Evicted > 0 {
				t.Errorf("what is in use had to go: %+v", st)
			}
			if len(before) != len(after) {
				t.Fatalf("%d entries before, %d after", len(before), len(after))
			}
			main := 0
			for i := range before {
				if before[i] != after[i] {
					t.Fatalf("entry %d of %d: %+v before, %+v after", i, len(before), before[i], after[i])
				}
				if after[i].Main {
					main++
				}
			}
			if main == 0 || main == len(after) {
				t.Errorf("%d of %d entries are in main: the test did not test it", main, len(after))
			}
			if err := store.Check(s); err != nil {
				t.Error(err)
			}
		})
	}
}

// What is of no use is worth copying the rest of a slab if it is a quarter.
func TestAQuarterOfASlabIsWorthCompaction(t *testing.T) {
	for _, tc := range []struct {
		percent int
		evicted bool
	}{{22, true}, {28, false}} {
		s := one(8<<20, new(clock))
		p := &passer{store: s, value: strings.Repeat("v", 100)}
		for s.Stats().Bytes < 7<<20 {
			p.pass(1)
		}
		for i := range p.n {
			if i%100 < tc.percent {
				s.Remove("passing-" + strconv.Itoa(i))
			}
		}
		p.pass(p.n / 5)
		if st := s.Stats(); st.Evicted > 0 != tc.evicted {
			t.Errorf("%d%% of each slab are of no use: stats %+v", tc.percent, st)
		}
	}
}

// What has expired is of use while its grace lasts: it makes room as late as
// any other.
func TestNothingExpiresBeforeItsGraceIsOver(t *testing.T) {
	const limit = 1 << 20
	var c clock
	s := store.NewSharded(store.Options{MaxBytes: limit, Now: c.now, Grace: 1000}, 1)
	fill := func(name string) {
		for i := range limit / 50 {
			s.Set(name+strconv.Itoa(i), store.Entry{Value: strings.Repeat("v", 60), Expires: 100})
		}
	}
	fill("a")
	c = 1099
	fill("b")
	if s.Set("large", entry(strings.Repeat("v", limit/5))) {
		t.Error("a large value was stored in place of what is in grace")
	}
	if st := s.Stats(); st.Expired > 0 || st.Evicted == 0 {
		t.Errorf("in grace: stats %+v", st)
	}
	c = 1100
	before := s.Stats().Evicted
	if !s.Set("large", entry(strings.Repeat("v", limit/5))) {
		t.Error("a large value was not stored in place of what is of no use")
	}
	if st := s.Stats(); st.Expired == 0 || st.Evicted != before {
		t.Errorf("after it, when %d had been evicted: stats %+v", before, st)
	}
}

// A slab knows roughly when its entries expire, and where some of them are
// moved to, that may be known better: they are looked for from then on.
func TestWhatWasMovedIsExpectedToExpireInTime(t *testing.T) {
	s := one(1<<20, new(clock))
	value := strings.Repeat("v", 100)
	const used = 10
	for i := range 16_000 {
		key, e := strconv.Itoa(i), store.Entry{Value: value, Expires: 1270}
		if i < 12_000 { // main gets slabs in which nothing expires
			e.Expires = store.Never
		}
		switch {
		case i >= 12_000 && i < 12_000+2*used && i%2 == 0:
			key = "used-" + key
			s.Set(key, store.Entry{Value: value, Expires: 1030})
			use(s, key, 2)
		case i%10 == 5: // has slabs looked at, and is too little for compaction
			s.Set(key, e)
			s.Remove(key)
		default:
			s.Set(key, e)
		}
		if i > 12_000 && i%20 == 0 {
			if err := store.Check(s); err != nil {
				t.Fatal(err)
			}
		}
	}
	main := 0
	for _, h := range held(s, "used-") {
		if h.Main {
			main++
		}
	}
	if main < used-few {
		t.Errorf("%d of %d entries were moved: the test did not test it", main, used)
	}
}

// An index that was made for many small entries does not take the room of few
// large ones.
func TestTheIndexShrinksWithTheEntries(t *testing.T) {
	const limit = 4 << 20
	s := one(limit, new(clock))
	for i := range 200_000 {
		s.Set(strconv.Itoa(i), entry(""))
	}
	many := s.Stats().Entries
	for i := range 20_000 {
		key := "large-" + strconv.Itoa(i)
		s.Set(key, entry(strings.Repeat("v", 4000)))
		use(s, key, 2)
	}
	st := s.Stats()
	if st.Entries*20 > many {
		t.Fatalf("%d entries after %d: the test does not test it", st.Entries, many)
	}
	if values := int64(len(held(s, "large-"))) * 4000; values < limit*9/10 {
		t.Errorf("%d bytes of values, with a limit of %d; stats %+v", values, limit, st)
	}
}

// On a load as it is usual the store keeps what is worth it. The policy's own
// tests say more, with keys alone.
func TestTheHitRatioIsBetterThanThatOfAnLRU(t *testing.T) {
	const keys, rounds = 100_000, 400_000
	s := one(1<<20, new(clock))
	value := strings.Repeat("v", 100)
	zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.01, 1, keys-1)
	byUse, places := list.New(), map[string]*list.Element{}
	hits, hitsOfLRU := 0, 0
	for i := range rounds {
		key := strconv.FormatUint(zipf.Uint64(), 10)
		if _, ok := s.Get(key); !ok {
			s.Set(key, entry(value))
		} else if i > rounds/4 {
			hits++
		}
		if at, ok := places[key]; ok {
			byUse.MoveToFront(at)
			if i > rounds/4 {
				hitsOfLRU++
			}
			continue
		}
		places[key] = byUse.PushFront(key)
		for byUse.Len() > s.Stats().Entries {
			delete(places, byUse.Remove(byUse.Back()).(string))
		}
	}
	got, lru := float64(hits)/(rounds*3/4), float64(hitsOfLRU)/(rounds*3/4)
	t.Logf("hit ratio %.3f, that of an LRU %.3f", got, lru)
	if got < lru+0.03 {
		t.Errorf("hit ratio %.3f, that of an LRU is %.3f", got, lru)
	}
}
