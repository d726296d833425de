package gcnode

import "context"

// report is what this node has told all members that it knew.
type report struct {
	known []Known
	at    int64 // what it knew then, on the node's clock, is among it
}

// reportsMissing is after how many intervals a member counts as one from whom
// no report comes: members report once in each.
const reportsMissing = 1.5

// report tells all members what this node knows of removals, in one message.
// Whoever lacks some of it asks, and whoever knows as much shows that by reports
// of his own:
//
//	this node            a member
//	knows up to 7
//	reports           ▶
//	                     lacks 7, asks for it
//	                  ◀  reports, knows up to 7
//	it knew at the time of the report what this node knew
//
// so that nobody has to be compared with one by one. A report is no more than a
// reason to compare, and says nothing to whoever does not get it.
func (n *Node) report() error {
	r := &report{at: n.now()}
	r.known = n.knowledge.known()
	n.reported.Store(r)
	ctx, cancel := context.WithTimeout(n.done, n.cfg.PeerTimeout/heartbeats)
	defer cancel()
	req := &Request{Op: OpReport, Known: r.known}
	n.complete(Peer{}, req)
	return n.outboxes.broadcaster.Broadcast(ctx, nil, req, func(Peer, Reply) {})
}

// reports reports whether broadcasts show that the member knows what this node
// knows, so that the two need not compare.
func (n *Node) reports(p *peer) bool {
	return float64(n.now()-max(p.reported.Load(), n.roll.since.Load())) < reportsMissing*float64(n.syncInterval())
}

// serveReport takes note of what a member knows. It waits for nothing.
func (n *Node) serveReport(req *Request, w ReplyWriter) error {
	latest := n.arrive(req.From)
	n.knowledge.see(req.From)
	v := n.view.Load()
	if p := v.peers[req.From.ID]; latest && p != nil && n.is(joined) && n.compares(p) {
		n.note(p, req.Known)
		// Who has another list may have heard of a goodbye.
		if n.knowledge.lacks(req.Known) || req.ListHash != v.ring.Hash() {
			n.goBackground(func() { n.compare(p) })
		}
	}
	return w.WriteReply(Reply{ListHash: v.ring.Hash()})
}

// note takes note that a member knows what it says, if that is all that this
// node knows, or knew when it last said so.
func (n *Node) note(p *peer, known []Known) {
	now, last := n.now(), n.reported.Load()
	switch {
	case n.knowledge.covered(known):
	case last != nil && covers(known, last.known):
		now = last.at
	default:
		return
	}
	p.even.Store(now)
	p.reported.Store(now)
}
