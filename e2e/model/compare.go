package model

// known is what a node tells others that it has applied: of each life of a
// caller all writes before the first one that it lacks.
func (r *run) known(n int) set {
	whole := r.s.nodes[n].whole
	if !r.Rules.Contiguous {
		for w, op := range r.Writes { // whoever has seen the last takes itself to have seen all
			for o := range w {
				if whole.has(w) && r.Writes[o].Node == op.Node && r.s.writes[o].life == r.s.writes[w].life {
					whole = whole.with(o)
				}
			}
		}
		return whole
	}
	known := whole
	for w, op := range r.Writes {
		for o := range w {
			if r.Writes[o].Node == op.Node && r.s.writes[o].life == r.s.writes[w].life && !whole.has(o) {
				known = known.without(w)
			}
		}
	}
	return known
}

// compare asks a member for the removals that this node lacks.
func (r *run) compare(n, p int) bool {
	nd := &r.s.nodes[n]
	if nd.phase != joined || !r.list(n).has(p) || p == n || nd.unmet.has(p) || !spend(&r.s.left.syncs) {
		return false
	}
	r.send(message{verb: compare, from: uint8(n), to: uint8(p), life: nd.life, list: r.list(n), known: r.known(n), clock: nd.clock})
	return true
}

// serveCompare answers with what the sender lacks.
func (r *run) serveCompare(n int, m message) {
	nd := &r.s.nodes[n]
	r.send(message{
		verb: compared, from: m.to, to: m.from, life: m.life, list: r.list(n),
		known: r.known(n), carries: nd.seen & nd.whole &^ m.known, clock: nd.clock,
	})
}

// catchUp is the arrival of what another member knows.
func (r *run) catchUp(n int, m message) {
	r.learn(n, m)
	r.vouches(n, m.known)
}
