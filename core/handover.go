package gcnode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/gcnode/gcnode/core/internal/flight"
)

const (
	// handoverTimeout bounds how long a member takes to fetch what it inherits,
	// and so how long one that leaves waits for it.
	handoverTimeout = 30 * time.Second
	// handoverKeys and handoverBytes bound the keys that are fetched at a time.
	handoverKeys  = 500
	handoverBytes = 64 << 10
	// handoverScan is after how many keys a member that looks for those of
	// another gives a sign of life.
	handoverScan = 100_000
)

// errNotHeld says that the previous owner of a key does not have it any more.
var errNotHeld = errors.New("the previous owner does not have it")

// errBeingLoaded says that somebody else loads what was to be fetched, and may
// be about to ask its previous owner.
var errBeingLoaded = errors.New("some of it is being loaded already")

// goodbye takes this node off its list and tells the other members, which
// take it off theirs and fetch what they inherit. Then they need not tell it of
// removals any more, since it answers nobody.
func (n *Node) goodbye(ctx context.Context) {
	if !n.is(joined) {
		n.gone.Store(true)
		return
	}
	others := n.view.Load().others(n.cfg.Self.ID)
	n.leave()
	ctx, cancel := context.WithTimeout(ctx, handoverTimeout)
	defer cancel()
	broadcast(others, func(p *peer) {
		err := n.roundTrip(ctx, p.Peer, &Request{Op: OpGoodbye}, func(r Reply) error {
			if r.Ack == nil {
				return errNoAck(&r)
			}
			return nil
		})
		if err != nil {
			n.log.LogAttrs(ctx, levelInfo, "peer did not inherit everything", peerAttr(p.Peer), errAttr(err))
		}
	})
	n.gone.Store(true)
	broadcast(others, func(p *peer) {
		if err := n.roundTrip(n.done, p.Peer, &Request{Op: OpGone}, func(Reply) error { return nil }); err != nil {
			n.log.LogAttrs(ctx, levelInfo, "peer does not know that this node is gone", peerAttr(p.Peer), errAttr(err))
		}
	})
}

// serveGoodbye goes on without the sender, and answers when this node has what
// it inherits.
func (n *Node) serveGoodbye(ctx context.Context, req *Request, w ReplyWriter) error {
	met := !n.strangers.has(req.From.ID)
	n.depart(req.From)
	done := make(chan Reply, 1)
	if !n.beginBackground() {
		return refuse(w, req, &Error{Kind: KindDraining, Op: req.Op, Peer: n.cfg.Self.ID})
	}
	go func() {
		defer n.background.Done()
		v := n.view.Load()
		if from := v.heard(req.From.ID, n.now()); met && from != nil && n.is(joined) {
			ctx, cancel := context.WithTimeout(n.done, handoverTimeout)
			defer cancel()
			if n.inheritOf(ctx, v, from) == nil && v.estate != nil {
				v.estate.settled.Store(true)
			}
		}
		done <- Reply{ListHash: n.view.Load().ring.Hash(), Ack: n.ack()}
	}()
	return n.relay(ctx, req, w, done, 1)
}

// inheritFrom fetches what this node owns now from all that may have it.
func (n *Node) inheritFrom(v *view) {
	ctx, cancel := context.WithTimeout(n.done, handoverTimeout)
	defer cancel()
	rest, whole := v.others(n.cfg.Self.ID), true
	for wait := helloFirst; len(rest) > 0 && n.view.Load().epoch == v.epoch; wait = min(2*wait, helloMax) {
		rest = slices.DeleteFunc(rest, func(p *peer) bool {
			if n.strangers.has(p.ID) {
				return false
			}
			err := n.inheritOf(ctx, v, p)
			whole = whole && (err == nil || errors.Is(err, ErrDraining))
			return !errors.Is(err, ErrDraining)
		})
		if len(rest) == 0 {
			v.estate.settled.Store(whole)
			return
		}
		select { // they have to meet first
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// inheritOf fetches from one member what this node owns by the view, for as
// long as it is the view. Its error says what was not fetched; [ErrDraining] in
// its chain, that the member does not answer this node yet.
func (n *Node) inheritOf(ctx context.Context, v *view, from *peer) error {
	var errs []error
	for _, g := range n.allGroups() {
		err := g.inheritOf(ctx, v, from)
		if err != nil {
			errs = append(errs, err)
			n.log.LogAttrs(ctx, levelInfo, "peer did not hand over everything",
				slog.String("group", g.name), peerAttr(from.Peer), errAttr(err))
		}
	}
	return errors.Join(errs...)
}

func (g *Group) inheritOf(ctx context.Context, v *view, from *peer) error {
	n := g.node
	return n.roundTrip(ctx, from.Peer, &Request{Op: OpKeys, Group: g.name}, func(r Reply) error {
		if r.Err != nil {
			return r.Err
		}
		if now := n.view.Load(); now.epoch != v.epoch || r.ListHash != v.ring.Hash() {
			return errors.New("the member list has changed")
		}
		return g.inherit(ctx, v, from, r.Keys)
	})
}

// inherit fetches keys from their previous owner. Each is a load that others
// may join: if it is not there any more they load it themselves.
func (g *Group) inherit(ctx context.Context, v *view, from *peer, keys []string) error {
	if !g.node.begin() {
		return ErrDraining
	}
	defer g.node.end()
	batch := flight.NewBatch[answer](ctx, g.node.cfg.PeerTimeout*(maxLine+1))
	var others []string // keys that are here, or that others load
	for _, key := range keys {
		if !g.owns(key) || len(key) > MaxKeyBytes {
			continue
		}
		if !g.flights.Start(ctx, flight.Plan[answer]{
			Role: flight.Load, Key: key, Batch: batch,
			Look: func() (answer, bool) { return g.ownedAnswer(key) },
		}) {
			others = append(others, key)
		}
	}
	// What is removed from now on detaches these flights, and what was removed
	// before the sender has been told of, if it still is.
	if g.node.view.Load().heard(from.ID, g.node.now()) == nil {
		from = nil
	}
	wanted := batch.Keys()
	done := make(chan error, 1)
	batch.Run(func(context.Context) error { // whose context ends with the last answer, before the peer has ended
		if from == nil {
			done <- errors.New("it has left long ago")
			return errNotHeld
		}
		err := g.peek(ctx, from, wanted, func(i int, a answer, listHash uint64) {
			if !v.estate.left(g.name, wanted[i]) {
				return
			}
			batch.Answer(i, a, nil, func() {
				if listHash == v.ring.Hash() && g.keepable(v) {
					g.keepOwned(wanted[i], a)
					g.counts.inherited.Add(1)
				}
			})
		})
		done <- err
		return errNotHeld
	}, func(error) {})
	if len(wanted) != 0 {
		select {
		case err := <-done:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for _, key := range others {
		if _, ok := g.ownedAnswer(key); !ok {
			return errBeingLoaded
		}
	}
	return nil
}

// peek asks a previous owner for what it has of the keys, and calls take for
// each answer about one of them.
func (g *Group) peek(ctx context.Context, from *peer, keys []string, take func(i int, a answer, listHash uint64)) error {
	removals, ok := g.node.removals.active(g.name, keys...)
	if !ok {
		return errors.New("too many removals are under way")
	}
	sent := g.node.now()
	g.counts.peeks.Add(1)
	req := &Request{Op: OpPeek, Group: g.name, Keys: keys, Removals: removals}
	seen := make([]bool, len(keys))
	return g.node.ask(ctx, from, req, func(r Reply) error {
		if r.Key < 0 || r.Key >= len(keys) || seen[r.Key] || r.Value.Len() > MaxValueBytes {
			return fmt.Errorf("a reply to key %d that was not asked for", r.Key)
		}
		seen[r.Key] = true
		a, e := g.answerOfReply(&r, sent)
		if e == nil && a.expires > g.node.now() {
			g.counts.peekHits.Add(1)
			take(r.Key, a, r.ListHash)
		}
		return nil
	})
}

// peekOne answers a load of a key that this node has inherited with what the
// previous owner has, if there is one.
func (g *Group) peekOne(ctx context.Context, call *flight.Call[answer], key string) (held answer, ok bool) {
	v, now, self := g.node.view.Load(), g.node.now(), g.node.cfg.Self.ID
	if !v.estate.open(now) || v.owner(key) != self || !v.estate.left(g.name, key) {
		return held, false
	}
	from := v.heard(v.estate.ring().Owner(key), now)
	if from == nil || from.ID == self || from.down.Load() || g.node.strangers.has(from.ID) {
		return held, false
	}
	var listHash uint64
	err := g.peek(ctx, from, []string{key}, func(_ int, a answer, hash uint64) { held, listHash, ok = a, hash, true })
	if !ok || err != nil || held.expires <= g.node.now() {
		return held, false
	}
	held.epoch = v.epoch
	call.Keep(func() {
		if listHash == v.ring.Hash() && g.keepable(v) {
			g.keepOwned(key, held)
		}
	})
	return held, true
}

// servePeek answers with what is in memory.
func (n *Node) servePeek(req *Request, w ReplyWriter) error {
	g, e := n.heir(req)
	if e != nil {
		return refuse(w, req, e)
	}
	v := n.view.Load()
	for i, key := range req.Keys {
		a, ok := g.ownedAnswer(key)
		r := Reply{Key: i, ListHash: v.ring.Hash(), Err: &Error{Kind: KindUnsupported, Op: OpPeek, Err: errNotHeld}}
		if ok && a.expires > n.now() {
			a.source = SourceHit
			r = g.reply(v, i, key, a, nil)
		}
		if err := w.WriteReply(r); err != nil {
			return err
		}
	}
	return nil
}

// serveKeys answers with the keys that the sender inherits.
func (n *Node) serveKeys(req *Request, w ReplyWriter) error {
	g, e := n.heir(req)
	v := n.view.Load()
	if e == nil && v.ring.Hash() != req.ListHash {
		e = &Error{Kind: KindUnsupported, Op: OpKeys, Group: req.Group, Peer: n.cfg.Self.ID, Err: errors.New("its member list is another")}
	}
	if e != nil {
		return refuse(w, req, e)
	}
	var keys []string
	size, scanned := 0, 0
	flush := func() error {
		r := Reply{Keys: keys, ListHash: v.ring.Hash()}
		keys, size = nil, 0
		return w.WriteReply(r)
	}
	for key := range g.owned.Keys() {
		scanned++
		if v.owner(key) == req.From.ID {
			keys = append(keys, key)
			size += len(key)
		}
		if len(keys) == handoverKeys || size >= handoverBytes || scanned%handoverScan == 0 {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// heir is the group of a request for what this node has kept, also while it
// is closing, or why it is refused.
func (n *Node) heir(req *Request) (*Group, *Error) {
	g, ok := n.Lookup(req.Group)
	switch {
	case !ok:
		return nil, &Error{Kind: KindNoSuchGroup, Op: req.Op, Group: req.Group, Peer: n.cfg.Self.ID}
	case n.is(joining) || n.strangers.has(req.From.ID):
		return nil, n.stranger(req)
	case n.gone.Load():
		return nil, &Error{Kind: KindDraining, Op: req.Op, Group: req.Group, Peer: n.cfg.Self.ID}
	case req.Op == OpPeek:
		return g, n.refusal(req)
	default:
		return g, nil
	}
}

// stranger is the refusal of a request from a member that this node has not
// met, or of any while it joins: one of the two does not know of removals that
// the other knows.
func (n *Node) stranger(req *Request) *Error {
	return &Error{
		Kind: KindDraining, Op: req.Op, Group: req.Group, Peer: n.cfg.Self.ID,
		Err: errors.New("it has not joined the sender's cluster yet"),
	}
}
