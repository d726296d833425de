package gcnode

import (
	"cmp"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/gcnode/gcnode/core/internal/histogram"
	"github.com/gcnode/gcnode/core/internal/ring"
)

// view is one state of the member list. It is immutable but for what the
// peers in it count.
type view struct {
	// epoch counts the changes of the ring on this node: a list that comes back
	// is another epoch.
	epoch uint64
	ring  *ring.Ring
	peers map[string]*peer
	// owners are the peers in the order of their IDs, as the ring counts them, and
	// list what they are.
	owners []*peer
	list   []Peer
	// member says that this node is on the list, or that it is empty, where every
	// node is on its own.
	member bool
	// former are members that were on the list until recently; copies may
	// live there until the node's clock shows the time.
	former map[string]formerPeer
	// estate is what the last change of the ring has left to this node.
	estate *estate
}

type formerPeer struct {
	*peer
	until int64 // when it need not be told of removals any more
	asked int64 // until when it may be asked for what it has kept
}

// peer is another member, with what is known of its health.
type peer struct {
	Peer
	down     atomic.Bool
	syncing  atomic.Bool  // it is being asked what it knows
	even     atomic.Int64 // when it last knew all that this node knew, on the node's clock
	reported atomic.Int64 // the same, as far as its reports say so
	flaps    atomic.Int32 // how often it went down lately
	up       atomic.Int64 // when it came back, on the node's clock
	requests atomic.Uint64
	errors   atomic.Uint64

	fetchTime histogram.Histogram
}

// newView is the view that self has of a list, without those who left it; what
// old, which may be empty, knows of its members and its ring is taken over where
// it fits.
func newView(self string, list []Peer, old view) *view {
	v := &view{epoch: old.epoch, ring: old.ring, peers: map[string]*peer{}, estate: old.estate}
	members := make([]ring.Member, len(list))
	for i, p := range list {
		members[i] = ring.Member{ID: p.ID, Weight: p.Weight}
		known := old.peers[p.ID]
		if known == nil {
			if f := old.former[p.ID].peer; f != nil && !f.down.Load() { // nobody tries one that is down and not on the list
				known = f
			}
		}
		if known == nil || known.Peer != p {
			known = &peer{Peer: p}
		}
		v.peers[p.ID] = known
	}
	if v.ring == nil || !v.ring.Is(members) {
		v.ring = ring.Of(members)
		v.epoch++
	}
	for _, id := range slices.Sorted(maps.Keys(v.peers)) {
		v.owners = append(v.owners, v.peers[id])
		v.list = append(v.list, v.peers[id].Peer)
	}
	v.list = slices.Clip(v.list)
	v.member = len(v.peers) == 0 || v.peers[self] != nil
	return v
}

// others are the members on the list but for one, ordered by ID.
func (v *view) others(id string) []*peer {
	return slices.DeleteFunc(slices.Clone(v.owners), func(p *peer) bool { return p.ID == id })
}

// heard is a member that is told of removals by everyone, so that what it has
// kept is good: one on the list, or one that left it so short a time ago that
// others who took it off theirs a little earlier still tell it. nil for others.
func (v *view) heard(id string, now int64) *peer {
	if p := v.peers[id]; p != nil {
		return p
	}
	if f, ok := v.former[id]; ok && now < f.asked {
		return f.peer
	}
	return nil
}

// unheard are the members that need not have been told of removals by an older
// view.
func (v *view) unheard(old *view, now int64) []string {
	var ids []string
	for _, p := range v.owners {
		if old.heard(p.ID, now) == nil {
			ids = append(ids, p.ID)
		}
	}
	return ids
}

// leavers are those that left the list recently.
func (v *view) leavers(now int64) (list []Peer) {
	for id, f := range v.former {
		if now < f.until && v.peers[id] == nil {
			list = append(list, f.Peer)
		}
	}
	return list
}

// members are the list and those that left it recently, ordered by ID. The result
// is not to be changed.
func (v *view) members(now int64) []Peer {
	leavers := v.leavers(now)
	if len(leavers) == 0 {
		return v.list
	}
	all := slices.Concat(v.list, leavers)
	slices.SortFunc(all, func(a, b Peer) int { return cmp.Compare(a.ID, b.ID) })
	return all
}
