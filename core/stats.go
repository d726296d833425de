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
	// Joined is false while the node joins its cluster.
	Joined bool
	// Silent are the IDs of the members with which nothing goes until they and
	// this node have compared which removals they know of.
	Silent []string
	// Gaps is how often the node has dropped all that it had because it could
	// have missed removals.
	Gaps uint64
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
	StaleHits     uint64 // those of the hits whose value was beyond its life
	Joined        uint64 // look-ups, of callers and peers, that waited for a load or fetch under way
	Fetches       uint64 // requests to peers
	FetchErrors   uint64 // those that brought an error other than not found
	Failovers     uint64 // members that were passed over because they could not answer
	Loads         uint64 // calls of the getter
	NotFound      uint64 // those that said not found
	LoadErrors    uint64 // those that failed
	Refreshes     uint64 // those of the loads that were begun in the background
	Overloaded    uint64 // loads that were not tried because there were too many
	StaleOnError  uint64 // look-ups, of callers and peers, that were answered with an older value since the load failed
	Loading       int    // calls of the getter that are running, if there is a limit on them
	Queued        int    // loads that wait for their turn
	ServedFetches uint64 // requests from peers
	Peeks         uint64 // requests to previous owners
	PeekHits      uint64 // keys that these had
	Inherited     uint64 // those of them that were fetched ahead of anybody's asking
	HotAdmitted   uint64 // fetched values of which a copy was made
	HotRefused    uint64 // those that are not asked for often enough
	Revalidated   uint64 // copies that their owner vouched for anew
	Hedges        uint64 // fetches for which another member, or the getter here, was asked as well
	HedgesWon     uint64 // those that this answered first
	Sets          uint64 // calls of Set
	Removals      uint64 // calls of Remove
	Clears        uint64 // calls of Clear
	Owned         StoreStats
	Hot           StoreStats
	// LoadTime is of the getter's calls that have ended, in whatever way.
	LoadTime Latency
}

// StoreStats are the figures of a part of a group's memory.
type StoreStats struct {
	Entries  int   // expired ones that were not noticed yet included
	Bytes    int64 // of all memory that is held for them
	MaxBytes int64
	Evicted  uint64 // live entries that made room for others
	Expired  uint64 // those that were found to have expired when their room was needed
	Removed  uint64
	Replaced uint64
	Rejected uint64 // values that were not kept: too large for the limit, or for what is known of them
}

// groupCounts are the counters off the path of hits.
type groupCounts struct {
	joined, fetches, fetchErrors, failovers,
	loads, notFound, loadErrors, refreshes, overloaded, staleOnError,
	peeks, peekHits, inherited, hotAdmitted, hotRefused, revalidated, hedges, hedgesWon,
	servedFetches, sets, removals, clears atomic.Uint64
}

// What the look-ups of callers found, each counted once.
const (
	lookupHit = iota
	lookupNegative
	lookupStale
	lookupHot
	lookupHotNegative
	lookupMiss
)

func lookupOf(a answer) int {
	switch {
	case a.source == SourceHot && a.notFound:
		return lookupHotNegative
	case a.source == SourceHot:
		return lookupHot
	case a.notFound:
		return lookupNegative
	case a.stale:
		return lookupStale
	default:
		return lookupHit
	}
}

// Stats returns the figures of the node, its peers and groups.
func (n *Node) Stats() NodeStats {
	st := NodeStats{
		Self: n.cfg.Self.ID, Joined: !n.is(joining), Silent: n.strangers.list(), Gaps: n.gaps.Load(), Retrying: n.outboxes.len(),
	}
	for id, p := range n.view.Load().peers {
		if id != n.cfg.Self.ID {
			st.Peers = append(st.Peers, PeerStats{
				ID: p.ID, Addr: p.Addr, Down: p.down.Load(), Requests: p.requests.Load(), Errors: p.errors.Load(),
				FetchTime: Latency{p.fetchTime.Snapshot()},
			})
		}
	}
	slices.SortFunc(st.Peers, func(a, b PeerStats) int { return cmp.Compare(a.ID, b.ID) })
	for _, g := range n.allGroups() {
		st.Groups = append(st.Groups, g.Stats())
	}
	return st
}

// Stats returns the figures of the group on this node.
func (g *Group) Stats() GroupStats {
	c := &g.counts
	negative, hotNegative := g.lookups.Load(lookupNegative), g.lookups.Load(lookupHotNegative)
	stale := g.lookups.Load(lookupStale)
	hits := g.lookups.Load(lookupHit) + negative + stale
	hot := g.lookups.Load(lookupHot) + hotNegative
	running, waiting := g.limit.Load()
	return GroupStats{
		Name:          g.name,
		Gets:          hits + hot + g.lookups.Load(lookupMiss),
		Hits:          hits,
		HotHits:       hot,
		NegativeHits:  negative + hotNegative,
		StaleHits:     stale,
		Joined:        c.joined.Load(),
		Fetches:       c.fetches.Load(),
		FetchErrors:   c.fetchErrors.Load(),
		Failovers:     c.failovers.Load(),
		Loads:         c.loads.Load(),
		NotFound:      c.notFound.Load(),
		LoadErrors:    c.loadErrors.Load(),
		Refreshes:     c.refreshes.Load(),
		Overloaded:    c.overloaded.Load(),
		StaleOnError:  c.staleOnError.Load(),
		Loading:       running,
		Queued:        waiting,
		ServedFetches: c.servedFetches.Load(),
		Peeks:         c.peeks.Load(),
		PeekHits:      c.peekHits.Load(),
		Inherited:     c.inherited.Load(),
		HotAdmitted:   c.hotAdmitted.Load(),
		HotRefused:    c.hotRefused.Load(),
		Revalidated:   c.revalidated.Load(),
		Hedges:        c.hedges.Load(),
		HedgesWon:     c.hedgesWon.Load(),
		Sets:          c.sets.Load(),
		Removals:      c.removals.Load(),
		Clears:        c.clears.Load(),
		Owned:         storeStats(g.owned),
		Hot:           storeStats(g.hot),
		LoadTime:      Latency{g.loadTime.Snapshot()},
	}
}

func storeStats(s *store.Store) StoreStats { return StoreStats(s.Stats()) }
