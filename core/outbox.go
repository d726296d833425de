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
	// finishDelay is how long the ends of removals are collected before they
	// are announced on their own; they go along with removals before that.
	finishDelay = 100 * time.Millisecond
	// maxBacklog and maxBacklogBytes bound the removals that one peer has not
	// confirmed, in number and in bytes of keys. Beyond them the oldest are
	// given up: the peer finds out that it lacks them by their numbers.
	maxBacklog      = 10_000
	maxBacklogBytes = 16 << 20
	// strangerMemory is how long a peer is told again that others know and
	// this node does not.
	strangerMemory = time.Minute
)

// outboxes hold what members have to be told. Each member has one: while a
// request is under way to it, what comes meanwhile is collected for the next.
type outboxes struct {
	node *Node

	mu     sync.Mutex
	byPeer map[string]*outbox // by peer ID
}

// outbox is what one peer is to be told, oldest first. A goroutine works on it
// while it is in the map.
type outbox struct {
	peer    Peer
	until   int64 // when it is given up unless it is a member by then, on the node's clock
	waiting []*telling
	bytes   int           // of the keys in waiting
	ended   []RemovalID   // removals whose end is to be announced
	news    chan struct{} // holds one element when something has come
}

// telling is a removal on its way to the members.
type telling struct {
	Removal
	// What follows is guarded by outboxes.mu. Peers are by their IDs.
	told    map[string]Peer
	pending map[string]bool   // have not confirmed
	failed  map[string]*Error // the first failure of those that have not confirmed
	left    bool              // nobody waits for it
	settled chan struct{}     // holds one element when that may have become so of every pending one
}

func newTelling(r Removal) *telling {
	return &telling{
		Removal: r, told: map[string]Peer{}, pending: map[string]bool{}, failed: map[string]*Error{},
		settled: make(chan struct{}, 1),
	}
}

func (t *telling) bytes() (n int) {
	for _, key := range t.Keys {
		n += len(key)
	}
	return n
}

// settle reports it if nobody is to be waited for.
func (t *telling) settle() {
	if len(t.failed) == len(t.pending) {
		signal(t.settled)
	}
}

// signal puts an element into a channel that holds one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func newOutboxes(n *Node) *outboxes {
	return &outboxes{node: n, byPeer: map[string]*outbox{}}
}

// tell sends the removal to the peers, and returns when each has confirmed it
// or failed to, or ctx has ended. Those who confirm name the members that they
// know, which are told, too.
func (o *outboxes) tell(ctx context.Context, t *telling, peers []Peer) {
	o.mu.Lock()
	for _, p := range peers {
		o.enqueue(t, p)
	}
	o.mu.Unlock()
	for !o.isSettled(t) {
		select {
		case <-t.settled:
		case <-ctx.Done():
			return
		}
	}
}

func (o *outboxes) isSettled(t *telling) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(t.failed) == len(t.pending)
}

// enqueue puts the removal into the outbox of the peer. outboxes.mu is held.
func (o *outboxes) enqueue(t *telling, p Peer) {
	if _, known := t.told[p.ID]; known || p.ID == o.node.cfg.Self.ID {
		return
	}
	t.told[p.ID] = p
	t.pending[p.ID] = true
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
		b.waiting[over].fail(p, &Error{Kind: KindOverloaded, Op: OpRemove, Group: t.Group, Peer: p.ID, Err: errBacklog})
	}
	b.waiting = slices.Delete(b.waiting, 0, over)
	signal(b.news)
}

// told takes note that the peer has confirmed the removal already.
func (o *outboxes) told(t *telling, p Peer, ack *Ack) {
	o.mu.Lock()
	defer o.mu.Unlock()
	t.told[p.ID] = p
	for _, p := range ack.Members {
		o.enqueue(t, p)
	}
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

func (o *outboxes) failure(t *telling, p Peer, e *Error) *Error {
	e.Op, e.Group, e.Peer = OpRemove, t.Group, p.ID
	return e
}

// fail takes note of a peer's failure. outboxes.mu is held.
func (t *telling) fail(p Peer, e *Error) {
	if t.pending[p.ID] && t.failed[p.ID] == nil {
		t.failed[p.ID] = e
		t.settle()
	}
}

// work empties the outbox of a peer.
func (o *outboxes) work(b *outbox) {
	n := o.node
	defer n.background.Done()
	for wait, rested := time.Duration(0), false; o.sleep(b, wait); {
		batch, peer, ok := o.next(b)
		if !ok {
			return
		}
		if len(batch) == 0 && !rested { // perhaps something comes that the ends can go along with
			wait, rested = finishDelay, true
			continue
		}
		rested = false
		if err := o.send(b, peer, batch, o.takeEnds(b)); err != nil {
			wait = min(max(2*wait, retryFirst), retryMax)
		} else {
			wait = 0
		}
	}
}

// sleep waits for a while, or until something has come, and is false on a
// closed node.
func (o *outboxes) sleep(b *outbox, wait time.Duration) bool {
	if wait == 0 {
		select {
		case <-b.news:
		default:
		}
		return o.node.done.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-b.news:
	case <-o.node.done.Done():
		return false
	}
	return true
}

// next is what to send to the peer, as much as fits into a request. When
// nothing is left, or the peer is not a member any more, its outbox goes.
func (o *outboxes) next(b *outbox) (batch []*telling, to Peer, ok bool) {
	now := o.node.now()
	members := o.node.view.Load().members(now)
	o.mu.Lock()
	defer o.mu.Unlock()
	if i := slices.IndexFunc(members, func(p Peer) bool { return p.ID == b.peer.ID }); i >= 0 {
		b.peer = members[i] // it may have moved
	} else if now >= b.until {
		for _, t := range b.waiting {
			o.confirmed(t, b.peer.ID)
		}
		b.waiting, b.ended = nil, nil
	}
	if len(b.waiting) == 0 && len(b.ended) == 0 {
		delete(o.byPeer, b.peer.ID)
		return nil, Peer{}, false
	}
	keys, size, end := 0, 0, 0
	for ; end < min(len(b.waiting), MaxBatchKeys); end++ {
		keys += len(b.waiting[end].Keys)
		size += b.waiting[end].bytes()
		if end > 0 && (keys > MaxBatchKeys || size > MaxBatchBytes) {
			break
		}
	}
	return slices.Clone(b.waiting[:end]), b.peer, true
}

// takeEnds takes out what is to be announced.
func (o *outboxes) takeEnds(b *outbox) []RemovalID {
	o.mu.Lock()
	defer o.mu.Unlock()
	ended := b.ended[:min(len(b.ended), MaxBatchKeys)]
	b.ended = b.ended[len(ended):]
	return ended
}

// send tells the peer of the removals, and of the ends of others. It does not
// matter much if it does not hear of the ends: then it remembers the removals
// for removalMemory.
func (o *outboxes) send(b *outbox, peer Peer, batch []*telling, ended []RemovalID) error {
	n := o.node
	ctx, cancel := context.WithTimeout(n.done, removeTimeout)
	defer cancel()
	if len(batch) == 0 {
		err := n.roundTrip(ctx, peer, &Request{Op: OpFinish, Finished: ended}, func(Reply) error { return nil })
		if err != nil {
			n.log.LogAttrs(n.done, levelInfo, "peer did not hear that removals are finished", peerAttr(peer), countAttr(len(ended)), errAttr(err))
		}
		return nil
	}
	rs := make([]Removal, len(batch))
	for i, t := range batch {
		rs[i] = t.Removal
	}
	ack, err := n.sendRemovals(ctx, peer, rs, ended)
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil {
		for _, t := range batch {
			t.fail(peer, o.failure(t, peer, &Error{Kind: err.Kind, RetryAfter: err.RetryAfter, Err: err.Err}))
		}
		return err
	}
	sent := map[*telling]bool{}
	late := 0
	for _, t := range batch {
		sent[t] = true
		if t.left {
			late++
		}
		for _, p := range ack.Members {
			o.enqueue(t, p)
		}
		o.confirmed(t, peer.ID)
	}
	b.waiting = slices.DeleteFunc(b.waiting, func(t *telling) bool { return sent[t] })
	b.bytes = 0
	for _, t := range b.waiting {
		b.bytes += t.bytes()
	}
	if late > 0 {
		n.log.LogAttrs(n.done, levelInfo, "peer confirmed removals late", peerAttr(peer), countAttr(late))
	}
	return nil
}

// confirmed takes note that the peer need not be told of the removal any more,
// and announces its end when nobody else has to be. outboxes.mu is held.
func (o *outboxes) confirmed(t *telling, id string) {
	delete(t.pending, id)
	delete(t.failed, id)
	t.settle()
	if len(t.pending) == 0 && t.left {
		o.announce(t)
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
	if len(t.pending) == 0 {
		o.announce(t)
	}
	return slices.SortedFunc(maps.Values(t.failed), func(a, b *Error) int { return cmp.Compare(a.Peer, b.Peer) })
}

// announce tells all members that the removal is finished. outboxes.mu is held.
func (o *outboxes) announce(t *telling) {
	o.node.removals.finish([]RemovalID{t.ID})
	for _, id := range slices.Sorted(maps.Keys(t.told)) {
		if b := o.of(t.told[id]); b != nil {
			b.ended = append(b.ended, t.ID)
		}
	}
}

// len is how many removals wait for peers that nobody waits for, counted once
// for each peer.
func (o *outboxes) len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	total := 0
	for _, b := range o.byPeer {
		for _, t := range b.waiting {
			if t.left {
				total++
			}
		}
	}
	return total
}
