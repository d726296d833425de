package store

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gcnode/gcnode/core/internal/policy"
)

// shard is a part of the store, with its own index, queues and lock.
type shard struct {
	index atomic.Pointer[index]
	store *Store
	_     [48]byte // what readers read lies apart from what writers write

	mu     sync.Mutex
	live   int // words of records in the index
	filled int // slots of the index that are not empty
	lastID uint64
	slabs  int
	latest *slab // the one that the last entry was stored in
	dead   int   // bytes of records that were removed or replaced, in all slabs
	// earliest is a time before which no span of a slab expires.
	earliest int64
	small    queue
	main     queue
	policy   *policy.Policy

	evicted, expired, removed, replaced uint64

	bytes atomic.Int64 // of all memory; also read without the lock
	_     [56]byte
}

func (sh *shard) init(s *Store) {
	sh.store = s
	sh.earliest = Never
	ix := newIndex(minSlots, 4)
	sh.index.Store(ix)
	sh.policy = policy.New()
	sh.account(ix.cost() + sh.policy.Bytes())
}

// account changes the memory in use.
func (sh *shard) account(delta int64) {
	sh.bytes.Add(delta)
	sh.store.used.Add(delta)
}

// admit says which queue an entry goes to whose record has the size: none if
// it is not worth what would have to go for it. It also returns the bytes that
// come free when an older one is replaced that has a slab of its own.
func (sh *shard) admit(hash uint64, key string, size int) (to policy.Queue, freed int64) {
	ix := sh.index.Load()
	if _, old := ix.find(hash, key); old != empty {
		sl := ix.slab(old)
		if to = policy.Small; sl.inMain {
			to = policy.Main
		}
		if record(sl.block[old.offset():]).size() > sh.store.layout.large {
			freed = sl.cost()
		}
		return to, freed
	}
	return sh.insert(hash, size), 0
}

// insert is admit for a key that is not there.
func (sh *shard) insert(hash uint64, size int) policy.Queue {
	to := sh.policy.Insert(hash, int64(size), sh.fill())
	if to == policy.Out && sh.useless(size) {
		return policy.Small
	}
	return to
}

// set stores an entry whose record has the size, in the queue that it has been
// admitted to, or if it is none yet, in one that it is admitted to now. It
// reports false if there is no such queue. One that replaces another stays
// where that was.
func (sh *shard) set(hash uint64, key string, e Entry, size int, to policy.Queue) bool {
	ix := sh.index.Load()
	i, old := ix.find(hash, key)
	q, uses := &sh.small, uint8(0)
	if old != empty {
		if sh.bury(ix, old) {
			q = &sh.main
		}
		uses = old.uses()
	} else {
		if to == policy.Out {
			to = sh.insert(hash, size)
		}
		if to == policy.Out {
			return false
		}
		if to == policy.Main {
			q = &sh.main
		}
		if (sh.filled+1)*100 > len(ix.slots)*maxFillPercent {
			ix = sh.rebuild(ix)
			i, _ = ix.find(hash, key)
		}
		if ix.load(i) == empty {
			sh.filled++
		}
		sh.live++
	}
	sl := sh.open(q, size)
	if size > sh.store.layout.large {
		sh.store.reserved.Store(0) // it is in use now
	}
	at := sl.put(key, e, size)
	sh.latest = sl
	sh.earliest = min(sh.earliest, e.Expires)
	// The index may have got a larger table of slabs, but has the same slots.
	ix.slots[i].Store(uint64(makeWord(hash, sl.id, at).used(uses)))
	return true
}

// useless reports whether so many bytes are of no use, so that nothing else
// has to make room.
func (sh *shard) useless(size int) bool {
	now, bytes := sh.store.now()-sh.store.grace, sh.dead
	for _, q := range []*queue{&sh.small, &sh.main} {
		for _, sl := range q.slabs {
			if bytes >= size {
				return true
			}
			expired, _ := sl.expired(now)
			bytes += expired
		}
	}
	return bytes >= size
}

// bury counts the record of a word that is about to be replaced, and reports
// whether it was in the main queue.
func (sh *shard) bury(ix *index, w word) (inMain bool) {
	sl := ix.slab(w)
	r := record(sl.block[w.offset():])
	expires := r.expires()
	sh.kill(sl, r.size(), expires)
	if sh.store.dead(expires) {
		sh.expired++
	} else {
		sh.replaced++
	}
	return sl.inMain
}

func (sh *shard) kill(sl *slab, size int, expires int64) {
	sl.kill(size, expires)
	sh.dead += size
}

// remove takes the key out and reports whether it was there.
func (sh *shard) remove(hash uint64, key string) bool {
	ix := sh.index.Load()
	i, w := ix.find(hash, key)
	if w == empty {
		return false
	}
	sl := ix.slab(w)
	r := record(sl.block[w.offset():])
	expires := r.expires()
	sh.kill(sl, r.size(), expires)
	sh.drop(ix, i)
	if sh.store.dead(expires) {
		sh.expired++
		return false
	}
	sh.removed++
	return true
}

// drop takes the word in slot i out of the index.
func (sh *shard) drop(ix *index, i int) {
	sh.filled -= ix.clear(i)
	sh.live--
}

// open is a slab of the queue with room for a record of the size.
func (sh *shard) open(q *queue, size int) *slab {
	l := &sh.store.layout
	if size > l.large {
		return sh.newSlab(q, size)
	}
	if q.open == nil || !q.open.room(size) {
		q.open = nil
		q.open = sh.newSlab(q, l.slab)
	}
	return q.open
}

// newSlab appends a slab with a block of the size to the queue.
func (sh *shard) newSlab(q *queue, size int) *slab {
	sl := sh.makeSlab(size)
	sh.enqueue(q, sl)
	return sl
}

// enqueue appends a slab to the queue.
func (sh *shard) enqueue(q *queue, sl *slab) {
	sl.inMain = q == &sh.main
	sl.since = sh.policy.Now()
	q.push(sl)
}

// fill is how full the shard is, for the policy.
func (sh *shard) fill() policy.Fill {
	l := &sh.store.layout
	data := sh.small.bytes + sh.main.bytes
	f := policy.Fill{
		Small: sh.small.bytes,
		Main:  sh.main.bytes,
		// What is not data takes its part of the shard's share of the limit.
		Max:  max(data, l.limit/int64(l.shards)-(sh.bytes.Load()-data)),
		Slab: int64(l.slab),
	}
	if len(sh.main.slabs) > 0 {
		f.Oldest = sh.main.slabs[0].since
	}
	return f
}

// makeSlab makes a slab that readers can find.
func (sh *shard) makeSlab(size int) *slab {
	ix := sh.index.Load()
	if sh.slabs++; 2*sh.slabs > len(ix.table) {
		ix = sh.widen(ix)
	}
	for {
		sh.lastID++
		id := sh.lastID & (1<<slabBits - 1)
		if at := &ix.table[id&uint64(len(ix.table)-1)]; at.Load() == nil {
			sl := &slab{id: id, block: block(size), born: sh.store.now()}
			at.Store(sl)
			sh.account(sl.cost())
			return sl
		}
	}
}

// block is memory of the size, or as much more as the allocator gives anyway.
func block(size int) []byte {
	b := append([]byte(nil), make([]byte, size)...)
	return b[:size:cap(b)]
}

// giveUp lets go of a slab that is in no queue any more. Readers that found it
// earlier go on to use it.
func (sh *shard) giveUp(sl *slab) {
	ix := sh.index.Load()
	ix.table[sl.id&uint64(len(ix.table)-1)].Store(nil)
	sh.slabs--
	sh.dead -= sl.dead
	if sh.latest == sl {
		sh.latest = nil
	}
	sh.account(-sl.cost())
}

// widen gives the index a larger table of slabs.
func (sh *shard) widen(ix *index) *index {
	wide := &index{slots: ix.slots, table: make([]atomic.Pointer[slab], 2*len(ix.table))}
	for i := range ix.table {
		if sl := ix.table[i].Load(); sl != nil {
			wide.table[sl.id&uint64(len(wide.table)-1)].Store(sl)
		}
	}
	sh.account(wide.cost() - ix.cost())
	sh.index.Store(wide)
	return wide
}

// rebuild makes a new index, of a size that fits what is stored, without marks
// of what is gone.
func (sh *shard) rebuild(ix *index) *index {
	fresh := &index{slots: make([]atomic.Uint64, max((sh.live+1)*100/newFillPercent, minSlots)), table: ix.table}
	for i := range ix.slots {
		w := ix.load(i)
		if !w.present() {
			continue
		}
		at := fresh.home(sh.hash(record(ix.slab(w).block[w.offset():])))
		for fresh.load(at) != empty {
			if at++; at == len(fresh.slots) {
				at = 0
			}
		}
		fresh.slots[at].Store(uint64(w))
	}
	sh.filled = sh.live
	sh.account(fresh.cost() - ix.cost())
	sh.index.Store(fresh)
	return fresh
}

func (sh *shard) hash(r record) uint64 { return maphash.String(sh.store.seed, r.key()) }

// clear takes everything out.
func (sh *shard) clear() {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.removed += uint64(sh.live)
	ix := newIndex(minSlots, 4)
	sh.account(ix.cost() - sh.index.Load().cost())
	sh.index.Store(ix)
	for _, q := range []*queue{&sh.small, &sh.main} {
		sh.account(-q.bytes)
		*q = queue{}
	}
	sh.live, sh.filled, sh.slabs, sh.latest, sh.dead, sh.earliest = 0, 0, 0, nil, 0, Never
}

// keys are copies of the shard's keys.
func (sh *shard) keys() []string {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	ix := sh.index.Load()
	keys := make([]string, 0, sh.live)
	for i := range ix.slots {
		if w := ix.load(i); w.present() {
			keys = append(keys, strings.Clone(record(ix.slab(w).block[w.offset():]).key()))
		}
	}
	return keys
}

// count adds the shard's figures.
func (sh *shard) count(st *Stats) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	st.Entries += sh.live
	st.Evicted += sh.evicted
	st.Expired += sh.expired
	st.Removed += sh.removed
	st.Replaced += sh.replaced
}
