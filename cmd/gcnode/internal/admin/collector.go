package admin

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/status"
	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/getters/wasm"
)

// collector reads the figures of a node whenever they are asked for.
type collector struct {
	source *status.Source

	info     *prometheus.Desc
	node     []figure[status.Report]
	members  []figure[status.Discovery]
	listener []figure[status.PeerListener]
	nats     []figure[status.NATS]
	server   []figure[status.NATSServer]
	peers    []figure[status.Peer]
	groups   []figure[status.Group]
	stores   []figure[status.Store]
	plugins  []figure[status.Plugin]

	refused   *prometheus.Desc
	calls     *prometheus.Desc
	discarded *prometheus.Desc
	from      *prometheus.Desc
	loadTime  *prometheus.Desc
	fetchTime *prometheus.Desc
}

// figure is one metric of a part of the node.
type figure[T any] struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(*T) float64
}

// counter is a figure that only grows.
func counter[T any](name, help string, labels []string, read func(*T) uint64) figure[T] {
	return figure[T]{
		desc: prometheus.NewDesc("gcnode_"+name+"_total", help, labels, nil),
		kind: prometheus.CounterValue,
		read: func(v *T) float64 { return float64(read(v)) },
	}
}

// gauge is a figure that goes up and down.
func gauge[T any](name, help string, labels []string, read func(*T) int64) figure[T] {
	return figure[T]{
		desc: prometheus.NewDesc("gcnode_"+name, help, labels, nil),
		kind: prometheus.GaugeValue,
		read: func(v *T) float64 { return float64(read(v)) },
	}
}

// seconds is a figure in seconds; those that only grow are totals.
func seconds[T any](name string, kind prometheus.ValueType, help string, labels []string, read func(*T) float64) figure[T] {
	if kind == prometheus.CounterValue {
		name += "_total"
	}
	return figure[T]{prometheus.NewDesc("gcnode_"+name, help, labels, nil), kind, read}
}

// one is the value of a condition.
func one(holds bool) int64 { //nolint:revive // flag-parameter: it is what is translated, and no switch
	if holds {
		return 1
	}
	return 0
}

// unix is a moment in seconds since 1970, 0 for none.
func unix(t *time.Time) int64 {
	if t == nil {
		return 0
	}
	return t.Unix()
}

// emit sends the figure's value.
func (f figure[T]) emit(ch chan<- prometheus.Metric, v *T, labels ...string) {
	emit(ch, f.desc, f.kind, f.read(v), labels...)
}

// emit sends a metric.
func emit(ch chan<- prometheus.Metric, desc *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
	m, err := prometheus.NewConstMetric(desc, kind, value, labels...)
	if err != nil {
		m = prometheus.NewInvalidMetric(desc, err)
	}
	ch <- m
}

// durationBuckets are the bounds of all histograms, in seconds. Those of the
// node's own histograms are bounds of [gcnode.Latency] too, so that they are
// exact.
func durationBuckets() []float64 {
	return []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
}

// emitHistogram sends a histogram.
func emitHistogram(ch chan<- prometheus.Metric, desc *prometheus.Desc, l gcnode.Latency, labels ...string) {
	cumulative := map[float64]uint64{}
	for _, bound := range durationBuckets() {
		limit := time.Duration(math.Round(bound * float64(time.Second)))
		cumulative[bound] = 0
		for upper, n := range l.Buckets() {
			if upper > limit {
				break
			}
			cumulative[bound] += n
		}
	}
	m, err := prometheus.NewConstHistogram(desc, l.Count(), l.Sum().Seconds(), cumulative, labels...)
	if err != nil {
		m = prometheus.NewInvalidMetric(desc, err)
	}
	ch <- m
}

// newCollector lists all figures of a node.
func newCollector(source *status.Source) *collector {
	group, peer := []string{"group"}, []string{"peer"}
	part := []string{"group", "part"}
	return &collector{
		source: source,
		info: prometheus.NewDesc("gcnode_build_info", "The running build and the id of the node; always 1.",
			[]string{"id", "version", "revision", "goversion"}, nil),
		node: []figure[status.Report]{
			gauge("start_time_seconds", "When the node was started, in seconds since 1970.", nil,
				func(*status.Report) int64 { return source.Started.Unix() }),
			gauge("joined", "0 while the node joins its cluster and keeps nothing.", nil,
				func(r *status.Report) int64 {
					if r.Node.Joined {
						return 1
					}
					return 0
				}),
			gauge("peers_silent", "Nodes that this one has joined without, since they did not answer.", nil,
				func(r *status.Report) int64 { return int64(len(r.Node.Silent)) }),
			counter("gaps", "How often everything was dropped because removals could have been missed.", nil,
				func(r *status.Report) uint64 { return r.Node.Gaps }),
			gauge("removals_retrying", "Removals that wait for nodes that did not confirm them, counted once per node.", nil,
				func(r *status.Report) int64 { return int64(r.Node.RetryingRemovals) }),
		},
		from: prometheus.NewDesc("gcnode_discovery_source_info", "Where the list of members comes from; always 1.", []string{"source"}, nil),
		members: []figure[status.Discovery]{
			gauge("discovery_members", "Members on the list, this node included.", nil,
				func(d *status.Discovery) int64 { return int64(d.Members) }),
			counter("discovery_changes", "Lists that were taken over.", nil,
				func(d *status.Discovery) uint64 { return d.Changes }),
			gauge("discovery_last_change_timestamp_seconds", "When the last list was taken over, in seconds since 1970; 0: never.", nil,
				func(d *status.Discovery) int64 { return unix(d.ChangedAt) }),
			gauge("discovery_last_answer_timestamp_seconds", "When the source last gave a list that is fit for use, in seconds since 1970; 0: never.", nil,
				func(d *status.Discovery) int64 { return unix(d.AnsweredAt) }),
			counter("discovery_errors", "Answers of the source that could not be used.", nil,
				func(d *status.Discovery) uint64 { return d.Errors }),
			gauge("discovery_failing", "1 when the last answer of the source could not be used.", nil,
				func(d *status.Discovery) int64 { return one(d.Error != "") }),
			counter("discovery_losses", "Lists that lost more than half of the members.", nil,
				func(d *status.Discovery) uint64 { return d.Losses }),
			gauge("discovery_held_back", "1 when a list is held back since it loses more than half of the members.", nil,
				func(d *status.Discovery) int64 { return one(d.HeldBack) }),
		},
		nats: []figure[status.NATS]{
			gauge("nats_connected", "0 while there is no connection to NATS.", nil,
				func(n *status.NATS) int64 { return one(n.Connected) }),
			counter("nats_interruptions", "Times that the connection to NATS was lost.", nil,
				func(n *status.NATS) uint64 { return n.Interruptions }),
			counter("nats_slow_consumers", "Times that messages were thrown away because too many had come.", nil,
				func(n *status.NATS) uint64 { return n.SlowConsumers }),
			counter("nats_received_messages", "Messages from NATS.", nil,
				func(n *status.NATS) uint64 { return n.In.Messages }),
			counter("nats_received_bytes", "Bytes of messages from NATS.", nil,
				func(n *status.NATS) uint64 { return n.In.Bytes }),
			counter("nats_sent_messages", "Messages to NATS.", nil,
				func(n *status.NATS) uint64 { return n.Out.Messages }),
			counter("nats_sent_bytes", "Bytes of messages to NATS.", nil,
				func(n *status.NATS) uint64 { return n.Out.Bytes }),
			gauge("nats_streams", "Streams that other nodes have opened to this one.", nil,
				func(n *status.NATS) int64 { return int64(n.Streams.Open) }),
			counter("nats_requests", "Requests of other nodes on streams.", nil,
				func(n *status.NATS) uint64 { return n.Streams.Requests }),
			counter("nats_requests_refused", "Requests of other nodes that were too many at a time.", nil,
				func(n *status.NATS) uint64 { return n.Streams.Refused }),
		},
		server: []figure[status.NATSServer]{
			gauge("nats_routes", "Servers that the one within this node is connected with.", nil,
				func(s *status.NATSServer) int64 { return int64(s.Routes) }),
			gauge("nats_clients", "Connections to the server within this node, that of the node included.", nil,
				func(s *status.NATSServer) int64 { return int64(s.Clients) }),
		},
		refused: prometheus.NewDesc("gcnode_peer_listener_signatures_refused_total",
			"Requests of nodes and their clients that were refused for their signature, by reason.", []string{"reason"}, nil),
		listener: []figure[status.PeerListener]{
			counter("peer_listener_denied", "Requests of nodes and their clients that these may not make.", nil,
				func(l *status.PeerListener) uint64 { return l.Denied }),
			counter("peer_listener_unsigned", "Requests of nodes that were let in without a signature.", nil,
				func(l *status.PeerListener) uint64 { return l.Unsigned }),
		},
		peers: []figure[status.Peer]{
			gauge("peer_unsigned", "1 when the last answer of the node was not signed, which is accepted.", peer,
				func(p *status.Peer) int64 { return one(p.Unsigned) }),
			gauge("peer_down", "1 when the node did not answer and is not asked until a probe reaches it.", peer,
				func(p *status.Peer) int64 { return one(p.Down) }),
			counter("peer_requests", "Fetches that were sent to the node.", peer,
				func(p *status.Peer) uint64 { return p.Requests }),
			counter("peer_errors", "Fetches that the node did not answer.", peer,
				func(p *status.Peer) uint64 { return p.Errors }),
		},
		groups: []figure[status.Group]{
			counter("group_gets", "Look-ups by applications.", group, func(g *status.Group) uint64 { return g.Gets }),
			counter("group_hits", "Look-ups answered from the owned share.", group, func(g *status.Group) uint64 { return g.Hits }),
			counter("group_hot_hits", "Look-ups answered from a hot copy.", group, func(g *status.Group) uint64 { return g.HotHits }),
			counter("group_negative_hits", "Those of the hits that said not found.", group, func(g *status.Group) uint64 { return g.NegativeHits }),
			counter("group_stale_hits", "Those of the hits whose value was beyond its life.", group, func(g *status.Group) uint64 { return g.StaleHits }),
			counter("group_joined", "Look-ups that waited for a load or fetch under way.", group, func(g *status.Group) uint64 { return g.Joined }),
			counter("group_fetches", "Requests to other nodes.", group, func(g *status.Group) uint64 { return g.Fetches }),
			counter("group_fetch_errors", "Requests to other nodes that brought an error other than not found.", group, func(g *status.Group) uint64 { return g.FetchErrors }),
			counter("group_failovers", "Nodes that were passed over because they could not answer.", group, func(g *status.Group) uint64 { return g.Failovers }),
			counter("group_loads", "Calls of the getter.", group, func(g *status.Group) uint64 { return g.Loads }),
			counter("group_loads_not_found", "Calls of the getter that said not found.", group, func(g *status.Group) uint64 { return g.LoadsNotFound }),
			counter("group_load_errors", "Calls of the getter that failed.", group, func(g *status.Group) uint64 { return g.LoadErrors }),
			counter("group_refreshes", "Those of the calls of the getter that were begun in the background.", group, func(g *status.Group) uint64 { return g.Refreshes }),
			counter("group_overloaded", "Loads that were not tried because there were too many.", group, func(g *status.Group) uint64 { return g.Overloaded }),
			counter("group_stale_on_error", "Look-ups, of applications and other nodes, answered with an older value since the load failed.", group, func(g *status.Group) uint64 { return g.StaleOnError }),
			gauge("group_loading", "Calls of the getter that are running, if there is a limit on them.", group, func(g *status.Group) int64 { return int64(g.Loading) }),
			gauge("group_queued", "Loads that wait for their turn.", group, func(g *status.Group) int64 { return int64(g.Queued) }),
			counter("group_served_fetches", "Requests from other nodes.", group, func(g *status.Group) uint64 { return g.ServedFetches }),
			counter("group_peeks", "Requests to nodes that owned the keys before.", group, func(g *status.Group) uint64 { return g.Peeks }),
			counter("group_peek_hits", "Keys that these had.", group, func(g *status.Group) uint64 { return g.PeekHits }),
			counter("group_inherited", "Those of them that were fetched before anybody asked.", group, func(g *status.Group) uint64 { return g.Inherited }),
			counter("group_hot_admitted", "Fetched values of which a copy was made.", group, func(g *status.Group) uint64 { return g.HotAdmitted }),
			counter("group_hot_refused", "Fetched values that are not asked for often enough.", group, func(g *status.Group) uint64 { return g.HotRefused }),
			counter("group_revalidated", "Copies that their owner vouched for anew.", group, func(g *status.Group) uint64 { return g.Revalidated }),
			counter("group_hedges", "Fetches for which a second node was asked, or this one has loaded the key, since the first took long.", group, func(g *status.Group) uint64 { return g.Hedges }),
			counter("group_hedges_won", "Those that were answered by it first.", group, func(g *status.Group) uint64 { return g.HedgesWon }),
			counter("group_sets", "Values that applications set.", group, func(g *status.Group) uint64 { return g.Sets }),
			counter("group_clears", "Removals of all keys by applications.", group, func(g *status.Group) uint64 { return g.Clears }),
			counter("group_removals", "Removals by applications.", group, func(g *status.Group) uint64 { return g.Removals }),
		},
		stores: []figure[status.Store]{
			gauge("store_entries", "Entries in a part (owned or hot) of the group's memory.", part, func(s *status.Store) int64 { return int64(s.Entries) }),
			gauge("store_bytes", "Bytes in use.", part, func(s *status.Store) int64 { return s.Bytes }),
			gauge("store_max_bytes", "Bytes that may be used.", part, func(s *status.Store) int64 { return s.MaxBytes }),
			counter("store_evicted", "Live entries that made room for others.", part, func(s *status.Store) uint64 { return s.Evicted }),
			counter("store_expired", "Entries whose time was over.", part, func(s *status.Store) uint64 { return s.Expired }),
			counter("store_removed", "Entries that were removed.", part, func(s *status.Store) uint64 { return s.Removed }),
			counter("store_replaced", "Entries that were overwritten.", part, func(s *status.Store) uint64 { return s.Replaced }),
			counter("store_rejected", "Values that are too large to be kept.", part, func(s *status.Store) uint64 { return s.Rejected }),
		},
		plugins: []figure[status.Plugin]{
			counter("plugin_fetches", "HTTP exchanges that the module asked for.", group, func(p *status.Plugin) uint64 { return p.Fetches.Started }),
			counter("plugin_fetches_denied", "HTTP exchanges that were refused.", group, func(p *status.Plugin) uint64 { return p.Fetches.Denied }),
			counter("plugin_fetches_failed", "HTTP exchanges without an answer.", group, func(p *status.Plugin) uint64 { return p.Fetches.Failed }),
			gauge("plugin_instances_live", "Instances of the module.", group, func(p *status.Plugin) int64 { return int64(p.Instances.Live) }),
			gauge("plugin_instances_idle", "Instances that wait for a call.", group, func(p *status.Plugin) int64 { return int64(p.Instances.Idle) }),
			gauge("plugin_requests_pending", "Requests that wait for their fetches and occupy no instance.", group, func(p *status.Plugin) int64 { return int64(p.Instances.Pending) }),
			counter("plugin_instances_created", "Instances that were started.", group, func(p *status.Plugin) uint64 { return p.Instances.Created }),
			gauge("plugin_queue_waiting", "Callers that wait for an instance.", group, func(p *status.Plugin) int64 { return int64(p.Queue.Waiting) }),
			counter("plugin_queue_waited", "Callers that had to wait for an instance.", group, func(p *status.Plugin) uint64 { return p.Queue.Waited }),
			counter("plugin_queue_rejected", "Callers that found the queue full.", group, func(p *status.Plugin) uint64 { return p.Queue.Rejected }),
			seconds("plugin_queue_seconds", prometheus.CounterValue, "Time that requests waited for an instance.", group, func(p *status.Plugin) float64 { return p.Times.Queue }),
			seconds("plugin_guest_seconds", prometheus.CounterValue, "Time that the module computed.", group, func(p *status.Plugin) float64 { return p.Times.Guest }),
			seconds("plugin_fetch_seconds", prometheus.CounterValue, "Time that its HTTP exchanges took.", group, func(p *status.Plugin) float64 { return p.Times.Fetch }),
			seconds("plugin_compile_seconds", prometheus.GaugeValue, "Time that it took to compile the module.", group, func(p *status.Plugin) float64 { return p.Times.Compile }),
			gauge("plugin_without_fuel", "1 if the module has no fuel, and the engine interrupts it.", group, func(p *status.Plugin) int64 { return one(p.Interruption == wasm.InterruptByEngine.String()) }),
			counter("plugin_fuel", "Units of computing that the module was given.", group, func(p *status.Plugin) uint64 { return p.Fuel }),
			gauge("plugin_memory_bytes", "Memory of all instances.", group, func(p *status.Plugin) int64 { return p.Instances.Memory }),
			counter("plugin_log_lines_dropped", "Lines that the module logged too fast.", group, func(p *status.Plugin) uint64 { return p.LogLinesDropped }),
		},
		calls: prometheus.NewDesc("gcnode_plugin_calls_total", "Finished calls of the module by outcome.",
			[]string{"group", "outcome"}, nil),
		discarded: prometheus.NewDesc("gcnode_plugin_instances_discarded_total", "Instances that were thrown away, by reason.",
			[]string{"group", "reason"}, nil),
		loadTime: prometheus.NewDesc("gcnode_group_load_duration_seconds", "Time that calls of the getter took.", group, nil),
		fetchTime: prometheus.NewDesc("gcnode_peer_fetch_duration_seconds",
			"Time from a request to another node to the end of its answer, its load included.", peer, nil),
	}
}

// Describe implements [prometheus.Collector].
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.info
	ch <- c.refused
	ch <- c.calls
	ch <- c.discarded
	ch <- c.from
	ch <- c.loadTime
	ch <- c.fetchTime
	describe(ch, c.node)
	describe(ch, c.members)
	describe(ch, c.listener)
	describe(ch, c.nats)
	describe(ch, c.server)
	describe(ch, c.peers)
	describe(ch, c.groups)
	describe(ch, c.stores)
	describe(ch, c.plugins)
}

// describe sends the descriptions of figures.
func describe[T any](ch chan<- *prometheus.Desc, figures []figure[T]) {
	for _, f := range figures {
		ch <- f.desc
	}
}

// Collect implements [prometheus.Collector].
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	report := c.source.Report()
	build := c.source.Build
	emit(ch, c.info, prometheus.GaugeValue, 1, report.Node.ID, build.Version, build.Revision, build.GoVersion)
	for _, f := range c.node {
		f.emit(ch, &report)
	}
	if d := report.Discovery; d != nil {
		emit(ch, c.from, prometheus.GaugeValue, 1, d.Source)
		for _, f := range c.members {
			f.emit(ch, d)
		}
	}
	c.collectNATS(ch, report.NATS)
	if l := report.PeerListener; l != nil {
		for _, f := range c.listener {
			f.emit(ch, l)
		}
		for _, r := range l.SignaturesRefused.ByReason() {
			emit(ch, c.refused, prometheus.CounterValue, float64(r.Count), r.Name)
		}
	}
	for _, p := range report.Peers {
		for _, f := range c.peers {
			f.emit(ch, &p, p.ID)
		}
		emitHistogram(ch, c.fetchTime, p.FetchTime.Observed, p.ID)
	}
	for _, g := range report.Groups {
		for _, f := range c.groups {
			f.emit(ch, &g, g.Name)
		}
		emitHistogram(ch, c.loadTime, g.LoadTime.Observed, g.Name)
		for _, f := range c.stores {
			f.emit(ch, &g.Owned, g.Name, "owned")
			f.emit(ch, &g.Hot, g.Name, "hot")
		}
		if g.Plugin != nil {
			c.collectPlugin(ch, g.Name, g.Plugin)
		}
	}
}

// collectNATS sends the figures of the connection to NATS, if there is one.
func (c *collector) collectNATS(ch chan<- prometheus.Metric, n *status.NATS) {
	if n == nil {
		return
	}
	for _, f := range c.nats {
		f.emit(ch, n)
	}
	if n.Embedded != nil {
		for _, f := range c.server {
			f.emit(ch, n.Embedded)
		}
	}
}

// collectPlugin sends the figures of a group's module.
func (c *collector) collectPlugin(ch chan<- prometheus.Metric, group string, p *status.Plugin) {
	for _, f := range c.plugins {
		f.emit(ch, p, group)
	}
	for _, o := range p.Calls.ByOutcome() {
		emit(ch, c.calls, prometheus.CounterValue, float64(o.Count), group, o.Name)
	}
	for _, d := range p.Instances.Discarded.ByReason() {
		emit(ch, c.discarded, prometheus.CounterValue, float64(d.Count), group, d.Name)
	}
}
