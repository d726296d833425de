package gcnode

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// silent are the members that this node has joined without. It does not know
// of their removals, so nothing goes between the two until they have met.
type silent struct {
	mu  sync.Mutex
	ids map[string]bool
	any atomic.Bool
}

func (s *silent) add(ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ids == nil {
		s.ids = map[string]bool{}
	}
	for _, id := range ids {
		s.ids[id] = true
	}
	s.any.Store(len(s.ids) > 0)
}

func (s *silent) remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ids, id)
	s.any.Store(len(s.ids) > 0)
}

func (s *silent) has(id string) bool {
	if !s.any.Load() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ids[id]
}

// list is ordered.
func (s *silent) list() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.ids))
}

// listen says hello to the members that were silent when this node joined,
// until they answer or are not members any more. What one of them had removed
// meanwhile may be here, so everything goes then.
func (n *Node) listen() {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for ids := n.silent.list(); len(ids) > 0; ids = n.silent.list() {
		select {
		case <-n.done.Done():
			return
		case <-tick.C:
		}
		v := n.view.Load()
		for _, id := range ids {
			p := v.peers[id]
			if p == nil {
				n.silent.remove(id)
				continue
			}
			if _, err := n.hello(n.done, p.Peer); err != nil {
				continue
			}
			n.forgetAll("a member was not heard of when this node joined: " + id)
			n.silent.remove(id)
		}
	}
}
