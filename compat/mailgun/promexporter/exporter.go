// Package promexporter has the figures of groups for Prometheus, under the names
// that the exporter of the old library gave them.
package promexporter

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	groupcache "github.com/gcnode/gcnode/compat/mailgun"
)

// Exporter is a [prometheus.Collector]. It looks for the groups each time.
type Exporter struct {
	namespace string
	labels    map[string]string
	groups    func() []*groupcache.Group
	figures   []figure[*groupcache.Stats]
	parts     []figure[groupcache.CacheStats]
}

// Option is an option of [NewExporter].
type Option interface {
	apply(e *Exporter)
}

type option func(*Exporter)

func (o option) apply(e *Exporter) { o(e) }

// WithNamespace puts a name before those of the metrics.
func WithNamespace(namespace string) Option {
	return option(func(e *Exporter) { e.namespace = namespace })
}

// WithLabels gives labels to all metrics.
func WithLabels(labels map[string]string) Option {
	return option(func(e *Exporter) { e.labels = labels })
}

// WithGroups says which groups there are; without it, all in this process.
func WithGroups(groupsFn func() []*groupcache.Group) Option {
	return option(func(e *Exporter) { e.groups = groupsFn })
}

// figure is one metric, out of the figures of a group or of a part of its memory.
type figure[S any] struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(S) float64
}

// NewExporter makes an exporter.
func NewExporter(opts ...Option) *Exporter {
	e := &Exporter{groups: groupcache.GetGroups}
	for _, o := range opts {
		o.apply(e)
	}
	type stats = *groupcache.Stats
	e.count("gets_total", "Gets, those of peers included.", func(s stats) *groupcache.AtomicInt { return &s.Gets })
	e.count("hits_total", "Gets that found the value in memory.", func(s stats) *groupcache.AtomicInt { return &s.CacheHits })
	e.count("peer_loads_total", "Values that peers have answered with.", func(s stats) *groupcache.AtomicInt { return &s.PeerLoads })
	e.count("peer_errors_total", "Questions that peers have not answered.", func(s stats) *groupcache.AtomicInt { return &s.PeerErrors })
	e.count("loads_total", "Gets that found nothing in memory.", func(s stats) *groupcache.AtomicInt { return &s.Loads })
	e.count("loads_deduped_total", "Loads, counted once for all who waited.", func(s stats) *groupcache.AtomicInt { return &s.LoadsDeduped })
	e.count("local_loads_total", "Calls of the getter that gave a value.", func(s stats) *groupcache.AtomicInt { return &s.LocalLoads })
	e.count("local_load_errs_total", "Calls of the getter that gave none.", func(s stats) *groupcache.AtomicInt { return &s.LocalLoadErrs })
	e.count("server_requests_total", "Gets of peers.", func(s stats) *groupcache.AtomicInt { return &s.ServerRequests })
	e.figures = append(e.figures, figure[stats]{
		e.desc("get_from_peers_latency_lower", "The longest that a peer took to answer, in seconds.", "group"), prometheus.GaugeValue,
		func(s stats) float64 {
			return (time.Duration(s.GetFromPeersLatencyLower.Get()) * time.Millisecond).Seconds()
		},
	})
	type part = groupcache.CacheStats
	e.part("cache_bytes", "Memory that is held.", prometheus.GaugeValue, func(s part) int64 { return s.Bytes })
	e.part("cache_items", "Values that are there.", prometheus.GaugeValue, func(s part) int64 { return s.Items })
	e.part("cache_gets_total", "Looks for a value.", prometheus.CounterValue, func(s part) int64 { return s.Gets })
	e.part("cache_hits_total", "Looks that found it.", prometheus.CounterValue, func(s part) int64 { return s.Hits })
	for _, name := range []string{"cache_evictions_total", "cache_evictions_nonexpired_total"} {
		e.part(name, "Values that made room for others before they had expired.", prometheus.CounterValue, func(s part) int64 { return s.Evictions })
	}
	return e
}

func (e *Exporter) count(name, help string, of func(*groupcache.Stats) *groupcache.AtomicInt) {
	e.figures = append(e.figures, figure[*groupcache.Stats]{
		e.desc(name, help, "group"), prometheus.CounterValue, func(s *groupcache.Stats) float64 { return float64(of(s).Get()) },
	})
}

func (e *Exporter) part(name, help string, kind prometheus.ValueType, of func(groupcache.CacheStats) int64) {
	e.parts = append(e.parts, figure[groupcache.CacheStats]{
		e.desc(name, help, "group", "type"), kind, func(s groupcache.CacheStats) float64 { return float64(of(s)) },
	})
}

func (e *Exporter) desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(e.namespace, "groupcache", name), help, labels, e.labels)
}

// Describe implements [prometheus.Collector].
func (e *Exporter) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range e.figures {
		ch <- f.desc
	}
	for _, f := range e.parts {
		ch <- f.desc
	}
}

// Collect implements [prometheus.Collector].
func (e *Exporter) Collect(ch chan<- prometheus.Metric) {
	for _, g := range e.groups() {
		for _, f := range e.figures {
			ch <- f.metric(&g.Stats, g.Name())
		}
		main, hot := g.CacheStats(groupcache.MainCache), g.CacheStats(groupcache.HotCache)
		for _, f := range e.parts {
			ch <- f.metric(main, g.Name(), "main")
			ch <- f.metric(hot, g.Name(), "hot")
		}
	}
}

// metric is the figure, or why it cannot be told: Prometheus takes only UTF-8 for
// the name of a group.
func (f figure[S]) metric(s S, labels ...string) prometheus.Metric {
	m, err := prometheus.NewConstMetric(f.desc, f.kind, f.of(s), labels...)
	if err != nil {
		return prometheus.NewInvalidMetric(f.desc, err)
	}
	return m
}
