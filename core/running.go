package gcnode

import (
	"sync"
	"sync/atomic"
)

// running counts the pieces of work that are under way, until it is closed: then
// no more are begun, but for those that others begin which are under way, and it
// is idle when the last one ends. It takes one atomic operation to begin and one to
// end a piece: all that a node does goes through here.
type running struct {
	count atomic.Int64 // and closed on top of it
	idle  chan struct{}
	once  sync.Once // for idle: who is refused counts for a moment
	_     [36]byte  // it is as large as a cache line, and allocated as one
}

// closed is more than there can be pieces.
const closed = 1 << 62

func newRunning() *running { return &running{idle: make(chan struct{})} }

// begin is false when it is closed, and otherwise end must follow.
func (r *running) begin() bool {
	if r.count.Add(1) < closed {
		return true
	}
	r.end()
	return false
}

// beginMore is begin for whoever has begun already, and not ended.
func (r *running) beginMore() { r.count.Add(1) }

func (r *running) end() {
	if r.count.Add(-1) == closed {
		r.once.Do(func() { close(r.idle) })
	}
}

// close is called once, and begins the last piece.
func (r *running) close() { r.count.Add(closed + 1) }
