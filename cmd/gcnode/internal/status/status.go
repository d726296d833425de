// Package status gathers what a running node knows about itself.
package status

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/build"
	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/discovery"
	"github.com/gcnode/gcnode/getters/wasm"
	httptransport "github.com/gcnode/gcnode/transport/http"
)

// Source is where the figures come from. It is not changed after it was made.
type Source struct {
	Node *gcnode.Node
	// Members is the state of where the members come from; nil, or false: the
	// node is alone.
	Members func() (discovery.Status, bool)
	// NATS is the connection to the others; nil: there is none.
	NATS func() *NATS
	// Client is what the node reaches the others with by HTTP; nil: it does not.
	Client *httptransport.Client
	// Streams is what answers the others by HTTP; nil: it does not.
	Streams *httptransport.Handler
	// Plugin is what answers the keys of a group now; nil, or the result: there is
	// none.
	Plugin  func(group string) *wasm.Plugin
	Build   build.Info
	Started time.Time
}

// Handler answers with the figures as JSON.
func (s *Source) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		_ = encoder.Encode(s.Report())
	})
}

// Report is the figures of one moment. Counters count from the node's start.
func (s *Source) Report() Report {
	stats := s.Node.Stats()
	report := Report{
		Node: Node{
			ID:               stats.Self,
			Version:          s.Build.Version,
			GoVersion:        s.Build.GoVersion,
			UptimeSeconds:    int64(time.Since(s.Started) / time.Second),
			Joined:           stats.Joined,
			Silent:           append([]string{}, stats.Silent...), // an empty list, and not null
			Gaps:             stats.Gaps,
			RetryingRemovals: stats.Retrying,
		},
		Peers:  make([]Peer, 0, len(stats.Peers)),
		Groups: make([]Group, 0, len(stats.Groups)),
	}
	if s.Members != nil {
		if st, ok := s.Members(); ok {
			report.Discovery = discoveryOf(st)
		}
	}
	if s.NATS != nil {
		report.NATS = s.NATS()
	}
	if s.Streams != nil {
		report.PeerListener = peerListenerOf(s.Streams.Stats())
	}
	ways := s.ways()
	for _, p := range stats.Peers {
		way := ways[p.Addr]
		report.Peers = append(report.Peers, Peer{
			ID: p.ID, Addr: p.Addr, Down: p.Down, Stream: way.Stream, NoStream: way.Problem, Unsigned: way.Unsigned,
			Posts: way.Posts, Bundles: way.Bundles, Bundled: way.Bundled,
			Requests: p.Requests, Errors: p.Errors, FetchTime: latencyOf(p.FetchTime),
		})
	}
	for _, g := range stats.Groups {
		report.Groups = append(report.Groups, s.group(g))
	}
	return report
}

// ways are how the others are reached, by URL.
func (s *Source) ways() map[string]httptransport.PeerStats {
	if s.Client == nil {
		return nil
	}
	ways := map[string]httptransport.PeerStats{}
	for _, p := range s.Client.Stats().Peers {
		ways[p.Addr] = p
	}
	return ways
}

// group translates the figures of a group.
func (s *Source) group(g gcnode.GroupStats) Group {
	group := Group{
		Name:          g.Name,
		Gets:          g.Gets,
		Hits:          g.Hits,
		HotHits:       g.HotHits,
		NegativeHits:  g.NegativeHits,
		StaleHits:     g.StaleHits,
		Joined:        g.Joined,
		Fetches:       g.Fetches,
		FetchErrors:   g.FetchErrors,
		Failovers:     g.Failovers,
		Loads:         g.Loads,
		LoadsNotFound: g.NotFound,
		LoadErrors:    g.LoadErrors,
		Refreshes:     g.Refreshes,
		Overloaded:    g.Overloaded,
		StaleOnError:  g.StaleOnError,
		Loading:       g.Loading,
		Queued:        g.Queued,
		ServedFetches: g.ServedFetches,
		Peeks:         g.Peeks,
		PeekHits:      g.PeekHits,
		Inherited:     g.Inherited,
		HotAdmitted:   g.HotAdmitted,
		HotRefused:    g.HotRefused,
		Revalidated:   g.Revalidated,
		Hedges:        g.Hedges,
		HedgesWon:     g.HedgesWon,
		Sets:          g.Sets,
		Removals:      g.Removals,
		Clears:        g.Clears,
		LoadTime:      latencyOf(g.LoadTime),
		Owned:         Store(g.Owned),
		Hot:           Store(g.Hot),
	}
	if s.Plugin != nil {
		if plugin := s.Plugin(g.Name); plugin != nil {
			group.Plugin = pluginOf(plugin.Stats())
		}
	}
	return group
}

// peerListenerOf translates the figures of what answers other nodes.
func peerListenerOf(st httptransport.HandlerStats) *PeerListener {
	return &PeerListener{SignaturesRefused: Signatures(st.Signatures), Denied: st.Denied, Unsigned: st.Unsigned}
}

// latencyOf gives the quantiles of a histogram.
func latencyOf(l gcnode.Latency) Latency {
	return Latency{
		Count: l.Count(), Sum: l.Sum().Seconds(), Observed: l,
		P50: l.Quantile(0.5).Seconds(), P99: l.Quantile(0.99).Seconds(), P999: l.Quantile(0.999).Seconds(),
	}
}

// pluginOf translates the figures of a plugin.
func pluginOf(st wasm.Stats) *Plugin {
	return &Plugin{
		Calls:           Calls(st.Calls),
		Fetches:         Fetches(st.Fetches),
		LogLinesDropped: st.LogLinesDropped,
		Instances: Instances{
			Live: st.Instances.Live, Idle: st.Instances.Idle, Pending: st.Instances.Pending, Created: st.Instances.Created,
			Memory:    st.Instances.MemoryBytes,
			Discarded: Discarded(st.Instances.Discarded),
		},
		Queue: Queue(st.Queue),
		Times: Times{
			Queue: st.Times.Queue.Seconds(), Guest: st.Times.Guest.Seconds(),
			Fetch: st.Times.Fetch.Seconds(), Compile: st.Times.Compile.Seconds(),
		},
		Interruption: st.Interruption.String(),
		Fuel:         st.Fuel,
	}
}
