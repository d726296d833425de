package policy

import "math/rand/v2"

// cache is a cache of keys alone, over queues of slabs, as an engine would
// have it.
type cache struct {
	*Policy
	limit, slab int64
	size        func(key uint64) int64
	small, main []slab
	held        map[uint64]uint8 // hits
	inSmall     int64
	inMain      int64
}

type slab struct {
	keys  []uint64
	bytes int64
	born  uint32
}

// newCache makes a cache that gives up 1/64 of itself at once.
func newCache(limit int64) *cache {
	return &cache{Policy: New(), limit: limit, slab: max(limit/64, 1), size: func(uint64) int64 { return 1 }, held: map[uint64]uint8{}}
}

// get reports whether the key was there, and puts it there.
func (c *cache) get(key uint64) bool {
	if hits, ok := c.held[key]; ok {
		c.held[key] = min(hits+1, 3)
		return true
	}
	if to := c.Insert(hash(key), c.size(key), c.fill()); to != Out {
		c.held[key] = 0
		c.put(key, to)
	}
	for c.inSmall+c.inMain > c.limit {
		c.evict()
	}
	return false
}

func (c *cache) fill() Fill {
	f := Fill{Small: c.inSmall, Main: c.inMain, Max: c.limit, Slab: c.slab}
	if len(c.main) > 0 {
		f.Oldest = c.main[0].born
	}
	return f
}

func (c *cache) put(key uint64, to Queue) {
	size := c.size(key)
	q, n := &c.small, &c.inSmall
	if to == Main {
		q, n = &c.main, &c.inMain
	}
	if len(*q) == 0 || (*q)[len(*q)-1].bytes+size > c.slab {
		*q = append(*q, slab{born: c.Now()})
	}
	s := &(*q)[len(*q)-1]
	s.keys = append(s.keys, key)
	s.bytes += size
	*n += size
}

func (c *cache) evict() {
	c.Fit(len(c.held))
	from := c.Next(c.fill())
	q, n := &c.small, &c.inSmall
	if from == Main {
		q, n = &c.main, &c.inMain
	}
	s := (*q)[0]
	*q = (*q)[1:]
	*n -= s.bytes
	for _, key := range s.keys {
		var to Queue
		var hits uint8
		if from == Small {
			to = c.LeaveSmall(hash(key), c.held[key])
		} else {
			to, hits = c.LeaveMain(c.held[key])
		}
		if to == Out {
			delete(c.held, key)
		} else {
			c.held[key] = hits
			c.put(key, to)
		}
	}
}

// hash is the finaliser of MurmurHash3: keys in these tests are numbers.
func hash(x uint64) uint64 {
	x = (x ^ x>>33) * 0xFF51AFD7ED558CCD
	x = (x ^ x>>33) * 0xC4CEB9FE1A85EC53
	return x ^ x>>33
}

// lru is the yardstick.
type lru struct {
	limit int
	used  map[uint64]int // when
	order []uint64       // by time; stale where used says otherwise
	head  int
}

func newLRU(limit int) *lru { return &lru{limit: limit, used: map[uint64]int{}} }

func (l *lru) get(key uint64) bool {
	_, hit := l.used[key]
	l.used[key] = len(l.order)
	l.order = append(l.order, key)
	for len(l.used) > l.limit {
		if key := l.order[l.head]; l.used[key] == l.head {
			delete(l.used, key)
		}
		l.head++
	}
	return hit
}

// hitRatio is that of the keys of n requests.
func hitRatio(get func(key uint64) bool, n int, key func(i int) uint64) float64 {
	hits := 0
	for i := range n {
		if get(key(i)) {
			hits++
		}
	}
	return float64(hits) / float64(n)
}

// loop asks for n keys in turn.
func loop(n int) func(i int) uint64 {
	return func(i int) uint64 { return 1<<40 + uint64(i%n) }
}

// zipf asks for the keys below n, each in inverse proportion to its number.
func zipf(n uint64, seed uint64) func(i int) uint64 {
	z := rand.NewZipf(rand.New(rand.NewPCG(seed, 0)), 1.01, 1, n-1)
	return func(int) uint64 { return z.Uint64() }
}
