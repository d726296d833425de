package transporttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// maxInTransit is how many replies to a request are on their way before the
// handler waits for the receiver.
const maxInTransit = 16

// transport is a member's access to a [Network].
type transport struct {
	net  *Network
	from string
	life uint64
}

// exchange is one request and its replies.
type exchange struct {
	net      *Network
	from, to string
	req      *gcnode.Request
	// broadcast says that others were sent the same.
	broadcast bool
	// cancel ends the exchange on both sides.
	cancel  context.CancelCauseFunc
	transit chan frame
}

// frame is a reply on its way, or the end of the exchange.
type frame struct {
	reply   gcnode.Reply
	end     bool
	err     error // beside end: what the handler returned
	fate    fate
	arrives time.Time
}

// RoundTrip implements [gcnode.Transport].
func (t *transport) RoundTrip(ctx context.Context, to gcnode.Peer, req *gcnode.Request, w gcnode.ReplyWriter) error {
	return t.roundTrip(ctx, to, req, false, w)
}

// roundTrip is RoundTrip, also for one of those to whom a request is broadcast.
func (t *transport) roundTrip(ctx context.Context, to gcnode.Peer, req *gcnode.Request, broadcast bool, w gcnode.ReplyWriter) error {
	if err := checkRequest(req); err != nil {
		err.Op, err.Group, err.Peer = req.Op, req.Group, to.ID
		return err
	}
	run, cancel := context.WithCancelCause(ctx)
	x := &exchange{
		net: t.net, from: t.from, to: to.ID, req: CopyRequest(req),
		broadcast: broadcast, cancel: cancel, transit: make(chan frame, maxInTransit),
	}
	defer cancel(context.Canceled)
	if err := t.net.start(x, t.life); err != nil {
		return x.failed(ctx, err)
	}
	defer t.net.end(x)
	f := t.net.send(Message{From: x.from, To: x.to, Request: x.req, Broadcast: broadcast})
	if err := pass(run, f, time.Now().Add(f.delay)); err != nil {
		return x.failed(ctx, err)
	}
	h := t.net.handler(to.ID)
	if h == nil {
		return x.failed(ctx, errNobody)
	}
	go x.serve(run, h)
	return x.receive(ctx, run, w)
}

// serve runs the handler. Its context ends with run, but has none of its
// values, as on the other side of a real network.
func (x *exchange) serve(run context.Context, h gcnode.Handler) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer context.AfterFunc(run, cancel)()
	err := call(ctx, h, x.req, &replyWriter{x: x, ctx: ctx})
	f := x.net.meet(link{x.to, x.from}, Fault{})
	end := frame{end: true, err: CopyFailure(err), fate: f, arrives: time.Now().Add(f.delay)}
	select {
	case x.transit <- end:
	case <-ctx.Done():
	}
}

// call calls the handler and turns a panic into an error.
func call(ctx context.Context, h gcnode.Handler, req *gcnode.Request, w gcnode.ReplyWriter) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &gcnode.Error{Kind: gcnode.KindInternal, Err: fmt.Errorf("panic in the handler: %v", p)}
		}
	}()
	return Serve(ctx, h, req, w)
}

// Begin begins a request on a transport that can only wait for the answer.
func Begin(ctx context.Context, t gcnode.Transport, to gcnode.Peer, req *gcnode.Request, x gcnode.Exchange) gcnode.Ticket {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // the ticket alone ends it
	kept := *req
	kept.Keys, kept.Digests = slices.Clone(req.Keys), slices.Clone(req.Digests)
	go func() {
		defer cancel()
		x.End(t.RoundTrip(ctx, to, &kept, x))
	}()
	return gcnode.Ticket{Of: canceler{cancel}}
}

// canceler is the one request that a ticket is for.
type canceler struct{ cancel context.CancelFunc }

// CancelRequest implements [gcnode.Canceler].
func (c canceler) CancelRequest(uint64) { c.cancel() }

// Begin implements [gcnode.Beginner].
func (t *transport) Begin(ctx context.Context, to gcnode.Peer, req *gcnode.Request, x gcnode.Exchange) (gcnode.Ticket, bool) {
	return Begin(ctx, t, to, req, x), true
}

// Serve lets h answer a request, at once where it can.
func Serve(ctx context.Context, h gcnode.Handler, req *gcnode.Request, w gcnode.ReplyWriter) error {
	if p, ok := h.(gcnode.PromptHandler); ok {
		if r, ok := p.AnswerNow(req); ok {
			return w.WriteReply(r)
		}
	}
	return h.ServePeer(ctx, req, w)
}

// receive hands the replies to w as they arrive.
func (x *exchange) receive(ctx, run context.Context, w gcnode.ReplyWriter) error {
	for {
		var f frame
		select {
		case f = <-x.transit:
		case <-run.Done():
			return x.failed(ctx, context.Cause(run))
		}
		if err := pass(run, f.fate, f.arrives); err != nil {
			return x.failed(ctx, err)
		}
		if f.end {
			if f.err != nil {
				return x.failed(ctx, f.err)
			}
			return nil
		}
		if err := w.WriteReply(f.reply); err != nil {
			return err
		}
	}
}

// pass waits until a message with this fate has arrived.
func pass(run context.Context, f fate, arrives time.Time) error {
	switch {
	case run.Err() != nil:
		return context.Cause(run)
	case f.drop:
		return errConnectionLost
	case f.hang:
		<-run.Done()
		return context.Cause(run)
	}
	if wait := time.Until(arrives); f.delay > 0 && wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-run.Done():
			return context.Cause(run)
		}
	}
	for _, released := range f.until {
		select {
		case <-released:
		case <-run.Done():
			return context.Cause(run)
		}
	}
	return nil
}

// The reasons why a member does not answer.
var (
	errConnectionLost = errors.New("connection lost")
	errNobody         = errors.New("nobody is attached to the network under this ID")
	errCrashed        = errors.New("the sender has crashed")
)

// failed is the error of RoundTrip for the reason err: what the peer said, the
// end of the caller's context, or that the peer is unreachable.
func (x *exchange) failed(ctx context.Context, err error) error {
	failure := &gcnode.Error{Kind: gcnode.KindUnreachable, Op: x.req.Op, Group: x.req.Group, Peer: x.to, Err: err}
	if said, ok := errors.AsType[*gcnode.Error](err); ok {
		failure.Kind, failure.RetryAfter, failure.Err = said.Kind, said.RetryAfter, said.Err
		return failure
	}
	if ctx.Err() != nil {
		return fmt.Errorf("peer %q: %w", x.to, endOf(ctx))
	}
	return failure
}

// endOf is why ctx ended; the error wraps both ctx.Err() and the cause.
func endOf(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// replyWriter is where the handler of an exchange puts its replies.
type replyWriter struct {
	x   *exchange
	ctx context.Context // of the handler
}

// WriteReply implements [gcnode.ReplyWriter].
func (w *replyWriter) WriteReply(r gcnode.Reply) error {
	if w.ctx.Err() != nil {
		return fmt.Errorf("the peer %q is gone: %w", w.x.from, w.ctx.Err())
	}
	if err := checkReply(&r); err != nil {
		r = gcnode.Reply{Key: r.Key, ListHash: r.ListHash, Err: err}
	}
	r = CopyReply(r)
	f := w.x.net.send(Message{From: w.x.to, To: w.x.from, Request: w.x.req, Reply: &r, Broadcast: w.x.broadcast})
	select {
	case w.x.transit <- frame{reply: r, fate: f, arrives: time.Now().Add(f.delay)}:
		return nil
	case <-w.ctx.Done():
		return fmt.Errorf("the peer %q is gone: %w", w.x.from, w.ctx.Err())
	}
}
