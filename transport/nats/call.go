package natstransport

import (
	"fmt"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

// call is a request on a stream, on the side that asks. There are as many as are
// under way, and each is touched by who asks and by who receives: it is small.
type call struct {
	id     uint64
	frames wire.Collector // of the goroutine that receives
	begun  begun
	waiter *waiter // who waits for a call that was not begun

	// Under the mutex of the session.
	unpaid int   // what has come without credit for it
	done   bool  // nothing more comes
	err    error // beside done
}

// waiter is what a call has somebody waits for. Its fields are under the mutex of
// the session.
type waiter struct {
	wake    chan struct{}
	waiting bool           // for wake
	busy    bool           // with replies that it has taken
	replies []gcnode.Reply // that it has not taken
	taken   []gcnode.Reply // the last ones that it has
}

const (
	// maxFree is how many calls a session keeps to be used again, and
	// maxKeptReplies for how many replies each of these has room.
	maxFree        = 256
	maxKeptReplies = 16
)

// newCall returns a call that is not in use. The session is locked.
func (s *session) newCall() *call {
	n := len(s.free)
	if n == 0 {
		return &call{}
	}
	c := s.free[n-1]
	s.free = s.free[:n-1]
	return c
}

// await has somebody wait for a call. The session is locked.
func (c *call) await() {
	if c.waiter == nil {
		c.waiter = &waiter{wake: make(chan struct{}, 1)}
	}
}

// recycle takes a call back that nobody refers to any more.
func (s *session) recycle(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reuse(c)
}

// reuse is recycle when the session is locked.
func (s *session) reuse(c *call) {
	*c = call{waiter: c.waiter}
	if w := c.waiter; w != nil {
		clear(w.taken)
		if cap(w.taken) > maxKeptReplies {
			w.taken = nil
		}
		*w = waiter{wake: w.wake, taken: w.taken[:0]}
	}
	if len(s.free) < maxFree {
		s.free = append(s.free, c)
	}
}

// signal wakes the caller. The session is locked.
func (c *call) signal() {
	if w := c.waiter; w != nil && w.waiting {
		w.waiting = false
		w.wake <- struct{}{} // there is room for one
	}
}

// finish ends a call, with an error or without. The session is locked.
func (c *call) finish(err error) {
	c.done, c.err = true, err
	c.signal()
}

// lostError says that a stream ended before an answer did.
type lostError struct {
	err error
	// again says that another stream may do better, and unsent that it was
	// never opened, so that nothing of the request was sent.
	again, unsent bool
}

// Error implements the error interface.
func (e *lostError) Error() string { return fmt.Sprintf("the stream has ended: %v", e.err) }

// Unwrap returns why.
func (e *lostError) Unwrap() error { return e.err }
