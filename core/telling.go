package gcnode

import (
	"cmp"
	"slices"
)

// telling is a removal on its way to the members.
type telling struct {
	Removal
	// What follows is guarded by outboxes.mu.
	peers   []told // who is told, by ID
	pending int    // how many have not confirmed
	failed  int    // how many have failed and not confirmed since, or were given up
	awaited int    // how many have neither confirmed nor failed
	left    bool   // nobody waits for it
	early   bool   // somebody has left what may have been written before the call
	again   bool   // it is the repetition of one that was
	// broadcast says that it was decided to whom it is broadcast, which is to.
	broadcast bool
	to        []Peer
	stop      func()        // ends the broadcast for which the caller waits; nil: there is none
	settled   chan struct{} // holds one element when that may have become so of every pending one
}

// told is a peer that is told of a removal, or has confirmed it already.
type told struct {
	Peer

	pending bool   // it has not confirmed
	failed  *Error // the first failure if it has not confirmed, or why it was given up
}

// newTelling is for about that many members.
func newTelling(r Removal, members int) *telling {
	return &telling{Removal: r, peers: make([]told, 0, members), settled: make(chan struct{}, 1)}
}

func (t *telling) search(id string) (i int, found bool) {
	if n := len(t.peers); n == 0 || t.peers[n-1].ID < id { // they are told in this order
		return n, false
	}
	return slices.BinarySearchFunc(t.peers, id, func(p told, id string) int { return cmp.Compare(p.ID, id) })
}

// add takes note of a peer, and reports whether it was not known.
// outboxes.mu is held.
func (t *telling) add(p Peer, pending bool) bool {
	i, found := t.search(p.ID)
	if !found {
		t.peers = slices.Insert(t.peers, i, told{Peer: p})
		t.set(i, pending, nil)
	}
	return !found
}

// of is a peer, nil if it is not told. outboxes.mu is held.
func (t *telling) of(id string) *told {
	if i, found := t.search(id); found {
		return &t.peers[i]
	}
	return nil
}

// isPending reports whether the peer has been told and not confirmed.
// outboxes.mu is held.
func (t *telling) isPending(id string) bool {
	p := t.of(id)
	return p != nil && p.pending
}

// set changes what is known of the peer with an index, and counts it. outboxes.mu
// is held.
func (t *telling) set(i int, pending bool, failed *Error) {
	p := &t.peers[i]
	t.count(p, -1)
	p.pending, p.failed = pending, failed
	t.count(p, 1)
}

func (t *telling) count(p *told, sign int) {
	switch {
	case p.failed != nil && p.pending:
		t.failed += sign
		t.pending += sign
	case p.failed != nil:
		t.failed += sign
	case p.pending:
		t.pending += sign
		t.awaited += sign
	}
}

// confirm takes note that a peer need not be told any more. outboxes.mu is held.
func (t *telling) confirm(id string) {
	if i, found := t.search(id); found {
		t.set(i, false, nil)
	}
	t.settle()
}

// isSettled reports whether nobody is to be waited for. outboxes.mu is held.
func (t *telling) isSettled() bool { return t.awaited == 0 }

// settle wakes whoever waits if nobody is to be waited for. outboxes.mu is held.
func (t *telling) settle() {
	if !t.isSettled() {
		return
	}
	signal(t.settled)
	if t.stop != nil {
		t.stop()
	}
}

// fail takes note of a peer's failure, after which it is told again or not.
// outboxes.mu is held.
func (t *telling) fail(id string, e *Error, again bool) {
	i, found := t.search(id)
	if !found || !t.peers[i].pending {
		return
	}
	t.set(i, again, cmp.Or(t.peers[i].failed, e))
	t.settle()
}

// failures are why peers have failed, by their IDs. outboxes.mu is held.
func (t *telling) failures() []*Error {
	var all []*Error
	for i := range t.peers {
		if e := t.peers[i].failed; e != nil {
			all = append(all, e)
		}
	}
	return all
}
