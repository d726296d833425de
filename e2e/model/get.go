package model

import "fmt"

// ask lets a Get begin at a node that has to find its answer first. What it
// would get from what the node has kept is judged in every state.
func (r *run) ask(n int) {
	nd := &r.from.nodes[n]
	if nd.phase == down || nd.phase == leaving || nd.kind != nothing {
		return
	}
	r.step(func() bool { return spend(&r.s.left.gets) && r.get(n) }, func() string {
		return fmt.Sprintf("a Get begins at %d, after the ends of %v", n, r.from.confirmed())
	})
}

// get joins or starts a flight.
func (r *run) get(n int) bool {
	mine := r.mine(n)
	f := r.joinable(n, func(f *flight) bool {
		return !r.Rules.Apart || f.loads() == mine || f.linked
	})
	if f == nil {
		if f = r.fresh(n); f == nil {
			return false
		}
		if mine {
			r.load(n, f)
		} else {
			r.askNext(n, f)
		}
	}
	f.gets |= 1 << r.s.confirmed()
	return true
}

// mine reports whether the node loads the key itself.
func (r *run) mine(n int) bool {
	return r.list(n).first() == n && r.s.nodes[n].phase != joining
}

// joinable is the flight under way that may be joined, nil if there is none.
func (r *run) joinable(n int, which func(*flight) bool) *flight {
	nd := &r.s.nodes[n]
	for i := range nd.flights {
		if f := &nd.flights[i]; f.stage != none && !f.detached && which(f) {
			return f
		}
	}
	return nil
}

// fresh is a place for another flight, which nobody joins while the node is not
// a member like the others.
func (r *run) fresh(n int) *flight {
	nd := &r.s.nodes[n]
	for i := range nd.flights {
		if f := &nd.flights[i]; f.stage == none {
			nd.uids++
			alone := nd.phase == client || nd.phase == joining && r.Rules.Alone
			*f = flight{uid: nd.uids, epoch: nd.epoch, list: r.list(n), detached: alone}
			return f
		}
	}
	return nil
}

// askNext asks the next in line, and loads here when it is this node's turn.
func (r *run) askNext(n int, f *flight) {
	nd := &r.s.nodes[n]
	for p := range (f.list &^ f.tried).all() {
		switch {
		case p == n && nd.phase == joining:
			continue
		case p == n:
			r.loadInstead(n, f)
			return
		case nd.unmet.has(p):
			continue
		}
		f.stage, f.peer, f.tried = asking, uint8(p), f.tried.with(p)
		r.request(n, fetch, p, f)
		return
	}
	r.loadInstead(n, f)
}

// request sends what a flight asks, with the removals that the node remembers.
func (r *run) request(n int, v verb, to int, f *flight) {
	nd := &r.s.nodes[n]
	m := message{verb: v, from: uint8(n), to: uint8(to), life: nd.life, uid: f.uid, list: r.list(n)}
	if r.Rules.Causal {
		m.carries = nd.seen
	}
	r.send(m)
}

// loadInstead turns a flight that asks, and that nobody could answer, into a
// load, or joins the one under way.
func (r *run) loadInstead(n int, f *flight) {
	asked := *f
	*f = flight{}
	l := r.joinable(n, func(f *flight) bool { return f.loads() })
	if l == nil || r.s.nodes[n].phase == joining {
		l = r.fresh(n)
		r.load(n, l)
	}
	l.linked = true
	l.gets |= asked.gets
	for _, w := range asked.waiters {
		if w.node != 0 {
			l.wait(w)
		}
	}
}

// wait gives one of another node a place in the flight.
func (f *flight) wait(w waiter) bool {
	for i := range f.waiters {
		if f.waiters[i].node == 0 {
			f.waiters[i] = w
			return true
		}
	}
	return false
}

// load begins a load. A new owner asks the previous one first.
func (r *run) load(n int, f *flight) {
	nd := &r.s.nodes[n]
	if nd.phase == joined && r.list(n).first() == n && nd.estate != 0 {
		if p := nd.estate.first(); p != n && r.listens(n, p) {
			f.stage, f.peer = peeking, uint8(p)
			r.request(n, peek, p, f)
			return
		}
	}
	f.stage, f.called = origin, r.s.called()
}

// listens reports whether what the other has kept is good, since it is told of
// removals.
func (r *run) listens(n, p int) bool {
	nd := &r.s.nodes[n]
	return (r.list(n) | nd.asked).has(p) && !nd.unmet.has(p)
}

// fly lets the flights of a node go on by themselves.
func (r *run) fly(n int) {
	for i := range r.from.nodes[n].flights {
		f := r.from.nodes[n].flights[i]
		switch f.stage {
		case origin:
			r.step(func() bool { return r.land(n, i) }, func() string {
				return fmt.Sprintf("%d's flight %d gets %v", n, f.uid, loaded(f.called))
			})
		case asking, peeking:
			r.step(func() bool { return r.giveUpPeer(n, i) }, func() string {
				return fmt.Sprintf("%d's flight %d waits no longer for %d", n, f.uid, f.peer)
			})
		case none:
		}
	}
}

// land is the getter's answer. The owner keeps it as such, a stand-in as a copy.
func (r *run) land(n, i int) bool {
	f := &r.s.nodes[n].flights[i]
	as := hot
	if r.list(n).first() == n {
		as = owned
	}
	r.end(n, f, loaded(f.called), as)
	return true
}

// giveUpPeer waits no longer for a peer.
func (r *run) giveUpPeer(n, i int) bool {
	if !spend(&r.s.left.timeouts) {
		return false
	}
	r.goOn(n, &r.s.nodes[n].flights[i])
	return true
}

// goOn is what becomes of a flight whose peer has no answer.
func (r *run) goOn(n int, f *flight) {
	switch {
	case f.stage == asking:
		r.askNext(n, f)
	case f.pull: // whoever waits loads
		waiting := *f
		*f = flight{}
		if waiting.gets == 0 && waiting.waiters[0].node == 0 {
			return
		}
		l := r.fresh(n)
		l.gets, l.waiters = waiting.gets, waiting.waiters
		r.load(n, l)
	default:
		f.stage, f.called = origin, r.s.called()
	}
}

// end answers those who wait, and keeps the value as it is told: not at all if
// that is nothing.
func (r *run) end(n int, f *flight, v value, as kind) {
	nd := &r.s.nodes[n]
	for ended := range set(maxSets) {
		if f.gets>>ended&1 == 1 {
			r.promise(n, ended, v)
		}
	}
	for _, w := range f.waiters {
		if w.node != 0 {
			m := message{verb: answer, from: uint8(n), to: w.node - 1, life: w.life, uid: w.uid, value: v}
			if f.epoch == nd.epoch || !r.Rules.SameList {
				m.list = r.list(n)
			}
			r.send(m)
		}
	}
	keeps := nd.phase == joined || nd.phase == joining && !r.Rules.Barrier
	if as != nothing && !f.detached && keeps && (f.epoch == nd.epoch || !r.Rules.SameList) {
		nd.value, nd.kind, nd.stamped = v, as, false
	}
	*f = flight{}
}

// serveFetch answers a node that takes this one for the owner or the next in
// line. It never asks another.
func (r *run) serveFetch(n int, m message) bool {
	nd := &r.s.nodes[n]
	r.applyAll(n, m.carries)
	reply := message{verb: answer, from: m.to, to: m.from, life: m.life, uid: m.uid}
	switch {
	case nd.phase != joined && nd.phase != client || nd.unmet.has(int(m.from)):
		reply.verb = refusal
		r.send(reply)
		return true
	case nd.kind != nothing:
		reply.value = nd.value
		if nd.kind == owned && r.list(n).first() == n {
			reply.list = r.list(n)
		}
		r.send(reply)
		return true
	}
	f := r.joinable(n, func(f *flight) bool { return !r.Rules.Apart || f.loads() })
	if f == nil {
		if f = r.fresh(n); f == nil {
			return false
		}
		r.load(n, f)
	}
	return f.wait(waiter{node: m.from + 1, uid: m.uid, life: m.life})
}

// waiting is the flight that an answer is for.
func (r *run) waiting(n int, m message, stage stage) *flight {
	for i := range r.s.nodes[n].flights {
		if f := &r.s.nodes[n].flights[i]; f.stage == stage && f.uid == m.uid && f.peer == m.from {
			return f
		}
	}
	return nil
}

// answered is the arrival of an answer. It is kept if the owner has given it
// under the same list.
func (r *run) answered(n int, m message) {
	f := r.waiting(n, m, asking)
	if f == nil {
		return
	}
	as := nothing
	if int(m.from) == f.list.first() && (m.list == f.list || !r.Rules.SameList) {
		as = hot
	}
	r.end(n, f, m.value, as)
}

// refused is the arrival of a refusal.
func (r *run) refused(n int, m message) {
	if f := r.waiting(n, m, asking); f != nil {
		r.goOn(n, f)
	}
	if f := r.waiting(n, m, peeking); f != nil {
		r.goOn(n, f)
	}
}

// servePeek answers with what is in memory.
func (r *run) servePeek(n int, m message) {
	nd := &r.s.nodes[n]
	r.applyAll(n, m.carries)
	reply := message{verb: held, from: m.to, to: m.from, life: m.life, uid: m.uid}
	switch {
	case nd.phase == joining && r.Rules.Barrier || nd.unmet.has(int(m.from)):
		reply.verb = refusal
	case nd.kind == owned:
		reply.value, reply.list = nd.value, r.list(n)
	}
	r.send(reply)
}

// heldAnswered is the arrival of what a previous owner has.
func (r *run) heldAnswered(n int, m message) {
	f := r.waiting(n, m, peeking)
	switch {
	case f == nil:
	case m.value == 0:
		r.goOn(n, f)
	case m.list == f.list || !r.Rules.SameList:
		r.end(n, f, m.value, owned)
	default:
		r.end(n, f, m.value, nothing)
	}
}

// inherit fetches the key from a member that may have it, as a load that others
// may join.
func (r *run) inherit(n, p int) bool {
	nd := &r.s.nodes[n]
	if nd.phase != joined || !nd.pulls.has(p) || r.list(n).first() != n || nd.kind != nothing ||
		r.joinable(n, (*flight).loads) != nil || r.Rules.ListenForHeirs && !r.listens(n, p) || !spend(&r.s.left.pulls) {
		return false
	}
	f := r.fresh(n)
	if f == nil {
		return false
	}
	f.stage, f.peer, f.pull = peeking, uint8(p), true
	r.request(n, peek, p, f)
	return true
}
