package gcnode

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gcnode/gcnode/core/internal/ring"
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
	finishedMemory = 500 * time.Millisecond
	// maxCarried and maxCarriedBytes bound the removals that go along with a
	// request, in number and in bytes of keys.
	maxCarried      = 1000
	maxCarriedBytes = MaxBatchBytes / 2
	// maxActiveKeys and maxActiveBytes bound the keys of all remembered
	// removals under way, in number and in bytes, and those of the finished
	// ones.
	maxActiveKeys  = 100_000
	maxActiveBytes = 32 << 20
	// floors is how many stamps are kept of what was forgotten.
	floors = 1024
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

	mu    sync.Mutex
	byID  removalIndex
	byKey map[groupKey]*keyRemovals
	// ofAll are the Clears by group.
	ofAll map[string]*keyRemovals
	// floors are the latest stamps of what was forgotten, by the hash of the
	// key, and of the Clears.
	floors     [floors]Stamp
	clearFloor Stamp
	order      []*activeRemoval // under way, by the time they were learned, oldest first
	finished   []*activeRemoval // by the time of their end, oldest first
	live       load             // of those under way
	done       load             // of those finished
	overflow   atomic.Int64     // until when there are removals that are not here, on the node's clock
}

type groupKey struct{ group, key string }

// keyRemovals are those of one key, most often one.
type keyRemovals struct {
	one  *activeRemoval              // nil: they are in more
	more map[*activeRemoval]struct{} // nil: there were never several
	live int                         // those under way
}

func (of *keyRemovals) has(a *activeRemoval) bool {
	if of.more == nil {
		return a != nil && of.one == a
	}
	_, ok := of.more[a]
	return ok
}

func (of *keyRemovals) add(a *activeRemoval) {
	switch {
	case of.more != nil:
		of.more[a] = struct{}{}
	case of.one == nil:
		of.one = a
	default:
		of.more, of.one = map[*activeRemoval]struct{}{of.one: {}, a: {}}, nil
	}
}

// remove takes one out that is there, and reports whether it was the last.
func (of *keyRemovals) remove(a *activeRemoval) (last bool) {
	if of.more == nil {
		return true
	}
	delete(of.more, a)
	return len(of.more) == 0
}

// each calls yield for all of them, in no order, as long as it returns true.
func (of *keyRemovals) each(yield func(*activeRemoval) bool) {
	switch {
	case of == nil:
	case of.more == nil:
		yield(of.one)
	default:
		maps.Keys(of.more)(yield)
	}
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
	Removal              // with those of its keys that were learned
	first   [1]string    // memory for the first of them
	of      *keyRemovals // those of the first key
	own     keyRemovals  // memory for of
	forget  int64        // on the node's clock
	done    bool         // all have confirmed
	whole   bool         // all of its keys were learned
	stored  bool         // the value that came with it was dealt with
}

// weight are its keys; a Clear weighs as much as an empty one.
func (r *Removal) weight() []string {
	if r.All {
		return []string{""}
	}
	return r.Keys
}

// bytes is what the removal takes in a message: its keys and names.
func (r *Removal) bytes() int {
	n := len(r.ID.Sender) + len(r.Group)
	for _, key := range r.Keys {
		n += len(key)
	}
	return n
}

// fitting is how many of the n removals go into one message, see
// [Request.Removals]. A removal is never divided.
func fitting(n int, at func(i int) *Removal) int {
	keys, size := 0, 0
	for i := range n {
		r := at(i)
		keys += len(r.Keys)
		size += r.bytes()
		if i > 0 && (i == MaxBatchKeys || keys > MaxBatchKeys || size > MaxBatchBytes) {
			return i
		}
	}
	return n
}

func newRemovals(now func() int64) *removals {
	return &removals{now: now, byID: newRemovalIndex(), byKey: map[groupKey]*keyRemovals{}, ofAll: map[string]*keyRemovals{}}
}

// learn remembers that the removal r, whose Keys do not matter, was applied
// to the key, and reports whether that was unknown. It is called under the
// lock of the key's stripe, so that a flight that begins later carries it. For
// a Clear the key is not looked at, and the locks of all stripes are held.
func (rs *removals) learn(r Removal, key string) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	now := rs.now()
	rs.sweep(now)
	of, a := rs.of(&r, key), rs.byID.get(r.ID)
	if of != nil && of.has(a) {
		return false
	}
	if rs.live.over(1) {
		rs.overflow.Store(now + int64(removalMemory))
		rs.floor(&r, key)
		return true
	}
	if a != nil && (a.Group != r.Group || a.All != r.All) {
		return true // an id stands for one removal of one group; its sender breaks the protocol
	}
	if a == nil {
		a = &activeRemoval{Removal: r, forget: now + int64(removalMemory)}
		a.Keys = a.first[:0]
		rs.byID.add(a)
		rs.order = append(rs.order, a)
	}
	if of == nil {
		if of = &a.own; a.of != nil {
			of = &keyRemovals{}
		}
		if r.All {
			rs.ofAll[r.Group] = of
		} else {
			rs.byKey[groupKey{r.Group, key}] = of
		}
	}
	of.add(a)
	if a.of == nil {
		a.of = of
	}
	if r.All {
		key = ""
	} else {
		a.Keys = append(a.Keys, key)
	}
	if a.done {
		rs.done.add(1, key)
	} else {
		of.live++
		rs.live.add(1, key)
	}
	return true
}

// of are the removals of the key, or for a Clear those of its group.
func (rs *removals) of(r *Removal, key string) *keyRemovals {
	if r.All {
		return rs.ofAll[r.Group]
	}
	return rs.byKey[groupKey{r.Group, key}]
}

// ofKey are the removals of the key of one of them that has the index i.
func (rs *removals) ofKey(a *activeRemoval, i int, key string) *keyRemovals {
	if i == 0 {
		return a.of
	}
	return rs.of(&a.Removal, key)
}

// complete takes note that all keys of the removal were learned.
func (rs *removals) complete(id RemovalID) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if a := rs.byID.get(id); a != nil {
		a.whole = true
	}
}

// store reports whether the value that the removal of the key came with, which
// has just been learned, is to be stored: only if no later write was applied to
// the key. For those that were forgotten the latest of some keys counts.
func (rs *removals) store(r Removal, key string) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	later := rs.floors[floorOf(r.Group, key)].Compare(r.Stamp) >= 0 || rs.clearFloor.Compare(r.Stamp) >= 0
	for _, of := range []*keyRemovals{rs.byKey[groupKey{r.Group, key}], rs.ofAll[r.Group]} {
		for b := range of.each {
			later = later || b.Stamp.Compare(r.Stamp) > 0
		}
	}
	if a := rs.byID.get(r.ID); a != nil {
		a.stored = true
	}
	return !later
}

// written are the keys of the group that were written after the stamp, as far
// as they are remembered.
func (rs *removals) written(group string, after Stamp) []string {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	var keys []string
	for a := range rs.byID.each {
		if a.Group == group && a.stored && a.Stamp.Compare(after) > 0 {
			keys = append(keys, a.Keys...)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// floor takes note of the stamp of a removal that is not remembered.
func (rs *removals) floor(r *Removal, key string) {
	floor := &rs.clearFloor
	if !r.All {
		floor = &rs.floors[floorOf(r.Group, key)]
	}
	if floor.Compare(r.Stamp) < 0 {
		*floor = r.Stamp
	}
}

// raise takes note that there may have been writes of all keys up to a stamp.
func (rs *removals) raise(s Stamp) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.clearFloor.Compare(s) < 0 {
		rs.clearFloor = s
	}
}

func floorOf(group, key string) int { return int(hashOf(group, key) % floors) }

// hashOf is the hash of a key of a group.
func hashOf(group, key string) uint64 { return ring.Hash(group + "\x00" + key) }

// active returns the removals under way that concern the keys, reduced to
// them and ordered by id. It is not ok if they are too many to be carried.
func (rs *removals) active(group string, keys ...string) (list []Removal, ok bool) {
	if rs.byID.len.Load() == 0 {
		return nil, true
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.sweep(rs.now())
	byID := map[RemovalID]*Removal{}
	carried := load{}
	for _, key := range keys {
		for a := range rs.byKey[groupKey{group, key}].each {
			if a.done {
				continue
			}
			carried.add(1, key)
			if byID[a.ID] == nil {
				r := a.Removal
				r.Keys = nil
				byID[a.ID] = &r
			}
			byID[a.ID].Keys = append(byID[a.ID].Keys, key)
		}
	}
	for a := range rs.ofAll[group].each {
		if !a.done {
			carried.add(1, "")
			byID[a.ID] = &a.Removal
		}
	}
	if carried.keys > maxCarried || carried.bytes > maxCarriedBytes {
		return nil, false
	}
	return ordered(byID), true
}

// ordered are the removals in the order of their ids.
func ordered(byID map[RemovalID]*Removal) []Removal {
	list := make([]Removal, 0, len(byID))
	for _, r := range byID {
		list = append(list, *r)
	}
	slices.SortFunc(list, func(a, b Removal) int { return a.ID.compare(b.ID) })
	return list
}

func (id RemovalID) compare(o RemovalID) int {
	return cmp.Or(cmp.Compare(id.Sender, o.Sender), cmp.Compare(id.Incarnation, o.Incarnation), cmp.Compare(id.Seq, o.Seq))
}

// underWay are all removals under way, as far as their keys are known here.
func (rs *removals) underWay() []Removal {
	return rs.pick(func(a *activeRemoval) bool { return !a.done })
}

// missing are the remembered removals that somebody who knows this lacks.
func (rs *removals) missing(known []Known) []Removal {
	has := bySender(known)
	return rs.pick(func(a *activeRemoval) bool { return a.whole && lacks(has, a.ID) })
}

func (rs *removals) pick(which func(*activeRemoval) bool) []Removal {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.sweep(rs.now())
	byID := map[RemovalID]*Removal{}
	for a := range rs.byID.each {
		if which(a) {
			r := a.Removal
			r.Keys = slices.Clone(a.Keys)
			byID[r.ID] = &r
		}
	}
	return ordered(byID)
}

// crowded reports whether a request for the key could not carry all removals
// under way. A flight that began before they became too many is detached.
func (rs *removals) crowded(group, key string) bool {
	if rs.byID.len.Load() == 0 {
		return false
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.sweep(rs.now())
	var carried load
	if of := rs.byKey[groupKey{group, key}]; of != nil {
		carried = load{of.live, of.live * len(key)}
	}
	if of := rs.ofAll[group]; of != nil {
		carried.keys += of.live
	}
	return carried.keys > maxCarried || carried.bytes > maxCarriedBytes
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
		a := rs.byID.get(id)
		if a == nil || a.done {
			continue
		}
		a.done, a.forget = true, now+int64(finishedMemory)
		rs.live.add(-1, a.weight()...)
		rs.done.add(1, a.weight()...)
		for i, key := range a.weight() {
			rs.ofKey(a, i, key).live--
		}
		rs.finished = append(rs.finished, a)
	}
	if len(rs.order) > 2*(int(rs.byID.len.Load())-len(rs.finished))+64 { // most of it is finished
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
	rs.byID.remove(a)
	if a.done {
		rs.done.add(-1, a.weight()...)
	} else {
		rs.live.add(-1, a.weight()...)
	}
	for i, key := range a.weight() {
		of := rs.ofKey(a, i, key)
		if !a.done {
			of.live--
		}
		rs.floor(&a.Removal, key)
		switch {
		case !of.remove(a):
		case a.All:
			delete(rs.ofAll, a.Group)
		default:
			delete(rs.byKey, groupKey{a.Group, key})
		}
	}
}
