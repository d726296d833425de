package model

// apply takes the key out of the node, unless that was done, even if it was
// forgotten since: what a removal does under the lock of the key's stripe.
func (r *run) apply(n, w int) {
	nd := &r.s.nodes[n]
	nd.clock = max(nd.clock, r.s.writes[w].stamp)
	if (nd.seen | nd.own).has(w) {
		return
	}
	nd.seen = nd.seen.with(w)
	if r.Writes[w].Kind == RemoveOther {
		return
	}
	r.dropOlder(n, w)
	if r.Rules.Detach {
		r.detach(n)
	}
}

// dropOlder takes out what the node has kept, unless it was written with a
// later stamp.
func (r *run) dropOlder(n, w int) {
	nd := &r.s.nodes[n]
	if by, ok := nd.value.write(); ok && nd.stamped && r.Rules.Stamps && r.s.rank(by) > r.s.rank(w) {
		return
	}
	nd.value, nd.kind, nd.stamped = 0, nothing, false
}

// detach parts all flights from the key: those who wait get their answer,
// nobody new joins, and nothing is kept.
func (r *run) detach(n int) {
	for i := range r.s.nodes[n].flights {
		if f := &r.s.nodes[n].flights[i]; f.stage != none {
			f.detached = true
		}
	}
}

// applyAll applies the removals that a request carries.
func (r *run) applyAll(n int, ws set) {
	for w := range ws.all() {
		r.apply(n, w)
	}
}

// applyWhole applies a removal that came with all its keys.
func (r *run) applyWhole(n, w int) {
	r.apply(n, w)
	nd := &r.s.nodes[n]
	nd.whole, nd.own = nd.whole.with(w), nd.own.with(w)
}

// store is the arrival of a Set where it is to be stored.
func (r *run) store(n, w int) {
	r.applyWhole(n, w)
	nd := &r.s.nodes[n]
	if r.Rules.Detach {
		r.detach(n)
	}
	if r.Rules.Stamps && r.late(n, w) {
		return
	}
	nd.stored = nd.stored.with(w)
	nd.value, nd.kind, nd.stamped = 0, nothing, false
	if nd.phase == joined && r.list(n).first() == n {
		nd.value, nd.kind, nd.stamped = written(w), owned, true
	}
}

// late reports whether a Set is not to be stored: it was dealt with, or a later
// write is known. Of those that were forgotten the latest counts, and may be
// this one.
func (r *run) late(n, w int) bool {
	nd := &r.s.nodes[n]
	rank := r.s.rank(w)
	if nd.stored.has(w) || nd.floor >= rank {
		return true
	}
	for o := range nd.seen.all() {
		if r.s.rank(o) > rank {
			return true
		}
	}
	by, ok := nd.value.write()
	return ok && nd.stamped && r.s.rank(by) > rank
}

// forget forgets the id of a removal, and keeps its rank.
func (r *run) forget(n, w int) bool {
	nd := &r.s.nodes[n]
	if !nd.seen.has(w) || r.Rules.LateForgetting && r.s.writes[w].running() || r.Rules.ComparedInTime && !r.compared(n, w) ||
		!spend(&r.s.left.forgets) {
		return false
	}
	nd.seen, nd.stored = nd.seen.without(w), nd.stored.without(w)
	nd.floor = max(nd.floor, r.s.rank(w))
	return true
}

// compared reports whether all whom the node asks for anything know a removal.
func (r *run) compared(n, w int) bool {
	nd := &r.s.nodes[n]
	for p := range (r.list(n) &^ nd.unmet).without(n).all() {
		if r.s.nodes[p].phase == joined && !r.s.nodes[p].whole.has(w) {
			return false
		}
	}
	return true
}

// dropAll empties a node that cannot vouch for what it has.
func (r *run) dropAll(n int) {
	nd := &r.s.nodes[n]
	nd.value, nd.kind, nd.stamped = 0, nothing, false
	r.detach(n)
}
