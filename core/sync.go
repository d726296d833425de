package gcnode

import (
	"context"
	"sync"
	"time"
)

// syncForEver compares with all members what is known of removals, again and
// again.
func (n *Node) syncForEver() {
	tick := time.NewTicker(n.syncInterval())
	defer tick.Stop()
	for {
		select {
		case <-n.done.Done():
			return
		case <-tick.C:
		}
		if !n.is(joined) { // it will be started anew
			return
		}
		var wg sync.WaitGroup
		for _, p := range n.view.Load().others(n.cfg.Self.ID) {
			if !p.down.Load() && !n.silent.has(p.ID) {
				wg.Go(func() { n.syncWith(n.done, p) })
			}
		}
		wg.Wait()
	}
}

// syncWith asks a member for the removals that this node lacks. If it cannot
// tell them any more, everything goes that they could concern.
func (n *Node) syncWith(ctx context.Context, p *peer) {
	var known []Known
	err := n.roundTrip(ctx, p.Peer, &Request{Op: OpSync, Known: n.knowledge.known()}, func(r Reply) error {
		if r.Ack == nil {
			return errNoAck(&r)
		}
		n.stamps.merge(Stamp{Time: r.Ack.Time})
		for _, who := range r.Ack.Left {
			if who.ID == n.cfg.Self.ID { // an earlier life: it has missed this one's hello
				n.goBackground(func() { _, _ = n.hello(n.done, p.Peer) })
				continue
			}
			n.depart(who)
		}
		for _, r := range r.Ack.Removals {
			n.applyWhole(r)
		}
		known = append(known, r.Ack.Known...)
		return nil
	})
	if err != nil {
		n.log.LogAttrs(ctx, levelInfo, "peer did not tell what it knows of removals", peerAttr(p.Peer), errAttr(err))
		return
	}
	if n.knowledge.lacks(known) {
		n.forgetAll("removals were missed that " + p.ID + " knows of")
		n.knowledge.accept(known)
	}
}

// serveSync answers a member that compares.
func (n *Node) serveSync(req *Request, w ReplyWriter) error {
	n.knowledge.see(req.From)
	known := n.knowledge.known() // before the removals: what is counted as known must be among them
	return n.writeAcks(w, known, n.removals.missing(req.Known))
}
