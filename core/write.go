package gcnode

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gcnode/gcnode/core/internal/store"
)

// Set stores a value at the owner of the key and takes older values out of the
// cache on all members. It writes nothing to the origin: write there first.
//
// nil means that every Get that starts afterwards on a member that was reached
// returns this value or a later one: one of a later Set, or of a load that began
// after Set was called. The value is not there for ever: it can be evicted, and
// ends with it.Keep, as a loaded one would; [NoStore] only takes older values
// out. Errors are as those of [Group.Remove]: those who did not confirm are told
// in the background that older values are void; the value may be stored or not.
// One of [KindTooLarge] is for what is over a limit; a value that a store of
// this size could not keep is no error.
//
// Of two concurrent Sets of one key the one with the later stamp stays
// everywhere; both return nil.
func (g *Group) Set(ctx context.Context, key string, it Item[Value]) error {
	err := checkKey(key)
	if n := it.Value.Len(); err == nil && n > MaxValueBytes {
		err = fmt.Errorf("the value has %d bytes; at most %d are allowed", n, MaxValueBytes)
	}
	if err != nil {
		return &Error{Kind: KindTooLarge, Op: OpSet, Group: g.name, Key: clip(key), Err: err}
	}
	g.counts.sets.Add(1)
	if g.setAlone(key, it) {
		return nil
	}
	return g.write(ctx, OpSet, Removal{Group: g.name, Keys: []string{key}}, func(ctx context.Context, begun time.Time, t *telling) error {
		return g.set(ctx, begun, t, it)
	})
}

// Clear takes all keys of the group out of the cache on all members, with the
// guarantee and the errors of [Group.Remove].
func (g *Group) Clear(ctx context.Context) error {
	g.counts.clears.Add(1)
	return g.write(ctx, OpRemove, Removal{Group: g.name, All: true}, g.node.remove)
}

// write gives a removal its number and its stamp, once this node has joined,
// and lets run do the rest. If somebody was behind whose clock this node could
// not know, it does so once more: what was kept there then has an earlier stamp.
func (g *Group) write(ctx context.Context, op Op, r Removal, run func(ctx context.Context, begun time.Time, t *telling) error) error {
	n := g.node
	refuse := func(kind Kind, err error) error {
		return &Error{Kind: kind, Op: op, Group: g.name, Err: err}
	}
	if !n.begin() {
		return refuse(KindDraining, nil)
	}
	defer n.end()
	if !n.removals.room(len(r.weight())) {
		return refuse(KindOverloaded, errors.New("too many removals are under way"))
	}
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, removeTimeout)
	defer cancel()
	if err := n.awaitJoined(ctx); err != nil {
		return refuse(KindUnreachable, err)
	}
	n.timesOf(ctx, n.untimed())
	if n.isClosed() && ctx.Err() != nil { // nobody is told any more when this call ends
		return refuse(KindDraining, ctx.Err())
	}
	t := n.newTelling(r)
	err := run(ctx, begun, t)
	if n.outboxes.isEarly(t) {
		err = run(ctx, begun, n.newTelling(r))
	}
	return err
}

// set stores the value at the owner, and then tells everybody else, this node
// included, that older ones are void: if they heard of it before the owner had
// the value, they could fetch an older one that the owner has loaded meanwhile,
// and would not be told again.
func (g *Group) set(ctx context.Context, begun time.Time, t *telling, it Item[Value]) error {
	n, r, key := g.node, t.Removal, t.Keys[0]
	v := n.view.Load()
	owner := v.owner(key)
	if owner == "" || owner == n.cfg.Self.ID {
		g.setHere(v, r, it)
		return n.spread(ctx, begun, t)
	}
	p := v.peers[owner]
	if !n.strangers.has(owner) {
		if ack := g.setAt(ctx, p.Peer, r, it); ack != nil {
			n.outboxes.told(t, p.Peer, ack)
		}
	}
	n.applyWhole(r)
	return n.spread(ctx, begun, t)
}

// setAlone stores the value on a node that has no peers, and had none for so
// long that none need to be told anything, and reports whether it is one.
func (g *Group) setAlone(key string, it Item[Value]) (alone bool) {
	if !g.node.isAlone() || g.node.isClosed() {
		return false
	}
	now := g.node.now()
	a := g.itemAnswer(it, now)
	g.flights.Apply(key, func() bool {
		if alone = g.node.isAlone(); alone && !g.dropped.Load() {
			g.keepOwned(key, a)
		}
		return alone
	})
	return alone
}

// isAlone reports whether nobody else is to be told of removals. A node that
// is solo may have had peers, as a client of theirs or while it joined.
func (n *Node) isAlone() bool { return n.is(solo) && len(n.view.Load().former) == 0 }

// itemAnswer is the answer that an item is, whose life begins now.
func (g *Group) itemAnswer(it Item[Value], now int64) answer {
	a := answer{value: it.Value.s, expires: g.freshness.expires(now, it.Keep)}
	a.life = a.expires - now
	return a
}

// setAt stores the value at its owner. nil means that the owner has not
// confirmed, and is to be told with the others that older values are void.
func (g *Group) setAt(ctx context.Context, owner Peer, r Removal, it Item[Value]) *Ack {
	var ack *Ack
	var refusal *Error
	removals, _ := g.node.removals.active(g.name, r.Keys...) // if they are too many, the owner hears of them from their senders
	req := &Request{
		Op: OpSet, Group: g.name, Keys: r.Keys, Value: it.Value, Keep: it.Keep, Stamp: r.Stamp,
		Removals: append(removals, r),
	}
	err := g.node.roundTrip(ctx, owner, req, func(r Reply) error {
		ack, refusal = r.Ack, r.Err
		return nil
	})
	if ack, failure := confirmation(ctx, ack, refusal, err); failure == nil {
		return ack
	}
	return nil
}

// setHere stores the value at this node, its owner by the view v, unless a later
// write is known.
func (g *Group) setHere(v *view, r Removal, it Item[Value]) {
	n, key := g.node, r.Keys[0]
	n.stamps.merge(r.Stamp)
	now := n.now()
	a := g.itemAnswer(it, now)
	unknown := false
	g.flights.Apply(key, func() bool {
		// One that is known has stored its value, or has come so late that the
		// caller has given up and told of the removal alone: the value's life
		// counts from about now, but not from long ago.
		if unknown = n.removals.learn(r, key); !unknown {
			return false
		}
		g.hot.Remove(key)
		latest := n.removals.store(r, key)
		if e, ok := g.owned.Get(key); ok && Stamp(e.Stamp).Compare(r.Stamp) > 0 {
			return true
		}
		keep := latest && a.expires > now && v.owner(key) == n.cfg.Self.ID && g.keepable(v)
		if !keep {
			g.owned.Remove(key)
			return true
		}
		e := a.entry()
		e.Stamp = store.Stamp(r.Stamp)
		g.owned.Set(key, e) // in the place of an older one
		return true
	})
	n.removals.complete(r.ID)
	n.knowledge.applied(r.ID)
	if unknown && n.cfg.Hooks.Removed != nil {
		n.cfg.Hooks.Removed(RemovalEvent{Group: g.name, Keys: []string{key}, From: r.ID.Sender})
	}
}

// serveSet stores what a member sends that takes this node for the owner.
func (n *Node) serveSet(req *Request, w ReplyWriter) error {
	e := &Error{Kind: KindUnsupported, Op: OpSet, Group: req.Group, Peer: n.cfg.Self.ID}
	switch {
	case len(req.Keys) != 1 || len(req.Removals) == 0:
		e.Err = errors.New("a set without one key and its removal")
	case req.Value.Len() > MaxValueBytes || len(req.Keys[0]) > MaxKeyBytes:
		e.Kind, e.Err = KindTooLarge, errors.New("a set over the limits of key or value")
	}
	if e.Err != nil {
		return refuse(w, req, e)
	}
	r := req.Removals[len(req.Removals)-1]
	r.Group, r.Keys, r.All, r.Stamp = req.Group, req.Keys, false, req.Stamp
	v := n.view.Load()
	if g, ok := n.Lookup(req.Group); ok && !n.isClosed() {
		g.setHere(v, r, Item[Value]{Value: req.Value, Keep: req.Keep})
	} else {
		n.applyWhole(r)
	}
	return w.WriteReply(Reply{ListHash: n.view.Load().ring.Hash(), Ack: n.ackRemovals(req, r)})
}
