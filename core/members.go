package gcnode

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
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
	// Of the members on the list, by ID: left are the lives that said goodbye,
	// lives the last that were heard of, and superseded those that were followed
	// by another.
	left       map[string]uint64
	lives      map[string]uint64
	superseded map[string][]uint64
	asked      map[string]bool // those that are being asked which life they have
	settle     *time.Timer     // forgets what an earlier list has left behind
	// ready is closed but while the node joins, which it has done since joining.
	ready   chan struct{}
	joining int64        // on the node's clock
	since   atomic.Int64 // when it had joined, on the same clock
	// greeted are the members that have compared with this node while it joins.
	greeted map[string]bool
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
	gone := func(id string, _ uint64) bool { return id != n.cfg.Self.ID && !seen[id] }
	maps.DeleteFunc(n.roll.left, gone)
	maps.DeleteFunc(n.roll.lives, gone)
	maps.DeleteFunc(n.roll.superseded, func(id string, _ []uint64) bool { return gone(id, 0) })
	n.relist()
	return nil
}

// relist makes the view of the roll. roll.mu is held.
func (n *Node) relist() {
	_, leaving := n.roll.left[n.cfg.Self.ID]
	apart := !leaving && len(n.roll.list) > 0 && !n.roll.lists(n.cfg.Self.ID)
	list := slices.DeleteFunc(slices.Clone(n.roll.list), func(p Peer) bool {
		_, left := n.roll.left[p.ID]
		return left && !apart // nobody says hello to a client
	})
	old, begun := n.view.Load(), n.now()
	next := newView(n.cfg.Self.ID, list, *old)
	now := n.now() // making a ring may take long
	next.former = n.former(old, next, begun, now)
	if next.epoch == old.epoch {
		n.view.Store(next)
		return
	}
	next.estate = nil
	if n.is(joined) && len(old.others(n.cfg.Self.ID)) > 0 {
		next.estate = &estate{ring: func() *ring.Ring { return old.ring }, until: now + int64(inheritance)}
	}
	begin := false
	if n.is(joined) { // before anybody can be asked by the new list
		begin = n.strangers.add(next.unheard(old, now))
	}
	n.inherit(next, now)
	n.strangers.keep(func(id string) bool { return next.heard(id, now) != nil })
	n.enter(next)
	if begin {
		n.goBackground(n.meetAll)
	}
}

// former are the members that are told of removals though they are not on the
// list of next, which was begun with and has effect from now on.
func (n *Node) former(old, next *view, begun, now int64) map[string]formerPeer {
	former := map[string]formerPeer{}
	for id, f := range old.former {
		if now < f.until {
			former[id] = f
		}
	}
	for id, p := range old.peers {
		if id != n.cfg.Self.ID {
			// Twice, because the member may learn a little later than this
			// one that its entries are hot copies now. Others may have made
			// their rings sooner, and tell it for less long.
			former[id] = formerPeer{peer: p, until: now + 2*int64(n.cfg.HotTTL), asked: begun + int64(n.cfg.HotTTL)}
		}
	}
	maps.DeleteFunc(former, func(id string, _ formerPeer) bool { return next.peers[id] != nil })
	return former
}

// inherit makes next the view from now on. What others own by it stays for a
// while.
func (n *Node) inherit(next *view, now int64) {
	n.demoted.Store(now + int64(n.cfg.HotTTL))
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

// depart takes a life of a member off the list. One that another has followed
// has left long ago.
func (n *Node) depart(who Sender) {
	n.roll.mu.Lock()
	defer n.roll.mu.Unlock()
	last, heard := n.roll.lives[who.ID]
	if who.ID == n.cfg.Self.ID || n.roll.left[who.ID] == who.Incarnation || heard && last != who.Incarnation ||
		!n.roll.lists(who.ID) || slices.Contains(n.roll.superseded[who.ID], who.Incarnation) {
		return
	}
	n.roll.left[who.ID] = who.Incarnation
	n.relist()
}

func (r *roll) lists(id string) bool {
	return slices.ContainsFunc(r.list, func(p Peer) bool { return p.ID == id })
}

// leave takes this node off its own list.
func (n *Node) leave() {
	n.roll.mu.Lock()
	defer n.roll.mu.Unlock()
	n.roll.left[n.cfg.Self.ID] = n.incarnation
	n.relist()
}

// arrive takes note of a request by a life of a member, so that one that left
// before has been followed by it. If it was followed itself, as far as this node
// knows, its request has come late; or one of an earlier life had, and was taken
// for a later one. The member is asked. It returns whether the life is the last
// one of a member on the list.
func (n *Node) arrive(who Sender) (latest bool) {
	n.roll.mu.Lock()
	defer n.roll.mu.Unlock()
	switch {
	case !n.roll.lists(who.ID):
	case slices.Contains(n.roll.superseded[who.ID], who.Incarnation):
		n.askLife(who.ID)
	default:
		n.follow(who)
		return true
	}
	return false
}

// present takes note that a life of a member has answered this node, which no
// other had followed when it was asked.
func (n *Node) present(who Sender) {
	n.roll.mu.Lock()
	defer n.roll.mu.Unlock()
	if n.roll.lists(who.ID) {
		n.roll.superseded[who.ID] = slices.DeleteFunc(n.roll.superseded[who.ID], func(life uint64) bool { return life == who.Incarnation })
		n.follow(who)
	}
}

// askLife asks a member on the list which life it has, unless that is under
// way. roll.mu is held.
func (n *Node) askLife(id string) {
	if n.roll.asked[id] {
		return
	}
	n.roll.asked[id] = true
	to := n.roll.list[slices.IndexFunc(n.roll.list, func(p Peer) bool { return p.ID == id })]
	n.goBackground(func() {
		err := n.roundTrip(n.done, to, &Request{Op: OpSync, Known: n.knowledge.known()}, func(r Reply) error {
			if r.Ack != nil {
				n.present(Sender{id, r.Ack.Incarnation})
			}
			return nil
		})
		if err != nil { // it is asked when it is heard of again
			n.log.LogAttrs(n.done, levelInfo, "peer did not tell which life it has", peerAttr(to), errAttr(err))
		}
		n.roll.mu.Lock()
		defer n.roll.mu.Unlock()
		delete(n.roll.asked, id)
	})
}

// follow makes a life the last one of its member. roll.mu is held.
func (n *Node) follow(who Sender) {
	last, heard := n.roll.lives[who.ID]
	n.roll.lives[who.ID] = who.Incarnation
	if heard && last != who.Incarnation {
		n.roll.supersede(who.ID, last)
	}
	if was, ok := n.roll.left[who.ID]; ok && was != who.Incarnation {
		n.roll.supersede(who.ID, was)
		delete(n.roll.left, who.ID)
		n.relist()
	}
}

// supersede takes note that a life was followed by another.
func (r *roll) supersede(id string, incarnation uint64) {
	list := r.superseded[id]
	if !slices.Contains(list, incarnation) {
		list = append(list, incarnation)
	}
	r.superseded[id] = list[max(0, len(list)-maxSuperseded):]
}

// dismiss takes note that a life that said goodbye serves nothing any more: it
// need not be told of removals.
func (n *Node) dismiss(who Sender) {
	n.roll.mu.Lock()
	defer n.roll.mu.Unlock()
	old := n.view.Load()
	if _, ok := old.former[who.ID]; !ok || n.roll.left[who.ID] != who.Incarnation {
		return
	}
	next := *old
	next.former = maps.Clone(old.former)
	delete(next.former, who.ID)
	n.view.Store(&next)
	n.outboxes.dismiss(who.ID)
}

// reappear takes note that somebody else has heard of a life that followed one
// that left. Two members that start at the same time may each know of the
// other's goodbye alone.
func (n *Node) reappear(who Sender) {
	n.roll.mu.Lock()
	defer n.roll.mu.Unlock()
	was, left := n.roll.left[who.ID]
	if !left || was == who.Incarnation || who.ID == n.cfg.Self.ID || slices.Contains(n.roll.superseded[who.ID], who.Incarnation) {
		return
	}
	n.roll.supersede(who.ID, was)
	delete(n.roll.left, who.ID)
	n.relist()
}

// lives are the lives of members that said goodbye, and those that were heard of
// since, both ordered by ID.
func (n *Node) lives() (left, since []Sender) {
	n.roll.mu.Lock()
	defer n.roll.mu.Unlock()
	byID := func(a, b Sender) int { return cmp.Compare(a.ID, b.ID) }
	for id, incarnation := range n.roll.left {
		left = append(left, Sender{id, incarnation})
	}
	for id, incarnation := range n.roll.lives {
		if was, gone := n.roll.left[id]; !gone || was != incarnation {
			since = append(since, Sender{id, incarnation})
		}
	}
	slices.SortFunc(left, byID)
	slices.SortFunc(since, byID)
	return left, since
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
	return ring.Of(members)
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
