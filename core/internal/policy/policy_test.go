package policy

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// full is the state of a full shard of 1,000 entries whose small queue is as
// large as it should be at first, after 10,000 insertions.
func full() (*Policy, Fill) {
	p := New()
	p.Fit(1000)
	p.now = 10_000
	return p, Fill{Small: 100, Main: 900, Max: 1000, Slab: 10, Oldest: 9000}
}

func TestInsert(t *testing.T) {
	for _, tc := range []struct {
		name string
		away uint32 // how long ago the key left; 0: never seen
		size int64
		fill func(*Fill)
		want Queue
	}{
		{"an unknown key is on probation", 0, 1, nil, Small},
		{"a key that was away for less than main's oldest entries are there", 500, 1, nil, Main},
		{"a key that was away for longer than they are there", 1200, 1, nil, Small},
		{"a key that was away for long, and main has not moved for longer", 1200, 1, func(f *Fill) { f.Oldest = 5000 }, Main},
		{"there is room in main", 0, 1, func(f *Fill) { f.Main = 500 }, Main},
		{"there is room in both: small is filled first", 0, 1, func(f *Fill) { f.Small, f.Main = 50, 500 }, Small},
		{"room for less than a slab is none", 0, 1, func(f *Fill) { f.Main = 895 }, Small},
		{"main is empty, and small takes all", 0, 1, func(f *Fill) { f.Small, f.Main = 100, 0 }, Main},
		{"an entry as large as small", 0, 99, nil, Small},
		{"an entry that is larger is not kept", 0, 200, nil, Out},
		{"until it comes back", 500, 200, nil, Main},
		{"unless there is room", 0, 200, func(f *Fill) { f.Small, f.Main = 0, 800 }, Small},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, f := full()
			if tc.away > 0 {
				p.now -= tc.away
				p.LeaveSmall(hash(1), 0)
				p.now += tc.away
			}
			if tc.fill != nil {
				tc.fill(&f)
			}
			if got := p.Insert(hash(1), tc.size, f); got != tc.want {
				t.Errorf("goes to queue %d, want %d", got, tc.want)
			}
		})
	}
}

func TestAGhostIsUsedOnce(t *testing.T) {
	p, f := full()
	p.LeaveSmall(hash(1), 0)
	if p.Insert(hash(1), 1, f) != Main || p.Insert(hash(1), 1, f) != Small {
		t.Error("a key that left small once passes the gate not exactly once")
	}
}

func TestNext(t *testing.T) {
	for _, tc := range []struct {
		name    string
		small   int64
		overdue int64
		kept    int
		want    Queue
	}{
		{"small is over its share", 110, -1, 0, Small},
		{"small is not", 90, -1, 0, Main},
		{"main has to be inspected", 110, 1, 0, Main},
		{"a good part of main was inspected in vain", 90, 1, 63, Small},
		{"there is nothing but main", 0, -1, 63, Main},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, f := full()
			f.Small, p.overdue, p.kept = tc.small, tc.overdue, tc.kept
			if got := p.Next(f); got != tc.want {
				t.Errorf("queue %d, want %d", got, tc.want)
			}
		})
	}
}

func TestLeave(t *testing.T) {
	p, _ := full()
	for hits, want := range []Queue{Out, Out, Main, Main} {
		if got := p.LeaveSmall(hash(1), uint8(hits)); got != want {
			t.Errorf("an entry with %d hits goes from small to queue %d, want %d", hits, got, want)
		}
	}
	for hits, want := range []struct {
		to   Queue
		kept uint8
	}{{Out, 0}, {Main, 0}, {Main, 1}, {Main, 1}} {
		if to, kept := p.LeaveMain(uint8(hits)); to != want.to || kept != want.kept {
			t.Errorf("an entry with %d hits goes from main to queue %d with %d, want %v", hits, to, kept, want)
		}
	}
}

// However hot main is, the search for what to evict ends soon.
func TestNobodyWaitsForALongSearch(t *testing.T) {
	p, f := full()
	f.Small = f.Slab
	inspected := 0
	for p.Next(f) == Main && inspected < 1000 {
		p.LeaveMain(3)
		inspected++
	}
	if inspected > 1000/patience+1 {
		t.Errorf("%d of 900 entries in main are inspected for one eviction", inspected)
	}
}

// Main is inspected though nothing needs its room, so that what nobody asks for
// any more leaves it.
func TestMainIsInspectedNowAndThen(t *testing.T) {
	p, f := full()
	f.Small = 110
	inspected := 0
	for i := range 100_000 {
		p.Insert(hash(uint64(i)), 1, f)
		if p.Next(f) == Main {
			p.LeaveMain(0)
			inspected++
		}
	}
	if inspected < 100_000/inspectPart-100 || inspected > 100_000/inspectPart {
		t.Errorf("%d entries of main inspected in 100,000 insertions", inspected)
	}
}

func TestSmallAdapts(t *testing.T) {
	p, f := full()
	start := p.small(f)
	soon := func() {
		p.LeaveSmall(hash(1), 0)
		p.Insert(hash(1), 1, f)
	}
	for range 100 {
		soon()
	}
	if got := p.small(f); got != start {
		t.Errorf("small has %d, not %d, though none of its entries was hit", got, start)
	}
	for range 100 {
		p.LeaveSmall(hash(2), 1)
		soon()
	}
	if got := p.small(f); got < start+90 || got > start+100 {
		t.Errorf("small has %d after 100 keys came back soon, want about %d", got, start+100)
	}
	for range 1_000_000 {
		p.LeaveMain(1)
	}
	if got := p.small(f); got != f.Slab {
		t.Errorf("small has %d while all of main is hit, want no more than a slab", got)
	}
	for range 10_000 {
		p.LeaveSmall(hash(2), 1)
		soon()
	}
	if got := p.small(f); got < 499 || got > 500 {
		t.Errorf("small has %d, want half at most", got)
	}
}

// In a loop longer than the cache, LRU and S3-FIFO hit nothing; the best that
// is possible is the cache's part of the loop.
func TestLoopsLongerThanTheCache(t *testing.T) {
	for _, limit := range []int{64, 1000, 10_000} {
		for _, percent := range []int{101, 105, 120, 150, 200, 400} {
			t.Run(fmt.Sprintf("limit=%d/loop=%d%%", limit, percent), func(t *testing.T) {
				n := limit*percent/100 + 1
				c := newCache(int64(limit))
				hitRatio(c.get, 20*n, loop(n))
				best := float64(limit) / float64(n)
				if got := hitRatio(c.get, 10*n, loop(n)); got < 0.9*best {
					t.Errorf("hit ratio %.3f, want 90%% of %.3f", got, best)
				}
			})
		}
	}
}

func TestZipfIsNotUnderLRU(t *testing.T) {
	for _, limit := range []int{20, 100, 1000, 10_000} {
		for seed := range uint64(3) {
			n := 300_000
			ours := hitRatio(newCache(int64(limit)).get, n, zipf(100_000, seed))
			if other := hitRatio(newLRU(limit).get, n, zipf(100_000, seed)); ours < other+0.02 {
				t.Errorf("limit %d, seed %d: hit ratio %.3f, LRU has %.3f", limit, seed, ours, other)
			}
		}
	}
}

// Keys that are asked for once do not drive out those that are in use.
func TestScans(t *testing.T) {
	const limit, every, scan = 1000, 4000, 2000
	keys := func(seed uint64) func(i int) uint64 {
		z := zipf(5000, seed)
		return func(i int) uint64 {
			if i%every < scan {
				return 1<<40 + uint64(i)
			}
			return z(i)
		}
	}
	for seed := range uint64(3) {
		n := 400_000
		ours := hitRatio(newCache(limit).get, n, keys(seed))
		alone := hitRatio(newCache(limit).get, n, zipf(5000, seed)) * (every - scan) / every
		if ours < alone-0.02 {
			t.Errorf("seed %d: hit ratio %.3f, without the scans it would be %.3f", seed, ours, alone)
		}
	}
}

// Entries that are large beside the cache do not drive out many small ones again
// and again.
func TestLargeEntries(t *testing.T) {
	const limit = 10_000
	large := func(key uint64) int64 {
		if hash(key+1)%100 == 0 {
			return limit / 5
		}
		return 10
	}
	even, mixed := newCache(limit), newCache(limit)
	even.size = func(uint64) int64 { return 10 }
	mixed.size = large
	other := hitRatio(even.get, 200_000, zipf(10_000, 1))
	if got := hitRatio(mixed.get, 200_000, zipf(10_000, 1)); got < 0.8*other {
		t.Errorf("hit ratio %.3f, without large entries it would be %.3f", got, other)
	}

	const n = 1500
	bytes := int64(0)
	for i := range n {
		bytes += large(loop(n)(i))
	}
	mixed = newCache(limit)
	mixed.size = large
	if got, part := hitRatio(mixed.get, 100*n, loop(n)), float64(limit)/float64(bytes); got < 0.9*part {
		t.Errorf("hit ratio %.3f in a loop of which the cache can hold %.3f", got, part)
	}
}

// A cache that has seen something else does as well, after a while, as one
// that has not.
func TestPhases(t *testing.T) {
	const limit = 1000
	for _, tc := range []struct {
		name         string
		before, then func() func(i int) uint64
	}{
		{"zipf, then a loop", func() func(int) uint64 { return zipf(50_000, 1) }, func() func(int) uint64 { return loop(1500) }},
		{"a loop, then zipf", func() func(int) uint64 { return loop(1500) }, func() func(int) uint64 { return zipf(50_000, 1) }},
		{"a loop, then a longer one", func() func(int) uint64 { return loop(1100) }, func() func(int) uint64 { return func(i int) uint64 { return uint64(i % 2000) } }},
		{"a loop, then what fits", func() func(int) uint64 { return loop(3000) }, func() func(int) uint64 { return func(i int) uint64 { return uint64(i % 800) } }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCache(int64(limit))
			hitRatio(c.get, 200_000, tc.before())
			hitRatio(c.get, 100_000, tc.then())
			got := hitRatio(c.get, 100_000, tc.then())
			fresh := newCache(limit)
			hitRatio(fresh.get, 300_000, tc.then())
			if want := hitRatio(fresh.get, 100_000, tc.then()); got < want-0.03 {
				t.Errorf("hit ratio %.3f, want about %.3f", got, want)
			}
		})
	}
}

// Two shards that see the same do the same.
func TestDeterministic(t *testing.T) {
	a, b := newCache(100), newCache(100)
	z := zipf(1000, 1)
	for i := range 100_000 {
		if key := z(i); a.get(key) != b.get(key) {
			t.Fatalf("request %d is a hit in one cache only", i)
		}
	}
}

func TestNothingIsAllocatedOnceFitted(t *testing.T) {
	p, f := full()
	key := uint64(0)
	if n := testing.AllocsPerRun(1000, func() {
		key++
		p.Fit(1000)
		p.Insert(hash(key), 1, f)
		p.Next(f)
		p.LeaveSmall(hash(key), 0)
		p.LeaveMain(1)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Whatever an engine tells it, the policy does not panic, its share stays in
// bounds, and its memory follows the number of entries.
func FuzzAnySequence(f *testing.F) {
	f.Add(uint64(1), uint8(200))
	f.Fuzz(func(t *testing.T, seed uint64, rounds uint8) {
		r := rand.New(rand.NewPCG(seed, 0))
		p := New()
		entries := 1
		for range int(rounds) * 10 {
			fill := Fill{Small: r.Int64N(1 << r.IntN(50)), Main: r.Int64N(1 << r.IntN(50)), Max: r.Int64N(1 << r.IntN(50)), Slab: r.Int64N(1 << r.IntN(40)), Oldest: r.Uint32()}
			key := r.Uint64N(1 << r.IntN(20))
			switch r.IntN(6) {
			case 0:
				entries = r.IntN(1 << r.IntN(12))
				p.Fit(entries)
			case 1, 2:
				p.Insert(key, r.Int64N(1<<r.IntN(50)), fill)
			case 3:
				p.Next(fill)
			case 4:
				p.LeaveSmall(key, uint8(r.IntN(256)))
			case 5:
				p.LeaveMain(uint8(r.IntN(256)))
			}
			if p.share < minShare || p.share > maxShare {
				t.Fatalf("the share of small is %d", p.share)
			}
			if most := int64(10*entries + bucketBytes); p.Bytes() > most {
				t.Fatalf("%d bytes for %d entries", p.Bytes(), entries)
			}
		}
	})
}

func BenchmarkMiss(b *testing.B) {
	for _, entries := range []int{1000, 1_000_000} {
		b.Run(fmt.Sprintf("entries=%d", entries), func(b *testing.B) {
			p := New()
			p.Fit(entries)
			f := Fill{Small: 1000, Main: 9000, Max: 10_000, Slab: 100}
			key := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				key++
				h := hash(key)
				p.Insert(h, 1, f)
				p.Next(f)
				p.LeaveSmall(h, 0)
			}
		})
	}
}
