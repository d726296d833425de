package natstransport

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

const (
	// maxHeld is the size up to which the last reply travels with the end.
	maxHeld = 16 << 10
	// maxCredit is more than anybody needs.
	maxCredit = 1 << 30
)

// errExited is what came of a handler that has left its goroutine.
var errExited = &gcnode.Error{Kind: gcnode.KindInternal, Err: errors.New("the handler has exited")}

// exchange is a request that is being served. It is the [gcnode.ReplyWriter] of
// its handler.
type exchange struct {
	v      *conversation
	id     uint64
	ctx    context.Context // ends when the peer is gone or does not want it any more
	cancel context.CancelFunc

	// Under the mutex of the conversation: what the peer still takes, and who
	// waits for more.
	window int
	more   chan struct{}

	mu      sync.Mutex
	answers *wire.Answers
	buf     *[]byte // for what is sent; nil when it has ended
	// held is the last reply, in buf, which travels with the end.
	held []byte
}

func newExchange(v *conversation, id uint64, req *gcnode.Request) *exchange {
	x := &exchange{v: v, id: id, window: wire.Window, answers: wire.NewAnswers(req)}
	x.ctx, x.cancel = context.WithCancel(v.ctx)
	x.buf, _ = buffers.Get().(*[]byte)
	return x
}

// run lets the member answer.
func (x *exchange) run(j job) {
	err := error(errExited)
	defer func() { x.end(err) }()
	if j.reply != nil {
		err = x.WriteReply(*j.reply)
	} else {
		err = x.v.s.serve(x.ctx, j.req, x)
	}
}

// WriteReply implements [gcnode.ReplyWriter]. The reply is on its way when it
// returns; but when nothing can come after it, it travels with the end of the
// answer. One that is over a limit is replaced by an error that says so.
func (x *exchange) WriteReply(r gcnode.Reply) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.buf == nil {
		return errors.New("the request is already finished")
	}
	if err := x.flushHeld(); err != nil {
		return err
	}
	out, err := wire.AppendReply((*x.buf)[:0], x.id, &r)
	if refused, ok := errors.AsType[*gcnode.Error](err); ok {
		r = gcnode.Reply{Key: r.Key, ListHash: r.ListHash, Err: refused}
		out, err = wire.AppendReply((*x.buf)[:0], x.id, &r)
	}
	if err != nil {
		return err
	}
	_ = x.answers.Add(r) // whether it was asked for is the peer's to judge
	if x.answers.Complete() && !r.Pending && len(out.Head)+len(out.Data) <= maxHeld {
		if err := x.spend(out.Cost); err != nil {
			return err
		}
		x.held = append(out.Head, out.Data...)
		*x.buf = x.held
		return nil
	}
	for {
		*x.buf = out.Head
		if err := x.spend(out.Cost); err != nil {
			return err
		}
		if err := x.send(out.Head, out.Data); err != nil {
			return err
		}
		if out.Rest == "" {
			return nil
		}
		out = wire.AppendPiece(out.Head[:0], x.id, out.Rest)
	}
}

// flushHeld sends the reply that was held back.
func (x *exchange) flushHeld() error {
	if x.held == nil {
		return nil
	}
	err := x.send(x.held, "")
	x.held = nil
	return err
}

// send sends a frame when there is room for it.
func (x *exchange) send(head []byte, data string) error {
	x.lockRoom()
	defer x.v.mu.Unlock()
	if x.v.closed || x.ctx.Err() != nil {
		return x.goneError()
	}
	x.v.append(func(b []byte) []byte { return append(append(b, head...), data...) })
	return nil
}

// lockRoom returns with the conversation locked when there is room for more, or
// nobody takes the answer any more.
func (x *exchange) lockRoom() {
	v := x.v
	v.mu.Lock()
	for full := v.full(); full != nil && x.ctx.Err() == nil; full = v.full() {
		v.mu.Unlock()
		select {
		case <-full:
		case <-x.ctx.Done():
		}
		v.mu.Lock()
	}
}

// goneError says that nobody takes the answer any more.
func (x *exchange) goneError() error {
	if x.ctx.Err() == nil {
		return fmt.Errorf("the peer is gone: %w", errServerClosed)
	}
	return fmt.Errorf("the peer is gone: %w", endOf(x.ctx))
}

// spend waits until the peer takes something of the answer, for as long as it may
// take nothing of what waits for it, and takes cost out of the window.
func (x *exchange) spend(cost int) error {
	for {
		if x.ctx.Err() != nil {
			return x.goneError()
		}
		x.v.mu.Lock()
		if x.window > 0 {
			x.window -= cost
			x.v.mu.Unlock()
			return nil
		}
		more := make(chan struct{})
		x.more = more
		x.v.mu.Unlock()
		if err := x.await(more); err != nil {
			return err
		}
	}
}

// await waits for credit, or the end of the exchange.
func (x *exchange) await(more <-chan struct{}) error {
	timeout := x.v.s.opts.WriteTimeout
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-more:
	case <-x.ctx.Done():
	case <-timer.C:
		return &gcnode.Error{Kind: gcnode.KindTimeout, Err: fmt.Errorf("the peer took nothing more of the answer for %v", timeout)}
	}
	return nil
}

// find is an exchange under way, or nil: its end and what the peer still sends
// for it may cross.
func (v *conversation) find(id uint64) *exchange {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.exchanges[id]
}

// credit lets an exchange send more.
func (v *conversation) credit(id, credit uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	x := v.exchanges[id]
	if x == nil {
		return
	}
	x.window = min(x.window+int(min(credit, maxCredit)), maxCredit)
	if x.more != nil && x.window > 0 {
		close(x.more)
		x.more = nil
	}
}

// end finishes the answer after the member has returned err. The place is free
// before the peer knows of the end, which may have the next request ready.
func (x *exchange) end(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	v := x.v
	x.lockRoom()
	abandoned := x.ctx.Err() != nil
	x.cancel()
	<-v.s.places
	if !abandoned {
		v.append(func(b []byte) []byte {
			return wire.AppendEnd(append(b, x.held...), x.id, failureOf(err))
		})
	}
	delete(v.exchanges, x.id)
	over := v.leaving && len(v.exchanges)+len(v.bodies) == 0
	v.mu.Unlock()
	keepBuffer(x.buf)
	x.held, x.buf = nil, nil
	if over {
		v.finish()
	}
}

// failureOf is the error of a handler as it travels.
func failureOf(err error) *gcnode.Error {
	failure, ok := errors.AsType[*gcnode.Error](err)
	if err != nil && !ok {
		failure = &gcnode.Error{Kind: gcnode.KindOf(err), Err: err}
	}
	return failure
}
