package store

import (
	"math/bits"
	"sync/atomic"
)

const (
	minSlots = 32
	// An index is rebuilt when more than maxFillPercent of its slots are not
	// empty, so that newFillPercent of the new one are in use.
	maxFillPercent = 80
	newFillPercent = 64
	// minFillPercent is when it is made smaller.
	minFillPercent = 24
)

// index finds records: open addressing with linear probing. It is read without
// a lock; writers hold the shard's lock. A word is replaced in place, so that
// a reader who walks past sees the old one or the new one.
type index struct {
	slots []atomic.Uint64
	// table has the slabs, by id modulo its length, a power of two.
	table []atomic.Pointer[slab]
}

func newIndex(slots, table int) *index {
	return &index{slots: make([]atomic.Uint64, slots), table: make([]atomic.Pointer[slab], table)}
}

// cost is the memory of the index.
func (ix *index) cost() int64 { return 8*int64(cap(ix.slots)) + ptrBytes*int64(cap(ix.table)) }

const ptrBytes = 8

// home is where the search for a hash begins. The number of slots is not a
// power of two: the product's upper half maps the hash to their range (Lemire,
// "Fast Random Integer Generation in an Interval", 2019).
func (ix *index) home(hash uint64) int {
	hi, _ := bits.Mul64(hash, uint64(len(ix.slots)))
	return int(hi)
}

func (ix *index) load(i int) word { return word(ix.slots[i].Load()) }

// slab is the slab that a word speaks of; nil if it has been given up.
func (ix *index) slab(w word) *slab {
	s := ix.table[w.slab()&uint64(len(ix.table)-1)].Load()
	if s == nil || s.id != w.slab() {
		return nil
	}
	return s
}

// find is the slot of the key, and its word. Without one, the word is empty
// and the slot is where it can be put.
func (ix *index) find(hash uint64, key string) (int, word) {
	tag := tagOf(hash)
	free := -1
	for i := ix.home(hash); ; {
		switch w := ix.load(i); {
		case w == empty:
			if free < 0 {
				free = i
			}
			return free, empty
		case w == gone:
			if free < 0 {
				free = i
			}
		case w.tag() == tag:
			if s := ix.slab(w); record(s.block[w.offset():]).key() == key {
				return i, w
			}
		}
		if i++; i == len(ix.slots) {
			i = 0
		}
	}
}

// findPlace is the slot of the word that speaks of the place; -1 if there is
// none: the record there was removed or replaced.
func (ix *index) findPlace(hash uint64, place word) (int, word) {
	for i := ix.home(hash); ; {
		w := ix.load(i)
		if w == empty {
			return -1, empty
		}
		if w.present() && w.place() == place {
			return i, w
		}
		if i++; i == len(ix.slots) {
			i = 0
		}
	}
}

// clear takes the word in slot i out, and returns by how many the slots that
// are not empty become fewer. If the next slot is empty, no search goes on
// behind this one, and the marks before it are not needed.
func (ix *index) clear(i int) (emptied int) {
	n := len(ix.slots)
	if ix.load((i+1)%n) != empty {
		ix.slots[i].Store(uint64(gone))
		return 0
	}
	for {
		ix.slots[i].Store(uint64(empty))
		emptied++
		i = (i + n - 1) % n
		if ix.load(i) != gone {
			return emptied
		}
	}
}
