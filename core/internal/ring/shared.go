package ring

import (
	"runtime"
	"slices"
	"sync"
	"weak"
)

// shared are the rings in use, by the hashes of their lists. A ring is a
// megabyte, and all nodes of a process that have the same list can use one.
var shared struct { //nolint:gochecknoglobals // what nodes that know nothing of each other have in common
	mu    sync.Mutex
	rings map[uint64]weak.Pointer[Ring]
}

// making is held while a ring is made: it takes long, and nodes that come to
// the same list at the same time need one.
var making sync.Mutex //nolint:gochecknoglobals // it is for all of shared

// Of is New for whoever does not need a ring of his own: as long as the ring of
// a list is in use, it is the same one for all who ask for it.
func Of(members []Member) *Ring {
	list := ordered(members)
	hash := listHash(list)
	if r := inUse(hash); r != nil && slices.Equal(r.members, list) {
		return r
	}
	making.Lock()
	defer making.Unlock()
	if r := inUse(hash); r != nil && slices.Equal(r.members, list) { // made meanwhile
		return r
	}
	r := New(list)
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.rings == nil {
		shared.rings = map[uint64]weak.Pointer[Ring]{}
	}
	shared.rings[hash] = weak.Make(r)
	runtime.AddCleanup(r, forget, hash)
	return r
}

// inUse is the ring with this hash, nil if nobody uses one.
func inUse(hash uint64) *Ring {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	return shared.rings[hash].Value()
}

// forget takes out a ring that nobody uses any more, unless it was made anew.
func forget(hash uint64) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if p, ok := shared.rings[hash]; ok && p.Value() == nil {
		delete(shared.rings, hash)
	}
}
