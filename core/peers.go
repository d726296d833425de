package gcnode

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gcnode/gcnode/core/internal/histogram"
	"github.com/gcnode/gcnode/core/internal/ring"
)

const (
	// probeEvery is how often a member that did not answer is tried, off the
	// path of any request.
	probeEvery = time.Second
	// heartbeats is how many signs of life fit into one peer timeout.
	heartbeats = 4
	// maxLine is how many members are asked for a key before it is loaded
	// here.
	maxLine = 3
)

var errSilent = errors.New("silent for longer than the peer timeout")

// view is one state of the member list. It is immutable but for what the
// peers in it count.
type view struct {
	ring  *ring.Ring
	peers map[string]*peer
	// owners are the peers in the order of their IDs, as the ring counts them.
	owners []*peer
	// former are members that were on the list until recently; copies may
	// live there until the node's clock shows the time.
	former map[string]formerPeer
}

type formerPeer struct {
	Peer
	until int64
}

// peer is another member, with what is known of its health.
type peer struct {
	Peer
	down     atomic.Bool
	requests atomic.Uint64
	errors   atomic.Uint64

	fetchTime histogram.Histogram
}

// newView is the view of a list; what old, which may be empty, knows of its
// members and its ring is taken over where it fits.
func newView(list []Peer, old view, former map[string]formerPeer) *view {
	v := &view{ring: old.ring, peers: map[string]*peer{}, former: former}
	members := make([]ring.Member, len(list))
	for i, p := range list {
		members[i] = ring.Member{ID: p.ID, Weight: p.Weight}
		if known, ok := old.peers[p.ID]; ok && known.Peer == p {
			v.peers[p.ID] = known
		} else {
			v.peers[p.ID] = &peer{Peer: p}
		}
	}
	if v.ring == nil || !v.ring.Is(members) {
		v.ring = ring.New(members)
	}
	for _, id := range slices.Sorted(maps.Keys(v.peers)) {
		v.owners = append(v.owners, v.peers[id])
	}
	return v
}

// has reports whether the member is on the list. Nobody is missing on an empty
// one, where every node is on its own.
func (v *view) has(id string) bool {
	return len(v.peers) == 0 || v.peers[id] != nil
}

// members are the list and those that left it recently, ordered by ID.
func (v *view) members(now int64) []Peer {
	byID := map[string]Peer{}
	for id, f := range v.former {
		if now < f.until {
			byID[id] = f.Peer
		}
	}
	for id, p := range v.peers {
		byID[id] = p.Peer
	}
	return slices.SortedFunc(maps.Values(byID), func(a, b Peer) int { return cmp.Compare(a.ID, b.ID) })
}

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

// SetPeers replaces the member list, which includes this node. One that is not
// on its own list is a client of the others: it owns and keeps nothing, since
// nobody would tell it of removals. All members should be given the same list, but may get it
// at different times. Entries whose owner changed become hot copies, and
// members that are no longer on the list are still told of removals for as
// long as copies may live there.
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
	n.listMu.Lock()
	defer n.listMu.Unlock()
	old, now := n.view.Load(), n.now()
	former := map[string]formerPeer{}
	for id, f := range old.former {
		if !seen[id] && now < f.until {
			former[id] = f
		}
	}
	for id, p := range old.peers {
		if !seen[id] && id != n.cfg.Self.ID {
			// Twice, because the member may learn a little later than this
			// one that its entries are hot copies now.
			former[id] = formerPeer{p.Peer, now + 2*int64(n.cfg.HotTTL)}
		}
	}
	next := newView(peers, *old, former)
	n.view.Store(next)
	if next.ring != old.ring {
		n.mu.Lock()
		groups := slices.Collect(maps.Values(n.groups))
		n.mu.Unlock()
		for _, g := range groups {
			g.demote()
		}
	}
	return nil
}

// Peers is the member list, ordered by ID.
func (n *Node) Peers() []Peer {
	v := n.view.Load()
	list := make([]Peer, 0, len(v.peers))
	for _, p := range v.peers {
		list = append(list, p.Peer)
	}
	slices.SortFunc(list, func(a, b Peer) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// replyFunc is a function that is a [ReplyWriter].
type replyFunc func(Reply) error

// WriteReply calls f.
func (f replyFunc) WriteReply(r Reply) error { return f(r) }

// roundTrip sends the request to the peer and hands the replies to take. A
// peer that is silent for longer than the peer timeout is given up. The
// request is filled in with what every request carries.
func (n *Node) roundTrip(ctx context.Context, to Peer, req *Request, take func(Reply) error) error {
	if n.cfg.Transport == nil {
		return errors.New("there is no transport")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(n.cfg.PeerTimeout, func() { cancel(errSilent) })
	defer silence.Stop()
	req.To = to.ID
	req.From = Sender{ID: n.cfg.Self.ID, Incarnation: n.incarnation}
	req.ListHash = n.view.Load().ring.Hash()
	req.Heartbeat = n.cfg.PeerTimeout / heartbeats
	if deadline, ok := ctx.Deadline(); ok {
		req.Timeout = time.Until(deadline)
	}
	err := n.cfg.Transport.RoundTrip(ctx, to, req, replyFunc(func(r Reply) error {
		silence.Reset(n.cfg.PeerTimeout)
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

// ask is roundTrip with a member of the current list, whose health it keeps
// track of: one that cannot be reached is down until a probe reaches it. The
// caller's own end says nothing of the peer, nor does a failure of another
// kind.
func (n *Node) ask(ctx context.Context, p *peer, req *Request, take func(Reply) error) error {
	p.requests.Add(1)
	err := n.roundTrip(ctx, p.Peer, req, take)
	if err == nil || ctx.Err() != nil {
		return err
	}
	p.errors.Add(1)
	if e, ok := errors.AsType[*Error](err); ok && e.Kind != KindUnreachable {
		return err
	}
	if n.begin() {
		if p.down.CompareAndSwap(false, true) {
			go n.probe(p)
		} else {
			n.end()
		}
	}
	return err
}

// probe tries a member that did not answer until it does, or is not on the
// list any more.
func (n *Node) probe(p *peer) {
	defer n.end()
	n.log.LogAttrs(n.done, levelWarn, "peer is down", peerAttr(p.Peer))
	n.cfg.Hooks.peerDown(p.Peer)
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		select {
		case <-n.done.Done():
			return
		case <-tick.C:
		}
		if n.view.Load().peers[p.ID] != p {
			return
		}
		answered := n.roundTrip(n.done, p.Peer, &Request{Op: OpFinish}, func(Reply) error { return nil }) == nil
		if answered {
			p.down.Store(false)
			n.log.LogAttrs(n.done, levelInfo, "peer is back", peerAttr(p.Peer))
			n.cfg.Hooks.peerUp(p.Peer)
			return
		}
	}
}

// broadcast runs send for all peers at the same time and waits for it.
func broadcast(peers []Peer, send func(Peer)) {
	var wg sync.WaitGroup
	for _, p := range peers {
		wg.Go(func() { send(p) })
	}
	wg.Wait()
}
