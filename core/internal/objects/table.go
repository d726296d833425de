package objects

import (
	"iter"
	"sync/atomic"
)

// What a slot's hash says when there is no entry in it.
const (
	empty     uint64 = 0
	tombstone uint64 = 1
)

// realHash is a hash that is neither empty nor tombstone.
func realHash(h uint64) uint64 { return h | 2 }

// minSlots is the size of the smallest table.
const minSlots = 8

// table maps keys to entries, with open addressing and linear probing. Readers
// take no lock; whoever changes it holds that of the shard. One that has become
// too small is replaced by another one, and not changed any more.
//
// A slot is filled pointer first and hash last, and emptied the other way
// round:
//
//	reader of A                  writer
//	hash is A's
//	                             removes A: hash, pointer
//	                             stores B in the slot: pointer, hash
//	pointer is B's: the key is
//	another one, go on
//
// so a reader never takes one key for another, and misses none that was there
// all the time.
type table[T any] struct {
	slots []slot[T]
}

type slot[T any] struct {
	hash  atomic.Uint64
	entry atomic.Pointer[Entry[T]]
}

// newTable makes a table that is half full with a number of entries.
func newTable[T any](entries int) *table[T] {
	n := minSlots
	for n < 2*entries {
		n *= 2
	}
	return &table[T]{slots: make([]slot[T], n)}
}

// len is how many entries the table has room for.
func (t *table[T]) len() int { return len(t.slots) / 4 * 3 }

// crowded reports whether the table has to be replaced. There is always an
// empty slot, where a search ends.
func (t *table[T]) crowded(used int) bool { return used >= t.len() }

// first is where the search for a hash begins. The upper bits have picked the
// shard, and the second lowest is not random.
func (t *table[T]) first(hash uint64) int { return int(hash>>2) & (len(t.slots) - 1) }

// get finds an entry. It may be called at any time.
func (t *table[T]) get(hash uint64, key string) *Entry[T] {
	slots := t.slots
	for i := int(hash >> 2); ; i++ {
		at := &slots[i&(len(slots)-1)]
		switch at.hash.Load() {
		case hash:
			if e := at.entry.Load(); e != nil && e.Key == key {
				return e
			}
		case empty:
			return nil
		}
	}
}

// place is the slot of the key with its entry, or else a free slot for it.
func (t *table[T]) place(hash uint64, key string) (*slot[T], *Entry[T]) {
	var free *slot[T]
	for i := t.first(hash); ; i++ {
		at := &t.slots[i&(len(t.slots)-1)]
		switch at.hash.Load() {
		case hash:
			if e := at.entry.Load(); e.Key == key {
				return at, e
			}
		case tombstone:
			if free == nil {
				free = at
			}
		case empty:
			if free == nil {
				free = at
			}
			return free, nil
		}
	}
}

// fill puts an entry into a free slot.
func (at *slot[T]) fill(e *Entry[T]) {
	at.entry.Store(e)
	at.hash.Store(e.hash)
}

// remove takes an entry out, and returns how many slots have become empty:
// its own can be if the next one is, since no search goes on beyond it then,
// and then the tombstones before it.
func (t *table[T]) remove(e *Entry[T]) (emptied int) {
	mask := len(t.slots) - 1
	i := t.first(e.hash) & mask
	for t.slots[i].entry.Load() != e {
		i = (i + 1) & mask
	}
	t.slots[i].hash.Store(tombstone)
	t.slots[i].entry.Store(nil)
	if t.slots[(i+1)&mask].hash.Load() != empty {
		return 0
	}
	for ; t.slots[i].hash.Load() == tombstone; i = (i - 1) & mask {
		t.slots[i].hash.Store(empty)
		emptied++
	}
	return emptied
}

// rehash makes a table of the same entries without tombstones, with room for
// as many again.
func (t *table[T]) rehash(live int) *table[T] {
	next := newTable[T](live)
	for e := range t.all() {
		at, _ := next.place(e.hash, e.Key)
		at.fill(e)
	}
	return next
}

// all iterates over the entries.
func (t *table[T]) all() iter.Seq[*Entry[T]] {
	return func(yield func(*Entry[T]) bool) {
		for i := range t.slots {
			if e := t.slots[i].entry.Load(); e != nil && !yield(e) {
				return
			}
		}
	}
}
