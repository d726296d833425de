package gcnode

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/gcnode/gcnode/core/internal/flight"
)

// errand is a question that is asked without a goroutine, in one piece of memory
// with its flight. It takes the replies, and returns the answer to the flight:
// nobody but the callers waits for it.
type errand struct {
	call flight.Call[answer]
	question
	journey
}

// journey is how far an errand has come.
type journey struct {
	ticket Ticket        // valid once it has begun
	state  atomic.Uint32 // some of those below
	heard  atomic.Int64  // when the peer gave the last sign of life, in nanoseconds since the question was sent
}

const (
	errandBegun  uint32 = 1 << iota
	errandSilent        // it was given up because the peer was
	errandCancelled
)

// errand makes the errand of a flight that asks.
func (g *Group) errand() (*flight.Call[answer], flight.Errand) {
	e, _ := g.errands.Get().(*errand)
	if e == nil {
		e = new(errand)
	}
	e.g = g
	return &e.call, e
}

// Recycle implements [flight.Errand].
func (e *errand) Recycle() {
	g := e.g
	e.question, e.journey = question{}, journey{}
	g.errands.Put(e)
}

// Begin implements [flight.Errand]. It asks the owner, if that is there to be
// asked and the transport can do without a goroutine. What cannot be had in this
// way goes on as any flight that asks.
func (e *errand) Begin() bool {
	n := e.g.node
	v := n.view.Load()
	i := v.ring.OwnerIndex(e.call.Key())
	if i < 0 {
		return false
	}
	p := v.owners[i]
	if p.ID == n.cfg.Self.ID || p.down.Load() || n.strangers.has(p.ID) {
		return false
	}
	e.v, e.p, e.owner, e.sent = v, p, true, e.call.Start()
	w, _ := n.wordings.Get().(*wording)
	if w == nil {
		w = new(wording)
	}
	e.word(w, e.call.Key())
	n.complete(p.Peer, &w.req)
	w.req.Timeout = e.call.Timeout()
	ticket, ok := n.beginner.Begin(e.call.Values(), p.Peer, &w.req, e)
	n.wordings.Put(w)
	if !ok {
		return false
	}
	e.ticket = ticket
	if e.state.Or(errandBegun) != 0 { // it is not wanted any more
		ticket.Cancel()
	}
	return true
}

// WriteReply implements [Exchange].
func (e *errand) WriteReply(r Reply) error {
	if r.Pending {
		e.heard.Store(e.g.node.clock.Now() - e.sent)
		return nil
	}
	return e.take(r)
}

// End implements [Exchange].
func (e *errand) End(err error) {
	g, key := e.g, e.call.Key()
	state := e.state.Load()
	ended := state&errandCancelled != 0
	if _, repeat := errors.AsType[*RepeatError](err); repeat && !ended {
		e.call.Continue(g.fly)
		return
	}
	g.counts.fetches.Add(1)
	e.p.requests.Add(1)
	switch {
	case err != nil && ended:
	case err != nil && state&errandSilent != 0:
		err = fmt.Errorf("%w of %v", errSilent, g.node.cfg.PeerTimeout)
		fallthrough
	case err != nil:
		e.p.errors.Add(1)
		g.node.unanswered(e.p, err)
	}
	a, failure := e.outcome(key, err)
	g.fetchEnded(e.p, key, e.sent, a, failure)
	switch {
	case failure == nil:
		e.call.Return(a, nil, func() {
			if e.ofOwner() {
				g.keepFetched(e.v, key, a, e.sent)
			}
		})
	case ended:
		e.call.Return(answer{}, context.Canceled, nil)
	case !goesOn(failure.Kind):
		e.call.Return(answer{}, failure, nil)
	default:
		e.call.Continue(func(ctx context.Context, call *flight.Call[answer]) (answer, error) {
			defer g.node.end()
			g.failedOver(ctx, e.p, failure)
			return g.askOthers(ctx, e.v, e.p, call.Key())
		})
		return
	}
	g.node.end()
}

// Due implements [flight.Errand].
func (e *errand) Due() int64 {
	return e.call.Start() + e.heard.Load() + int64(e.g.node.cfg.PeerTimeout)
}

// GiveUp implements [flight.Errand].
func (e *errand) GiveUp() {
	e.stop(errandSilent)
}

// Cancel implements [flight.Errand].
func (e *errand) Cancel() {
	e.stop(errandCancelled)
}

// stop abandons the request, as soon as it has begun.
func (e *errand) stop(why uint32) {
	if e.state.Or(why)&errandBegun != 0 {
		e.ticket.Cancel()
	}
}
