package gcnode

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
)

// Broadcaster is a [Transport] that can send one message to all members. The
// node tells them of removals in this way, and by RoundTrip those who have not
// confirmed soon; and of what it knows, so that it need not compare with each of
// them. A broadcast that gets lost costs time and no more.
type Broadcaster interface {
	Transport
	// Broadcast sends req, which is OpRemove, OpFinish or OpReport, to the peers, and
	// calls take for each that answers, from one goroutine at a time. Members
	// beside them may get it, too. Nothing is sent twice. It returns when all
	// have answered or ctx has ended, or it knows that nobody else will answer;
	// without peers, when req is sent. An error says why it was not sent at all,
	// or not to everybody.
	//
	// The answer of a peer has to be that of the instance that its address
	// names, as with RoundTrip.
	Broadcast(ctx context.Context, to []Peer, req *Request, take func(from Peer, r Reply)) error
}

// Archive is a [Broadcaster] that keeps what it has sent for a while. Then all
// removals are broadcast, whoever else is told of them, and a member that has
// missed some looks there before it drops everything.
type Archive interface {
	Broadcaster
	// Replay calls take for the removals that are kept, oldest first. It is no
	// error if some are missing: their numbers tell.
	Replay(ctx context.Context, take func(Removal)) error
}

// broadcast puts the removal into the outbox of all, which it returns, or into those
// of peers that are not to be told with the others. outboxes.mu is held.
func (o *outboxes) broadcast(t *telling, peers []Peer) (all *outbox) {
	v := o.node.view.Load()
	to := make([]Peer, 0, len(peers))
	for _, p := range peers {
		switch known := v.peers[p.ID]; {
		case !o.owe(t, p):
		case o.behind(p.ID), known != nil && known.down.Load():
			o.post(t, p) // it is behind, or does not answer
		default:
			to = append(to, p)
		}
	}
	again := t.broadcast
	t.broadcast = true
	b := o.all
	switch {
	case again, o.archive == nil && len(to) < 2, b != nil && (len(b.waiting) >= maxBacklog || b.bytes >= maxBacklogBytes):
	default:
		if b = o.ofAll(); b != nil {
			t.to = to
			b.waiting = append(b.waiting, t)
			b.bytes += t.bytes()
			o.sent[t] = true
			return b
		}
	}
	for _, p := range to {
		o.post(t, p)
	}
	return nil
}

// ofAll is the outbox of all, nil on a closed node. outboxes.mu is held.
func (o *outboxes) ofAll() *outbox {
	if o.node.done.Err() != nil {
		return nil
	}
	if o.all == nil && o.node.beginBackground() {
		o.all = &outbox{news: make(chan struct{}, 1)}
		go o.work(o.all)
	}
	return o.all
}

// sendAll broadcasts what all are to be told. Those who have not answered when ctx
// ends, or in the time between two signs of life, are told one by one.
func (o *outboxes) sendAll(ctx context.Context, m *mail) {
	n := o.node
	ctx, cancel := context.WithTimeout(ctx, n.cfg.PeerTimeout/heartbeats)
	defer cancel()
	defer context.AfterFunc(n.done, cancel)()
	req := &Request{Op: OpFinish, Finished: m.ended}
	var to []Peer
	o.mu.Lock()
	for _, t := range m.batch {
		if m.alone {
			t.stop = cancel
		}
		t.to = slices.DeleteFunc(t.to, func(p Peer) bool { return !t.isPending(p.ID) })
		req.Op, req.Removals, to = OpRemove, append(req.Removals, t.Removal), t.to
	}
	if len(m.batch) > 1 {
		to = everybody(m.batch)
	}
	o.mu.Unlock()
	n.complete(Peer{}, req)
	req.Timeout = n.cfg.PeerTimeout / heartbeats
	err := o.broadcaster.Broadcast(ctx, to, req, func(from Peer, r Reply) {
		if r.Ack == nil {
			return
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		o.acknowledged(m.batch, from, r.Ack)
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	missing := 0
	for _, t := range m.batch {
		delete(o.sent, t)
		for _, p := range t.to {
			if t.isPending(p.ID) {
				o.post(t, p)
				missing++
			}
		}
	}
	if missing > 0 {
		n.log.LogAttrs(n.done, levelInfo, "broadcast removals are told one by one", countAttr(missing), slog.Any("error", err))
	}
}

// everybody are all to whom some of the removals are broadcast. outboxes.mu is held.
func everybody(batch []*telling) []Peer {
	var to []Peer
	for _, t := range batch {
		to = append(to, t.to...)
	}
	slices.SortStableFunc(to, func(a, b Peer) int { return cmp.Compare(a.ID, b.ID) })
	return slices.CompactFunc(to, func(a, b Peer) bool { return a.ID == b.ID })
}

// announceToAll tells those of the end of a removal who are not told of anything
// else one by one, and returns the others. outboxes.mu is held.
func (o *outboxes) announceToAll(t *telling) (others []Peer) {
	b := o.ofAll()
	for _, p := range t.peers {
		if b == nil || o.behind(p.ID) {
			others = append(others, p.Peer)
		}
	}
	if b != nil && len(others) < len(t.peers) {
		now := o.node.now()
		b.ended = append(b.ended, ending{t.ID, now})
		if now+int64(finishDelay) < b.wakes {
			signal(b.news)
		}
	}
	return others
}

// replay applies what the archive has of the removals that this node lacks.
func (n *Node) replay(ctx context.Context) {
	if n.outboxes.archive == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, n.cfg.PeerTimeout)
	defer cancel()
	if err := n.outboxes.archive.Replay(ctx, func(r Removal) {
		if n.knowledge.lacks([]Known{{Sender{r.ID.Sender, r.ID.Incarnation}, r.ID.Seq}}) {
			n.applyWhole(r)
		}
	}); err != nil {
		n.log.LogAttrs(n.done, levelInfo, "removals that were missed are not to be had", errAttr(err))
	}
}
