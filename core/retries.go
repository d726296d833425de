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
	// maxBacklog bounds the removals that one peer has not confirmed. Beyond
	// it the oldest are given up: the peer's copies of those keys last until
	// they expire.
	maxBacklog = 10_000
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
	waiting []*unconfirmed
}

// unconfirmed is a removal that some members have not confirmed.
type unconfirmed struct {
	Removal
	told    []Peer
	pending map[string]bool // IDs; guarded by retries.mu
}

func newRetries(n *Node) *retries {
	return &retries{node: n, backlog: map[string]*peerBacklog{}}
}

// add takes over a removal that was told to the peers in told, of which those
// in failed did not confirm.
func (rt *retries) add(r Removal, told map[string]Peer, failed map[string]*Error) {
	u := &unconfirmed{Removal: r, told: slices.Collect(maps.Values(told)), pending: map[string]bool{}}
	rt.mu.Lock()
	defer rt.mu.Unlock()
	for id := range failed {
		u.pending[id] = true
		b := rt.backlog[id]
		if b == nil {
			if !rt.node.begin() {
				return
			}
			b = &peerBacklog{peer: told[id]}
			rt.backlog[id] = b
			go rt.work(b)
		}
		b.waiting = append(b.waiting, u)
		if over := len(b.waiting) - maxBacklog; over > 0 {
			b.waiting = slices.Delete(b.waiting, 0, over)
		}
	}
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
		batch := rt.next(b)
		if len(batch) == 0 {
			return
		}
		rs := make([]Removal, len(batch))
		for i, u := range batch {
			rs[i] = u.Removal
		}
		ctx, cancel := context.WithTimeout(n.done, removeTimeout)
		_, err := n.sendRemovals(ctx, b.peer, rs)
		cancel()
		if err != nil {
			wait = min(2*wait, retryMax)
			continue
		}
		wait = 0
		n.log.LogAttrs(n.done, levelInfo, "peer confirmed removals late", peerAttr(b.peer), countAttr(len(batch)))
		rt.confirmed(b, batch)
	}
}

// next is what to send to the peer, as much as fits into a request. When
// nothing is left, or the peer is not a member any more, its backlog goes.
func (rt *retries) next(b *peerBacklog) []*unconfirmed {
	members := rt.node.view.Load().members(rt.node.now())
	i := slices.IndexFunc(members, func(p Peer) bool { return p.ID == b.peer.ID })
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if i < 0 || len(b.waiting) == 0 {
		delete(rt.backlog, b.peer.ID)
		return nil
	}
	b.peer = members[i] // it may have moved
	keys, size, end := 0, 0, 0
	for ; end < len(b.waiting); end++ {
		keys += len(b.waiting[end].Keys)
		for _, key := range b.waiting[end].Keys {
			size += len(key)
		}
		if end > 0 && (keys > MaxBatchKeys || size > MaxBatchBytes) {
			break
		}
	}
	return slices.Clone(b.waiting[:end])
}

// confirmed takes the batch off the peer's backlog, and announces the end of
// removals that nobody else has to confirm.
func (rt *retries) confirmed(b *peerBacklog, batch []*unconfirmed) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	sent := map[*unconfirmed]bool{}
	for _, u := range batch {
		sent[u] = true
		delete(u.pending, b.peer.ID)
		if len(u.pending) == 0 {
			rt.node.finishLater(u.ID, u.told)
		}
	}
	b.waiting = slices.DeleteFunc(b.waiting, func(u *unconfirmed) bool { return sent[u] })
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
