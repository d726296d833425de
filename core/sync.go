package gcnode

import (
	"context"
	"errors"
	"math"
	"time"
)

var errSyncing = errors.New("it is being asked already")

// syncForEver compares with all members what is known of removals, again and
// again.
func (n *Node) syncForEver() {
	if n.syncing.Swap(true) {
		return
	}
	defer n.syncing.Store(false)
	tick := time.NewTicker(n.syncInterval())
	defer tick.Stop()
	for {
		select {
		case <-n.done.Done():
			return
		case <-tick.C:
		}
		if !n.is(joined) {
			continue
		}
		n.estrange(n.overdue())
		n.compareAll()
	}
}

// compareAll compares with all members: by a report, if the transport can
// broadcast it, with those whose own reports come, and with the others one by
// one.
func (n *Node) compareAll() {
	others := n.view.Load().others(n.cfg.Self.ID)
	reports := n.outboxes.broadcaster != nil && len(others) > 0
	if reports {
		if err := n.report(); err != nil {
			n.log.LogAttrs(n.done, levelInfo, "what this node knows of removals was not broadcast", errAttr(err))
			reports = false
		}
	}
	for _, p := range others {
		if n.compares(p) && (!reports || !n.reports(p)) {
			n.goBackground(func() { n.compare(p) })
		}
	}
}

// compares reports whether this node compares with the member from time to
// time. It does so with others when it meets them, or finds that they are back.
func (n *Node) compares(p *peer) bool { return !p.down.Load() && !n.strangers.has(p.ID) }

// compare asks a member what it knows.
func (n *Node) compare(p *peer) {
	if _, err := n.syncWith(n.done, p, nil); err != nil && !errors.Is(err, errSyncing) { // it is tried again
		n.log.LogAttrs(n.done, levelInfo, "peer did not tell what it knows of removals", peerAttr(p.Peer), errAttr(err))
	}
}

// overdue are the members that may lack what this node is about to forget. One
// that is down is compared with before it is asked again.
func (n *Node) overdue() (ids []string) {
	now := n.now()
	for _, p := range n.view.Load().others(n.cfg.Self.ID) {
		if !p.down.Load() && now-max(p.even.Load(), n.roll.since.Load()) > evenFor {
			ids = append(ids, p.ID)
		}
	}
	return ids
}

// syncWith asks a member for the removals that this node lacks. If it cannot
// tell them any more, everything goes that they could concern, and nobody is
// asked for anything who could have missed them as well. It returns whether the
// member knows all that this node knew when it asked. compared, unless it is nil,
// is told that and the hash of the member's list before anything else can be
// dropped.
func (n *Node) syncWith(ctx context.Context, p *peer, compared func(listHash uint64, even bool)) (even bool, err error) {
	if p.syncing.Swap(true) {
		return false, errSyncing
	}
	defer p.syncing.Store(false)
	mine, asked, drops := n.knowledge.known(), n.now(), n.gaps.Load()
	var listHash uint64
	var known []Known
	err = n.roundTrip(ctx, p.Peer, &Request{Op: OpSync, Known: mine}, func(r Reply) error {
		if r.Ack == nil {
			return errNoAck(&r)
		}
		listHash = r.ListHash
		n.learnFrom(r.Ack, n.applyWhole)
		if known == nil { // it is in the first one
			known = r.Ack.Known
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	n.catchingUp.Lock()
	defer n.catchingUp.Unlock()
	// What another one knew meanwhile, for which everything was dropped, this one
	// was not asked about.
	current := n.gaps.Load() == drops
	if n.knowledge.lacks(known) {
		n.replay(ctx)
	}
	if n.knowledge.lacks(known) {
		var others []string
		for _, o := range n.view.Load().others(n.cfg.Self.ID) {
			if o.ID != p.ID {
				others = append(others, o.ID)
			}
		}
		begin := n.strangers.add(others) // before anything is kept again
		// A set that was overtaken by what was missed may still come.
		n.removals.raise(Stamp{Time: n.stamps.seen(), Incarnation: math.MaxUint64})
		n.forgetAll("removals were missed that " + p.ID + " knows of")
		n.knowledge.accept(known)
		if begin {
			n.goBackground(n.meetAll)
		}
	}
	if even = current && covers(known, mine); even {
		p.even.Store(asked)
	}
	if compared != nil {
		compared(listHash, even)
	}
	return even, nil
}

// serveSync answers a member that compares. If it knows more, this node asks it
// first, so that both know the same afterwards.
func (n *Node) serveSync(ctx context.Context, req *Request, w ReplyWriter) error {
	n.arrive(req.From)
	n.knowledge.see(req.From)
	if p := n.view.Load().peers[req.From.ID]; p != nil && n.is(joined) && n.knowledge.lacks(req.Known) {
		_, _ = n.syncWith(ctx, p, nil) // it is tried again
	}
	known := n.knowledge.known() // before the removals: what is counted as known must be among them
	if n.is(joining) && req.ListHash == n.view.Load().ring.Hash() && covers(known, req.Known) {
		defer n.greet(req.From.ID)
	}
	return n.writeAcks(w, known, n.removals.missing(req.Known))
}
