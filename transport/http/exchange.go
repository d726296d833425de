package httptransport

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

// exchange is a request on a stream that is being served. It is the
// [gcnode.ReplyWriter] of its handler.
type exchange struct {
	s      *session
	id     uint64
	ctx    context.Context // ends when the peer is gone or does not want it any more
	cancel context.CancelFunc
	of     role // whose it is

	// Under the mutex of the session: what the peer still takes, and who waits
	// for more.
	window int
	more   chan struct{}

	memory share // of the request

	mu      sync.Mutex
	answers *wire.Answers
	buf     *[]byte // for what is sent; nil when it has ended
	// held is the last reply, in buf, which travels with the end.
	held []byte
}

// errExited is what came of a handler that has left its goroutine.
var errExited = &gcnode.Error{Kind: gcnode.KindInternal, Err: errors.New("the handler has exited")}

func newExchange(s *session, id uint64, req *gcnode.Request, memory share) *exchange {
	x := &exchange{s: s, id: id, window: wire.Window, answers: wire.NewAnswers(req), memory: memory}
	x.ctx, x.cancel = context.WithCancel(s.ctx)
	x.buf, _ = buffers.Get().(*[]byte)
	return x
}

// run lets the member answer.
func (x *exchange) run(j job) {
	err := error(errExited)
	defer func() { x.end(err) }()
	switch {
	case j.reply != nil:
		err = x.WriteReply(*j.reply)
	case x.of == isClient:
		err = x.s.h.serve(x.ctx, j.req, clientWriter{x})
	default:
		err = x.s.h.serve(x.ctx, j.req, x)
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
	if x.answers.Complete() && !r.Pending && len(out.Head)+len(out.Data) <= copyBytes {
		if _, err := x.spend(out.Cost); err != nil {
			return err
		}
		x.held = append(out.Head, out.Data...)
		*x.buf = x.held
		return nil
	}
	for {
		if err := x.send(out); err != nil {
			return err
		}
		if out.Rest == "" {
			return nil
		}
		out = wire.AppendPiece(out.Head[:0], x.id, out.Rest)
	}
}

// send sends a frame when the peer takes it.
func (x *exchange) send(out wire.Outgoing) error {
	*x.buf = out.Head
	underWay, err := x.spend(out.Cost)
	if err != nil {
		return err
	}
	if err := x.s.out.send(x.ctx, out.Head, out.Data, underWay); err != nil {
		return fmt.Errorf("send a reply: %w", err)
	}
	return nil
}

// flushHeld sends the reply that was held back.
func (x *exchange) flushHeld() error {
	if x.held == nil {
		return nil
	}
	err := x.s.out.send(x.ctx, x.held, "", 1)
	x.held = nil
	return err
}

// spend waits until the peer takes something of the answer, for as long as it may
// take to receive a piece, and takes cost out of the window. It returns how many
// exchanges are under way.
func (x *exchange) spend(cost int) (underWay int, _ error) {
	for {
		if x.ctx.Err() != nil {
			return 0, fmt.Errorf("the peer is gone: %w", endOf(x.ctx))
		}
		x.s.mu.Lock()
		if x.window > 0 {
			x.window -= cost
			underWay = len(x.s.exchanges)
			x.s.mu.Unlock()
			return underWay, nil
		}
		more := make(chan struct{})
		x.more = more
		x.s.mu.Unlock()
		if err := x.await(more); err != nil {
			return 0, err
		}
	}
}

// await waits for credit, or the end of the exchange.
func (x *exchange) await(more <-chan struct{}) error {
	timeout := x.s.h.opts.WriteTimeout
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

// credit lets an exchange send more.
func (s *session) credit(id, credit uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.exchanges[id]
	if x == nil {
		return
	}
	x.window = min(x.window+int(min(credit, maxCredit)), maxCredit)
	if x.more != nil && x.window > 0 {
		close(x.more)
		x.more = nil
	}
}

// maxCredit is more than anybody needs.
const maxCredit = 1 << 30

// end finishes the answer after the member has returned err. The place is free
// before the peer knows of the end, which may have the next request ready.
func (x *exchange) end(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	abandoned := x.ctx.Err() != nil
	x.cancel()
	x.memory.release()
	x.s.h.places.leave(x.of)
	if !abandoned {
		*x.buf = wire.AppendEnd(append((*x.buf)[:0], x.held...), x.id, failureOf(err))
		_ = x.s.out.send(x.s.ctx, *x.buf, "", x.s.running()) // or there is nobody to tell
	}
	if cap(*x.buf) <= keptBytes {
		buffers.Put(x.buf)
	}
	x.held, x.buf = nil, nil
	if x.s.forget(x.id) {
		x.s.finish()
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
