package gcnode

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
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
	refuse := func(kind Kind, err error) error {
		return &Error{Kind: kind, Op: OpRemove, Group: g.name, Err: err}
	}
	if err := checkBatch(keys); err != nil {
		return refuse(KindTooLarge, err)
	}
	if len(keys) == 0 {
		return nil
	}
	if !g.node.begin() {
		return refuse(KindDraining, nil)
	}
	defer g.node.end()
	if !g.node.removals.room(len(keys)) {
		return refuse(KindOverloaded, errors.New("too many removals are under way"))
	}
	g.counts.removals.Add(1)
	return g.node.remove(ctx, g.name, keys)
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
func (n *Node) remove(ctx context.Context, group string, keys []string) error {
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, removeTimeout)
	defer cancel()
	r := Removal{
		ID:    RemovalID{Sender: n.cfg.Self.ID, Incarnation: n.incarnation, Seq: n.seq.Add(1)},
		Stamp: n.stamps.take(n.incarnation),
		Group: group,
		Keys:  slices.Clone(keys),
	}
	n.apply(r)
	told := map[string]Peer{}
	failed := map[string]*Error{}
	for next := n.untold(nil, told); len(next) > 0; {
		acks := n.tell(ctx, next, r, failed)
		for _, p := range next {
			told[p.ID] = p
		}
		next = n.untold(acks, told)
	}
	if len(failed) == 0 && time.Since(begun) < removeTimeout {
		n.finishLater(r.ID, slices.Collect(maps.Values(told)))
		return nil
	}
	if len(failed) == 0 { // a process that was stopped and went on must not promise what others have forgotten
		return &Error{Kind: KindTimeout, Op: OpRemove, Group: group, Err: fmt.Errorf("the removal took longer than %v", removeTimeout)}
	}
	errs := slices.SortedFunc(maps.Values(failed), func(a, b *Error) int { return cmp.Compare(a.Peer, b.Peer) })
	n.retries.add(r, told, failed)
	return &PeerErrors{Peers: errs}
}

// untold are the members of this node and of the acks that have not been told
// yet.
func (n *Node) untold(acks []*Ack, told map[string]Peer) []Peer {
	var next []Peer
	add := func(list []Peer) {
		for _, p := range list {
			_, done := told[p.ID]
			if !done && p.ID != n.cfg.Self.ID && !slices.ContainsFunc(next, func(q Peer) bool { return q.ID == p.ID }) {
				next = append(next, p)
			}
		}
	}
	add(n.view.Load().members(n.now())) // first: its addresses count
	for _, a := range acks {
		add(a.Members)
	}
	return next
}

// tell sends the removal to the peers in parallel. Those that did not confirm
// are put into failed.
func (n *Node) tell(ctx context.Context, peers []Peer, r Removal, failed map[string]*Error) []*Ack {
	var mu sync.Mutex
	var acks []*Ack
	broadcast(peers, func(p Peer) {
		ack, err := n.sendRemovals(ctx, p, []Removal{r})
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			failed[p.ID] = err
			return
		}
		acks = append(acks, ack)
	})
	return acks
}

// sendRemovals has the peer apply the removals.
func (n *Node) sendRemovals(ctx context.Context, to Peer, rs []Removal) (*Ack, *Error) {
	var ack *Ack
	var refusal *Error
	err := n.roundTrip(ctx, to, &Request{Op: OpRemove, Removals: rs}, func(r Reply) error {
		ack, refusal = r.Ack, r.Err
		return nil
	})
	fail := func(kind Kind, err error) (*Ack, *Error) {
		return nil, &Error{Kind: kind, Op: OpRemove, Group: rs[0].Group, Peer: to.ID, Err: err}
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return fail(KindTimeout, err)
	case err != nil:
		return fail(KindUnreachable, err)
	case refusal != nil:
		return fail(refusal.Kind, refusal.Err)
	case ack == nil:
		return fail(KindInternal, errors.New("it finished without a confirmation"))
	default:
		return ack, nil
	}
}

// apply takes the removal's keys out of this node, unless that was done.
func (n *Node) apply(r Removal) {
	n.stamps.merge(r.Stamp)
	g := n.groupOrLearn(r)
	if g == nil {
		return
	}
	var dropped []string
	for _, key := range r.Keys {
		if g.drop(r, key) && n.cfg.Hooks.Removed != nil {
			dropped = append(dropped, key)
		}
	}
	if len(dropped) > 0 {
		n.cfg.Hooks.Removed(RemovalEvent{Group: r.Group, Keys: dropped, From: r.ID.Sender})
	}
}

// groupOrLearn is the removal's group. If it is not there it may come at any
// time, and its flights must carry the removal then; so the removal is learned
// while no group can be made.
func (n *Node) groupOrLearn(r Removal) *Group {
	n.mu.Lock()
	defer n.mu.Unlock()
	g := n.groups[r.Group]
	if g == nil {
		for _, key := range r.Keys {
			n.removals.learn(r, key)
		}
	}
	return g
}

// drop applies a removal of one key, and reports whether it was unknown.
func (g *Group) drop(r Removal, key string) (unknown bool) {
	g.flights.Apply(key, func() bool {
		if unknown = g.node.removals.learn(r, key); !unknown {
			return false
		}
		g.owned.Remove(key)
		g.hot.Remove(key)
		return true
	})
	return unknown
}

// finishLater tells the peers that all have confirmed, so that they forget
// the removal. It does not matter much if one does not hear of it: then it
// remembers it for removalMemory.
func (n *Node) finishLater(id RemovalID, peers []Peer) {
	n.removals.finish([]RemovalID{id})
	if len(peers) == 0 || !n.begin() {
		return
	}
	go func() {
		defer n.end()
		broadcast(peers, func(p Peer) {
			err := n.roundTrip(n.done, p, &Request{Op: OpFinish, Finished: []RemovalID{id}}, func(Reply) error { return nil })
			if err != nil {
				n.log.LogAttrs(n.done, levelInfo, "peer did not hear that a removal is finished", peerAttr(p), errAttr(err))
			}
		})
	}()
}
