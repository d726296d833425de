package gcnode

import (
	"context"
	"slices"
	"time"
)

// mail is a request to a peer, or to all.
type mail struct {
	to    Peer // without an ID: all
	batch []*telling
	ended []RemovalID
	alone bool // it has one removal, and whoever waits for that sends it
}

// work empties the outbox of a peer.
func (o *outboxes) work(b *outbox) {
	n := o.node
	defer n.background.Done()
	for {
		m, wait, gone := o.next(b)
		switch {
		case gone:
			return
		case m != nil:
			n.background.Go(func() { o.deliver(b, m) })
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-b.news:
		case <-n.done.Done():
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// deliver sends a request.
func (o *outboxes) deliver(b *outbox, m *mail) {
	if m.to.ID == "" {
		o.sendAll(o.node.done, m)
		o.landed(b, m, nil, nil)
		return
	}
	ack, err := o.send(m)
	o.landed(b, m, ack, err)
}

// next is what to send to the peer now, as much as fits into a request, or how
// long to wait for that. When nothing is left, or the peer is not a member any
// more, its outbox goes; that of all stays.
func (o *outboxes) next(b *outbox) (m *mail, wait time.Duration, gone bool) {
	now := o.node.now()
	members := o.node.view.Load().members(now)
	o.mu.Lock()
	defer o.mu.Unlock()
	if i := slices.IndexFunc(members, func(p Peer) bool { return p.ID == b.peer.ID }); i >= 0 {
		b.peer = members[i] // it may have moved
	} else if b != o.all && now >= b.until {
		for _, t := range b.waiting {
			o.confirmed(t, b.peer.ID)
		}
		b.waiting, b.ended, b.bytes = nil, nil, 0
	}
	switch {
	case len(b.waiting) == 0 && len(b.ended) == 0 && b.flying == 0 && b != o.all:
		delete(o.byPeer, b.peer.ID)
		return nil, 0, true
	case b.flying == maxFlying, len(b.waiting) == 0 && len(b.ended) == 0:
		b.wakes = now + int64(removeTimeout)
	case len(b.waiting) == 0 && now < b.ended[0].at+int64(finishDelay):
		b.wakes = b.ended[0].at + int64(finishDelay)
	case now < b.retryAt:
		b.wakes = b.retryAt
	default:
		b.flying++
		return b.take(now), 0, false
	}
	return nil, time.Duration(b.wakes - now), false
}

// takeAlone takes out the only removal that waits in the outbox of all, for whoever
// has just put it there: no other goroutine has to wake first. Otherwise it goes
// with the others. outboxes.mu is held.
func (b *outbox) takeAlone(now int64) *mail {
	switch {
	case b == nil:
		return nil
	case len(b.waiting) > 1, b.flying == maxFlying:
		signal(b.news)
		return nil
	}
	b.flying++
	m := b.take(now)
	m.alone = true
	return m
}

// take takes out what fits into a request. The ends of this very instant stay,
// so that it does not depend on which goroutine comes first whether they go
// along. outboxes.mu is held.
func (b *outbox) take(now int64) *mail {
	end := fitting(len(b.waiting), func(i int) *Removal { return &b.waiting[i].Removal })
	m := &mail{to: b.peer, batch: slices.Clone(b.waiting[:end])}
	b.waiting = slices.Delete(b.waiting, 0, end)
	for _, t := range m.batch {
		b.bytes -= t.bytes()
	}
	for len(b.ended) > 0 && len(m.ended) < maxEnded && b.ended[0].at < now {
		m.ended = append(m.ended, b.ended[0].id)
		b.ended = b.ended[1:]
	}
	return m
}

// send tells the peer of removals, and of the ends of others. It does not
// matter much if it does not hear of the ends: then it remembers the removals
// for removalMemory.
func (o *outboxes) send(m *mail) (*Ack, *Error) {
	n := o.node
	ctx, cancel := context.WithTimeout(n.done, removeTimeout)
	defer cancel()
	if len(m.batch) == 0 {
		err := n.roundTrip(ctx, m.to, &Request{Op: OpFinish, Finished: m.ended}, func(Reply) error { return nil })
		if err != nil {
			n.log.LogAttrs(n.done, levelInfo, "peer did not hear that removals are finished", peerAttr(m.to), countAttr(len(m.ended)), errAttr(err))
		}
		return nil, nil
	}
	rs := make([]Removal, len(m.batch))
	for i, t := range m.batch {
		rs[i] = t.Removal
	}
	return n.sendRemovals(ctx, m.to, rs, m.ended)
}

// repeat tells everybody again, with later stamps, of removals that were early
// and nobody waits for.
func (o *outboxes) repeat(early []*telling) {
	n := o.node
	next := make([]*telling, len(early))
	for i, t := range early {
		next[i] = n.newTelling(t.Removal)
		next[i].again = true
		n.applyWhole(next[i].Removal)
	}
	members := n.view.Load().members(n.now())
	o.mu.Lock()
	for _, t := range next {
		if b := o.begin(t, members); b != nil {
			signal(b.news)
		}
	}
	o.mu.Unlock()
	for _, t := range next {
		o.leave(t)
	}
}

// landed takes note of the end of a request, and of a confirmation if there is
// one. What failed is sent again.
func (o *outboxes) landed(b *outbox, m *mail, ack *Ack, err *Error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	hasRoom := b.flying < maxFlying
	b.flying--
	if err != nil {
		pause := min(retryFirst<<min(b.fails, 10), retryMax)
		b.fails++
		b.retryAt = o.node.now() + int64(pause)
		b.waiting = append(m.batch, b.waiting...)
		for _, t := range m.batch {
			b.bytes += t.bytes()
			t.fail(m.to.ID, o.failure(t, m.to, &Error{Kind: err.Kind, RetryAfter: err.RetryAfter, Err: err.Err}), true)
		}
	} else if b.fails = 0; ack != nil {
		o.confirm(m, ack)
	}
	if b != o.all || !hasRoom { // whoever waits for anything else in that of all has news of it
		signal(b.news)
	}
}

// confirm takes note that the peer has confirmed what it was told alone.
// outboxes.mu is held.
func (o *outboxes) confirm(m *mail, ack *Ack) {
	late := 0
	for _, t := range m.batch {
		if t.left {
			late++
		}
	}
	o.acknowledged(m.batch, m.to, ack)
	if n := o.node; late > 0 {
		n.log.LogAttrs(n.done, levelInfo, "peer confirmed removals late", peerAttr(m.to), countAttr(late))
	}
}
