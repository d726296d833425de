package gcnode

// telling is a removal on its way to the members.
type telling struct {
	Removal
	// What follows is guarded by outboxes.mu. Peers are by their IDs.
	told    map[string]Peer
	pending map[string]bool   // have not confirmed
	failed  map[string]*Error // the first failure of those that have not confirmed, or were given up
	left    bool              // nobody waits for it
	early   bool              // somebody has left what may have been written before the call
	again   bool              // it is the repetition of one that was
	// broadcast says that it was decided to whom it is broadcast, which is to.
	broadcast bool
	to        []Peer
	settled   chan struct{} // holds one element when that may have become so of every pending one
}

// newTelling is for about that many members.
func newTelling(r Removal, members int) *telling {
	return &telling{
		Removal: r, told: make(map[string]Peer, members), pending: make(map[string]bool, members), failed: map[string]*Error{},
		settled: make(chan struct{}, 1),
	}
}

// isSettled reports whether nobody is to be waited for. outboxes.mu is held.
func (t *telling) isSettled() bool {
	for id := range t.pending {
		if t.failed[id] == nil {
			return false
		}
	}
	return true
}

// settle wakes whoever waits if nobody is to be waited for. outboxes.mu is held.
func (t *telling) settle() {
	if t.isSettled() {
		signal(t.settled)
	}
}

// fail takes note of a peer's failure. outboxes.mu is held.
func (t *telling) fail(p Peer, e *Error) {
	if t.pending[p.ID] && t.failed[p.ID] == nil {
		t.failed[p.ID] = e
		t.settle()
	}
}
