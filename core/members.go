package gcnode

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/gcnode/gcnode/core/internal/ring"
)

// inheritance is for how long after a change of the list a member asks the
// previous owner before it loads, and the previous owner keeps what it had.
const inheritance = time.Minute

// maxSuperseded bounds how many earlier lives of a member are remembered.
const maxSuperseded = 8

// roll is who belongs to the cluster as far as this node knows: the list that
// it was given, without those who have said goodbye since.
type roll struct {
	mu   sync.Mutex
	list []Peer
	// left are the lives that said goodbye, and superseded those that were
	// followed by another of the same member, by ID.
	left       map[string]uint64
	superseded map[string][]uint64
	settle     *time.Timer // forgets what an earlier list has left behind
	// ready is closed but while the node joins, which it has done since joining.
	ready   chan struct{}
	joining int64 // on the node's clock
	// news holds one element when there is a reason to say hello at once.
	news chan struct{}
}

// SetPeers replaces the member list, which includes this node. One that is not
// on its own list is a client of the others: it owns and keeps nothing, since
// nobody would tell it of removals. All members should be given the same list,
// but may get it at different times. What others own by the new list is served
// as a hot copy for [Config.HotTTL] and handed to them for a minute, and members
// that are no longer on the list are still told of removals for as long as
// copies may live there.
//
// A node that was alone, or not on its list, joins the cluster first: until the
// members on the list have told it which removals are under way it keeps
// nothing, see [Config.JoinTimeout].
func (n *Node) SetPeers(peers []Peer) error {
	if len(peers) > MaxPeers {
		return fmt.Errorf("set peers: %d peers are too many; at most %d are allowed", len(peers), MaxPeers)
	}
	seen := map[string]bool{}
	for _, p := range peers {
		if err := checkPeer(p); err != nil {
			return fmt.Errorf("set peers: %w", err)
		}
		if seen[p.ID] {
			return fmt.Errorf("set peers: the ID %q is there twice; IDs are unique in a cluster", p.ID)
		}
		seen[p.ID] = true
		if p.ID != n.cfg.Self.ID && n.cfg.Transport == nil {
			return fmt.Errorf("set peers: there is no transport to reach %q; set Config.Transport", p.ID)
		}
	}
	n.roll.mu.Lock()
	defer n.roll.mu.Unlock()
	n.roll.list = slices.Clone(peers)
	maps.DeleteFunc(n.roll.left, func(id string, _ uint64) bool { return id != n.cfg.Self.ID && !seen[id] })
	n.relist()
	return nil
}

// relist makes the view of the roll. roll.mu is held.
func (n *Node) relist() {
	list := slices.DeleteFunc(slices.Clone(n.roll.list), func(p Peer) bool {
		_, left := n.roll.left[p.ID]
		return left
	})
	old, now := n.view.Load(), n.now()
	former := map[string]formerPeer{}
	for id, f := range old.former {
		if now < f.until {
			former[id] = f
		}
	}
	for id, p := range old.peers {
		if id != n.cfg.Self.ID {
			// Twice, because the member may learn a little later than this
			// one that its entries are hot copies now.
			former[id] = formerPeer{p, now + 2*int64(n.cfg.HotTTL)}
		}
	}
	next := newView(list, *old, former)
	maps.DeleteFunc(former, func(id string, _ formerPeer) bool { return next.peers[id] != nil })
	if next.epoch == old.epoch {
		n.view.Store(next)
		return
	}
	next.estate = nil
	if n.is(joined) && len(old.others(n.cfg.Self.ID)) > 0 {
		next.estate = &estate{ring: old.ring, until: now + int64(inheritance)}
	}
	n.inherit(next)
	n.enter(next)
}

// inherit makes next the view. What others own by it stays for a while.
func (n *Node) inherit(next *view) {
	n.demoted.Store(n.now() + int64(n.cfg.HotTTL))
	n.mode.Or(modeMoving)
	n.view.Store(next)
	if n.roll.settle != nil {
		n.roll.settle.Stop()
	}
	n.roll.settle = time.AfterFunc(inheritance, func() { n.settle(next.epoch) })
}

// settle forgets what others own by the list of the epoch, unless there is a
// newer one.
func (n *Node) settle(epoch uint64) {
	if !n.begin() {
		return
	}
	defer n.end()
	if n.view.Load().epoch != epoch {
		return
	}
	for _, g := range n.allGroups() {
		g.disown()
	}
	n.roll.mu.Lock()
	defer n.roll.mu.Unlock()
	if n.view.Load().epoch == epoch {
		n.mode.And(^modeMoving)
	}
}

// disown takes out of the owned share what this node does not own any more. A
// flight that began under an earlier list keeps nothing from now on, and
// Settle waits for those that were just doing it.
func (g *Group) disown() {
	g.flights.Settle()
	for key := range g.owned.Keys() {
		if g.owns(key) {
			continue
		}
		g.flights.Apply(key, func() bool {
			if !g.owns(key) {
				g.owned.Remove(key)
			}
			return false
		})
	}
}

// owns reports whether this node is the owner of the key. On an empty list it
// owns everything.
func (g *Group) owns(key string) bool {
	owner := g.node.view.Load().owner(key)
	return owner == g.node.cfg.Self.ID || owner == ""
}

// owner is the ID of the key's owner; "" on an empty list.
func (v *view) owner(key string) string {
	if i := v.ring.OwnerIndex(key); i >= 0 {
		return v.owners[i].ID
	}
	return ""
}

// depart takes a life of a member off the list, and reports whether that
// changed anything. A life that another has followed has left long ago.
func (n *Node) depart(who Sender) bool {
	n.roll.mu.Lock()
	defer n.roll.mu.Unlock()
	if who.ID == n.cfg.Self.ID || n.roll.left[who.ID] == who.Incarnation || slices.Contains(n.roll.superseded[who.ID], who.Incarnation) ||
		!slices.ContainsFunc(n.roll.list, func(p Peer) bool { return p.ID == who.ID }) {
		return false
	}
	n.roll.left[who.ID] = who.Incarnation
	n.relist()
	return true
}

// leave takes this node off its own list.
func (n *Node) leave() {
	n.roll.mu.Lock()
	defer n.roll.mu.Unlock()
	n.roll.left[n.cfg.Self.ID] = n.incarnation
	n.relist()
}

// arrive takes note that a life of a member is there, so that one that left
// before has been followed by it.
func (n *Node) arrive(who Sender) {
	n.roll.mu.Lock()
	defer n.roll.mu.Unlock()
	if was, ok := n.roll.left[who.ID]; ok && was != who.Incarnation {
		n.roll.superseded[who.ID] = append(n.roll.superseded[who.ID], was)
		if over := len(n.roll.superseded[who.ID]) - maxSuperseded; over > 0 {
			n.roll.superseded[who.ID] = n.roll.superseded[who.ID][over:]
		}
		delete(n.roll.left, who.ID)
		n.relist()
	}
}

// departed are the lives that said goodbye and that are still on the list this
// node was given.
func (n *Node) departed() []Sender {
	n.roll.mu.Lock()
	defer n.roll.mu.Unlock()
	var list []Sender
	for id, incarnation := range n.roll.left {
		list = append(list, Sender{id, incarnation})
	}
	slices.SortFunc(list, func(a, b Sender) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// without is the ring of the view's list without one member; nil if nobody is
// left.
func (v *view) without(id string) *ring.Ring {
	var members []ring.Member
	for _, p := range v.others(id) {
		members = append(members, ring.Member{ID: p.ID, Weight: p.Weight})
	}
	if len(members) == 0 {
		return nil
	}
	return ring.New(members)
}

// Peers is the member list, ordered by ID, without those that have left the
// cluster by saying so.
func (n *Node) Peers() []Peer {
	v := n.view.Load()
	list := make([]Peer, 0, len(v.owners))
	for _, p := range v.owners {
		list = append(list, p.Peer)
	}
	return list
}
