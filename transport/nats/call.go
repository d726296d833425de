package natstransport

import (
	"fmt"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

// call is a request on a stream, on the side that asks.
type call struct {
	id   uint64
	wake chan struct{}

	frames wire.Collector // of the goroutine that receives
	begun  begun

	// Under the mutex of the session.
	waiting bool           // for wake
	busy    bool           // with replies that it has taken
	replies []gcnode.Reply // that it has not taken
	taken   []gcnode.Reply // the last ones that it has
	unpaid  int            // what has come without credit for it
	done    bool           // nothing more comes
	err     error          // beside done
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
		return &call{wake: make(chan struct{}, 1)}
	}
	c := s.free[n-1]
	s.free = s.free[:n-1]
	return c
}

// recycle takes a call back that nobody refers to any more.
func (s *session) recycle(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reuse(c)
}

// reuse is recycle when the session is locked.
func (s *session) reuse(c *call) {
	taken := c.taken
	clear(taken)
	if cap(taken) > maxKeptReplies {
		taken = nil
	}
	*c = call{wake: c.wake, taken: taken[:0]}
	if len(s.free) < maxFree {
		s.free = append(s.free, c)
	}
}

// signal wakes the caller. The session is locked.
func (c *call) signal() {
	if c.waiting {
		c.waiting = false
		c.wake <- struct{}{} // there is room for one
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
