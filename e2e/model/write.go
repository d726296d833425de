package model

import "fmt"

func (w *write) running() bool { return w.status == atOwner || w.status == spreading }

// callWrites lets the writes of the scenario be called in their order, and fail.
func (r *run) callWrites() {
	for w, op := range r.Writes {
		r.step(func() bool { return r.call(w) }, func() string {
			return fmt.Sprintf("%d calls write %d, a %v, under %v", op.Node, w, op.Kind, r.list(op.Node))
		})
		r.step(func() bool { return r.giveUpOwner(w) }, func() string {
			return fmt.Sprintf("%d waits no longer for the owner to store write %d", op.Node, w)
		})
		r.step(func() bool { return r.failWrite(w) }, func() string { return fmt.Sprintf("write %d returns an error", w) })
		for n := range r.Nodes {
			r.step(func() bool { return r.retry(w, n) }, func() string { return fmt.Sprintf("%d tells %d again of write %d", op.Node, n, w) })
			r.step(func() bool { return r.forget(n, w) }, func() string { return fmt.Sprintf("%d forgets write %d", n, w) })
		}
	}
}

// call begins a write.
func (r *run) call(w int) bool {
	op, wr := r.Writes[w], &r.s.writes[w]
	n := op.Node
	nd := &r.s.nodes[n]
	if wr.status != idle || nd.phase != joined && nd.phase != client || w > 0 && r.s.writes[w-1].status == idle {
		return false
	}
	if r.Rules.AskClocks {
		ask := nd.unmet
		if nd.phase == client {
			ask = r.list(n)
		}
		for p := range ask.all() { // those who are down confirm nothing either
			nd.clock = max(nd.clock, r.s.nodes[p].clock)
		}
	}
	nd.clock++
	*wr = write{life: nd.life, stamp: nd.clock, before: r.s.confirmed()}
	if op.Kind != Set || !r.Rules.OwnerFirst {
		r.applyWhole(n, w)
	}
	owner := r.list(n).first()
	switch {
	case op.Kind != Set:
		r.spread(w)
	case owner == n:
		r.store(n, w)
		r.spread(w)
	default:
		wr.status = atOwner
		r.send(message{verb: put, from: uint8(n), to: uint8(owner), write: uint8(w)})
	}
	return true
}

// giveUpOwner goes on with a Set that the owner has not confirmed: it may have
// been stored, or may be later.
func (r *run) giveUpOwner(w int) bool {
	if r.s.writes[w].status != atOwner || !spend(&r.s.left.timeouts) {
		return false
	}
	r.applyWhole(r.Writes[w].Node, w)
	r.spread(w)
	return true
}

// spread tells all members of a removal that was applied here.
func (r *run) spread(w int) {
	r.s.writes[w].status = spreading
	r.tell(w, 0)
}

// members are those who are told of removals.
func (r *run) members(n int) set {
	members := r.list(n)
	if r.Rules.Grace {
		members |= r.s.nodes[n].former
	}
	return members
}

// tell extends the targets by those that the caller knows and more, and ends
// the write when all have confirmed.
func (r *run) tell(w int, more set) {
	wr, n := &r.s.writes[w], r.Writes[w].Node
	targets := wr.targets | r.members(n)
	if r.Rules.Closure {
		targets |= more
	}
	targets = targets.without(n)
	for p := range (targets &^ wr.targets &^ wr.acked).all() {
		r.send(message{verb: remove, from: uint8(n), to: uint8(p), write: uint8(w)})
	}
	wr.targets = targets
	if wr.status == spreading && wr.acked.covers(wr.targets) {
		wr.status = confirmed
		wr.missed = (r.Outside &^ wr.targets).without(n)
	}
}

// confirm acknowledges a removal, and names the members that this node knows.
func (r *run) confirm(n int, m message) {
	r.send(message{verb: ack, from: m.to, to: m.from, write: m.write, members: r.members(n)})
}

// acked is the arrival of a confirmation.
func (r *run) acked(n int, m message) {
	w := int(m.write)
	wr := &r.s.writes[w]
	if r.s.nodes[n].life != wr.life || r.s.nodes[n].phase == down {
		return
	}
	wr.acked = wr.acked.with(int(m.from))
	switch wr.status {
	case atOwner:
		r.applyWhole(n, w)
		wr.status = spreading
		r.tell(w, m.members)
	case spreading, failed:
		r.tell(w, m.members)
	case idle, confirmed:
	}
}

// failWrite ends a write with an error.
func (r *run) failWrite(w int) bool {
	if !r.s.writes[w].running() || !spend(&r.s.left.failures) {
		return false
	}
	if n := r.Writes[w].Node; r.s.writes[w].status == atOwner {
		r.applyWhole(n, w)
		r.s.writes[w].targets = r.members(n).without(n)
	}
	r.s.writes[w].status = failed
	return true
}

// retry sends a removal again to a member that has not confirmed.
func (r *run) retry(w, n int) bool {
	wr := &r.s.writes[w]
	if wr.status != failed || !wr.targets.has(n) || wr.acked.has(n) || r.s.nodes[r.Writes[w].Node].life != wr.life || !spend(&r.s.left.retries) {
		return false
	}
	r.send(message{verb: remove, from: uint8(r.Writes[w].Node), to: uint8(n), write: uint8(w)})
	return true
}

// dismiss takes note that a member that left serves nothing any more.
func (r *run) dismiss(n, who int) {
	nd := &r.s.nodes[n]
	if !nd.gone.has(who) {
		return
	}
	nd.former, nd.asked = nd.former.without(who), nd.asked.without(who)
	for w := range r.Writes {
		if wr := &r.s.writes[w]; r.Writes[w].Node == n && wr.status == spreading && wr.life == nd.life {
			wr.acked = wr.acked.with(who)
			r.tell(w, 0)
		}
	}
}
