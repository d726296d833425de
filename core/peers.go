package gcnode

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// probeEvery is how often a member that did not answer is tried, off the
	// path of any request.
	probeEvery = time.Second
	// steady is how long a member must have answered for its going down to be
	// the first time, and maxFlaps bounds what comes of the others: 2^maxFlaps
	// answers in a row are asked of it.
	steady   = time.Minute
	maxFlaps = 4
	// heartbeats is how many signs of life fit into one peer timeout.
	heartbeats = 4
	// maxReplies is more than the answer to a hello or sync can have: all removals
	// that a member remembers, in replies that are half full.
	maxReplies = 1024
	// maxLine is how many members are asked for a key before it is loaded
	// here.
	maxLine = 3
)

var (
	errSilent  = errors.New("silent for longer than the peer timeout")
	errEndless = fmt.Errorf("it has answered more than %d times, which is more than it can have to say", maxReplies)
)

func checkPeer(p Peer) error {
	switch {
	case p.ID == "":
		return errors.New("the peer has no ID; every member needs one that is unique in the cluster")
	case len(p.ID) > MaxIDBytes:
		return fmt.Errorf("the peer ID %.32q… has %d bytes; at most %d are allowed", p.ID, len(p.ID), MaxIDBytes)
	default:
		return nil
	}
}

// replyFunc is a function that is a [ReplyWriter].
type replyFunc func(Reply) error

// WriteReply calls f.
func (f replyFunc) WriteReply(r Reply) error { return f(r) }

// roundTrip sends the request to the peer and hands the replies to take. A
// peer that is silent for longer than the peer timeout is given up, as is one
// whose answer to a hello or sync has no end. The request is filled in with what
// every request carries.
func (n *Node) roundTrip(ctx context.Context, to Peer, req *Request, take func(Reply) error) error {
	if n.cfg.Transport == nil {
		return errors.New("there is no transport")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(n.cfg.PeerTimeout, func() { cancel(errSilent) })
	defer silence.Stop()
	n.complete(to, req)
	if deadline, ok := ctx.Deadline(); ok {
		req.Timeout = time.Until(deadline)
	}
	replies, bounded := 0, req.Op == OpHello || req.Op == OpSync
	err := n.cfg.Transport.RoundTrip(ctx, to, req, replyFunc(func(r Reply) error {
		if replies++; bounded && replies > maxReplies {
			return errEndless
		}
		silence.Stop() // it is not the peer's silence that take needs time
		defer silence.Reset(n.cfg.PeerTimeout)
		if r.Pending {
			return nil
		}
		return take(r)
	}))
	if err != nil && errors.Is(context.Cause(ctx), errSilent) {
		return fmt.Errorf("%w of %v", errSilent, n.cfg.PeerTimeout)
	}
	return err
}

// complete fills in what every request carries, but for the time that it has.
func (n *Node) complete(to Peer, req *Request) {
	req.To = to.ID
	req.From = Sender{ID: n.cfg.Self.ID, Incarnation: n.incarnation}
	req.ListHash = n.view.Load().ring.Hash()
	req.Heartbeat = n.cfg.PeerTimeout / heartbeats
}

// ask is roundTrip with a member of the current list, whose health it keeps
// track of: one that cannot be reached is down until a probe reaches it. The
// caller's own end says nothing of the peer, nor does a failure of another
// kind.
func (n *Node) ask(ctx context.Context, p *peer, req *Request, take func(Reply) error) error {
	fetches := req.Op == OpFetch
	if fetches {
		p.requests.Add(1)
	}
	err := n.roundTrip(ctx, p.Peer, req, take)
	if err == nil || ctx.Err() != nil {
		return err
	}
	if fetches {
		p.errors.Add(1)
	}
	n.unanswered(p, err)
	return err
}

// unanswered takes note that a member did not answer a request.
func (n *Node) unanswered(p *peer, err error) {
	if e, ok := errors.AsType[*Error](err); ok && e.Kind != KindUnreachable {
		return
	}
	if p.down.CompareAndSwap(false, true) {
		n.goBackground(func() { n.probe(p) })
	}
}

// probe tries a member that did not answer until it does, or is not on the
// list any more. One that goes down again and again has to answer several times
// in a row.
func (n *Node) probe(p *peer) {
	n.log.LogAttrs(n.done, levelWarn, "peer is down", peerAttr(p.Peer))
	n.cfg.Hooks.peerDown(p.Peer)
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for missing := p.flap(n.now()); missing > 0; {
		select {
		case <-n.done.Done():
			return
		case <-tick.C:
		}
		if n.view.Load().peers[p.ID] != p {
			return
		}
		if n.try(p) == nil {
			missing--
		} else {
			missing = max(missing, 1)
		}
	}
	p.up.Store(n.now())
	p.down.Store(false)
	n.log.LogAttrs(n.done, levelInfo, "peer is back", peerAttr(p.Peer))
	n.cfg.Hooks.peerUp(p.Peer)
}

// try asks a member that was down what it knows, so that what was missed in the
// meantime is known before anything else goes between the two.
func (n *Node) try(p *peer) error {
	if n.is(joined) && !n.strangers.has(p.ID) {
		even, err := n.syncWith(n.done, p, nil)
		if err == nil && !even {
			err = errors.New("it has missed removals that this node knows of")
		}
		return err
	}
	return n.roundTrip(n.done, p.Peer, &Request{Op: OpFinish}, func(Reply) error { return nil })
}

// flap counts that the peer is down, and returns how often it has to answer
// before it is asked again.
func (p *peer) flap(now int64) int {
	if now-p.up.Load() > int64(steady) {
		p.flaps.Store(0)
	}
	return 1 << min(p.flaps.Add(1)-1, maxFlaps)
}

// broadcast runs send for all peers at the same time and waits for it.
func broadcast(peers []*peer, send func(*peer)) {
	var wg sync.WaitGroup
	for _, p := range peers {
		wg.Go(func() { send(p) })
	}
	wg.Wait()
}
