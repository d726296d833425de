package natstransport

import (
	"context"
	"errors"
	"io"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

// begun is what a call has that was begun with Begin, for which nobody waits:
// whoever receives tells the exchange what comes.
type begun struct {
	exchange gcnode.Exchange // nil: somebody waits
	to       gcnode.Peer
	op       gcnode.Op
	group    string
	answers  wire.Answers

	// Under the mutex of the session.
	telling bool  // whoever receives tells the exchange something, and ends it if
	over    error // is set meanwhile
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
	buf, _ := buffers.Get().(*[]byte)
	defer keepBuffer(buf)
	request, err := wire.AppendRequest((*buf)[:0], req)
	if err != nil {
		return gcnode.Ticket{}, false
	}
	*buf = request
	id := s.start(request, to, req, x)
	return gcnode.Ticket{Of: s, Number: id}, id != 0
}

// start sends a request for which nobody waits, and returns its number; 0 when
// the stream does not take it now.
func (s *session) start(request []byte, to gcnode.Peer, req *gcnode.Request, x gcnode.Exchange) (id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone || !s.opened || s.full() != nil {
		return 0
	}
	c := s.enter(request)
	c.begun.exchange, c.begun.to, c.begun.op, c.begun.group = x, to, req.Op, req.Group
	c.begun.answers.Reset(req)
	return c.id
}

// tell tells the exchange of a call what its frames have come to: a reply, or
// nil; and whether it has ended with that.
func (s *session) tell(c *call, reply *gcnode.Reply, ended bool, err error) {
	b := &c.begun
	if err == nil && reply != nil {
		if err = b.answers.Add(*reply); err == nil {
			if stopped := b.exchange.WriteReply(*reply); stopped != nil {
				err = &writerError{stopped}
			}
		}
	}
	s.mu.Lock()
	b.telling = false
	switch {
	case b.over != nil:
		err = b.over
	case err == nil && ended:
		x := b.exchange
		s.forgetCall(c)
		s.reuse(c)
		s.mu.Unlock()
		x.End(nil)
		return
	case err == nil:
		s.pay(c)
		s.mu.Unlock()
		return
	case errors.Is(err, io.EOF):
		err = nil
		s.forgetCall(c)
	default:
		if _, said := errors.AsType[*wire.EndError](err); !said {
			s.append(func(b []byte) []byte { return wire.AppendCallCancel(b, c.id) })
		}
		s.forgetCall(c)
	}
	s.mu.Unlock()
	s.finished(c, err)
}

// finished ends the exchange of a call that is not under way any more.
func (s *session) finished(c *call, err error) {
	b := &c.begun
	err = refused(err, &b.answers, b.exchange)
	lost, ok := errors.AsType[*lostError](err)
	again := ok && lost.again && !b.answers.Complete()
	if stopped, ok := errors.AsType[*writerError](err); ok {
		err = stopped.err
	} else if err != nil {
		err = failed(b.to, b.op, b.group, err)
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
	telling := c.begun.telling
	if telling {
		c.begun.over = errCancelled
	}
	s.mu.Unlock()
	if !telling {
		s.finished(c, errCancelled)
	}
}
