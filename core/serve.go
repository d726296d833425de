package gcnode

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// minHeartbeat is the shortest interval of signs of life that a peer gets.
const minHeartbeat = 10 * time.Millisecond

// ServePeer implements [Handler]: it answers a request of another member. It
// never forwards it.
func (n *Node) ServePeer(ctx context.Context, req *Request, w ReplyWriter) error {
	// Removals are applied also while the node is closing: what it still
	// serves must obey them.
	for _, r := range causal(req) {
		n.applyCarried(r)
	}
	if req.To != "" && req.To != n.cfg.Self.ID {
		return refuse(w, req, &Error{
			Kind: KindUnreachable, Op: req.Op, Group: req.Group, Peer: req.To,
			Err: fmt.Errorf("its address leads to %q", n.cfg.Self.ID),
		})
	}
	switch req.Op {
	case OpFetch:
		return n.serveFetch(ctx, req, w)
	case OpPeek:
		return n.servePeek(req, w)
	case OpKeys:
		return n.serveKeys(req, w)
	case OpRemove:
		for _, r := range req.Removals {
			n.applyWhole(r)
		}
		n.removals.finish(req.Finished)
		return w.WriteReply(Reply{ListHash: n.view.Load().ring.Hash(), Ack: n.ackRemovals(req, req.Removals...)})
	case OpFinish:
		n.removals.finish(req.Finished)
		return w.WriteReply(Reply{ListHash: n.view.Load().ring.Hash()})
	case OpSet:
		return n.serveSet(req, w)
	case OpHello:
		return n.serveHello(req, w)
	case OpGoodbye:
		return n.serveGoodbye(ctx, req, w)
	case OpSync:
		return n.serveSync(ctx, req, w)
	case OpReport:
		return n.serveReport(req, w)
	case OpGone:
		n.dismiss(req.From)
		return w.WriteReply(Reply{ListHash: n.view.Load().ring.Hash()})
	case OpGet:
	}
	return refuse(w, req, &Error{
		Kind: KindUnsupported, Op: req.Op, Peer: n.cfg.Self.ID,
		Err: fmt.Errorf("operation %d is not known here", req.Op),
	})
}

// causal are the removals that a request carries along, with those of their
// keys that it concerns. The others are its own matter, and have all their keys.
func causal(req *Request) []Removal {
	switch {
	case req.Op == OpRemove:
		return nil
	case req.Op == OpSet && len(req.Removals) > 0:
		return req.Removals[:len(req.Removals)-1]
	default:
		return req.Removals
	}
}

// ack confirms removals that were applied.
func (n *Node) ack() *Ack {
	return &Ack{Incarnation: n.incarnation, Members: n.view.Load().members(n.now())}
}

// serveFetch answers each key as soon as it can, so that a slow key holds
// back no other. While it waits it gives the signs of life that the request
// asks for.
func (n *Node) serveFetch(ctx context.Context, req *Request, w ReplyWriter) error {
	if e := n.refusal(req); e != nil {
		return refuse(w, req, e)
	}
	if n.is(joining) || n.strangers.has(req.From.ID) {
		return refuse(w, req, n.stranger(req))
	}
	if !n.begin() {
		return n.serveLeaving(ctx, req, w)
	}
	defer n.end()
	g, ok := n.Lookup(req.Group)
	if !ok {
		return refuse(w, req, &Error{Kind: KindNoSuchGroup, Op: OpFetch, Group: req.Group, Peer: n.cfg.Self.ID})
	}
	g.counts.servedFetches.Add(1)
	// Nobody may be left who waits for an answer when this returns.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if req.Timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, req.Timeout)
		defer stop()
	}
	v := n.view.Load()
	replies := make(chan Reply)
	answerTo := func(i int, a answer, err error) Reply {
		r := g.reply(v, i, req.Keys[i], a, err)
		if i < len(req.Digests) {
			r.compare(req.Digests[i])
		}
		return r
	}
	misses := pick{keys: req.Keys}
	for i, key := range req.Keys {
		a, ok := g.cached(ctx, key)
		if !ok {
			misses.indices = append(misses.indices, i)
			continue
		}
		if err := w.WriteReply(answerTo(i, a, nil)); err != nil {
			return err
		}
	}
	g.loadMany(ctx, v, &misses, func(i int, a answer, err error) {
		select {
		case replies <- answerTo(i, a, err):
		case <-ctx.Done():
		}
	})
	return n.relay(ctx, req, w, replies, len(misses.indices))
}

// serveLeaving answers with what this node has while it says goodbye. Whoever
// asks has not heard of that yet, nor perhaps has the next in line, who would
// load the key. Nobody keeps these answers.
func (n *Node) serveLeaving(ctx context.Context, req *Request, w ReplyWriter) error {
	leaving := &Error{Kind: KindDraining, Op: OpFetch, Group: req.Group, Peer: n.cfg.Self.ID}
	g, ok := n.Lookup(req.Group)
	if !ok {
		return refuse(w, req, leaving)
	}
	v := n.view.Load()
	for i, key := range req.Keys {
		r := Reply{Key: i, Err: leaving}
		// Once it is gone nobody tells it of removals.
		if a, ok := g.cached(ctx, key); ok && !n.gone.Load() {
			r = g.reply(v, i, key, a, nil)
			r.ListHash = 0
			if i < len(req.Digests) {
				r.compare(req.Digests[i])
			}
		}
		if err := w.WriteReply(r); err != nil {
			return err
		}
	}
	return nil
}

// relay writes the replies as they come, and Pending ones between them.
func (n *Node) relay(ctx context.Context, req *Request, w ReplyWriter, replies <-chan Reply, waiting int) error {
	var beat <-chan time.Time
	if req.Heartbeat > 0 && waiting > 0 {
		t := time.NewTicker(max(req.Heartbeat, minHeartbeat))
		defer t.Stop()
		beat = t.C
	}
	for waiting > 0 {
		r := Reply{Pending: true}
		select {
		case r = <-replies:
			waiting--
		case <-beat:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := w.WriteReply(r); err != nil {
			return err
		}
	}
	return nil
}

// refusal is why the request as a whole is not served; nil if it is.
func (n *Node) refusal(req *Request) *Error {
	e := &Error{Kind: KindTooLarge, Op: OpFetch, Group: req.Group, Peer: n.cfg.Self.ID, Err: checkBatch(req.Keys)}
	if len(req.Keys) == 0 {
		e.Kind, e.Err = KindUnsupported, errors.New("a fetch without keys")
	}
	if e.Err == nil {
		return nil
	}
	return e
}

// refuse answers all keys with the same error, or the request if it has none.
func refuse(w ReplyWriter, req *Request, e *Error) error {
	for i := range max(len(req.Keys), 1) {
		if err := w.WriteReply(Reply{Key: i, Err: e}); err != nil {
			return err
		}
	}
	return nil
}

// reply is the answer to the key with index i of a request that came under the
// view v. If the list is another by now, or the answer was found under another
// one, it has no list hash: nobody keeps it. The same goes for a copy, which
// this node does not vouch for.
func (g *Group) reply(v *view, i int, key string, a answer, err error) Reply {
	r := Reply{Key: i, Source: a.source}
	if now := g.node.view.Load(); now.epoch == v.epoch && (a.epoch == 0 || a.epoch == now.epoch) && a.source != SourceHot {
		r.ListHash = now.ring.Hash()
	}
	if r.Source == SourceHot {
		r.Source = SourceHit
	}
	switch {
	case err != nil:
		r.Err = g.remoteError(key, err)
	case a.notFound:
		r.Err = g.notFound(key, a.value)
		r.Keep = g.node.rest(a)
	default:
		r.Value = StringValue(a.value)
		r.Keep = g.node.rest(a)
	}
	return r
}

// rest is what is left of an answer's life, to be sent. What ends just now has
// a nanosecond left: who gets it can tell it from what must not be kept but is
// for all who wait, and does not give it to those who asked afterwards.
func (n *Node) rest(a answer) Lifetime {
	if left := n.remaining(a.expires); left > 0 || a.life <= 0 || a.stale {
		return left
	}
	return For(1)
}

// compare takes the value out of the reply if the asker has it.
func (r *Reply) compare(d Digest) {
	if d != (Digest{}) && r.Err == nil && digestOf(r.Value) == d {
		r.Value, r.NotModified = Value{}, true
	}
}

// remoteError is err as this node reports it to a peer.
func (g *Group) remoteError(key string, err error) *Error {
	e := *g.failure(OpFetch, key, err)
	e.Op, e.Group, e.Key = OpFetch, g.name, key
	if e.Peer == "" {
		e.Peer = g.node.cfg.Self.ID
	}
	return &e
}
