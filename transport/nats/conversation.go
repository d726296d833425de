package natstransport

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

const (
	// maxQuietTicks is after how many ticks without a sign of the peer it is
	// gone, while requests are under way.
	maxQuietTicks = 5
	// maxUnusedTicks is after how many ticks without a packet a stream is
	// closed. Clients close theirs earlier.
	maxUnusedTicks = 180
	// maxSpare is how many goroutines wait for the next requests.
	maxSpare = 64
)

var (
	errServerClosed = errors.New("the server is closed")
	errQuiet        = errors.New("the peer is gone")
	errTakesNothing = errors.New("the peer does not take what it is sent")
	errSlowBody     = errors.New("the value of a request does not come")
)

// conversation is the stream of one peer.
type conversation struct {
	line // its mutex is that of the conversation

	s      *Server
	number uint64
	ctx    context.Context // ends with the stream
	cancel context.CancelFunc

	// Of the goroutine that has the duty to read.
	in      incoming
	request wire.Incoming // the last one that was begun, whose memory is used again
	begun   uint64        // its exchange

	// Under the mutex.
	queue     [][]byte // data that has come and was not looked at
	reading   bool     // somebody has the duty to read
	exchanges map[uint64]*exchange
	bodies    map[uint64]*body
	leaving   bool // no more is wanted on this stream
	quiet     int  // ticks in a row
	heard     bool // since the last tick
	// stuck is since when the peer has taken nothing of what waits for it, and
	// theirs by then; zero: nothing waits for that.
	stuck     time.Time
	stuckWith uint64
}

// newConversation makes a stream whose packets go to the subject.
func newConversation(s *Server, number uint64, subject string) *conversation {
	v := &conversation{s: s, number: number, exchanges: map[uint64]*exchange{}, bodies: map[uint64]*body{}}
	v.ctx, v.cancel = context.WithCancel(s.ctx)
	v.init(s.pub, func(err error) { v.end(err, nil) })
	v.to, v.came = subject, 1
	v.at = s.instance + "." + streamToken(number)
	return v
}

// welcome tells the peer where its packets go.
func (v *conversation) welcome() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.control = true
	v.kick()
}

// receive takes a packet of the peer.
func (v *conversation) receive(p *wire.Packet, err error) {
	if err == nil && p.Close != nil {
		v.end(p.Close, nil)
		return
	}
	if err == nil {
		err = v.note(p)
	}
	if err != nil {
		v.fail(err)
	}
}

// note takes account of a packet, and reads it unless there is too much that
// the peer has to take first.
func (v *conversation) note(p *wire.Packet) error {
	v.mu.Lock()
	if err := v.arrived(p); err != nil {
		v.mu.Unlock()
		return err
	}
	v.heard = true
	err := v.allow(p.Taken)
	if len(p.Data) > 0 {
		v.queue = append(v.queue, p.Data)
	}
	read := v.mayRead()
	v.mu.Unlock()
	if err == nil && read {
		err = v.read()
	}
	return err
}

// mayRead gives the duty to read, if there is something to be read and nobody
// has it. When the peer has to take something first, reading goes on after
// that. The conversation is locked.
func (v *conversation) mayRead() bool {
	if v.reading || len(v.queue) == 0 || v.closed {
		return false
	}
	if v.pending() >= maxPending {
		v.whenLess = v.resume
		return false
	}
	v.reading = true
	return true
}

// read looks at what has come. The caller has the duty and loses it. What is
// answered at once goes out together after each packet that has come, without a
// change of goroutines: nobody waits here for the network but who reads, and as
// long as nothing can be sent nothing more need be read.
func (v *conversation) read() error {
	for {
		v.mu.Lock()
		v.reading = false
		if !v.mayRead() {
			v.mu.Unlock()
			return nil
		}
		data := v.queue[0]
		v.queue = slices.Delete(v.queue, 0, 1)
		duty := v.hold()
		v.mu.Unlock()
		err := v.in.feed(data, v.takeCall)
		v.mu.Lock()
		v.take(len(data))
		v.mu.Unlock()
		if duty {
			v.publishNow()
		}
		if err != nil {
			return err // and nobody reads any more
		}
	}
}

// resume goes on reading after the peer has taken something. The conversation
// is locked.
func (v *conversation) resume() {
	if v.mayRead() {
		go func() {
			if err := v.read(); err != nil {
				v.fail(err)
			}
		}()
	}
}

// end ends the stream and abandons what is under way. The peer is told unless
// last is nil: then the connection is lost, or the peer has ended it.
func (v *conversation) end(err error, last *gcnode.Error) {
	v.mu.Lock()
	if !v.close(last) {
		v.mu.Unlock()
		return
	}
	v.queue = nil
	for id := range v.bodies {
		v.dropLocked(id)
	}
	v.mu.Unlock()
	v.cancel()
	v.s.forget(v, err)
	v.s.log.LogAttrs(context.Background(), slog.LevelDebug, "stream of a peer has ended", slog.String("err", err.Error()))
}

// running is how many exchanges are under way.
func (v *conversation) running() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.exchanges) + len(v.bodies)
}

// goAway tells the peer that the stream will end, which it does when nothing is
// under way any more.
func (v *conversation) goAway() {
	v.mu.Lock()
	if !v.leaving {
		v.leaving = true
		v.append(wire.AppendGoAway)
	}
	over := len(v.exchanges)+len(v.bodies) == 0
	v.mu.Unlock()
	if over {
		v.finish()
	}
}

// finish ends a stream after its last answer, if that has been sent.
func (v *conversation) finish() {
	v.mu.Lock()
	if v.pending() > 0 && !v.closed {
		v.whenSent = func() { go v.finish() } // which needs the lock
		v.mu.Unlock()
		return
	}
	v.mu.Unlock()
	v.end(errServerClosed, &gcnode.Error{Kind: gcnode.KindDraining})
}

// tick ends a stream whose peer is gone, and forgets requests that do not come
// as a whole.
func (v *conversation) tick() {
	v.mu.Lock()
	if v.heard {
		v.quiet = 0
	} else {
		v.quiet++
	}
	v.heard = false
	limit := maxUnusedTicks
	if len(v.exchanges)+len(v.bodies) > 0 {
		limit = maxQuietTicks
	}
	quiet, slow := v.quiet > limit, false
	for _, b := range v.bodies {
		slow = slow || time.Since(b.heard) > v.s.opts.BodyTimeout
	}
	stuck := v.isStuck(time.Now())
	v.trim()
	v.mu.Unlock()
	switch {
	case stuck:
		v.fail(errTakesNothing)
	case quiet:
		v.fail(errQuiet)
	case slow:
		v.fail(errSlowBody)
	}
}

// isStuck reports whether the peer has taken nothing for too long. The
// conversation is locked.
func (v *conversation) isStuck(now time.Time) bool {
	switch {
	case v.pending() == 0 || v.room() > 0:
		v.stuck = time.Time{}
	case v.stuck.IsZero() || v.stuckWith != v.theirs:
		v.stuck, v.stuckWith = now, v.theirs
	}
	return !v.stuck.IsZero() && now.Sub(v.stuck) > v.s.opts.WriteTimeout
}

// fail ends the stream because of what has come, and says so to the peer.
func (v *conversation) fail(err error) {
	v.end(err, &gcnode.Error{Kind: gcnode.KindUnreachable, Err: err})
}

// takeCall handles a message of the peer. An error ends the stream.
func (v *conversation) takeCall(b []byte) error {
	call, err := wire.DecodeCall(b)
	switch {
	case err != nil:
		return err
	case call.Request != nil, call.Key != nil:
		return v.begin(call)
	case call.Piece != nil:
		return v.addPiece(call)
	case call.Cancel:
		v.drop(call.Exchange)
		if x := v.find(call.Exchange); x != nil {
			x.cancel()
		}
	case call.Credit > 0:
		v.credit(call.Exchange, call.Credit)
	}
	return nil // what is unknown is left alone
}
