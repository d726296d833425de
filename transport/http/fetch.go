package httptransport

import (
	"context"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

// fetch is a request that may go in a bundle.
type fetch struct {
	b *bundler

	// Of one that somebody waits for.
	done chan outcome // has room for one

	// Of one that was begun, for which nobody waits.
	ctx      context.Context // for its values until it goes alone
	to       gcnode.Peer
	req      gcnode.Request // in memory of its own
	key      [1]string
	digest   [1]gcnode.Digest
	exchange gcnode.Exchange

	// Under the mutex of the bundler.
	in     *bundle
	taken  bool               // its outcome is known, or not wanted
	cancel context.CancelFunc // of ctx, when it goes alone
}

// outcome is what becomes of a fetch.
type outcome struct {
	reply *gcnode.Reply
	err   error
	// apart says that it is to go alone, with this turn.
	apart  bool
	ticket ticket
}

// keep copies a request that may share a POST.
func (f *fetch) keep(req *gcnode.Request) {
	f.req, f.key[0] = *req, req.Keys[0]
	f.req.Keys, f.req.Digests = f.key[:], f.digest[:copy(f.digest[:], req.Digests)]
}

// take reports whether the caller is the one who is to bring the outcome, or to
// do without. The bundler is locked.
func (f *fetch) take() bool {
	if f.taken {
		return false
	}
	f.taken = true
	f.in.left--
	return true
}

// takeApart is take for a fetch that goes alone. The bundler is locked.
func (f *fetch) takeApart() bool {
	if !f.take() {
		return false
	}
	if f.exchange != nil {
		f.ctx, f.cancel = context.WithCancel(context.WithoutCancel(f.ctx))
	}
	return true
}

// leave reports whether nobody has brought an outcome, and nobody will.
func (f *fetch) leave() bool {
	f.b.mu.Lock()
	defer f.b.mu.Unlock()
	if !f.take() {
		if f.cancel != nil {
			f.cancel()
		}
		return false
	}
	if f.in.left == 0 && f.in.cancel != nil {
		f.in.cancel()
	}
	return true
}

// finish ends a fetch that was taken, with a reply or an error.
func (f *fetch) finish(reply *gcnode.Reply, err error) {
	if f.exchange == nil {
		f.done <- outcome{reply: reply, err: err}
		return
	}
	f.exchange.End(outcomeOf(f.to, &f.req, finish(reply, err, &f.req, f.exchange)))
}

// finish hands a reply to w, or what a peer says that refuses the request.
func finish(reply *gcnode.Reply, err error, req *gcnode.Request, w gcnode.ReplyWriter) error {
	if err != nil {
		return refused(err, wire.NewAnswers(req), w)
	}
	if err := w.WriteReply(*reply); err != nil {
		return &writerError{err}
	}
	return nil
}

// goApart lets a fetch that was taken for it go alone. Whoever waits for it does
// it.
func (f *fetch) goApart(t ticket) {
	if f.exchange == nil {
		f.done <- outcome{apart: true, ticket: t}
		return
	}
	go func() {
		defer f.cancel()
		err := f.b.p.post(f.ctx, &f.req, f.exchange)
		f.b.release(t)
		if err != nil && f.ctx.Err() != nil {
			err = errCancelled
		}
		f.exchange.End(outcomeOf(f.to, &f.req, err))
	}()
}

// CancelRequest implements [gcnode.Canceler].
func (f *fetch) CancelRequest(uint64) {
	if f.leave() {
		f.exchange.End(failed(f.to, f.req.Op, f.req.Group, errCancelled))
	}
}
