package natstransport

import (
	"context"
	"errors"
	"fmt"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

// begun is what a call of one key has that was begun with Begin, for which nobody
// waits: whoever receives tells the exchange what comes.
type begun struct {
	exchange gcnode.Exchange // nil: somebody waits
	peer     string          // its ID
	group    string
	op       gcnode.Op

	answered bool // of the goroutine that receives
	// telling says that whoever receives tells the exchange something, and ends it if
	// the call is done meanwhile. It is under the mutex of the session.
	telling bool
}

var errCancelled = errors.New("the request was abandoned")

// Begin implements [gcnode.Beginner] for requests of one key, where there is a
// stream that takes them at once. Many replies would have nobody to hold up their
// sender while they are not wanted yet.
func (c *Client) Begin(_ context.Context, to gcnode.Peer, req *gcnode.Request, x gcnode.Exchange) (gcnode.Ticket, bool) {
	if len(req.Keys) != 1 || req.Value.Len() > 0 {
		return gcnode.Ticket{}, false
	}
	s := c.ready(placeOf(to))
	if s == nil {
		return gcnode.Ticket{}, false
	}
	id := s.start(req, begun{exchange: x, peer: to.ID, group: req.Group, op: req.Op})
	return gcnode.Ticket{Of: s, Number: id}, id != 0
}

// start sends a request for which nobody waits, and returns its number; 0 when
// the stream does not take it now, or at all.
func (s *session) start(req *gcnode.Request, b begun) (id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone || !s.opened || s.full() != nil || s.begins.Set(req) != nil {
		return 0
	}
	c := s.enter(func(b []byte, id uint64) []byte { return s.begins.AppendCall(b, id) })
	c.begun = b
	return c.id
}

// add notes the reply to the key.
func (b *begun) add(r gcnode.Reply) error {
	switch {
	case r.Key != 0:
		return fmt.Errorf("%w: a reply to key %d, which was not asked for", wire.ErrMalformed, r.Key)
	case b.answered && !r.Pending:
		return fmt.Errorf("%w: a second reply to one key", wire.ErrMalformed)
	}
	b.answered = b.answered || !r.Pending
	if err := b.exchange.WriteReply(r); err != nil {
		return &writerError{err}
	}
	return nil
}

// missing are the keys without an answer.
func (b *begun) missing() []int {
	if b.answered {
		return nil
	}
	return []int{0}
}

// finished ends the exchange of a call that is not under way any more.
func (s *session) finished(c *call, err error) {
	b := &c.begun
	err = refused(err, b.missing(), b.exchange)
	lost, ok := errors.AsType[*lostError](err)
	again := ok && lost.again && !b.answered
	if stopped, ok := errors.AsType[*writerError](err); ok {
		err = stopped.err
	} else if err != nil {
		err = failed(b.peer, b.op, b.group, err)
	}
	x := b.exchange
	s.recycle(c)
	if again {
		err = &gcnode.RepeatError{Err: err}
	}
	x.End(err)
}

// CancelRequest implements [gcnode.Canceler].
func (s *session) CancelRequest(number uint64) {
	s.mu.Lock()
	c := s.calls.find(number)
	if c == nil {
		s.mu.Unlock()
		return
	}
	s.dropCall(c)
	c.err = errCancelled
	telling := c.begun.telling
	s.mu.Unlock()
	if !telling {
		s.finished(c, errCancelled)
	}
}
