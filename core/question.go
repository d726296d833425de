package gcnode

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/gcnode/gcnode/core/internal/flight"
)

// question is the fetch of one key from a peer. There are as many as there are
// fetches under way, so it has of the reply what counts.
type question struct {
	g    *Group
	v    *view // under which the peer is asked
	p    *peer
	key  string
	sent int64   // on the node's clock: the life of the answer counts from then, and for the peer from some time after
	old  *answer // the copy that the peer may vouch for; nil: there is none

	value    Value
	keep     Lifetime
	err      *Error
	source   Source
	answered bool
	sameList bool // the peer has the list of the view
	owner    bool // and is the owner there

	errand errand // of a question that was begun
}

// ask asks and waits for the answer.
func (q *question) ask(ctx context.Context) (answer, *Error) {
	q.g.counts.fetches.Add(1)
	var w wording
	q.word(&w)
	a, err := q.outcome(q.g.node.ask(ctx, q.p, &w.req, q.take))
	q.g.fetchEnded(q.p, q.key, q.sent, a, err)
	return a, err
}

// wording is the request of a question, with the memory for its parts.
type wording struct {
	req     Request
	keys    [1]string
	digests [1]Digest
}

// word makes the request.
func (q *question) word(w *wording) {
	removals, _ := q.g.node.removals.active(q.g.name, q.key) // too many: the flight is alone
	w.keys[0] = q.key
	w.req = Request{Op: OpFetch, Group: q.g.name, Keys: w.keys[:], Removals: removals}
	if old, digest := q.g.aged(q.key); digest != (Digest{}) {
		q.old, w.digests[0] = new(old), digest
		w.req.Digests = w.digests[:]
	}
}

// take takes the reply.
func (q *question) take(r Reply) error {
	if r.Key != 0 || q.answered {
		return fmt.Errorf("a reply to key %d that was not asked for", r.Key)
	}
	if r.Value.Len() > MaxValueBytes {
		return fmt.Errorf("a value of %d bytes; at most %d are allowed", r.Value.Len(), MaxValueBytes)
	}
	if r.NotModified && q.old == nil {
		return errors.New("not modified, but it was not asked that")
	}
	if r.NotModified {
		q.g.vouched(&r, *q.old)
	}
	q.value, q.keep, q.source, q.err = r.Value, r.Keep, r.Source, r.Err
	q.answered, q.sameList = true, r.ListHash == q.v.ring.Hash()
	return nil
}

// outcome is the answer once the exchange has ended.
func (q *question) outcome(err error) (answer, *Error) {
	g, key := q.g, q.key
	if err != nil || !q.answered {
		g.counts.fetchErrors.Add(1)
		return answer{}, g.noAnswer(q.p, key, err)
	}
	a, e := g.answerOfReply(&Reply{Value: q.value, Keep: q.keep, Source: q.source, Err: q.err}, q.sent)
	if e != nil {
		g.counts.fetchErrors.Add(1)
		e.Key, e.Peer = key, cmp.Or(e.Peer, q.p.ID)
		return answer{}, e
	}
	return a, nil
}

// ofOwner reports whether who has answered is the owner for both.
func (q *question) ofOwner() bool { return q.sameList && q.owner }

// errand is what a question has that was begun. It takes the replies, and
// returns the answer to the flight: nobody but the callers waits for it.
type errand struct {
	call      *flight.Call[answer]
	ticket    Ticket
	heard     atomic.Int64 // when the peer gave the last sign of life, in nanoseconds since the question was sent
	silent    atomic.Bool  // it was given up for that
	cancelled atomic.Bool
}

// begin is the flight that asks, if the owner is there to be asked and the
// transport can do without a goroutine. What cannot be had in this way goes on
// as any flight that asks.
func (g *Group) begin(call *flight.Call[answer]) bool {
	n, v, key := g.node, g.node.view.Load(), call.Key()
	i := v.ring.OwnerIndex(key)
	if i < 0 {
		return false
	}
	p := v.owners[i]
	if p.ID == n.cfg.Self.ID || p.down.Load() || n.strangers.has(p.ID) {
		return false
	}
	q := &question{g: g, v: v, p: p, owner: true, key: key, sent: call.Start(), errand: errand{call: call}}
	w, _ := n.wordings.Get().(*wording)
	if w == nil {
		w = new(wording)
	}
	q.word(w)
	n.complete(p.Peer, &w.req)
	w.req.Timeout = call.Timeout()
	ticket, ok := n.beginner.Begin(call.Context(), p.Peer, &w.req, q)
	n.wordings.Put(w)
	if ok {
		q.errand.ticket = ticket
		call.Entrust(q)
	}
	return ok
}

// WriteReply implements [Exchange].
func (q *question) WriteReply(r Reply) error {
	if r.Pending {
		q.errand.heard.Store(q.g.node.clock.Now() - q.sent)
		return nil
	}
	return q.take(r)
}

// End implements [Exchange].
func (q *question) End(err error) {
	g, e := q.g, &q.errand
	ended := e.cancelled.Load()
	if _, repeat := errors.AsType[*RepeatError](err); repeat && !ended {
		e.call.Continue(g.fly)
		return
	}
	g.counts.fetches.Add(1)
	q.p.requests.Add(1)
	switch {
	case err != nil && ended:
	case err != nil && e.silent.Load():
		err = fmt.Errorf("%w of %v", errSilent, g.node.cfg.PeerTimeout)
		fallthrough
	case err != nil:
		q.p.errors.Add(1)
		g.node.unanswered(q.p, err)
	}
	a, failure := q.outcome(err)
	g.fetchEnded(q.p, q.key, q.sent, a, failure)
	switch {
	case failure == nil:
		e.call.Return(a, nil, func() {
			if q.ofOwner() {
				g.keepFetched(q.v, q.key, a, q.sent)
			}
		})
	case ended:
		e.call.Return(answer{}, context.Canceled, nil)
	case !goesOn(failure.Kind):
		e.call.Return(answer{}, failure, nil)
	default:
		e.call.Continue(func(ctx context.Context, call *flight.Call[answer]) (answer, error) {
			defer g.node.end()
			g.failedOver(ctx, q.p, failure)
			return g.askOthers(ctx, q.v, q.p, call.Key())
		})
		return
	}
	g.node.end()
}

// Due implements [flight.Errand].
func (q *question) Due() int64 {
	return q.sent + q.errand.heard.Load() + int64(q.g.node.cfg.PeerTimeout)
}

// GiveUp implements [flight.Errand].
func (q *question) GiveUp() {
	q.errand.silent.Store(true)
	q.errand.ticket.Cancel()
}

// Cancel implements [flight.Errand].
func (q *question) Cancel() {
	q.errand.cancelled.Store(true)
	q.errand.ticket.Cancel()
}
