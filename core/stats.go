package gcnode

import (
	"cmp"
	"slices"
	"sync/atomic"

	"github.com/gcnode/gcnode/core/internal/store"
)

// NodeStats are the figures of a node at one time. Counters count from the
// start of the node.
type NodeStats struct {
	Self   string
	Peers  []PeerStats  // the other members, ordered by ID
	Groups []GroupStats // ordered by name
	// Retrying is how many removals wait for members that did not confirm
	// them, counted once per member.
	Retrying int
}

// PeerStats are the figures of one other member.
type PeerStats struct {
	ID, Addr string
	Down     bool   // it did not answer, and is not asked until a probe reaches it
	Requests uint64 // fetches sent to it
	Errors   uint64 // fetches that it did not answer
	// FetchTime is from sending a fetch to the end of the peer's answer, the
	// load included if the peer did not have the value.
	FetchTime Latency
}

// GroupStats are the figures of a group on one node.
type GroupStats struct {
	Name          string
	Gets          uint64 // look-ups by callers of this node
	Hits          uint64 // answered from the owned share, negative entries included
	HotHits       uint64 // answered from a hot copy, negative entries included
	NegativeHits  uint64 // those of the hits that said not found
	Joined        uint64 // look-ups, of callers and peers, that waited for a load or fetch under way
	Fetches       uint64 // requests to peers
	FetchErrors   uint64 // those that brought an error other than not found
	Failovers     uint64 // members that were passed over because they could not answer
	Loads         uint64 // calls of the getter
	NotFound      uint64 // those that said not found
	LoadErrors    uint64 // those that failed
	ServedFetches uint64 // requests from peers
	Removals      uint64 // calls of Remove
	Owned         StoreStats
	Hot           StoreStats
	// LoadTime is of the getter's calls that have ended, in whatever way.
	LoadTime Latency
}

// StoreStats are the figures of a part of a group's memory.
type StoreStats struct {
	Entries  int
	Bytes    int64 // of keys, values and what goes with them
	MaxBytes int64
	Evicted  uint64 // live entries that made room for others
	Expired  uint64
	Removed  uint64
	Replaced uint64
	Rejected uint64 // values that are too large to be kept
}

type groupCounts struct {
	gets, hits, hotHits, negativeHits, joined, fetches, fetchErrors, failovers,
	loads, notFound, loadErrors, servedFetches, removals atomic.Uint64
}

func (c *groupCounts) hit(a answer) {
	if a.source == SourceHot {
		c.hotHits.Add(1)
	} else {
		c.hits.Add(1)
	}
	if a.notFound {
		c.negativeHits.Add(1)
	}
}

// Stats returns the figures of the node, its peers and groups.
func (n *Node) Stats() NodeStats {
	st := NodeStats{Self: n.cfg.Self.ID, Retrying: n.retries.len()}
	for id, p := range n.view.Load().peers {
		if id != n.cfg.Self.ID {
			st.Peers = append(st.Peers, PeerStats{
				ID: p.ID, Addr: p.Addr, Down: p.down.Load(), Requests: p.requests.Load(), Errors: p.errors.Load(),
				FetchTime: Latency{p.fetchTime.Snapshot()},
			})
		}
	}
	slices.SortFunc(st.Peers, func(a, b PeerStats) int { return cmp.Compare(a.ID, b.ID) })
	n.mu.Lock()
	for _, g := range n.groups {
		st.Groups = append(st.Groups, g.Stats())
	}
	n.mu.Unlock()
	slices.SortFunc(st.Groups, func(a, b GroupStats) int { return cmp.Compare(a.Name, b.Name) })
	return st
}

// Stats returns the figures of the group on this node.
func (g *Group) Stats() GroupStats {
	c := &g.counts
	return GroupStats{
		Name:          g.name,
		Gets:          c.gets.Load(),
		Hits:          c.hits.Load(),
		HotHits:       c.hotHits.Load(),
		NegativeHits:  c.negativeHits.Load(),
		Joined:        c.joined.Load(),
		Fetches:       c.fetches.Load(),
		FetchErrors:   c.fetchErrors.Load(),
		Failovers:     c.failovers.Load(),
		Loads:         c.loads.Load(),
		NotFound:      c.notFound.Load(),
		LoadErrors:    c.loadErrors.Load(),
		ServedFetches: c.servedFetches.Load(),
		Removals:      c.removals.Load(),
		Owned:         storeStats(g.owned),
		Hot:           storeStats(g.hot),
		LoadTime:      Latency{g.loadTime.Snapshot()},
	}
}

func storeStats(s *store.Store) StoreStats { return StoreStats(s.Stats()) }
