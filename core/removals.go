package gcnode

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
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
	// maxActiveKeys and maxActiveBytes bound the keys of all remembered
	// removals under way, in number and in bytes, and those of the finished
	// ones.
	maxActiveKeys  = 100_000
	maxActiveBytes = 32 << 20
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
	byKey    map[groupKey]*keyRemovals
	order    []*activeRemoval // under way, by the time they were learned, oldest first
	finished []*activeRemoval // by the time of their end, oldest first
	live     load             // of those under way
	done     load             // of those finished
	overflow atomic.Int64     // until when there are removals that are not here, on the node's clock
}

type groupKey struct{ group, key string }

// keyRemovals are those of one key.
type keyRemovals struct {
	byID map[RemovalID]*activeRemoval
	live int // those under way
}

// load is what remembered removals weigh.
type load struct{ keys, bytes int }

func (l *load) add(sign int, keys ...string) {
	for _, key := range keys {
		l.keys += sign
		l.bytes += sign * len(key)
	}
}

func (l *load) over(keys int) bool { return l.keys+keys > maxActiveKeys || l.bytes > maxActiveBytes }

type activeRemoval struct {
	Removal       // with those of its keys that were learned
	forget  int64 // on the node's clock
	done    bool  // all have confirmed
}

func newRemovals(now func() int64) *removals {
	return &removals{now: now, byID: map[RemovalID]*activeRemoval{}, byKey: map[groupKey]*keyRemovals{}}
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
	of := rs.byKey[gk]
	if of != nil && of.byID[r.ID] != nil {
		return false
	}
	a := rs.byID[r.ID]
	if rs.live.over(1) {
		rs.overflow.Store(now + int64(removalMemory))
		return true
	}
	if a != nil && a.Group != r.Group {
		return true // an id stands for one removal of one group; its sender breaks the protocol
	}
	if a == nil {
		a = &activeRemoval{Removal: r, forget: now + int64(removalMemory)}
		a.Keys = nil
		rs.byID[r.ID] = a
		rs.order = append(rs.order, a)
	}
	if of == nil {
		of = &keyRemovals{byID: map[RemovalID]*activeRemoval{}}
		rs.byKey[gk] = of
	}
	of.byID[r.ID] = a
	a.Keys = append(a.Keys, key)
	if a.done {
		rs.done.add(1, key)
	} else {
		of.live++
		rs.live.add(1, key)
	}
	return true
}

// active returns the removals under way that concern the key, reduced to it
// and ordered by id; nil if they are too many to be carried.
func (rs *removals) active(group, key string) []Removal {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.sweep(rs.now())
	of := rs.byKey[groupKey{group, key}]
	if of == nil || of.tooMany(key) {
		return nil
	}
	var list []Removal
	for _, a := range of.byID {
		if !a.done {
			r := a.Removal
			r.Keys = []string{key}
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b Removal) int {
		return cmp.Or(cmp.Compare(a.ID.Sender, b.ID.Sender), cmp.Compare(a.ID.Incarnation, b.ID.Incarnation), cmp.Compare(a.ID.Seq, b.ID.Seq))
	})
	return list
}

func (of *keyRemovals) tooMany(key string) bool {
	return of.live > maxCarried || of.live*len(key) > maxCarriedBytes
}

// crowded reports whether a request for the key could not carry all removals
// under way. A flight that began before they became too many is detached.
func (rs *removals) crowded(group, key string) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.sweep(rs.now())
	of := rs.byKey[groupKey{group, key}]
	return of != nil && of.tooMany(key)
}

// full reports whether there may be removals that this node cannot remember.
func (rs *removals) full() bool {
	until := rs.overflow.Load()
	return until > 0 && rs.now() < until
}

// room reports whether n more keys can be remembered.
func (rs *removals) room(n int) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.sweep(rs.now())
	return !rs.live.over(n)
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
		a.done, a.forget = true, now+int64(finishedMemory)
		rs.live.add(-1, a.Keys...)
		rs.done.add(1, a.Keys...)
		for _, key := range a.Keys {
			rs.byKey[groupKey{a.Group, key}].live--
		}
		rs.finished = append(rs.finished, a)
	}
	if len(rs.order) > 2*(len(rs.byID)-len(rs.finished))+64 { // most of it is finished
		rs.order = slices.DeleteFunc(rs.order, func(a *activeRemoval) bool { return a.done })
	}
	rs.sweep(now)
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
	for ; i < len(rs.finished) && (rs.finished[i].forget <= now || rs.done.over(0)); i++ {
		rs.forget(rs.finished[i])
	}
	clear(rs.finished[:i])
	rs.finished = rs.finished[i:]
}

func (rs *removals) forget(a *activeRemoval) {
	delete(rs.byID, a.ID)
	if a.done {
		rs.done.add(-1, a.Keys...)
	} else {
		rs.live.add(-1, a.Keys...)
	}
	for _, key := range a.Keys {
		gk := groupKey{a.Group, key}
		of := rs.byKey[gk]
		delete(of.byID, a.ID)
		if !a.done {
			of.live--
		}
		if len(of.byID) == 0 {
			delete(rs.byKey, gk)
		}
	}
}
