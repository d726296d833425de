package gcnode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/gcnode/gcnode/core/internal/store"
)

// Remove takes the keys out of the cache on all members. It changes nothing
// at the origin.
//
// nil means that every member confirmed: no Get that starts afterwards on any
// of them returns a value whose load began before Remove was called. Members
// are those on this node's list, on the lists of those who confirmed, and
// those that left one of them a short time ago. Otherwise the keys are gone
// from those that confirmed, and the [*PeerErrors] names the others, which are
// told again in the background for as long as they are members.
//
// A [*Error] of [KindTooLarge], [KindOverloaded] or [KindDraining] means that
// nothing was removed; one of [KindTimeout] that all confirmed, but too late to
// promise anything, as when the process was stopped meanwhile. Remove takes
// 30 s at most.
func (g *Group) Remove(ctx context.Context, keys ...string) error {
	if err := checkBatch(keys); err != nil {
		return &Error{Kind: KindTooLarge, Op: OpRemove, Group: g.name, Err: err}
	}
	if len(keys) == 0 {
		return nil
	}
	g.counts.removals.Add(1)
	return g.write(ctx, OpRemove, Removal{Group: g.name, Keys: slices.Clone(keys)}, g.node.remove)
}

func checkBatch(keys []string) error {
	if len(keys) > MaxBatchKeys {
		return fmt.Errorf("%d keys are too many; at most %d are allowed", len(keys), MaxBatchKeys)
	}
	total := 0
	for _, key := range keys {
		if err := checkKey(key); err != nil {
			return err
		}
		total += len(key)
	}
	if total > MaxBatchBytes {
		return fmt.Errorf("the keys have %d bytes in all; at most %d are allowed", total, MaxBatchBytes)
	}
	return nil
}

// remove runs the removal protocol: apply here, tell all members in parallel,
// and extend the targets by the members that those who confirm know.
func (n *Node) remove(ctx context.Context, begun time.Time, t *telling) error {
	n.applyWhole(t.Removal)
	return n.spread(ctx, begun, t)
}

// newTelling gives the removal its number and its stamp.
func (n *Node) newTelling(r Removal) *telling {
	r.ID = RemovalID{Sender: n.cfg.Self.ID, Incarnation: n.incarnation, Seq: n.seq.Add(1)}
	r.Stamp = n.stamps.take(n.incarnation)
	return newTelling(r, len(n.view.Load().list))
}

// spread tells all members of a removal that was applied here.
func (n *Node) spread(ctx context.Context, begun time.Time, t *telling) error {
	for peers, more := n.untold(t), true; more; more = len(peers) > 0 && ctx.Err() == nil {
		n.outboxes.tell(ctx, t, peers)
		peers = n.untold(t)
	}
	failed := n.outboxes.leave(t)
	switch {
	case len(failed) > 0:
		return &PeerErrors{Peers: failed}
	case since(begun) >= removeTimeout: // a process that was stopped and went on must not promise what others have forgotten
		return &Error{Kind: KindTimeout, Op: OpRemove, Group: t.Group, Err: fmt.Errorf("the removal took longer than %v", removeTimeout)}
	default:
		return nil
	}
}

// since is how long ago t was by the clock on which it is later: the monotonic
// one may stand still while the machine sleeps.
func since(t time.Time) time.Duration {
	return max(time.Since(t), time.Now().Round(0).Sub(t.Round(0)))
}

// untold are the members that have not been told of the removal.
func (n *Node) untold(t *telling) []Peer {
	members := n.view.Load().members(n.now())
	n.outboxes.mu.Lock()
	defer n.outboxes.mu.Unlock()
	var list []Peer
	for _, p := range members {
		if p.ID == n.cfg.Self.ID || t.of(p.ID) != nil {
			continue
		}
		if list == nil {
			list = make([]Peer, 0, len(members))
		}
		list = append(list, p)
	}
	return list
}

// sendRemovals tells one peer of removals, and of the ends of others.
func (n *Node) sendRemovals(ctx context.Context, to Peer, rs []Removal, ended []RemovalID) (*Ack, *Error) {
	var ack *Ack
	var refusal *Error
	err := n.roundTrip(ctx, to, &Request{Op: OpRemove, Removals: rs, Finished: ended}, func(r Reply) error {
		ack, refusal = r.Ack, r.Err
		return nil
	})
	return confirmation(ctx, ack, refusal, err)
}

// confirmation is what became of a request to apply removals.
func confirmation(ctx context.Context, ack *Ack, refusal *Error, err error) (*Ack, *Error) {
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, &Error{Kind: KindTimeout, Err: err}
	case err != nil:
		return nil, &Error{Kind: KindUnreachable, Err: err}
	case refusal != nil:
		return nil, refusal
	case ack == nil:
		return nil, &Error{Kind: KindInternal, Err: errors.New("it finished without a confirmation")}
	default:
		return ack, nil
	}
}

// ackRemovals confirms the removals of a request, which were applied. A sender
// that this node does not agree with about the list, or has not met, may never
// have been told of what was set here: the confirmation says how late it is if
// it was kept.
func (n *Node) ackRemovals(req *Request, rs ...Removal) *Ack {
	v := n.view.Load()
	if req.ListHash == v.ring.Hash() && !n.strangers.has(req.From.ID) {
		if len(v.leavers(n.now())) > 0 {
			return n.ack()
		}
		return n.agreed
	}
	a := n.ack()
	for i := range rs {
		if g, ok := n.Lookup(rs[i].Group); ok {
			a.Time = max(a.Time, g.kept(&rs[i]))
		}
	}
	return a
}

// kept is the latest time of what was written later than the removal says, of
// its keys; 0 if there is nothing.
func (g *Group) kept(r *Removal) (latest int64) {
	keys := r.Keys
	if r.All {
		keys = g.node.removals.written(g.name, r.Stamp)
	}
	for _, key := range keys {
		if e, ok := g.owned.Get(key); ok && Stamp(e.Stamp).Compare(r.Stamp) > 0 {
			latest = max(latest, e.Stamp.Time)
		}
	}
	return latest
}

// applyWhole is apply for a removal that has all its keys.
func (n *Node) applyWhole(r Removal) {
	n.apply(r)
	n.removals.complete(r.ID)
	n.knowledge.applied(r.ID)
}

// applyCarried applies a removal that came along with a request: a Clear as a
// whole, and of others the keys that the request concerns.
func (n *Node) applyCarried(r Removal) {
	if r.All {
		n.applyWhole(r)
	} else {
		n.apply(r)
	}
}

// apply takes the removal's keys out of this node, unless that was done.
func (n *Node) apply(r Removal) {
	n.stamps.merge(r.Stamp)
	if n.knowledge.has(r.ID) { // perhaps it has forgotten it, and others have not
		return
	}
	g := n.groupOrLearn(r)
	if g == nil {
		return
	}
	event := RemovalEvent{Group: r.Group, From: r.ID.Sender}
	if r.All {
		event.All = g.dropAllOlder(r)
	}
	for _, key := range r.Keys {
		if g.drop(r, key) && n.cfg.Hooks.Removed != nil {
			event.Keys = append(event.Keys, key)
		}
	}
	if n.cfg.Hooks.Removed != nil && (event.All || len(event.Keys) > 0) {
		n.cfg.Hooks.Removed(event)
	}
}

// groupOrLearn is the removal's group. If it is not there it may come at any
// time, and its flights must carry the removal then; so the removal is learned
// while no group can be made.
func (n *Node) groupOrLearn(r Removal) *Group {
	n.mu.Lock()
	defer n.mu.Unlock()
	g, _ := n.Lookup(r.Group)
	if g == nil {
		for _, key := range r.weight() {
			n.removals.learn(r, key)
		}
	}
	return g
}

// drop applies a removal of one key, and reports whether it was unknown.
func (g *Group) drop(r Removal, key string) (unknown bool) {
	g.flights.Apply(key, func() bool {
		if unknown = g.node.removals.learn(r, key); unknown {
			g.dropOlder(key, r.Stamp)
		}
		return unknown
	})
	return unknown
}

// dropOlder takes the key out unless it was written with a later stamp. The
// lock of its stripe is held.
func (g *Group) dropOlder(key string, stamp Stamp) {
	g.hot.Remove(key)
	if e, ok := g.owned.Get(key); !ok || Stamp(e.Stamp).Compare(stamp) <= 0 {
		g.owned.Remove(key)
	}
}

// dropAllOlder applies a Clear, and reports whether it was unknown.
func (g *Group) dropAllOlder(r Removal) (unknown bool) {
	g.flights.ApplyAll(func() bool {
		if unknown = g.node.removals.learn(r, ""); !unknown {
			return false
		}
		later := map[string]store.Entry{}
		for _, key := range g.node.removals.written(g.name, r.Stamp) {
			if e, ok := g.owned.Get(key); ok && Stamp(e.Stamp).Compare(r.Stamp) > 0 {
				later[key] = e
			}
		}
		g.owned.Clear()
		g.hot.Clear()
		for key, e := range later {
			g.owned.Set(key, e)
		}
		return true
	})
	return unknown
}

// forgetAll empties all groups: this node cannot vouch for what it has.
func (n *Node) forgetAll(why string) {
	n.log.LogAttrs(n.done, levelWarn, "dropping everything", slog.String("why", why))
	n.gaps.Add(1)
	n.emptyAll()
	if n.cfg.Hooks.Dropped != nil {
		n.cfg.Hooks.Dropped(why)
	}
}

// emptyAll takes everything out of all groups, and detaches their flights.
func (n *Node) emptyAll() {
	for _, g := range n.allGroups() {
		g.flights.ApplyAll(func() bool {
			g.owned.Clear()
			g.hot.Clear()
			return true
		})
	}
}
