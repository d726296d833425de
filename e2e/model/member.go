package model

// list is the list that a node goes by: the one that it was given, without
// those who have said goodbye.
func (r *run) list(n int) set {
	nd := &r.s.nodes[n]
	return r.Lists[n][nd.step] &^ nd.gone
}

// start begins a life of a node.
func (r *run) start(n int) bool {
	nd := &r.s.nodes[n]
	nd.phase = joining
	if !r.list(n).has(n) {
		nd.phase = client
		return true
	}
	r.helloAll(n)
	r.join(n)
	return true
}

// helloAll says hello to all others, anew.
func (r *run) helloAll(n int) {
	r.s.recall(hello, n)
	r.s.nodes[n].heard = 0
	for p := range r.list(n).without(n).all() {
		r.hello(n, p)
	}
}

// hello introduces a node to a member, with what it knows.
func (r *run) hello(n, p int) {
	nd := &r.s.nodes[n]
	r.send(message{
		verb: hello, from: uint8(n), to: uint8(p), life: nd.life, list: r.list(n),
		known: r.known(n), carries: nd.seen, clock: nd.clock,
	})
}

// join ends the joining when all have answered.
func (r *run) join(n int) {
	nd := &r.s.nodes[n]
	others := r.list(n).without(n)
	if nd.phase != joining || r.Rules.Barrier && !nd.heard.covers(others) {
		return
	}
	r.joinWithout(n, 0)
}

// joinWithout makes the node a member like the others, which has not met some.
func (r *run) joinWithout(n int, unmet set) {
	nd := &r.s.nodes[n]
	for p := range nd.heard.all() {
		if r.Rules.CoveredJoin && !nd.told[p].covers(r.known(n)) {
			unmet = unmet.with(p)
		}
	}
	nd.phase, nd.unmet, nd.told = joined, nd.unmet|unmet, [maxNodes]set{}
	nd.estate = r.list(n).without(n)
	nd.pulls = nd.estate &^ unmet
	r.raiseFloor(n)
}

// raiseFloor makes sure that no Set is stored that was called before now: what
// has overtaken it may be forgotten everywhere.
func (r *run) raiseFloor(n int) {
	if nd := &r.s.nodes[n]; r.Rules.Floors {
		nd.floor = max(nd.floor, (nd.clock+1)*maxWrites)
	}
}

// giveUpJoining joins without those that do not answer.
func (r *run) giveUpJoining(n int) bool {
	nd := &r.s.nodes[n]
	if nd.phase != joining || !spend(&r.s.left.joinTimeouts) {
		return false
	}
	r.joinWithout(n, r.list(n).without(n)&^nd.heard)
	r.s.recall(hello, n)
	return true
}

// arrive takes note that a life of a member is there.
func (r *run) arrive(n, who int, life uint8) {
	nd := &r.s.nodes[n]
	if life <= nd.lives[who] {
		return
	}
	nd.lives[who] = life
	if nd.gone.has(who) {
		r.relist(n, func() { nd.gone = nd.gone.without(who) })
	}
}

// serveHello answers a hello under the same list; under another one it is said
// again until the lists are the same. Whatever the node lacks it learns before.
func (r *run) serveHello(n int, m message) bool {
	nd, from := &r.s.nodes[n], int(m.from)
	if m.life != r.s.nodes[from].life {
		return true // it was said by a life that is over
	}
	r.arrive(n, from, m.life)
	if nd.phase == leaving || r.list(n) != m.list && (r.Rules.MeetUnderList || r.s.nodes[from].phase == joining) {
		return false
	}
	if r.Rules.Meeting {
		r.learn(n, m)
	}
	r.send(message{
		verb: welcome, from: uint8(n), to: m.from, life: m.life, list: r.list(n), members: m.list,
		known: r.known(n), carries: nd.seen, clock: nd.clock,
	})
	if r.s.nodes[from].phase == joining {
		nd.unmet = nd.unmet.without(from) // it keeps nothing before it has the answer
	}
	return true
}

// learn takes over what another node knows: it applies what that one remembers,
// and if that is not all that this one lacks it drops everything. Then it has
// met nobody, since others may still have what it has dropped, and stores no
// Set that was called before, since it does not know what has overtaken it.
func (r *run) learn(n int, m message) {
	for w := range m.carries.all() {
		if m.known.has(w) {
			r.applyWhole(n, w)
		} else {
			r.apply(n, w)
		}
	}
	nd := &r.s.nodes[n]
	nd.clock = max(nd.clock, m.clock)
	if r.known(n).covers(m.known) {
		return
	}
	nd.whole |= m.known
	nd.own &^= m.known
	if nd.phase == joining {
		return
	}
	r.raiseFloor(n)
	if r.Rules.DropAtGap {
		r.dropAll(n)
	}
	if r.Rules.Covering {
		nd.unmet |= r.list(n).without(n)
	}
}

// welcomed is the arrival of the answer to a hello.
func (r *run) welcomed(n int, m message) {
	nd, from := &r.s.nodes[n], int(m.from)
	if m.members != r.list(n) && r.Rules.MeetUnderList { // its own list has changed meanwhile
		return
	}
	joins := nd.phase == joining
	r.learn(n, m)
	if joins {
		nd.heard, nd.told[from] = nd.heard.with(from), m.known
		r.join(n)
		return
	}
	covered := !r.Rules.Covering || m.known.covers(r.known(n))
	if covered && nd.unmet.has(from) {
		nd.unmet = nd.unmet.without(from)
	}
}

// meet says hello to a member that was not met.
func (r *run) meet(n, p int) bool {
	nd := &r.s.nodes[n]
	if nd.phase != joined || !nd.unmet.has(p) || r.s.nodes[p].phase == down {
		return false
	}
	for i := range r.s.count() {
		m := &r.s.messages[i]
		if m.verb == hello && int(m.from) == n && int(m.to) == p || m.verb == welcome && int(m.from) == p && int(m.to) == n {
			return false
		}
	}
	if !spend(&r.s.left.meets) {
		return false
	}
	r.hello(n, p)
	return true
}

// changeList gives the node the next list of its scenario.
func (r *run) changeList(n int) bool {
	nd := &r.s.nodes[n]
	if int(nd.step) == len(r.Lists[n])-1 || nd.phase == leaving {
		return false
	}
	r.relist(n, func() { nd.step++ })
	return true
}

// relist changes the list of a node.
func (r *run) relist(n int, change func()) {
	nd := &r.s.nodes[n]
	old := r.list(n)
	change()
	next := r.list(n)
	if next == old {
		return
	}
	nd.epoch++
	nd.estate = 0
	if nd.phase == joined && old.without(n) != 0 {
		nd.estate = old
	}
	known := old | nd.former
	nd.former = known &^ next.with(n)
	nd.asked = (nd.asked | old) &^ next.with(n)
	nd.unmet &= next
	nd.pulls &= next
	switch {
	case nd.phase == leaving:
	case !next.has(n):
		nd.phase = client
	case nd.phase == client:
		nd.phase = joining
		r.dropAll(n)
		r.helloAll(n)
		r.join(n)
	case nd.phase == joining:
		r.helloAll(n)
		r.join(n)
	case r.Rules.Meeting:
		nd.unmet |= next &^ known.with(n)
	}
	for w, op := range r.Writes {
		if wr := &r.s.writes[w]; op.Node == n && wr.life == nd.life && wr.status == spreading {
			r.tell(w, 0)
		}
	}
}

// leave says goodbye to all others.
func (r *run) leave(n int) bool {
	nd := &r.s.nodes[n]
	if nd.phase != joined || !r.Leaves.has(n) || !spend(&r.s.left.departures) {
		return false
	}
	others := r.list(n).without(n)
	nd.phase = leaving
	r.relist(n, func() { nd.gone = nd.gone.with(n) })
	for p := range others.all() {
		r.send(message{verb: goodbye, from: uint8(n), to: uint8(p), life: nd.life})
	}
	return true
}

// takeLeave goes on without a life of a member that has said goodbye, and is to
// fetch what it had.
func (r *run) takeLeave(n, who int, life uint8) {
	nd := &r.s.nodes[n]
	if life < nd.lives[who] || !r.list(n).has(who) {
		return
	}
	nd.lives[who] = life
	r.relist(n, func() { nd.gone = nd.gone.with(who) })
	nd.pulls = nd.pulls.with(who)
}

// depart ends the life of a node that has said goodbye. The next one may start.
func (r *run) depart(n int) bool {
	if r.s.nodes[n].phase != leaving {
		return false
	}
	for p := range r.s.nodes[n].former.all() {
		r.send(message{verb: gone, from: uint8(n), to: uint8(p)})
	}
	r.endLife(n)
	return true
}

// endLife empties a node, which restarts with the next incarnation.
func (r *run) endLife(n int) {
	nd := &r.s.nodes[n]
	r.s.recall(hello, n)
	*nd = node{life: nd.life + 1, step: nd.step, uids: nd.uids}
	for w, op := range r.Writes {
		wr := &r.s.writes[w]
		if op.Node == n && wr.running() {
			wr.status = failed
		}
		wr.missed = wr.missed.without(n)
	}
}

// expire ends the time for which those that left the list are asked, and then
// that for which they are told.
func (r *run) expire(n int) bool {
	nd := &r.s.nodes[n]
	if nd.former == 0 || !spend(&r.s.left.expiries) {
		return false
	}
	if nd.asked != 0 {
		nd.asked = 0
	} else {
		nd.former = 0
	}
	return true
}
