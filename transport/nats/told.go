package natstransport

import (
	"errors"
	"io"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

// maxTold is for how many replies the session is locked at a time, before and
// after they are handed on: those who get answers ask further questions on another
// processor, which would have to wait for each other at each reply.
const maxTold = 64

// told is a reply to a call that was begun, or a part of one.
type told struct {
	c     *call
	frame []byte
	ended bool  // the end has come with it
	err   error // what it has come to

	x gcnode.Exchange // of a call that has ended without an error, and is not c any more
}

// tellAll hands on the replies that lie at the beginning of what has come, until
// there is something that concerns others or is not complete.
func (s *session) tellAll() {
	for {
		s.mu.Lock()
		told := s.replies[:0]
		for len(told) < maxTold {
			t, ok := s.nextTold()
			if !ok {
				break
			}
			told = append(told, t)
		}
		s.mu.Unlock()
		s.tell(told)
		if len(told) < maxTold {
			return
		}
	}
}

// nextTold takes the next message if it is a reply to a call that was begun and is
// not being told something. The session is locked.
func (s *session) nextTold() (told, bool) {
	b, rest, ok := s.in.whole()
	if !ok {
		return told{}, false
	}
	r, err := wire.DecodeReturn(b)
	if err != nil || r.Frame == nil {
		return told{}, false
	}
	c := s.calls.find(r.Exchange)
	if c == nil || c.begun.exchange == nil || c.begun.telling {
		return told{}, false
	}
	s.in.rest = rest
	return s.toTell(c, r, len(b)), true
}

// toTell is what has come for a call in a message of size bytes, with the end if
// that follows. The session is locked.
func (s *session) toTell(c *call, r wire.Return, size int) told {
	s.ending = wire.AppendEnd(s.ending[:0], r.Exchange, nil)
	t := told{c: c, frame: r.Frame, ended: s.in.skip(s.ending)}
	c.unpaid += wire.Cost(size)
	c.begun.telling = true
	return t
}

// tell tells exchanges what has come, and ends those for which that was all.
func (s *session) tell(all []told) {
	if len(all) == 0 {
		return
	}
	for i := range all {
		all[i].tell()
	}
	s.mu.Lock()
	for i := range all {
		s.settle(&all[i])
	}
	s.mu.Unlock()
	for i := range all {
		switch t := &all[i]; {
		case t.x != nil:
			t.x.End(nil)
		case t.c != nil:
			s.finished(t.c, t.err)
		}
	}
	clear(all)
}

// tell hands a reply to the exchange once it is complete.
func (t *told) tell() {
	c := t.c
	reply, complete, err := c.frames.Add(t.frame) // which may copy much
	switch {
	case err != nil:
	case complete:
		err = c.begun.add(reply)
	case t.ended:
		err = c.frames.End()
	}
	t.err = err
}

// settle takes account of what the exchange of a call was told. What is left in t
// is to be told outside of the lock: the session is locked.
func (s *session) settle(t *told) {
	c := t.c
	c.begun.telling = false
	switch {
	case c.done: // it is not under way any more
		t.err = c.err
	case t.err == nil && t.ended:
		t.x, t.c = c.begun.exchange, nil
		s.forgetCall(c)
		s.reuse(c)
	case t.err == nil:
		t.c = nil
		s.pay(c)
	case errors.Is(t.err, io.EOF):
		t.err = nil
		s.forgetCall(c)
	default:
		s.cancelUnlessSaid(c, t.err)
		s.forgetCall(c)
	}
}

// cancelUnlessSaid tells the peer that no more of an answer is wanted, unless it is
// the peer that has ended it. The session is locked.
func (s *session) cancelUnlessSaid(c *call, err error) {
	if _, said := errors.AsType[*wire.EndError](err); !said {
		s.append(func(b []byte) []byte { return wire.AppendCallCancel(b, c.id) })
	}
}
