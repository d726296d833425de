package gcnode

import (
	"context"
	"errors"
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
	all    *outbox            // what all are to be told at once; nil: there never was anything
	sent   map[*telling]bool  // those in all, and those that are being broadcast
	open   map[*telling]bool  // those that nobody waits for and some have not confirmed
}

// outbox is what one peer is to be told, oldest first, or all. A goroutine works
// on it while it is there.
type outbox struct {
	peer    Peer
	until   int64 // when it is given up unless it is a member by then, on the node's clock
	waiting []*telling
	bytes   int           // of the keys and names in waiting
	ended   []ending      // to be announced, oldest first
	flying  int           // requests under way
	fails   int           // in a row
	retryAt int64         // when those that failed are sent again, unless something comes before, on the node's clock
	wakes   int64         // when the goroutine looks at it again unless there is news, on the node's clock
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
	b := o.begin(t, peers)
	m := b.takeAlone(o.node.now())
	o.mu.Unlock()
	if m != nil {
		o.sendAll(ctx, m)
		o.landed(b, m, nil, nil)
	}
	for !o.isSettled(t) {
		select {
		case <-t.settled:
		case <-ctx.Done():
			return
		}
	}
}

// begin has the peers told of the removal. If it waits in the outbox of all, that
// is returned: then the caller sends it, or signals that there is news.
// outboxes.mu is held.
func (o *outboxes) begin(t *telling, peers []Peer) (all *outbox) {
	if o.broadcaster != nil {
		return o.broadcast(t, peers)
	}
	for _, p := range peers {
		o.enqueue(t, p)
	}
	return nil
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
	return p.ID != o.node.cfg.Self.ID && t.add(p, true)
}

// post puts the removal into the outbox of the peer. outboxes.mu is held.
func (o *outboxes) post(t *telling, p Peer) {
	b := o.of(p)
	if b == nil {
		t.fail(p.ID, o.failure(t, p, &Error{Kind: KindDraining}), true)
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
	t.add(p, false)
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
	t.fail(p.ID, o.failure(t, p, &Error{Kind: KindOverloaded, Err: errBacklog}), false)
	if t.pending == 0 {
		delete(o.open, t)
	}
}

func (o *outboxes) failure(t *telling, p Peer, e *Error) *Error {
	e.Op, e.Group, e.Peer = OpRemove, t.Group, p.ID
	return e
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
		if t.isPending(from.ID) {
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
	t.confirm(id)
	if t.pending == 0 && t.left {
		delete(o.open, t)
		if t.failed == 0 {
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
	for _, p := range t.peers {
		if p.pending && p.failed == nil {
			t.fail(p.ID, o.failure(t, p.Peer, &Error{Kind: KindTimeout, Err: errNoConfirmation}), true)
		}
	}
	switch {
	case t.pending > 0:
		o.open[t] = true
	case t.failed == 0:
		o.announce(t)
	}
	return t.failures()
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
	for _, p := range t.peers {
		peers = append(peers, p.Peer)
	}
	return peers
}

// dismiss takes note that a peer need not be told of anything any more.
func (o *outboxes) dismiss(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for t := range o.sent {
		if t.isPending(id) {
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
		total += t.pending
	}
	return total
}
