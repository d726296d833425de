package gcnode

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	retryFirst = 100 * time.Millisecond
	retryMax   = 5 * time.Second
	// maxBacklog and maxBacklogBytes bound the removals that one peer has not
	// confirmed, in number and in bytes of keys. Beyond them the oldest are
	// given up: the peer's copies of those keys last until they expire.
	maxBacklog      = 10_000
	maxBacklogBytes = 16 << 20
	// strangerMemory is how long a peer is told again that others know and
	// this node does not.
	strangerMemory = time.Minute
)

// retries sends removals to the members that did not confirm them, until they
// do, or are not members any more.
type retries struct {
	node *Node

	mu      sync.Mutex
	backlog map[string]*peerBacklog // by peer ID
}

// peerBacklog is what one peer has not confirmed, oldest first. A goroutine
// works on it while it is in the map.
type peerBacklog struct {
	peer    Peer
	until   int64 // when it is given up unless it is a member by then, on the node's clock
	waiting []*unconfirmed
	bytes   int // of the keys in waiting
}

// unconfirmed is a removal that some members have not confirmed.
type unconfirmed struct {
	Removal
	told    map[string]Peer // by ID; guarded by retries.mu
	pending map[string]bool // the IDs of those that did not confirm; guarded by retries.mu
}

func (u *unconfirmed) bytes() (n int) {
	for _, key := range u.Keys {
		n += len(key)
	}
	return n
}

func newRetries(n *Node) *retries {
	return &retries{node: n, backlog: map[string]*peerBacklog{}}
}

// add takes over a removal that was told to the peers in told, of which those
// in failed did not confirm.
func (rt *retries) add(r Removal, told map[string]Peer, failed map[string]*Error) {
	u := &unconfirmed{Removal: r, told: told, pending: map[string]bool{}}
	rt.mu.Lock()
	defer rt.mu.Unlock()
	for id := range failed {
		rt.enqueue(u, told[id])
	}
}

// enqueue puts the removal on the backlog of the peer. retries.mu is held.
func (rt *retries) enqueue(u *unconfirmed, p Peer) {
	b := rt.backlog[p.ID]
	if b == nil {
		if !rt.node.begin() {
			return
		}
		b = &peerBacklog{peer: p}
		rt.backlog[p.ID] = b
		go rt.work(b)
	}
	b.until = rt.node.now() + int64(strangerMemory)
	u.pending[p.ID] = true
	b.waiting = append(b.waiting, u)
	b.bytes += u.bytes()
	over := 0
	for ; len(b.waiting)-over > maxBacklog || b.bytes > maxBacklogBytes && over < len(b.waiting)-1; over++ {
		b.bytes -= b.waiting[over].bytes()
	}
	b.waiting = slices.Delete(b.waiting, 0, over)
}

// work empties the backlog of a peer.
func (rt *retries) work(b *peerBacklog) {
	n := rt.node
	defer n.end()
	for wait := retryFirst; ; {
		select {
		case <-n.done.Done():
			return
		case <-time.After(wait):
		}
		batch, peer := rt.next(b)
		if len(batch) == 0 {
			return
		}
		rs := make([]Removal, len(batch))
		for i, u := range batch {
			rs[i] = u.Removal
		}
		ctx, cancel := context.WithTimeout(n.done, removeTimeout)
		ack, err := n.sendRemovals(ctx, peer, rs)
		cancel()
		if err != nil {
			wait = min(max(2*wait, retryFirst), retryMax)
			continue
		}
		wait = 0
		n.log.LogAttrs(n.done, levelInfo, "peer confirmed removals late", peerAttr(peer), countAttr(len(batch)))
		rt.confirmed(b, batch, ack)
	}
}

// next is what to send to the peer, as much as fits into a request. When
// nothing is left, or the peer is not a member any more, its backlog goes.
func (rt *retries) next(b *peerBacklog) ([]*unconfirmed, Peer) {
	now := rt.node.now()
	members := rt.node.view.Load().members(now)
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if i := slices.IndexFunc(members, func(p Peer) bool { return p.ID == b.peer.ID }); i >= 0 {
		b.peer = members[i] // it may have moved
	} else if now >= b.until {
		for _, u := range b.waiting {
			rt.settle(u, b.peer.ID)
		}
		b.waiting = nil
	}
	if len(b.waiting) == 0 {
		delete(rt.backlog, b.peer.ID)
		return nil, Peer{}
	}
	keys, size, end := 0, 0, 0
	for ; end < len(b.waiting); end++ {
		keys += len(b.waiting[end].Keys)
		size += b.waiting[end].bytes()
		if end > 0 && (keys > MaxBatchKeys || size > MaxBatchBytes) {
			break
		}
	}
	return slices.Clone(b.waiting[:end]), b.peer
}

// confirmed takes the batch off the peer's backlog, and sees to it that the
// members that it knows are told as well.
func (rt *retries) confirmed(b *peerBacklog, batch []*unconfirmed, ack *Ack) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	sent := map[*unconfirmed]bool{}
	for _, u := range batch {
		sent[u] = true
		for _, p := range ack.Members {
			if _, ok := u.told[p.ID]; !ok && p.ID != rt.node.cfg.Self.ID {
				u.told[p.ID] = p
				rt.enqueue(u, p)
			}
		}
		rt.settle(u, b.peer.ID)
	}
	b.waiting = slices.DeleteFunc(b.waiting, func(u *unconfirmed) bool { return sent[u] })
	b.bytes = 0
	for _, u := range b.waiting {
		b.bytes += u.bytes()
	}
}

// settle takes note that the peer need not be told of the removal any more,
// and announces its end when nobody else has to be. retries.mu is held.
func (rt *retries) settle(u *unconfirmed, id string) {
	delete(u.pending, id)
	if len(u.pending) == 0 {
		rt.node.finishLater(u.ID, slices.Collect(maps.Values(u.told)))
	}
}

// len is how many removals wait for peers.
func (rt *retries) len() int {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	total := 0
	for _, b := range rt.backlog {
		total += len(b.waiting)
	}
	return total
}
