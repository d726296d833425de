// Package objects is the memory of a cache of Go values: entries with a cost
// and a time to live, within a limit on the sum of the costs.
//
// Reading takes no lock. Writing locks one of several shards, which have a
// table, the queues of S3-FIFO and a timing wheel each, and share one limit.
package objects

import (
	"hash/maphash"
	"iter"
	"math"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/gcnode/gcnode/core/internal/policy"
)

// Never is the time of what does not come.
const Never int64 = math.MaxInt64

const (
	// maxHits is where the count of an entry's uses ends.
	maxHits = 3
	// reapSteps is how much of the wheel's work each Set does, so that the
	// dead do not pile up, and no Set pays for many of them at once.
	reapSteps = 8
	// roomSteps is how far a Set that needs room looks for a dead entry in a
	// shard before it evicts a living one.
	roomSteps = 16
	// patience is how many entries, and one in so many of the shard's, are kept
	// before one is evicted whatever the policy says of it.
	patience = 16
	// peeks is how many other shards it asks for dead entries.
	peeks = 2
	// minShardEntries is how many entries a shard should have at least: the
	// policy makes poor choices among a few.
	minShardEntries = 1024
	maxShards       = 64
)

// Entry is what is stored for a key. The exported fields must not be changed
// once it is stored, but for Attend.
type Entry[T any] struct {
	Key   string
	Value T
	// Attend is for the user of the store, who may change it at any time.
	Attend atomic.Int64
	hits   atomic.Uint32
	queue  policy.Queue
	since  uint32 // the policy's time when it got into the main queue
	// Brief entries are dead at once when they expire.
	Brief bool
	slot  slotID // in the wheel
	// Expires is the end of the entry's life, on the user's clock in
	// nanoseconds; it may be [Never]. The store keeps the entry for its grace
	// beyond that, and does not judge whether it may be served.
	Expires int64

	hash          uint64
	cost          int64
	older, newer  *Entry[T] // in the queue
	before, after *Entry[T] // in the wheel's slot
}

// Touch notes that the entry was of use.
func (e *Entry[T]) Touch() {
	if n := e.hits.Load(); n < maxHits {
		e.hits.CompareAndSwap(n, n+1)
	}
}

// Options describe a store.
type Options struct {
	// Max bounds the sum of the costs; at least 1.
	Max int64
	// Entries is about how many entries are to be expected.
	Entries int64
	// Grace is how long entries are of use after they have expired, in
	// nanoseconds.
	Grace int64
}

// Stats are the figures of a store. Entries that have expired count until
// they are taken out.
type Stats struct {
	Entries   int
	Cost, Max int64
	Evicted   uint64 // live entries that made room for others
	Expired   uint64 // entries that were dead when they were taken out or replaced
	Removed   uint64
	Replaced  uint64
	Rejected  uint64 // entries that cannot fit
}

// Store is a set of entries. It may be used by any number of goroutines.
type Store[T any] struct {
	seed   maphash.Seed
	max    int64
	share  int64 // of a shard
	grace  int64
	shift  uint // of a hash, to the number of its shard
	shards []shard[T]
	_      [64]byte     // what follows changes all the time
	cost   atomic.Int64 // of all shards
	_      [64]byte
}

type shard[T any] struct {
	table atomic.Pointer[table[T]]
	cost  atomic.Int64 // changed under mu
	due   atomic.Int64 // when the wheel has something to do; changed under mu

	mu     sync.Mutex
	live   int // entries
	used   int // slots of the table that are not empty: entries and tombstones
	queues [policy.Main + 1]fifo[T]
	policy *policy.Policy
	wheel  wheel[T]
	peeked int // the shard to ask next for dead entries
	stats  Stats
	_      [64]byte
}

// New makes a store.
func New[T any](o Options) *Store[T] {
	shards := 1
	for shards < 4*runtime.GOMAXPROCS(0) && shards < maxShards && o.Entries/int64(2*shards) >= minShardEntries {
		shards *= 2
	}
	s := &Store[T]{
		seed:   maphash.MakeSeed(),
		max:    max(o.Max, 1),
		grace:  o.Grace,
		shift:  uint(64 - bits.Len(uint(shards-1))),
		shards: make([]shard[T], shards),
	}
	s.share = max(s.max/int64(shards), 1)
	for i := range s.shards {
		s.shards[i].reset()
	}
	return s
}

// reset empties a shard.
func (sh *shard[T]) reset() {
	t := newTable[T](0)
	sh.table.Store(t)
	sh.live, sh.used = 0, 0
	sh.queues = [policy.Main + 1]fifo[T]{}
	sh.policy = policy.New()
	sh.wheel = wheel[T]{}
	sh.due.Store(Never)
	sh.cost.Store(0)
}

func (s *Store[T]) hash(key string) uint64 { return realHash(maphash.String(s.seed, key)) }

func (s *Store[T]) shard(hash uint64) *shard[T] { return &s.shards[hash>>s.shift] }

// Get returns the entry of the key, or nil. It does not count as a use:
// [Entry.Touch] does.
func (s *Store[T]) Get(key string) *Entry[T] {
	hash := s.hash(key)
	return s.shard(hash).table.Load().get(hash, key)
}

// Set stores the entry in place of an older one of its key. Dead entries make
// room for it first, then those that the policy picks. It reports false, and
// changes nothing but to take out the older one, when the entry costs more
// than the limit, or is dead at now already. A cost below 1 is 1.
func (s *Store[T]) Set(e *Entry[T], cost, now int64) bool {
	e.hash, e.cost = s.hash(e.Key), max(cost, 1)
	sh := s.shard(e.hash)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if e.cost > s.max || s.dies(e) <= now {
		if e.cost > s.max {
			sh.stats.Rejected++
		}
		if old := sh.table.Load().get(e.hash, e.Key); old != nil {
			s.count(sh, old, now, &sh.stats.Replaced)
			s.drop(sh, old)
		}
		return false
	}
	s.reap(sh, now, reapSteps)
	for {
		need := e.cost
		if old := sh.table.Load().get(e.hash, e.Key); old != nil {
			need -= old.cost
		}
		if s.reserve(need) {
			break
		}
		s.makeRoom(sh, need, now)
	}
	s.put(sh, e, now)
	return true
}

// dies is when the entry is of no use any more.
func (s *Store[T]) dies(e *Entry[T]) int64 {
	if e.Brief || e.Expires > Never-s.grace {
		return e.Expires
	}
	return e.Expires + s.grace
}

// reserve adds need to the cost of all shards if the limit allows it. What
// it took is in use before the shard is unlocked, so the entries never cost
// more than the limit.
func (s *Store[T]) reserve(need int64) bool {
	for {
		cost := s.cost.Load()
		if need > 0 && cost > s.max-need {
			return false
		}
		if s.cost.CompareAndSwap(cost, cost+need) {
			return true
		}
	}
}

// put stores an entry for whose cost there is room.
func (s *Store[T]) put(sh *shard[T], e *Entry[T], now int64) {
	t := sh.table.Load()
	at, old := t.place(e.hash, e.Key)
	if old != nil {
		// It keeps its predecessor's place in the queue, and its hits.
		e.queue, e.since = old.queue, old.since
		e.hits.Store(old.hits.Load())
		sh.queues[e.queue].replace(old, e)
		sh.wheel.remove(old)
		s.count(sh, old, now, &sh.stats.Replaced)
		sh.cost.Add(e.cost - old.cost)
		at.entry.Store(e)
	} else {
		to := sh.policy.Insert(e.hash, e.cost, s.fill(sh))
		if to == policy.Out { // what has been set is there, for a moment at least
			to = policy.Small
		}
		sh.push(e, to)
		sh.live++
		sh.cost.Add(e.cost)
		if at.hash.Load() == empty {
			sh.used++
		}
		at.fill(e)
		if t.crowded(sh.used) {
			t = t.rehash(sh.live)
			sh.used = sh.live
			sh.table.Store(t)
		}
	}
	sh.wheel.insert(e, s.dies(e), now)
	sh.due.Store(sh.wheel.due())
}

// drop takes an entry out of the locked shard.
func (s *Store[T]) drop(sh *shard[T], e *Entry[T]) {
	sh.used -= sh.table.Load().remove(e)
	sh.live--
	sh.queues[e.queue].remove(e)
	sh.wheel.remove(e)
	sh.cost.Add(-e.cost)
	s.cost.Add(-e.cost)
}

// count counts an entry that goes: as expired if it is dead, and as live
// otherwise.
func (s *Store[T]) count(sh *shard[T], e *Entry[T], now int64, live *uint64) {
	if s.dies(e) <= now {
		sh.stats.Expired++
	} else {
		*live++
	}
}

// reap does a number of steps of the wheel's work, and returns how many dead
// entries it took out.
func (s *Store[T]) reap(sh *shard[T], now int64, steps int) (dead int) {
	if sh.due.Load() > now {
		return 0
	}
	for range steps {
		e, more := sh.wheel.step(now, s.dies)
		if e != nil {
			s.drop(sh, e)
			sh.stats.Expired++
			dead++
		}
		if !more {
			break
		}
	}
	sh.due.Store(sh.wheel.due())
	return dead
}

// makeRoom takes out at least one entry, of whatever shard. That of the
// caller is locked before and after, but not all the time between.
//
// A shard has about its share of the limit: one with less lets another one
// that has more evict.
func (s *Store[T]) makeRoom(home *shard[T], need, now int64) {
	if s.reap(home, now, roomSteps) > 0 {
		return
	}
	for range min(peeks, len(s.shards)) {
		if other := &s.shards[home.peeked]; other != home && other.due.Load() <= now {
			if s.elsewhere(home, other, func() bool { return s.reap(other, now, roomSteps) > 0 }) {
				return // where there may be more
			}
		}
		home.peeked = (home.peeked + 1) % len(s.shards)
	}
	if home.cost.Load()+need > s.share && s.evict(home, now) {
		return
	}
	for _, least := range []int64{s.share, 0} {
		for i := range s.shards {
			other := &s.shards[(home.peeked+i)%len(s.shards)]
			if other != home && other.cost.Load() > least &&
				s.elsewhere(home, other, func() bool { return s.reap(other, now, roomSteps) > 0 || s.evict(other, now) }) {
				return
			}
		}
	}
	s.evict(home, now)
}

// elsewhere does something with another shard locked instead of home.
func (s *Store[T]) elsewhere(home, other *shard[T], do func() bool) bool {
	home.mu.Unlock()
	defer home.mu.Lock()
	other.mu.Lock()
	defer other.mu.Unlock()
	return do()
}

// fill is how full a shard is, for its policy.
func (s *Store[T]) fill(sh *shard[T]) policy.Fill {
	f := policy.Fill{Small: sh.queues[policy.Small].cost, Main: sh.queues[policy.Main].cost, Max: s.share, Slab: 1}
	if sh.live > 0 {
		f.Slab = sh.cost.Load() / int64(sh.live) // one entry leaves at a time
	}
	if e := sh.queues[policy.Main].oldest; e != nil {
		f.Oldest = e.since
	}
	return f
}

// push puts an entry at the end of a queue.
func (sh *shard[T]) push(e *Entry[T], to policy.Queue) {
	e.queue, e.since = to, sh.policy.Now()
	sh.queues[to].push(e)
}

// evict takes the entry out that the policy picks; false if there is none.
//
// Readers can be so quick that all entries at the end of the main queue have
// been used again. After a while the next one goes all the same.
func (s *Store[T]) evict(sh *shard[T], now int64) bool {
	for kept := 0; sh.live > 0; kept++ {
		sh.policy.Fit(sh.live)
		from := sh.policy.Next(s.fill(sh))
		e := sh.queues[from].oldest
		hits := e.hits.Load()
		var to policy.Queue
		var left uint8
		switch {
		case kept > patience+sh.live/patience:
			to = policy.Out
		case from == policy.Small:
			to = sh.policy.LeaveSmall(e.hash, uint8(hits))
		default:
			to, left = sh.policy.LeaveMain(uint8(hits))
		}
		if to == policy.Out {
			s.count(sh, e, now, &sh.stats.Evicted)
			s.drop(sh, e)
			return true
		}
		sh.queues[from].remove(e)
		e.hits.CompareAndSwap(hits, uint32(left)) // a use that comes in between is worth more
		sh.push(e, to)
	}
	return false
}

// Remove takes the key out and reports whether it was there.
func (s *Store[T]) Remove(key string, now int64) bool {
	hash := s.hash(key)
	sh := s.shard(hash)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.table.Load().get(hash, key)
	if e == nil {
		return false
	}
	s.count(sh, e, now, &sh.stats.Removed)
	s.drop(sh, e)
	return true
}

// Clear takes everything out.
func (s *Store[T]) Clear() {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		sh.stats.Removed += uint64(sh.live)
		s.cost.Add(-sh.cost.Load())
		sh.reset()
		sh.mu.Unlock()
	}
}

// All iterates over the entries, in no order. An entry that is taken out or
// replaced before its turn comes is left out; one that is stored meanwhile
// may be.
func (s *Store[T]) All() iter.Seq[*Entry[T]] {
	return func(yield func(*Entry[T]) bool) {
		for i := range s.shards {
			sh := &s.shards[i]
			sh.mu.Lock()
			entries := make([]*Entry[T], 0, sh.live)
			for e := range sh.table.Load().all() {
				entries = append(entries, e)
			}
			sh.mu.Unlock()
			for _, e := range entries {
				if sh.table.Load().get(e.hash, e.Key) == e && !yield(e) {
					return
				}
			}
		}
	}
}

// Stats returns the figures at the time of the call.
func (s *Store[T]) Stats() Stats {
	st := Stats{Cost: s.cost.Load(), Max: s.max}
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		st.Entries += sh.live
		st.Evicted += sh.stats.Evicted
		st.Expired += sh.stats.Expired
		st.Removed += sh.stats.Removed
		st.Replaced += sh.stats.Replaced
		st.Rejected += sh.stats.Rejected
		sh.mu.Unlock()
	}
	return st
}
