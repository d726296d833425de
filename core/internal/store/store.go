package store

import (
	"hash/maphash"
	"iter"
	"math"
	"sync"
	"sync/atomic"

	"github.com/gcnode/gcnode/core/internal/policy"
)

// Never is the expiry of an entry that does not expire.
const Never int64 = math.MaxInt64

// MinBytes is the least that a store can be limited to.
const MinBytes = 7 << 10

// Entry is what is stored for a key.
type Entry struct {
	// Value is the value, or the message of a negative entry.
	Value string
	// NotFound marks a negative entry: the origin has no such key.
	NotFound bool
	// Expires is the end of its life on the store's clock, in nanoseconds.
	Expires int64
	// Life is how long that was from the beginning, in nanoseconds. It comes
	// back up to a fifth shorter, and as 0 if the entry never expires.
	Life int64
	// Stamp is that of the write that put the value there. It is zero for a
	// value that was loaded, and takes no memory then.
	Stamp Stamp
}

// Stamp says when a value was written, and by whom. The store keeps it and
// knows nothing of its order.
type Stamp struct {
	Time        int64
	Incarnation uint64
}

// Options describe a store.
type Options struct {
	// MaxBytes bounds the memory of the store, all that it needs included; at
	// least MinBytes.
	MaxBytes int64
	// Now is the store's clock, in nanoseconds.
	Now func() int64
	// Grace is for how long after its end an entry is still of use, in
	// nanoseconds: it is found until then, and the caller looks at Expires.
	Grace int64
}

// Stats are the figures of a store.
type Stats struct {
	Entries  int   // expired ones that were not noticed yet included
	Bytes    int64 // of all memory that the store holds
	MaxBytes int64
	Evicted  uint64 // live entries that made room for others
	Expired  uint64 // entries that were found to have expired when their room was needed
	Removed  uint64
	Replaced uint64
	Rejected uint64 // entries that cannot fit, or are too large for what is known of them
}

// Store is a cache of bytes. It may be used by any number of goroutines.
//
// A key has at most 2^17-1 bytes and a value at most 2^27-1.
type Store struct {
	seed     maphash.Seed
	now      func() int64
	grace    int64
	layout   layout
	maxBytes int64
	shards   []shard

	used     atomic.Int64 // bytes, of all shards
	large    sync.Mutex   // large entries are stored one at a time
	reserved atomic.Int64 // bytes that the one which is being stored is going to take
	victim   atomic.Uint32
	rejected atomic.Uint64
}

// New makes a store.
func New(opts Options) *Store { return newStore(opts, newLayout(opts.MaxBytes)) }

func newStore(opts Options, l layout) *Store {
	s := &Store{
		seed:     maphash.MakeSeed(),
		now:      opts.Now,
		grace:    opts.Grace,
		maxBytes: opts.MaxBytes,
		layout:   l,
	}
	s.shards = make([]shard, s.layout.shards)
	for i := range s.shards {
		s.shards[i].init(s)
	}
	return s
}

// shard is the one of a hash.
func (s *Store) shard(hash uint64) int { return int(hash & uint64(len(s.shards)-1)) }

// dead reports whether an entry is of no use any more.
func (s *Store) dead(expires int64) bool {
	return expires != Never && s.now()-s.grace >= expires // a clock costs more than a comparison
}

// Get returns the entry of the key, unless it has expired and its grace is
// over. Its value shares memory with others; see package alias.
//
//	this goroutine                       one that holds the lock
//	reads the word of the key
//	                                     copies the entry to another slab, stores
//	                                     the new word, gives up the slab
//	looks for the slab: it is gone
//	reads the word again: it changed
//
// A word that did not change although its slab is gone was read from an index,
// or is looked for in a table of slabs, that has been replaced meanwhile.
func (s *Store) Get(key string) (e Entry, ok bool) {
	hash := maphash.String(s.seed, key)
	sh := &s.shards[s.shard(hash)]
	tag := tagOf(hash)
	ix := sh.index.Load()
	for i := ix.home(hash); ; {
		w := ix.load(i)
		if w == empty {
			return e, false
		}
		if w.tag() == tag {
			sl := ix.slab(w)
			if sl == nil {
				if newer := sh.index.Load(); ix.load(i).same(w) && newer != ix {
					ix = newer
					i = ix.home(hash)
				}
				continue
			}
			if e, ok = record(sl.block[w.offset():]).entry(key); ok {
				if w.uses() < maxUses {
					ix.slots[i].CompareAndSwap(uint64(w), uint64(w.used(w.uses()+1)))
				}
				if s.dead(e.Expires) {
					return Entry{}, false
				}
				return e, true
			}
		}
		if i++; i == len(ix.slots) {
			i = 0
		}
	}
}

// Set stores a copy of the entry in place of an older one, and evicts others
// where the limit demands it. It reports false, and changes nothing but to
// remove the older entry, when the new one takes more than a quarter of the
// limit.
func (s *Store) Set(key string, e Entry) bool {
	hash := maphash.String(s.seed, key)
	home := s.shard(hash)
	sh := &s.shards[home]
	size := sizeOf(key, e)
	if size > s.layout.maxRecord || len(key) > maxKey || len(e.Value) > maxValue {
		s.rejected.Add(1)
		sh.mu.Lock()
		defer sh.mu.Unlock()
		sh.remove(hash, key)
		return false
	}
	var stored bool
	if size > s.layout.large {
		stored = s.setLarge(home, hash, key, e, size)
	} else {
		sh.mu.Lock()
		stored = sh.set(hash, key, e, size, policy.Out)
		sh.mu.Unlock()
	}
	if !stored {
		s.rejected.Add(1)
		return false
	}
	s.shrink(home)
	return true
}

// setLarge stores an entry that gets a slab of its own. Its memory is in use
// when others have made room for it, and not before: many at once would take
// several times the limit.
func (s *Store) setLarge(home int, hash uint64, key string, e Entry, size int) bool {
	sh := &s.shards[home]
	sh.mu.Lock()
	to, freed := sh.admit(hash, key, size)
	sh.mu.Unlock()
	if to == policy.Out {
		return false
	}
	s.large.Lock()
	defer s.large.Unlock()
	s.reserved.Store(max(costOf(size)-freed, 0))
	s.shrink(home)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.set(hash, key, e, size, to)
}

// shrink evicts until the limit holds. The shard in which something was stored
// pays, unless it has less than its share: then one pays that has more, or in
// the end any, with all that it has.
//
// Readers can be so quick that all entries that come to the end of the main
// queue have been used again. After a while they go all the same.
func (s *Store) shrink(home int) {
	shards := len(s.shards)
	share := s.layout.limit / int64(shards)
	stored := &s.shards[home]
	for tries, slabs := 0, 0; s.used.Load()+s.reserved.Load() > s.layout.limit && tries <= 3*shards; {
		sh := &s.shards[home]
		if sh.bytes.Load() >= share || tries > shards {
			sh.mu.Lock()
			if tries > 2*shards && sh != stored {
				sh.latest = nil // what was stored last elsewhere has had its time
			}
			evicted := sh.evict(slabs > patience+sh.slabs/patience)
			sh.mu.Unlock()
			if evicted {
				tries = 0
				slabs++
				continue
			}
		}
		tries++
		home = int(s.victim.Add(1)) & (shards - 1)
	}
}

// Remove takes the key out and reports whether it was there.
func (s *Store) Remove(key string) bool {
	hash := maphash.String(s.seed, key)
	sh := &s.shards[s.shard(hash)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.remove(hash, key)
}

// Clear takes out everything that was there when it was called.
func (s *Store) Clear() {
	for i := range s.shards {
		s.shards[i].clear()
	}
}

// Keys yields the keys that were there when its turn came to their part of the
// store. No lock is held meanwhile, and the keys are copies.
func (s *Store) Keys() iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range s.shards {
			for _, key := range s.shards[i].keys() {
				if !yield(key) {
					return
				}
			}
		}
	}
}

// Stats returns the figures at the time of the call.
func (s *Store) Stats() Stats {
	st := Stats{Bytes: s.used.Load(), MaxBytes: s.maxBytes, Rejected: s.rejected.Load()}
	for i := range s.shards {
		s.shards[i].count(&st)
	}
	return st
}
