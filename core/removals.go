package gcnode

import (
	"slices"
	"sync"
	"time"
)

const (
	// removeTimeout bounds one call of Remove.
	removeTimeout = 30 * time.Second
	// removalMemory is how long a member remembers a removal that it never
	// heard the end of. A Remove returns nil only within removeTimeout of its
	// call, so a removal that is older cannot promise anything any more.
	removalMemory = 2 * removeTimeout
	// finishedMemory is how long a member remembers a removal that all have
	// confirmed, so as not to apply it again when a request comes from a
	// member that has not heard of the end. It may do so: that costs a load.
	finishedMemory = 5 * time.Second
	// maxCarried and maxCarriedBytes bound the removals that go along with a
	// request, in number and in bytes of keys.
	maxCarried      = 1000
	maxCarriedBytes = MaxBatchBytes / 2
	// maxActiveKeys bounds the keys of all remembered removals under way, and
	// those of the finished ones.
	maxActiveKeys = 100_000
)

// removals are those under way in the cluster, as far as this node knows:
// applied here and perhaps not everywhere. They go along with every request
// for their keys, because otherwise
//
//	this node                       the owner
//	applies the removal
//	                                has not heard of it
//	asks for the key       ───────▶
//	keeps what it gets     ◀─────── answers with what was removed
//	                                applies the removal: all have confirmed
//
// and this node would serve what was removed.
//
// When there are more than it can remember, no answer is kept and no flight
// joined until the last one that it could not remember is without effect. The
// same goes for a key with more of them than a request can carry: an answer
// that was found without them is good enough for whoever has asked already.
type removals struct {
	now func() int64

	mu       sync.Mutex
	byID     map[RemovalID]*activeRemoval
	byKey    map[groupKey][]*activeRemoval
	order    []*activeRemoval // under way, by the time they were learned, oldest first
	finished []*activeRemoval // by the time of their end, oldest first
	keys     int              // of those under way
	doneKeys int              // of those finished
	overflow int64            // until when there are removals that are not here, on the node's clock
}

type groupKey struct{ group, key string }

type activeRemoval struct {
	Removal       // with those of its keys that were learned
	forget  int64 // on the node's clock
	done    bool  // all have confirmed
}

func newRemovals(now func() int64) *removals {
	return &removals{now: now, byID: map[RemovalID]*activeRemoval{}, byKey: map[groupKey][]*activeRemoval{}}
}

// learn remembers that the removal r, whose Keys do not matter, was applied
// to the key, and reports whether that was unknown. It is called under the
// lock of the key's stripe, so that a flight that begins later carries it.
func (rs *removals) learn(r Removal, key string) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	now := rs.now()
	rs.sweep(now)
	gk := groupKey{r.Group, key}
	for _, known := range rs.byKey[gk] {
		if known.ID == r.ID {
			return false
		}
	}
	if rs.keys >= maxActiveKeys {
		rs.overflow = now + int64(removalMemory)
		return true
	}
	a := rs.byID[r.ID]
	if a == nil {
		a = &activeRemoval{Removal: r, forget: now + int64(removalMemory)}
		a.Keys = nil
		rs.byID[r.ID] = a
		rs.order = append(rs.order, a)
	}
	a.Keys = append(a.Keys, key)
	rs.count(a, 1)
	rs.byKey[gk] = append(rs.byKey[gk], a)
	return true
}

// active returns the removals under way that concern the key, reduced to it;
// nil if they are too many to be carried.
func (rs *removals) active(group, key string) []Removal {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.sweep(rs.now())
	var list []Removal
	for _, a := range rs.byKey[groupKey{group, key}] {
		if !a.done {
			r := a.Removal
			r.Keys = []string{key}
			list = append(list, r)
		}
	}
	if tooMany(len(list), key) {
		return nil
	}
	return list
}

func tooMany(n int, key string) bool {
	return n > maxCarried || n*len(key) > maxCarriedBytes
}

// crowded reports whether a request for the key could not carry all removals
// under way. A flight that began before they became too many is detached.
func (rs *removals) crowded(group, key string) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	now := rs.now()
	rs.sweep(now)
	return now < rs.overflow || tooMany(len(rs.byKey[groupKey{group, key}]), key)
}

// full reports whether there may be removals that this node cannot remember.
func (rs *removals) full() bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return rs.now() < rs.overflow
}

// room reports whether n more keys can be remembered.
func (rs *removals) room(n int) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.sweep(rs.now())
	return rs.keys+n <= maxActiveKeys
}

// finish takes note that every member has confirmed the removals.
func (rs *removals) finish(ids []RemovalID) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	now := rs.now()
	for _, id := range ids {
		a := rs.byID[id]
		if a == nil || a.done {
			continue
		}
		rs.count(a, -len(a.Keys))
		a.done, a.forget = true, now+int64(finishedMemory)
		rs.count(a, len(a.Keys))
		rs.finished = append(rs.finished, a)
	}
	if len(rs.order) > 2*(len(rs.byID)-len(rs.finished))+64 { // most of it is finished
		rs.order = slices.DeleteFunc(rs.order, func(a *activeRemoval) bool { return a.done })
	}
	rs.sweep(now)
}

// count adds n keys to those of the removal's state.
func (rs *removals) count(a *activeRemoval, n int) {
	if a.done {
		rs.doneKeys += n
	} else {
		rs.keys += n
	}
}

// sweep forgets removals whose time has passed, and the oldest finished ones
// when there are too many.
func (rs *removals) sweep(now int64) {
	i := 0
	for ; i < len(rs.order) && (rs.order[i].done || rs.order[i].forget <= now); i++ {
		if a := rs.order[i]; !a.done {
			rs.forget(a)
		}
	}
	clear(rs.order[:i])
	rs.order = rs.order[i:]
	i = 0
	for ; i < len(rs.finished) && (rs.finished[i].forget <= now || rs.doneKeys > maxActiveKeys); i++ {
		rs.forget(rs.finished[i])
	}
	clear(rs.finished[:i])
	rs.finished = rs.finished[i:]
}

func (rs *removals) forget(a *activeRemoval) {
	delete(rs.byID, a.ID)
	rs.count(a, -len(a.Keys))
	for _, key := range a.Keys {
		gk := groupKey{a.Group, key}
		rest := slices.DeleteFunc(rs.byKey[gk], func(o *activeRemoval) bool { return o == a })
		if len(rest) == 0 {
			delete(rs.byKey, gk)
		} else {
			rs.byKey[gk] = rest
		}
	}
}
