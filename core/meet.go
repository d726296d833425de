package gcnode

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// strangers are members on the list that this node has not met: each of the two
// may have been told of removals that the other has never heard of,
//
//	this node        a member           a stranger, which owns the key
//	                 removes the key    has it, and is on nobody's list
//	                 all have confirmed
//	                                    comes back to the lists
//	asks it                           ▶
//	gets what was removed
//
// so nothing goes between them until they have compared what they know.
type strangers struct {
	mu  sync.Mutex
	ids map[string]bool
	any atomic.Bool
	// meeting says that there is a goroutine that tries to meet them.
	meeting bool
	// news holds one element when there is a reason to try at once.
	news chan struct{}
}

// add reports whether somebody has to begin with meeting them.
func (s *strangers) add(ids []string) (begin bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ids == nil {
		s.ids = map[string]bool{}
	}
	for _, id := range ids {
		s.ids[id] = true
	}
	s.any.Store(len(s.ids) > 0)
	begin = len(s.ids) > 0 && !s.meeting
	s.meeting = s.meeting || begin
	return begin
}

// keep takes out those that cannot be asked any more.
func (s *strangers) keep(known func(id string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.ids, func(id string, _ bool) bool { return !known(id) })
	s.any.Store(len(s.ids) > 0)
}

func (s *strangers) remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ids, id)
	s.any.Store(len(s.ids) > 0)
}

func (s *strangers) has(id string) bool {
	if !s.any.Load() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ids[id]
}

// list is ordered.
func (s *strangers) list() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.ids))
}

// rest is list, and ends the meeting if it is empty.
func (s *strangers) rest() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.meeting = len(s.ids) > 0
	return slices.Sorted(maps.Keys(s.ids))
}

// estrange takes note that the members are to be met.
func (n *Node) estrange(ids []string) {
	if len(ids) > 0 && n.strangers.add(ids) {
		n.goBackground(n.meetAll)
	}
}

// meetAll tries to meet the strangers until there is none that could be asked.
func (n *Node) meetAll() {
	wait := helloFirst
	for ids := n.strangers.rest(); len(ids) > 0; ids = n.strangers.rest() {
		n.roll.mu.Lock() // a change of the list notes strangers first
		v := n.view.Load()
		n.strangers.keep(func(id string) bool { return v.heard(id, n.now()) != nil })
		n.roll.mu.Unlock()
		var wg sync.WaitGroup
		for _, id := range ids {
			if p := v.peers[id]; p != nil {
				wg.Go(func() { n.meet(v, p) })
			}
		}
		wg.Wait()
		select {
		case <-n.done.Done():
			return
		case <-n.strangers.news:
			wait = helloFirst / 2
		case <-time.After(wait):
		}
		wait = min(2*wait, helloMax)
	}
}

// meet compares with a member what the two know, and if they know the same
// under the same list it is no stranger any more.
func (n *Node) meet(v *view, p *peer) {
	if !n.is(joined) {
		return
	}
	_, _ = n.syncWith(n.done, p, func(listHash uint64, even bool) { // it is tried again
		if even && listHash == v.ring.Hash() && n.view.Load().epoch == v.epoch {
			n.strangers.remove(p.ID)
		}
	})
}

// timesOf takes over the clocks of members whose writes this node is not told
// of, so that its own count as later.
func (n *Node) timesOf(ctx context.Context, peers []*peer) {
	broadcast(peers, func(p *peer) {
		err := n.roundTrip(ctx, p.Peer, &Request{Op: OpSync, Known: n.knowledge.known()}, func(r Reply) error {
			if r.Ack != nil {
				n.stamps.merge(Stamp{Time: r.Ack.Time})
			}
			return nil
		})
		if err != nil { // it will not confirm the write either
			n.log.LogAttrs(ctx, levelInfo, "peer did not tell its time", peerAttr(p.Peer), errAttr(err))
		}
	})
}

// untimed are the members whose clocks this node does not know: strangers, or
// all if it is a client.
func (n *Node) untimed() []*peer {
	others := n.view.Load().others(n.cfg.Self.ID)
	if n.is(client) {
		return others
	}
	return slices.DeleteFunc(others, func(p *peer) bool { return !n.strangers.has(p.ID) })
}
