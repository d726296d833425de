package httptransport

import (
	"cmp"
	"maps"
	"slices"
)

// ClientStats are figures of a [Client].
type ClientStats struct {
	// Peers are those that were asked lately, in the order of their addresses.
	Peers []PeerStats
}

// PeerStats are figures about one address.
type PeerStats struct {
	Addr string
	// Stream says that there is a stream now.
	Stream bool
	// Streams is how many there were so far.
	Streams uint64
	// Fallbacks is how often no stream was to be had, so that requests were
	// plain from then on. The client asks for one again from time to time.
	Fallbacks uint64
	// Problem is why requests are plain now; empty: they are not, or the
	// client has not asked for a stream.
	Problem string
	// Unsigned says that the last answer, or the stream, was not signed, which is
	// accepted; see [Secrets.AcceptUnsigned].
	Unsigned bool
	// Posts is how many requests were a POST of their own, those that are too
	// large for a stream included.
	Posts uint64
	// Bundles is how many POSTs were sent that had several fetches in them, and
	// Bundled how many fetches they have answered. Others were asked for again.
	Bundles, Bundled uint64
}

// Stats returns the figures of the client.
func (c *Client) Stats() ClientStats {
	c.mu.Lock()
	peers := slices.Collect(maps.Values(c.peers))
	c.mu.Unlock()
	var stats ClientStats
	for _, p := range peers {
		p.mu.Lock()
		stats.Peers = append(stats.Peers, PeerStats{
			Addr: p.addr, Stream: p.stream.Load() != nil, Streams: p.streams, Fallbacks: p.fallbacks,
			Problem: p.problem, Unsigned: p.unsigned.Load(), Posts: p.posts.Load(),
			Bundles: p.bundler.bundles.Load(), Bundled: p.bundler.bundled.Load(),
		})
		p.mu.Unlock()
	}
	slices.SortFunc(stats.Peers, func(a, b PeerStats) int { return cmp.Compare(a.Addr, b.Addr) })
	return stats
}
