package httptransport

import (
	"fmt"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

// call is a request on a stream, on the side that asks.
type call struct {
	id      uint64
	started time.Duration // since the stream was made
	before  uint64        // messages that had come on the stream by then
	wake    chan struct{}

	frames wire.Collector // of whoever reads the stream
	begun  begun

	// Under the mutex of the stream.
	waiting bool           // for wake
	busy    bool           // with replies that it has taken
	replies []gcnode.Reply // that it has not taken
	taken   []gcnode.Reply // the last ones that it has
	unpaid  int            // what has come without credit for it
	heard   bool           // something of the answer has come
	done    bool           // nothing more comes
	err     error          // beside done
}

const (
	// maxFree is how many calls a stream keeps to be used again, and
	// maxKeptReplies for how many replies each of these has room.
	maxFree        = 256
	maxKeptReplies = 16
)

// newCall returns a call that is not in use. The stream is locked.
func (s *stream) newCall() *call {
	n := len(s.free)
	if n == 0 {
		return &call{wake: make(chan struct{}, 1)}
	}
	c := s.free[n-1]
	s.free = s.free[:n-1]
	return c
}

// recycle takes a call back that nobody refers to any more.
func (s *stream) recycle(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reuse(c)
}

// reuse is recycle when the stream is locked.
func (s *stream) reuse(c *call) {
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

// signal wakes the caller. The stream is locked.
func (c *call) signal() {
	if c.waiting {
		c.waiting = false
		c.wake <- struct{}{} // there is room for one
	}
}

// lostError says that the connection was lost before the end of an answer.
type lostError struct {
	err error
	// again says that nothing of the answer had come, and that the connection
	// had been in use or was given up by the peer: as with connections that
	// were kept for later, another one may do.
	again bool
}

// Error implements the error interface.
func (e *lostError) Error() string { return fmt.Sprintf("the stream is lost: %v", e.err) }

// Unwrap returns what broke the connection.
func (e *lostError) Unwrap() error { return e.err }
