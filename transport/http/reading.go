package httptransport

import (
	"errors"
	"io"
	"os"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

// The duty to read a stream, of which there is one: lead has it in the
// goroutine of a caller, and run in the background.

// lead reads the connection until there is something for the call, or for a
// brief time, which what comes for others does not make longer. The caller has
// the duty and loses it.
func (s *stream) lead(c *call, now time.Duration) {
	for end := now + briefly; ; {
		err := s.arm(now)
		if err == nil {
			err = s.step()
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			s.broken(err)
			return
		}
		s.mu.Lock()
		others := s.drain || len(s.calls) > 1 || len(s.calls) == 1 && c.done
		over := len(c.replies) > 0 || c.done
		if !over {
			now = s.age()
		}
		switch {
		case err != nil || over && others || !over && now > end:
			s.mu.Unlock()
			s.kick <- struct{}{}
			return
		case over:
			s.reading = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
	}
}

// arm sees to it that reading ends soon. Deadlines are costly, so one is set
// when less than half of the time is left.
func (s *stream) arm(now time.Duration) error {
	if s.until-now > briefly/2 {
		return nil
	}
	s.until = now + briefly
	return s.conn.SetReadDeadline(s.made.Add(s.until))
}

// run reads the connection when it is not a caller that does, until the stream
// is closed.
func (s *stream) run() {
	for {
		select {
		case <-s.kick:
		case <-s.out.done:
			return
		}
		if s.until != 0 {
			s.until = 0
			_ = s.conn.SetReadDeadline(time.Time{}) // if it fails, so does reading
		}
		for more := true; more; {
			if err := s.step(); err != nil {
				s.broken(err)
				return
			}
			s.mu.Lock()
			more = len(s.calls) > 0 || s.drain || s.resident
			s.reading = more
			s.mu.Unlock()
		}
	}
}

// step waits for a message, and hands on all that have come.
func (s *stream) step() error {
	for {
		b, err := s.in.Next()
		switch {
		case err != nil:
		case s.placed.size > 0:
			p := s.placed
			s.placed = placed{}
			err = s.hand(p.exchange, nil, p)
		default:
			err = s.take(b)
		}
		if err != nil || !s.in.Ready() {
			return err
		}
	}
}

// take hands on a message of the peer. An error breaks the stream.
func (s *stream) take(b []byte) error {
	r, err := wire.DecodeReturn(b)
	if err != nil {
		return err
	}
	if r.GoAway {
		s.mu.Lock()
		s.heard++
		s.leaving = true
		s.mu.Unlock()
		s.retire()
		return nil
	}
	return s.hand(r.Exchange, r.Frame, placed{size: len(b)})
}

// placed is a message that is a piece of a value, whose data is read to where the
// value is put together.
type placed struct {
	exchange uint64
	size     int // of the message
	data     int // 0: it is in the frame
}

// place is where the end of a large message is read into: one of those of which
// a large value consists need not be copied.
func (s *stream) place(beginning []byte, message int) []byte {
	exchange, data, ok := wire.PieceAhead(beginning, message)
	if !ok {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.calls[exchange]
	if c == nil {
		return nil
	}
	room := c.frames.Room(data)
	if room != nil {
		s.placed = placed{exchange, message, data}
	}
	return room
}

// hand hands on a frame of an exchange, or what was placed of it.
func (s *stream) hand(exchange uint64, frame []byte, p placed) error {
	s.mu.Lock()
	s.heard++
	c := s.calls[exchange]
	if c == nil || frame == nil && p.data == 0 { // it was abandoned, or is of a newer version
		s.mu.Unlock()
		return nil
	}
	c.heard = true
	over := c.unpaid >= wire.Window
	c.unpaid += wire.Cost(p.size)
	if c.begun.exchange != nil {
		c.begun.telling = true
	}
	s.mu.Unlock()

	var reply gcnode.Reply
	var complete bool
	var err error
	if p.data > 0 {
		reply, complete = c.frames.Filled(p.data)
	} else {
		reply, complete, err = c.frames.Add(frame) // which may copy much
	}
	if over && err == nil {
		err = errors.New("the peer sends more of an answer than it may")
	}
	ended := false
	if complete && err == nil { // the end comes with the last reply
		s.ending = wire.AppendEnd(s.ending[:0], exchange, nil)
		ended = s.in.Skip(s.ending)
	}
	if c.begun.exchange != nil {
		if complete {
			s.tell(c, &reply, ended, err)
		} else {
			s.tell(c, nil, false, err)
		}
		return nil
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls[exchange] != c {
		return nil // abandoned meanwhile
	}
	switch {
	case errors.Is(err, io.EOF):
		c.finish(nil)
		s.forget(c)
	case err != nil:
		c.finish(err)
		s.forget(c)
		if _, said := errors.AsType[*wire.EndError](err); !said {
			s.control(func(b []byte) []byte { return wire.AppendCallCancel(b, c.id) })
		}
	case ended:
		c.replies = append(c.replies, reply)
		c.finish(nil)
		s.forget(c)
	case complete:
		c.replies = append(c.replies, reply)
		c.signal()
	case !c.busy && len(c.replies) == 0:
		s.pay(c)
	}
	return nil
}
