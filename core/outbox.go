package gcnode

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"
)

var (
	errBacklog        = errors.New("too many removals wait for it")
	errNoConfirmation = errors.New("it has not confirmed in time")
)

const (
	retryFirst = 100 * time.Millisecond
	retryMax   = 5 * time.Second
	// maxFlying bounds the requests under way to one member: one that hangs
	// does not hold up what comes after it.
	maxFlying = 4
	// finishDelay is how long the ends of removals are collected before they
	// are announced on their own; they go along with removals before that.
	finishDelay = 100 * time.Millisecond
	// maxBacklog and maxBacklogBytes bound the removals that one peer has not
	// confirmed, in number and in bytes of keys and names. Beyond them the
	// oldest are given up: the peer finds out that it lacks them by their
	// numbers.
	maxBacklog      = 10_000
	maxBacklogBytes = 16 << 20
	// strangerMemory is how long a peer is told again that others know and
	// this node does not.
	strangerMemory = time.Minute
	// maxEnded bounds the removals whose end is told in one request, so that
	// their senders have MaxBatchBytes at most.
	maxEnded = MaxBatchBytes / MaxIDBytes
)

// outboxes hold what members have to be told. Each member has one: while
// requests are under way to it, what comes meanwhile is collected for the next.
type outboxes struct {
	node        *Node
	broadcaster Broadcaster // the transport, if it is one
	archive     Archive     // the transport, if it is one

	mu     sync.Mutex
	byPeer map[string]*outbox // by peer ID
	all    *outbox            // what all are to be told at once; nil: nothing
	sent   map[*telling]bool  // those in all, and those that are being broadcast
	open   map[*telling]bool  // those that nobody waits for and some have not confirmed
}

// outbox is what one peer is to be told, oldest first. A goroutine works on it
// while it is in the map.
type outbox struct {
	peer    Peer
	until   int64 // when it is given up unless it is a member by then, on the node's clock
	waiting []*telling
	bytes   int           // of the keys and names in waiting
	ended   []ending      // to be announced, oldest first
	flying  int           // requests under way
	fails   int           // in a row
	retryAt int64         // when those that failed are sent again, unless something comes before, on the node's clock
	news    chan struct{} // holds one element when something has changed
}

// ending is a removal that has ended, and when that was on the node's clock.
type ending struct {
	id RemovalID
	at int64
}

// signal puts an element into a channel that holds one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func newOutboxes(n *Node) *outboxes {
	o := &outboxes{node: n, byPeer: map[string]*outbox{}, sent: map[*telling]bool{}, open: map[*telling]bool{}}
	o.broadcaster, _ = n.cfg.Transport.(Broadcaster)
	o.archive, _ = n.cfg.Transport.(Archive)
	return o
}

// tell sends the removal to the peers, and returns when each has confirmed it
// or failed to, or ctx has ended. Those who confirm name the members that they
// know, which are told, too.
func (o *outboxes) tell(ctx context.Context, t *telling, peers []Peer) {
	o.mu.Lock()
	o.begin(t, peers)
	o.mu.Unlock()
	for !o.isSettled(t) {
		select {
		case <-t.settled:
		case <-ctx.Done():
			return
		}
	}
}

// begin has the peers told of the removal. outboxes.mu is held.
func (o *outboxes) begin(t *telling, peers []Peer) {
	if o.broadcaster != nil {
		o.broadcast(t, peers)
		return
	}
	for _, p := range peers {
		o.enqueue(t, p)
	}
}

func (o *outboxes) isSettled(t *telling) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return t.isSettled()
}

// enqueue has the peer told of the removal, unless it is. outboxes.mu is held.
func (o *outboxes) enqueue(t *telling, p Peer) {
	if o.owe(t, p) {
		o.post(t, p)
	}
}

// owe takes note that the peer has to be told of the removal. It is false if
// that was known. outboxes.mu is held.
func (o *outboxes) owe(t *telling, p Peer) bool {
	if _, known := t.told[p.ID]; known || p.ID == o.node.cfg.Self.ID {
		return false
	}
	t.told[p.ID] = p
	t.pending[p.ID] = true
	return true
}

// post puts the removal into the outbox of the peer. outboxes.mu is held.
func (o *outboxes) post(t *telling, p Peer) {
	b := o.of(p)
	if b == nil {
		t.failed[p.ID] = o.failure(t, p, &Error{Kind: KindDraining})
		return
	}
	b.waiting = append(b.waiting, t)
	b.bytes += t.bytes()
	over := 0
	for ; len(b.waiting)-over > maxBacklog || b.bytes > maxBacklogBytes && over < len(b.waiting)-1; over++ {
		b.bytes -= b.waiting[over].bytes()
		o.giveUp(b.waiting[over], p)
	}
	b.waiting = slices.Delete(b.waiting, 0, over)
	b.retryAt = 0
	signal(b.news)
}

// told takes note that the peer has confirmed the removal already.
func (o *outboxes) told(t *telling, p Peer, ack *Ack) {
	o.mu.Lock()
	defer o.mu.Unlock()
	t.told[p.ID] = p
	o.heed(t, ack)
}

// heed takes note of what a confirmation says beside that it is one.
// outboxes.mu is held.
func (o *outboxes) heed(t *telling, ack *Ack) {
	o.node.stamps.merge(Stamp{Time: ack.Time})
	t.early = t.early || ack.Time != 0 && ack.Time >= t.Stamp.Time
	for _, p := range ack.Members {
		o.enqueue(t, p)
	}
}

func (o *outboxes) isEarly(t *telling) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return t.early
}

// of is the outbox of the peer, nil on a closed node. outboxes.mu is held.
func (o *outboxes) of(p Peer) *outbox {
	b := o.byPeer[p.ID]
	if b == nil {
		if !o.node.beginBackground() {
			return nil
		}
		b = &outbox{peer: p, news: make(chan struct{}, 1)}
		o.byPeer[p.ID] = b
		go o.work(b)
	}
	b.until = o.node.now() + int64(strangerMemory)
	return b
}

// giveUp takes note that the peer is not told of the removal any more.
// outboxes.mu is held.
func (o *outboxes) giveUp(t *telling, p Peer) {
	t.fail(p, o.failure(t, p, &Error{Kind: KindOverloaded, Err: errBacklog}))
	delete(t.pending, p.ID)
	if len(t.pending) == 0 {
		delete(o.open, t)
	}
}

func (o *outboxes) failure(t *telling, p Peer, e *Error) *Error {
	e.Op, e.Group, e.Peer = OpRemove, t.Group, p.ID
	return e
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
		o.sendAll(m)
		o.landed(b, m, nil, nil)
		return
	}
	ack, err := o.send(m)
	o.landed(b, m, ack, err)
}

// mail is a request to a peer, or to all.
type mail struct {
	to    Peer // without an ID: all
	batch []*telling
	ended []RemovalID
}

// next is what to send to the peer now, as much as fits into a request, or how
// long to wait for that. When nothing is left, or the peer is not a member any
// more, its outbox goes.
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
	case len(b.waiting) == 0 && len(b.ended) == 0 && b.flying == 0:
		o.close(b)
		return nil, 0, true
	case b.flying == maxFlying, len(b.waiting) == 0 && len(b.ended) == 0:
		return nil, removeTimeout, false
	case len(b.waiting) == 0 && now < b.ended[0].at+int64(finishDelay):
		return nil, time.Duration(b.ended[0].at + int64(finishDelay) - now), false
	case now < b.retryAt:
		return nil, time.Duration(b.retryAt - now), false
	}
	b.flying++
	return b.take(now), 0, false
}

// close takes out an empty outbox. outboxes.mu is held.
func (o *outboxes) close(b *outbox) {
	if b == o.all {
		o.all = nil
	} else {
		delete(o.byPeer, b.peer.ID)
	}
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
		o.begin(t, members)
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
	b.flying--
	if err != nil {
		pause := min(retryFirst<<min(b.fails, 10), retryMax)
		b.fails++
		b.retryAt = o.node.now() + int64(pause)
		b.waiting = append(m.batch, b.waiting...)
		for _, t := range m.batch {
			b.bytes += t.bytes()
			t.fail(m.to, o.failure(t, m.to, &Error{Kind: err.Kind, RetryAfter: err.RetryAfter, Err: err.Err}))
		}
	} else if b.fails = 0; ack != nil {
		o.confirm(m, ack)
	}
	signal(b.news)
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

// behind reports whether a peer has not confirmed what it was told alone.
// outboxes.mu is held.
func (o *outboxes) behind(id string) bool {
	b := o.byPeer[id]
	return b != nil && (len(b.waiting) > 0 || b.flying > 0)
}

// acknowledged takes note that the peer has confirmed the removals, and of what
// else it says. outboxes.mu is held.
func (o *outboxes) acknowledged(ts []*telling, from Peer, ack *Ack) {
	var early []*telling
	for _, t := range ts {
		o.heed(t, ack)
		if t.left && t.early && !t.again {
			t.again = true
			early = append(early, t)
		}
		if t.pending[from.ID] {
			o.confirmed(t, from.ID)
		}
	}
	if len(early) > 0 {
		o.node.goBackground(func() { o.repeat(early) })
	}
}

// confirmed takes note that the peer need not be told of the removal any more,
// and announces its end when nobody else has to be. outboxes.mu is held.
func (o *outboxes) confirmed(t *telling, id string) {
	delete(t.pending, id)
	delete(t.failed, id)
	t.settle()
	if len(t.pending) == 0 && t.left {
		delete(o.open, t)
		if len(t.failed) == 0 {
			o.announce(t)
		}
	}
}

// leave ends the waiting for a removal: it returns why the members failed that
// have not confirmed it, which are told again, and otherwise announces its end.
func (o *outboxes) leave(t *telling) []*Error {
	o.mu.Lock()
	defer o.mu.Unlock()
	t.left = true
	for id := range t.pending {
		if t.failed[id] == nil {
			t.failed[id] = o.failure(t, t.told[id], &Error{Kind: KindTimeout, Err: errNoConfirmation})
		}
	}
	switch {
	case len(t.pending) > 0:
		o.open[t] = true
	case len(t.failed) == 0:
		o.announce(t)
	}
	return slices.SortedFunc(maps.Values(t.failed), func(a, b *Error) int { return cmp.Compare(a.Peer, b.Peer) })
}

// announce tells all members that the removal is finished. outboxes.mu is held.
func (o *outboxes) announce(t *telling) {
	o.node.removals.finish([]RemovalID{t.ID})
	for _, p := range o.announced(t) {
		if b := o.of(p); b != nil {
			b.ended = append(b.ended, ending{t.ID, o.node.now()})
			signal(b.news)
		}
	}
}

// announced are those whom to tell one by one that the removal is finished.
// outboxes.mu is held.
func (o *outboxes) announced(t *telling) (peers []Peer) {
	if o.broadcaster != nil {
		return o.announceToAll(t)
	}
	for _, id := range slices.Sorted(maps.Keys(t.told)) {
		peers = append(peers, t.told[id])
	}
	return peers
}

// dismiss takes note that a peer need not be told of anything any more.
func (o *outboxes) dismiss(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for t := range o.sent {
		if t.pending[id] {
			o.confirmed(t, id)
		}
	}
	b := o.byPeer[id]
	if b == nil {
		return
	}
	waiting := b.waiting
	b.waiting, b.ended, b.bytes = nil, nil, 0
	for _, t := range waiting {
		o.confirmed(t, id)
	}
	signal(b.news)
}

// len is how many removals wait for peers that nobody waits for, counted once
// for each peer.
func (o *outboxes) len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	total := 0
	for t := range o.open {
		total += len(t.pending)
	}
	return total
}
