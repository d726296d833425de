package ring

import (
	"runtime"
	"sync"
	"weak"
)

// shared are the rings in use in this process, by the encoding of their
// lists: nodes of one process, and views of one node, need the same ones, and
// each takes a megabyte and up to 0.1 s to make.
var shared = struct {
	sync.Mutex
	rings map[string]weak.Pointer[Ring]
}{rings: map[string]weak.Pointer[Ring]{}}

// inUse is the ring of the list, if there is one.
func inUse(list string) *Ring {
	shared.Lock()
	defer shared.Unlock()
	return shared.rings[list].Value()
}

// keep lets others use the ring for as long as anybody does, and returns the
// one that they use already, if there is one.
func keep(list string, r *Ring) *Ring {
	shared.Lock()
	defer shared.Unlock()
	if other := shared.rings[list].Value(); other != nil {
		return other
	}
	shared.rings[list] = weak.Make(r)
	runtime.AddCleanup(r, forget, list)
	return r
}

// forget takes out a ring that nobody uses any more.
func forget(list string) {
	shared.Lock()
	defer shared.Unlock()
	if shared.rings[list].Value() == nil {
		delete(shared.rings, list)
	}
}
