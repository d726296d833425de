package objects

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"testing"
)

// check looks whether all parts of the store agree with each other.
func (s *Store[T]) check(now int64) error {
	var total int64
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		err := sh.check(s)
		total += sh.cost.Load()
		sh.mu.Unlock()
		if err != nil {
			return fmt.Errorf("shard %d at %d: %w", i, now, err)
		}
	}
	if got := s.cost.Load(); got != total || got > s.max {
		return fmt.Errorf("the cost is %d, that of the shards %d, the limit %d", got, total, s.max)
	}
	return nil
}

func (sh *shard[T]) check(s *Store[T]) error {
	t := sh.table.Load()
	entries, used := map[*Entry[T]]bool{}, 0
	for i := range t.slots {
		hash, e := t.slots[i].hash.Load(), t.slots[i].entry.Load()
		if hash != empty {
			used++
		}
		if (e != nil) != (hash != empty && hash != tombstone) || e != nil && e.hash != hash {
			return fmt.Errorf("slot %d has the hash %x and the entry %v", i, hash, e)
		}
		if e != nil {
			entries[e] = true
			if t.get(e.hash, e.Key) != e {
				return fmt.Errorf("%q is not found", e.Key)
			}
		}
	}
	if len(entries) != sh.live || used != sh.used || used >= len(t.slots) {
		return fmt.Errorf("%d entries and %d slots in use, counted as %d and %d, of %d", len(entries), used, sh.live, sh.used, len(t.slots))
	}
	var cost int64
	queued := 0
	for q := range sh.queues {
		var sum int64
		var last *Entry[T]
		for e := sh.queues[q].oldest; e != nil; e = e.newer {
			if e.older != last || !entries[e] || int(e.queue) != q {
				return fmt.Errorf("queue %d is broken at %q", q, e.Key)
			}
			sum += e.cost
			queued++
			last = e
		}
		if last != sh.queues[q].newest || sum != sh.queues[q].cost {
			return fmt.Errorf("queue %d costs %d, counted as %d", q, sum, sh.queues[q].cost)
		}
		cost += sum
	}
	if queued != len(entries) || cost != sh.cost.Load() {
		return fmt.Errorf("%d of %d entries are in the queues, and cost %d of %d", queued, len(entries), cost, sh.cost.Load())
	}
	timed := 0
	for l := range sh.wheel.level {
		level := &sh.wheel.level[l]
		for i := range wheelSize {
			filled := level.first != nil && level.first[i] != nil
			if filled != (level.filled>>i&1 == 1) {
				return fmt.Errorf("slot %d of level %d is marked as %v", i, l, !filled)
			}
			if !filled {
				continue
			}
			var before *Entry[T]
			for e := level.first[i]; e != nil; e = e.after {
				if e.before != before || !entries[e] || int(e.slot-1) != l*wheelSize+i {
					return fmt.Errorf("slot %d of level %d is broken at %q", i, l, e.Key)
				}
				if begin := sh.wheel.cursor &^ (1<<((l+1)*slotBits) - 1) >> (l * slotBits) << (l * slotBits); begin > deathTick(s.dies(e)) && deathTick(s.dies(e)) > sh.wheel.cursor {
					return fmt.Errorf("%q waits for another turn of level %d", e.Key, l)
				}
				before = e
				timed++
			}
		}
	}
	finite := 0
	for e := range entries {
		if s.dies(e) != Never {
			finite++
		}
	}
	if timed != finite || timed != sh.wheel.entries {
		return fmt.Errorf("%d of %d entries are in the wheel, counted as %d", timed, finite, sh.wheel.entries)
	}
	return nil
}

func (s *Store[T]) set(key string, value T, expires, cost, now int64) bool {
	return s.Set(&Entry[T]{Key: key, Value: value, Expires: expires}, cost, now)
}

func TestWhatIsSetIsThereUntilItIsRemoved(t *testing.T) {
	s := New[string](Options{Max: 10})
	if s.Get("k") != nil {
		t.Error("an empty store had it")
	}
	s.set("k", "old", Never, 1, 0)
	s.set("k", "new", Never, 2, 0)
	if e := s.Get("k"); e == nil || e.Value != "new" {
		t.Errorf("got %+v", e)
	}
	if st, want := s.Stats(), (Stats{Entries: 1, Cost: 2, Max: 10, Replaced: 1}); st != want {
		t.Errorf("stats %+v, want %+v", st, want)
	}
	if !s.Remove("k", 0) || s.Remove("k", 0) {
		t.Error("Remove did not tell whether it was there")
	}
	if s.Get("k") != nil {
		t.Error("removed, and still there")
	}
	s.set("a", "", Never, 1, 0)
	s.set("b", "", Never, 1, 0)
	s.Clear()
	if s.Get("a") != nil {
		t.Error("cleared, and still there")
	}
	if st, want := s.Stats(), (Stats{Max: 10, Removed: 3, Replaced: 1}); st != want {
		t.Errorf("stats %+v, want %+v", st, want)
	}
}

func TestWhatCannotFitEvictsNothing(t *testing.T) {
	s := New[string](Options{Max: 100})
	for i := range 100 {
		s.set(strconv.Itoa(i), "v", Never, 1, 0)
	}
	if s.set("7", "big", Never, 101, 0) || s.Get("7") != nil {
		t.Error("it fits, or the older value is still there")
	}
	if st, want := s.Stats(), (Stats{Entries: 99, Cost: 99, Max: 100, Replaced: 1, Rejected: 1}); st != want {
		t.Errorf("stats %+v, want %+v", st, want)
	}
	// What costs as much as the limit does fit.
	if !s.set("all", "v", Never, 100, 0) || s.Stats().Entries != 1 {
		t.Errorf("stats %+v", s.Stats())
	}
}

func TestReplacingEvictsNothing(t *testing.T) {
	s := New[int](Options{Max: 100})
	for i := range 1000 {
		s.set(strconv.Itoa(i%100), i, Never, 1, 0)
	}
	if st, want := s.Stats(), (Stats{Entries: 100, Cost: 100, Max: 100, Replaced: 900}); st != want {
		t.Errorf("stats %+v, want %+v", st, want)
	}
}

// Entries of all lives, from milliseconds to years, half of them dead when
// room is needed: no live one may go before.
func TestTheDeadGoFirst(t *testing.T) {
	for _, grace := range []int64{0, 1e9} {
		for _, entries := range []int64{100, 10_000} {
			s := New[int64](Options{Max: entries, Entries: entries, Grace: grace})
			r := rand.New(rand.NewPCG(uint64(entries), 3))
			now, horizon := int64(1e15), int64(1e12)
			dead := int64(0)
			for i := range entries {
				dies := Never
				if i%2 == 0 {
					dies = now + grace + r.Int64N(horizon>>r.IntN(20))
					dead++
				}
				s.set(strconv.FormatInt(i, 10), dies, dies-grace, 1, now)
			}
			now += grace + horizon + 1<<tickBits
			for i := range dead + dead/10 {
				s.set("new"+strconv.FormatInt(i, 10), Never, Never, 1, now)
				if st := s.Stats(); st.Evicted > 0 {
					if left := uint64(dead) - st.Expired; left > uint64(entries/20) {
						t.Errorf("%d of %d entries: %d evicted while %d dead ones were there", i, entries, st.Evicted, left)
					}
					break
				}
			}
			if err := s.check(now); err != nil {
				t.Error(err)
			}
			if st := s.Stats(); st.Expired < uint64(dead-entries/20) {
				t.Errorf("%+v with %d dead", st, dead)
			}
		}
	}
}

func TestTheDeadGoFirstForOneThatNeedsMuchRoom(t *testing.T) {
	s := New[int](Options{Max: 100})
	for i := range 100 {
		expires := Never
		if i%2 == 0 {
			expires = 1
		}
		s.set(strconv.Itoa(i), i, expires, 1, 0)
	}
	s.set("large", 0, Never, 50, 1<<tickBits)
	if st, want := s.Stats(), (Stats{Entries: 51, Cost: 100, Max: 100, Expired: 50}); st != want {
		t.Errorf("stats %+v, want %+v", st, want)
	}
}

func TestTheDeadOfOtherShardsGoFirst(t *testing.T) {
	const entries = 4 * minShardEntries
	s := New[int](Options{Max: entries, Entries: entries})
	if len(s.shards) < 4 {
		t.Fatalf("%d shards", len(s.shards))
	}
	first := func(key string) bool { return s.shard(s.hash(key)) == &s.shards[0] }
	dead := uint64(0)
	for i := range entries {
		key, expires := strconv.Itoa(i), Never
		if first(key) {
			expires = 1
			dead++
		}
		s.set(key, i, expires, 1, 0)
	}
	const now = 1 << tickBits
	for i, added := 0, uint64(0); added < dead; i++ {
		if key := "new" + strconv.Itoa(i); !first(key) {
			s.set(key, i, Never, 1, now)
			added++
		}
	}
	if st := s.Stats(); st.Expired != dead || st.Evicted > dead/20 {
		t.Errorf("%+v with %d dead", st, dead)
	}
	if err := s.check(now); err != nil {
		t.Error(err)
	}
}

func TestTheLimitHoldsAndIsUsed(t *testing.T) {
	const limit = 1 << 20
	s := New[int](Options{Max: limit, Entries: 1 << 20})
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 10_000 {
		s.set(strconv.Itoa(r.IntN(20_000)), i, Never, r.Int64N(2000), 0)
		if i%500 == 0 {
			if err := s.check(0); err != nil {
				t.Fatal(err)
			}
		}
		if i%10 == 0 {
			if st := s.Stats(); st.Evicted > 0 && st.Cost < limit-4000 {
				t.Fatalf("%+v: more was evicted than had to be", st)
			}
		}
	}
	if s.Stats().Evicted == 0 {
		t.Error("the limit was not reached")
	}
}

func TestWhatWasOfUseStays(t *testing.T) {
	s := New[int](Options{Max: 1000})
	s.set("kept", 0, Never, 1, 0)
	for i := range 20_000 {
		e := s.Get("kept")
		if e == nil {
			t.Fatalf("what is used all the time was evicted at %d", i)
		}
		e.Touch()
		s.set(strconv.Itoa(i), i, Never, 1, 0)
	}
}

func TestAScanDrivesOutLittleOfWhatWasOfUse(t *testing.T) {
	s := New[int](Options{Max: 1000})
	for range 5 {
		for i := range 500 {
			key := "used" + strconv.Itoa(i)
			if e := s.Get(key); e != nil {
				e.Touch()
			} else {
				s.set(key, i, Never, 1, 0)
			}
		}
	}
	for i := range 20_000 {
		s.set(strconv.Itoa(i), i, Never, 1, 0)
	}
	left := 0
	for i := range 500 {
		if s.Get("used"+strconv.Itoa(i)) != nil {
			left++
		}
	}
	if left < 400 {
		t.Errorf("%d of 500 are left", left)
	}
}

// What a reader may see while a slot goes from one key to another.
func TestASlotThatChangesHandsMisleadsNoReader(t *testing.T) {
	a, b := &Entry[int]{Key: "a", hash: realHash(16)}, &Entry[int]{Key: "b", hash: realHash(48)}
	for _, state := range []struct {
		hash  uint64
		entry *Entry[int]
		is    *Entry[int] // what is found under its key
	}{
		{a.hash, a, a},
		{tombstone, a, nil},
		{a.hash, nil, nil}, // the reader has loaded the hash before
		{a.hash, b, nil},
		{tombstone, nil, nil},
		{tombstone, b, nil},
		{b.hash, b, b},
	} {
		slots := newTable[int](0)
		at, _ := slots.place(a.hash, a.Key)
		at.fill(a)
		later := &Entry[int]{Key: "later", hash: a.hash}
		next, _ := slots.place(later.hash, later.Key)
		next.fill(later)
		at.hash.Store(state.hash)
		at.entry.Store(state.entry)
		for _, e := range []*Entry[int]{a, b} {
			if got := slots.get(e.hash, e.Key); got != nil && got != state.is {
				t.Errorf("%+v: found %+v for %q", state, got, e.Key)
			}
		}
		if slots.get(a.hash, "later") != later {
			t.Errorf("%+v: the search ended before the next slot", state)
		}
	}
}

// The wheel beside a plain map, with times of all sizes, and jumps of the
// clock from nothing to months.
func TestTheWheelFindsTheDeadInTime(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 9))
		var w wheel[int]
		waiting := map[*Entry[int]]bool{}
		dies := func(e *Entry[int]) int64 { return e.Expires }
		now := int64(0)
		for range 3000 {
			switch r.IntN(4) {
			case 0, 1:
				e := &Entry[int]{Expires: now + 1 + r.Int64N(1<<r.IntN(60))}
				w.insert(e, e.Expires, now)
				waiting[e] = true
			case 2:
				for e := range waiting {
					w.remove(e)
					delete(waiting, e)
					break
				}
			default:
				now += r.Int64N(1 << r.IntN(45))
				if r.IntN(3) == 0 { // some steps only
					for range 5 {
						if e, _ := w.step(now, dies); e != nil {
							w.remove(e)
							if !waiting[e] || e.Expires > now {
								t.Fatalf("%+v at %d", e, now)
							}
							delete(waiting, e)
						}
					}
					break
				}
				for {
					e, more := w.step(now, dies)
					if !more {
						break
					}
					if e != nil {
						w.remove(e)
						if !waiting[e] || e.Expires > now {
							t.Fatalf("%+v at %d", e, now)
						}
						delete(waiting, e)
					}
				}
				for e := range waiting {
					if e.Expires <= now-1<<tickBits {
						t.Fatalf("seed %d: %+v was not found at %d, cursor %d", seed, e, now, w.cursor<<tickBits)
					}
				}
				if due := w.due(); due <= now {
					t.Fatalf("due at %d, and all is done at %d", due, now)
				}
			}
		}
		if w.entries != len(waiting) {
			t.Fatalf("%d entries, and %d counted", len(waiting), w.entries)
		}
	}
}

func TestReadingAllocatesNothing(t *testing.T) {
	s := New[string](Options{Max: 10})
	s.set("k", "v", Never, 1, 0)
	if n := testing.AllocsPerRun(1000, func() { s.Get("k").Touch() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Readers, writers, removals, clears and evictions at once: a reader gets the
// value of its own key, and never an older one than it has seen or than was
// stored before it began.
func TestHammerStore(t *testing.T) {
	type value struct {
		key     string
		version int64
	}
	const keys, writers, readers = 64, 4, 4
	s := New[value](Options{Max: 400, Entries: 8 * minShardEntries})
	var written [keys]sync.Mutex // one writer a key at a time
	var versions [keys]int64
	var seen [keys]struct {
		sync.Mutex
		floor int64
	}
	floor := func(k int) int64 {
		seen[k].Lock()
		defer seen[k].Unlock()
		return seen[k].floor
	}
	raise := func(k int, v int64) {
		seen[k].Lock()
		defer seen[k].Unlock()
		seen[k].floor = max(seen[k].floor, v)
	}
	rounds := 20_000
	if testing.Short() || runtime.GOARCH == "wasm" {
		rounds = 2000
	}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 1))
			for i := range rounds {
				k := r.IntN(keys)
				key := strconv.Itoa(k)
				now := int64(i) << 18
				switch r.IntN(20) {
				case 0:
					s.Remove(key, now)
				case 1:
					if r.IntN(50) == 0 {
						s.Clear()
					}
				default:
					written[k].Lock()
					versions[k]++
					v := versions[k]
					expires := Never
					if r.IntN(2) == 0 {
						expires = now + r.Int64N(1<<24)
					}
					s.set(key, value{key, v}, expires, 1+r.Int64N(20), now)
					written[k].Unlock()
					raise(k, v)
				}
				if i%1000 == 0 {
					for e := range s.All() {
						if e.Value.key != e.Key {
							t.Errorf("%q has the value of %q", e.Key, e.Value.key)
						}
					}
				}
			}
		})
	}
	for w := range readers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 2))
			for range 4 * rounds {
				k := r.IntN(keys)
				key := strconv.Itoa(k)
				least := floor(k)
				if e := s.Get(key); e != nil {
					e.Touch()
					if e.Value.key != key || e.Value.version < least {
						t.Errorf("%q: got %+v after version %d", key, e.Value, least)
					}
				}
			}
		})
	}
	wg.Wait()
	if err := s.check(0); err != nil {
		t.Error(err)
	}
}
