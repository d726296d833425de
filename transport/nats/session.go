package natstransport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

const (
	// maxSilentTicks is for how many ticks in a row a peer may say nothing
	// while requests are under way.
	maxSilentTicks = 3
	// maxIdleTicks is after how many ticks without a request a session is
	// closed. Servers wait for longer.
	maxIdleTicks = 90
)

var (
	errSessionGone = errors.New("the stream takes no further requests")
	errSilent      = errors.New("the peer is silent")
)

// session is a stream to a peer that carries many exchanges at once. It begins
// with an empty packet to a subject of the member, and the answer to that says
// where the others go. What is asked until then waits.
type session struct {
	line // its mutex is that of the session
	gathering

	opened bool // the peer has answered
	gone   bool // it takes no further calls
	heard  bool // since the last tick
	used   bool // since idle was counted
	free   []*call
	begins wire.RequestEncoder // of calls that are begun
	last   uint64              // call that was begun
	calls  calls

	c      *Client
	number uint64
	where  place
	silent int // ticks in a row
	idle   int // ticks in a row

	// Of the goroutine that receives.
	in      incoming
	ending  []byte        // memory for a message
	replies [maxTold]told // and for replies
}

// newSession begins a session.
func newSession(c *Client, number uint64, where place, opening string) *session {
	s := &session{c: c, number: number, where: where}
	s.init(c.pub, func(err error) { s.end(err, nil) })
	s.to, s.reply, s.held, s.control = opening, c.subjects.back(c.id, streamToken(number)), true, true
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kick()
	return s
}

// exchange sends an encoded request, with the rest of its value, and hands the
// replies to w.
func (s *session) exchange(ctx context.Context, request []byte, rest string, answers *wire.Answers, w gcnode.ReplyWriter) error {
	c, err := s.begin(ctx, request)
	if err != nil {
		return err
	}
	ended, lost := false, false
	defer func() { // also if w panics
		switch {
		case lost: // whoever receives may still be at it
		case ended:
			s.recycle(c)
		default:
			s.abandon(c)
		}
	}()
	if err := s.sendValue(ctx, c, rest); err != nil {
		return err
	}
	answered := false
	for !ended {
		var replies []gcnode.Reply
		replies, ended, err = s.await(ctx, c)
		for _, r := range replies {
			if err := answers.Add(r); err != nil {
				return err
			}
			answered = answered || !r.Pending
			if err := w.WriteReply(r); err != nil {
				return &writerError{err}
			}
		}
		var end *lostError
		if end, lost = errors.AsType[*lostError](err); lost {
			return &lostError{end.err, end.again && !answered, end.unsent}
		}
		if err != nil {
			return refused(err, answers.Missing(), w)
		}
	}
	return nil
}

// refused is err, unless that says that the peer refused the request: then
// this is the answer to the keys that are missing.
func refused(err error, missing []int, w gcnode.ReplyWriter) error {
	said, ok := errors.AsType[*wire.EndError](err)
	if !ok || !said.Refused {
		return err
	}
	for _, key := range missing {
		if err := w.WriteReply(gcnode.Reply{Key: key, Err: said.Cause}); err != nil {
			return &writerError{err}
		}
	}
	return nil
}

// begin sends a request, when it is not too much that waits for that.
func (s *session) begin(ctx context.Context, request []byte) (*call, error) {
	if err := s.awaitRoom(ctx, func() bool { return s.gone }); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	if s.gone {
		return nil, errSessionGone
	}
	s.begins.Forget()
	c := s.enter(func(b []byte, id uint64) []byte { return wire.AppendCallRequest(b, id, request) })
	c.await()
	return c, nil
}

// enter sends a request, which fill appends, and notes its call. The session is
// locked.
func (s *session) enter(fill func(b []byte, id uint64) []byte) *call {
	c := s.newCall()
	s.last++
	c.id = s.last
	s.used = true
	s.calls.add(c)
	s.shared = s.shared || s.calls.n > 1
	s.ask(func(b []byte) []byte { return fill(b, c.id) })
	return c
}

// awaitRoom returns with the session locked when there is room for more, or
// over says that there is no use in waiting.
func (s *session) awaitRoom(ctx context.Context, over func() bool) error {
	s.mu.Lock()
	for {
		full := s.full()
		if full == nil || over() {
			return nil
		}
		s.mu.Unlock()
		select {
		case <-full:
		case <-ctx.Done():
			return endOf(ctx)
		}
		s.mu.Lock()
	}
}

// sendValue sends the rest of the value of a request, unless the peer answers
// before.
func (s *session) sendValue(ctx context.Context, c *call, rest string) error {
	for rest != "" {
		if err := s.awaitRoom(ctx, func() bool { return c.done }); err != nil {
			return err
		}
		if c.done {
			s.mu.Unlock()
			return nil
		}
		s.append(func(b []byte) []byte {
			b, rest = wire.AppendCallPiece(b, c.id, rest)
			return b
		})
		s.mu.Unlock()
	}
	return nil
}

// await returns further replies, which are valid until the call after it, or
// the end of the answer.
func (s *session) await(ctx context.Context, c *call) (_ []gcnode.Reply, done bool, _ error) {
	w := c.waiter
	s.mu.Lock()
	if w.busy { // it has done with what it has taken
		w.busy = false
		s.pay(c)
	}
	for len(w.replies) == 0 && !c.done {
		w.waiting = true
		s.mu.Unlock()
		select {
		case <-w.wake:
		case <-ctx.Done():
			return nil, false, endOf(ctx)
		}
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	w.busy = true
	clear(w.taken)
	w.taken, w.replies = w.replies, w.taken[:0]
	return w.taken, c.done, c.err
}

// pay gives the peer credit for what the caller has done with, when it is
// worth a message. The session is locked.
func (s *session) pay(c *call) {
	if c.done || c.unpaid < wire.Window/2 {
		return
	}
	credit := uint64(c.unpaid)
	c.unpaid = 0
	s.append(func(b []byte) []byte { return wire.AppendCallCredit(b, c.id, credit) })
}

// abandon ends a call whose answer is not wanted any more.
func (s *session) abandon(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.done {
		s.dropCall(c)
	}
}

// dropCall takes a call out that has not ended. The session is locked.
func (s *session) dropCall(c *call) {
	c.done = true
	s.append(func(b []byte) []byte { return wire.AppendCallCancel(b, c.id) })
	s.forgetCall(c)
}

// goodbye is the reason for the end of a stream that is not wanted any more.
func goodbye() *gcnode.Error { return &gcnode.Error{Kind: gcnode.KindUnreachable} }

// retire lets the session end with its last call.
func (s *session) retire() {
	s.mu.Lock()
	s.gone = true
	over := s.calls.n == 0
	s.mu.Unlock()
	s.c.drop(s)
	if over {
		s.end(errSessionGone, goodbye())
	}
}

// end ends the session and all of its calls. The peer is told unless last is
// nil.
func (s *session) end(err error, last *gcnode.Error) {
	s.mu.Lock()
	if !s.opened {
		last = nil // there is nobody to tell
	}
	if !s.close(last) {
		s.mu.Unlock()
		return
	}
	s.gone = true
	// A member that was never reached is down; what has become of one that
	// was is worth a second look.
	again := s.opened || !errors.Is(err, errNoResponders)
	var begun []*call
	for c := range s.calls.all() {
		s.calls.remove(c)
		c.finish(&lostError{err, again && !errors.Is(err, errClientClosed), !s.opened})
		if c.begun.exchange != nil && !c.begun.telling {
			begun = append(begun, c)
		}
	}
	s.mu.Unlock()
	s.c.forget(s)
	for _, c := range begun {
		s.finished(c, c.err)
	}
}

// noResponders learns that nobody has got a packet.
func (s *session) noResponders() { s.end(errNoResponders, nil) }

// tick looks whether the peer is alive while requests are under way, and ends
// a session that is not used.
func (s *session) tick() {
	s.mu.Lock()
	waiting := s.calls.n > 0
	switch {
	case !waiting || s.heard:
		s.silent = 0
	default:
		s.silent++
	}
	if s.used || waiting {
		s.idle = 0
	} else {
		s.idle++
	}
	if waiting && s.opened && (s.silent > 0 || !s.sentOnce) {
		s.ping, s.control = true, true
		s.kick()
	}
	limit := maxSilentTicks
	if !s.opened { // the packet may have gone to a connection that NATS took for alive
		limit = 1
	}
	silent, idle := s.silent > limit, s.idle > maxIdleTicks
	s.heard, s.used, s.sentOnce = false, false, false
	s.trim()
	s.mu.Unlock()
	switch {
	case silent:
		s.end(errSilent, goodbye())
	case idle:
		s.retire()
	}
}

// receive takes a packet of the peer. Who gets an answer may have the next
// question: nothing is published meanwhile if there are few, and those of many are
// gathered. A question that is the only one under way is published here, as a
// server does, which spares another goroutine.
func (s *session) receive(data []byte) {
	p, err := wire.DecodePacket(data)
	s.mu.Lock()
	duty := !s.many() && s.hold()
	s.receiving = true
	if err == nil && p.Close == nil {
		err = s.note(&p)
	}
	s.mu.Unlock()
	switch {
	case err != nil:
	case p.Close != nil:
		s.end(fmt.Errorf("the peer has ended it: %w", p.Close), nil)
	default:
		err = s.takeReturns(p.Data)
	}
	if err != nil {
		s.end(err, &gcnode.Error{Kind: gcnode.KindUnreachable, Err: err})
	}
	s.mu.Lock()
	s.take(len(p.Data))
	alone := duty && !s.shared && s.calls.n == 0
	if duty && !alone {
		s.letGo()
	}
	s.received()
	s.mu.Unlock()
	if alone {
		runtime.Gosched() // whoever has got the answer may ask
		s.publishNow()
	}
}

// note takes account of a packet. The session is locked.
func (s *session) note(p *wire.Packet) error {
	if err := s.arrived(p); err != nil {
		return err
	}
	s.heard = true
	if p.At != "" {
		number, ok := streamNumber(p.At)
		instance := p.At[:max(0, len(p.At)-len(lastToken(p.At))-1)]
		if !ok || !isToken(instance) {
			return fmt.Errorf("%w: %q is no place for packets", wire.ErrMalformed, p.At)
		}
		s.to, s.opened, s.held = s.c.subjects.at(instance, streamToken(number)), true, false
		if s.sendable() {
			s.kick()
		}
	}
	return s.allow(p.Taken)
}

// takeReturns hands on the messages of the peer that data completes. An error ends
// the session.
func (s *session) takeReturns(data []byte) error {
	s.in.rest = data
	s.tellAll()
	return s.in.feed(s.in.rest, func(b []byte) error {
		if err := s.takeReturn(b); err != nil {
			return err
		}
		s.tellAll()
		return nil
	})
}

// takeReturn hands on a message of the peer. An error ends the session.
func (s *session) takeReturn(b []byte) error {
	r, err := wire.DecodeReturn(b)
	if err != nil {
		return err
	}
	if r.GoAway {
		go s.retire() // which takes the lock of the client
		return nil
	}
	s.mu.Lock()
	c := s.calls.find(r.Exchange)
	if c == nil || r.Frame == nil { // it was abandoned, or is of a newer version
		s.mu.Unlock()
		return nil
	}
	if c.begun.exchange != nil {
		s.replies[0] = s.toTell(c, r, len(b))
		s.mu.Unlock()
		s.tell(s.replies[:1])
		return nil
	}
	over := c.unpaid >= wire.Window
	c.unpaid += wire.Cost(len(b))
	s.mu.Unlock()

	reply, complete, err := c.frames.Add(r.Frame) // which may copy much
	if over && err == nil {
		err = errors.New("the peer sends more of an answer than it may")
	}
	ended := false
	if complete && err == nil { // the end comes with the last reply
		s.ending = wire.AppendEnd(s.ending[:0], r.Exchange, nil)
		ended = s.in.skip(s.ending)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls.find(r.Exchange) != c {
		return nil // abandoned meanwhile
	}
	w := c.waiter
	switch {
	case errors.Is(err, io.EOF):
		c.finish(nil)
		s.forgetCall(c)
	case err != nil:
		c.finish(err)
		s.forgetCall(c)
		s.cancelUnlessSaid(c, err)
	case ended:
		w.replies = append(w.replies, reply)
		c.finish(nil)
		s.forgetCall(c)
	case complete:
		w.replies = append(w.replies, reply)
		c.signal()
	case !w.busy && len(w.replies) == 0:
		s.pay(c)
	}
	return nil
}

// forgetCall takes a call out. The last one of a session that takes no more
// ends it. The session is locked.
func (s *session) forgetCall(c *call) {
	s.calls.remove(c)
	if s.gone && s.calls.n == 0 {
		go s.end(errSessionGone, goodbye()) // which needs the lock
	}
}
