package httptransport

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

const (
	// briefly is how long a caller reads or writes the connection itself
	// before that goes on in the background, so that it notices within this
	// time that its context has ended.
	briefly = 5 * time.Millisecond
	// streamWriteTimeout bounds a write in the background.
	streamWriteTimeout = 30 * time.Second
	// answersAhead is how much of answers is read at once, if so much has come.
	answersAhead = 128 << 10
	// silence is how long a call has waited whose end without any sign of the
	// peer makes the connection suspect. The next call opens another one.
	silence = 250 * time.Millisecond
)

var (
	errStreamGone   = errors.New("the stream takes no further requests")
	errStreamClosed = errors.New("the stream is closed")
)

// stream is a connection to a peer that carries many exchanges at once.
//
// There is one duty to read it. A caller that finds nobody reading reads until
// it has something of its own answer, and hands to others what is theirs: a
// lone caller gets its answer without a change of goroutines. When its answer
// has come and others wait, or when it has waited for some time, the duty goes
// to the background, until no call is left:
//
//	A: begin, lead  ┄┄ read ┄┄ own reply, kick, return
//	B:        begin, wait                       ┄┄ woken, return
//	run:                                 ┄ read, wake B ┄ nothing left
type stream struct {
	p    *peer
	body io.ReadWriteCloser
	// conn is what the body is sent over, for its deadlines; nil: not known.
	conn net.Conn
	in   *wire.MessageReader
	out  *outbox
	end  context.CancelFunc // of the context of the Upgrade
	// signed is the signature of the Upgrade; nil: nothing is signed.
	signed *signed
	kick   chan struct{} // the duty to read goes to run

	placed placed // of whoever reads: what it is reading; its size is 0: nothing
	ending []byte // of whoever reads: memory for a message
	made   time.Time
	until  time.Duration // of whoever reads: the deadline that is set, since made; 0: none

	mu      sync.Mutex
	calls   map[uint64]*call
	free    []*call
	last    uint64 // call that was begun
	heard   uint64 // messages that have come
	reading bool   // somebody has the duty to read
	drain   bool   // what comes is to be read though no call waits for it
	// resident says that the duty to read stays in the background: there are
	// calls for which nobody waits.
	resident bool
	gone     bool  // it takes no further calls
	leaving  bool  // the peer has said so
	err      error // what broke it
	idle     *time.Timer
	used     bool // since idle was set
}

// newStream makes a stream of the body of an answer to an Upgrade.
func newStream(p *peer, body io.ReadWriteCloser, conn net.Conn, end context.CancelFunc, signed *signed) *stream {
	s := &stream{
		p: p, body: body, end: end, signed: signed, made: time.Now(), calls: map[uint64]*call{}, kick: make(chan struct{}, 1),
	}
	s.in = wire.NewMessageReader(body, wire.MaxReturnBytes)
	s.in.Place, s.in.Ahead = s.place, answersAhead
	s.out = newOutbox(body, nil, streamWriteTimeout, func(err error) { s.broken(err) })
	switch conn := conn.(type) {
	case *net.TCPConn, *net.UnixConn:
		s.conn, s.out.brief, s.out.setDeadline = conn, briefly, conn.SetWriteDeadline
	case *tls.Conn: // a write that has timed out cannot be gone on with
		s.conn, s.out.handOver, s.out.setDeadline = conn, true, conn.SetWriteDeadline
	default:
		s.out.handOver = true
	}
	go s.out.run()
	go s.run()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = time.AfterFunc(idleTimeout, s.tick)
	return s
}

// age is the time since the stream was made, which costs less than the time.
func (s *stream) age() time.Duration { return time.Since(s.made) }

// exchange sends an encoded request and hands the replies to w.
func (s *stream) exchange(ctx context.Context, request []byte, answers *wire.Answers, w gcnode.ReplyWriter) error {
	if ctx.Err() != nil {
		return endOf(ctx)
	}
	c, err := s.begin(ctx, request)
	if err != nil {
		return err
	}
	ended := false
	defer func() { // also if w panics
		if ended {
			s.recycle(c)
		} else {
			s.abandon(c)
		}
	}()
	for !ended {
		var replies []gcnode.Reply
		replies, ended, err = s.await(ctx, c)
		for _, r := range replies {
			if err := answers.Add(r); err != nil {
				return err
			}
			if err := w.WriteReply(r); err != nil {
				return &writerError{err}
			}
		}
		if err != nil {
			return refused(err, answers, w)
		}
		if !ended && ctx.Err() != nil { // more may have come, again and again
			return endOf(ctx)
		}
	}
	return nil
}

// begin sends a request.
func (s *stream) begin(ctx context.Context, request []byte) (*call, error) {
	started := s.age()
	for ctx.Err() == nil {
		s.mu.Lock()
		if s.gone {
			s.mu.Unlock()
			return nil, errStreamGone
		}
		id := s.last + 1
		room, duty, err := s.out.add(false, func(b []byte) []byte { return wire.AppendCallRequest(b, id, request) })
		var c *call
		if room {
			c = s.enter(started)
		}
		underWay := len(s.calls)
		s.mu.Unlock()
		if duty {
			s.out.flush(underWay)
		}
		if room {
			return c, nil
		}
		if err == nil { // wait until the peer has taken some of it
			err = s.out.acquire(ctx)
		}
		switch {
		case err == nil: // who has the duty does it, also if ctx has ended meanwhile
			s.out.flush(1)
		case ctx.Err() == nil:
			return nil, errStreamGone
		}
	}
	return nil, endOf(ctx)
}

// enter notes a call that was sent. The stream is locked.
func (s *stream) enter(started time.Duration) *call {
	c := s.newCall()
	s.last++
	c.id, c.started, c.before = s.last, started, s.heard
	s.used, s.drain = true, false
	s.calls[c.id] = c
	return c
}

// read sees to it that somebody reads. The stream is locked.
func (s *stream) read() {
	if !s.reading {
		s.reading = true
		s.kick <- struct{}{}
	}
}

// await returns further replies, which are valid until the call after it, or
// the end of the answer.
func (s *stream) await(ctx context.Context, c *call) (_ []gcnode.Reply, done bool, _ error) {
	now := c.started
	s.mu.Lock()
	if c.busy { // it has done with what it has taken
		c.busy = false
		s.pay(c)
		now = s.age()
	}
	for len(c.replies) == 0 && !c.done {
		if !s.reading && s.conn != nil {
			s.reading = true
			s.mu.Unlock()
			s.lead(c, now)
			s.mu.Lock()
			continue
		}
		s.read()
		c.waiting = true
		s.mu.Unlock()
		select {
		case <-c.wake:
		case <-ctx.Done():
			return nil, false, endOf(ctx)
		}
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	c.busy = true
	clear(c.taken)
	c.taken, c.replies = c.replies, c.taken[:0]
	return c.taken, c.done, c.err
}

// finish ends a call, with an error or without. The stream is locked.
func (c *call) finish(err error) {
	c.done, c.err = true, err
	c.signal()
}

// pay gives the peer credit for what the caller has done with, when it is
// worth a message. The stream is locked.
func (s *stream) pay(c *call) {
	if c.done || c.unpaid < wire.Window/2 {
		return
	}
	credit := uint64(c.unpaid)
	c.unpaid = 0
	s.control(func(b []byte) []byte { return wire.AppendCallCredit(b, c.id, credit) })
}

// control sends what waits for nothing. It is written in the background, so
// that it holds up nobody.
func (s *stream) control(fill func([]byte) []byte) {
	if _, duty, _ := s.out.add(true, fill); duty {
		s.out.kick <- struct{}{}
	}
}

// abandon ends a call whose answer is not wanted any more. What is on its way
// of it has to be read, or the peer could not write, and would not read that
// nobody wants it.
func (s *stream) abandon(c *call) {
	s.mu.Lock()
	silent := !c.done && s.drop(c)
	s.mu.Unlock()
	if silent {
		s.retire()
	}
}

// drop takes a call out that has not ended, and reports whether the connection
// is suspect. The stream is locked.
func (s *stream) drop(c *call) (silent bool) {
	c.done = true
	s.control(func(b []byte) []byte { return wire.AppendCallCancel(b, c.id) })
	s.forget(c)
	s.drain = true
	s.read()
	return s.heard == c.before && s.age()-c.started >= silence
}

// forget takes a call out. The last one of a stream that takes no more ends it.
// The stream is locked.
func (s *stream) forget(c *call) {
	delete(s.calls, c.id)
	if s.gone && len(s.calls) == 0 {
		go s.close() // which needs the lock
	}
}

// retire lets the stream end with its last call.
func (s *stream) retire() {
	s.mu.Lock()
	s.gone = true
	over := len(s.calls) == 0
	s.mu.Unlock()
	s.p.drop(s)
	if over {
		s.close()
	}
}

// isGone reports whether the stream takes no further calls.
func (s *stream) isGone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone
}

// tick retires a stream on which nothing was begun since it was called last.
func (s *stream) tick() {
	s.mu.Lock()
	idle := !s.used && len(s.calls) == 0
	s.used = false
	if !idle && !s.gone {
		s.idle.Reset(idleTimeout)
	}
	s.mu.Unlock()
	if idle {
		s.retire()
	}
}

// close ends the stream.
func (s *stream) close() { s.broken(errStreamClosed) }

// broken ends the stream and all of its calls.
func (s *stream) broken(err error) {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return
	}
	s.err, s.gone = err, true
	s.idle.Stop()
	var begun []*call
	for id, c := range s.calls {
		delete(s.calls, id)
		c.finish(&lostError{err: err, again: !c.heard && (c.before > 0 || s.leaving)})
		switch {
		case c.begun.exchange == nil:
		case c.begun.telling:
			c.begun.over = c.err
		default:
			begun = append(begun, c)
		}
	}
	s.mu.Unlock()
	s.p.drop(s)
	s.end()
	_ = s.body.Close()
	s.out.fail(err)
	for _, c := range begun {
		s.finished(c, c.err)
	}
}
