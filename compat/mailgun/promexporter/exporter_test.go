package promexporter_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	groupcache "github.com/gcnode/gcnode/compat/mailgun"
	"github.com/gcnode/gcnode/compat/mailgun/promexporter"
)

func TestTheFiguresOfGroupsAreThere(t *testing.T) {
	group := groupcache.NewGroup("exported", 1<<20, groupcache.GetterFunc(func(_ context.Context, key string, dest groupcache.Sink) error {
		if key == "none" {
			return &groupcache.ErrNotFound{Msg: "there is none"}
		}
		return dest.SetString("value", time.Time{})
	}))
	t.Cleanup(func() { groupcache.DeregisterGroup("exported") })
	var s string
	for _, key := range []string{"a", "a", "b"} {
		require.NoError(t, group.Get(t.Context(), key, groupcache.StringSink(&s)))
	}
	require.Error(t, group.Get(t.Context(), "none", groupcache.StringSink(&s)))

	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(promexporter.NewExporter(
		promexporter.WithNamespace("app"), promexporter.WithLabels(map[string]string{"zone": "eu"}),
	)))
	families, err := registry.Gather()
	require.NoError(t, err)
	names := map[string]int{}
	for _, f := range families {
		names[strings.TrimPrefix(f.GetName(), "app_groupcache_")] = len(f.GetMetric())
	}
	assert.Equal(t, map[string]int{
		"gets_total": 1, "hits_total": 1, "loads_total": 1, "loads_deduped_total": 1, "local_loads_total": 1, "local_load_errs_total": 1,
		"peer_loads_total": 1, "peer_errors_total": 1, "server_requests_total": 1, "get_from_peers_latency_lower": 1,
		"cache_bytes": 2, "cache_items": 2, "cache_gets_total": 2, "cache_hits_total": 2,
		"cache_evictions_total": 2, "cache_evictions_nonexpired_total": 2,
	}, names)
	assert.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP app_groupcache_gets_total Gets, those of peers included.
# TYPE app_groupcache_gets_total counter
app_groupcache_gets_total{group="exported",zone="eu"} 4
# HELP app_groupcache_hits_total Gets that found the value in memory.
# TYPE app_groupcache_hits_total counter
app_groupcache_hits_total{group="exported",zone="eu"} 1
# HELP app_groupcache_local_load_errs_total Calls of the getter that gave none.
# TYPE app_groupcache_local_load_errs_total counter
app_groupcache_local_load_errs_total{group="exported",zone="eu"} 1
# HELP app_groupcache_cache_items Values that are there.
# TYPE app_groupcache_cache_items gauge
app_groupcache_cache_items{group="exported",type="hot",zone="eu"} 0
app_groupcache_cache_items{group="exported",type="main",zone="eu"} 2
# HELP app_groupcache_cache_hits_total Looks that found it.
# TYPE app_groupcache_cache_hits_total counter
app_groupcache_cache_hits_total{group="exported",type="hot",zone="eu"} 0
app_groupcache_cache_hits_total{group="exported",type="main",zone="eu"} 1
`), "app_groupcache_gets_total", "app_groupcache_hits_total", "app_groupcache_local_load_errs_total",
		"app_groupcache_cache_items", "app_groupcache_cache_hits_total"))
}

// Each figure has a value of its own, so that none can stand for another.
func TestEachFigureIsThatOfItsName(t *testing.T) {
	g := groupcache.NewGroup("figures", 1<<20, groupcache.GetterFunc(func(context.Context, string, groupcache.Sink) error { return nil }))
	groupcache.DeregisterGroup("figures")
	st := &g.Stats
	for i, figure := range []*groupcache.AtomicInt{
		&st.Gets, &st.CacheHits, &st.PeerLoads, &st.PeerErrors, &st.Loads, &st.LoadsDeduped, &st.LocalLoads, &st.LocalLoadErrs, &st.ServerRequests,
	} {
		figure.Store(int64(10 - i))
	}
	st.GetFromPeersLatencyLower.Store(1500)
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(promexporter.NewExporter(
		promexporter.WithGroups(func() []*groupcache.Group { return []*groupcache.Group{g} }),
	)))
	families, err := registry.Gather()
	require.NoError(t, err)
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := []string{strings.TrimPrefix(f.GetName(), "groupcache_")}
			for _, l := range m.GetLabel() {
				if l.GetName() == "type" {
					name = append(name, l.GetValue())
				}
			}
			got[strings.Join(name, " ")] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	assert.Equal(t, map[string]float64{
		"gets_total": 10, "hits_total": 9, "peer_loads_total": 8, "peer_errors_total": 7, "loads_total": 6, "loads_deduped_total": 5,
		"local_loads_total": 4, "local_load_errs_total": 3, "server_requests_total": 2, "get_from_peers_latency_lower": 1.5,
		"cache_bytes main": float64(g.CacheStats(groupcache.MainCache).Bytes), "cache_bytes hot": float64(g.CacheStats(groupcache.HotCache).Bytes),
		"cache_items main": 0, "cache_items hot": 0, "cache_gets_total main": 10, "cache_hits_total main": 9, "cache_gets_total hot": 1, "cache_hits_total hot": 0,
		"cache_evictions_total main": 0, "cache_evictions_total hot": 0, "cache_evictions_nonexpired_total main": 0, "cache_evictions_nonexpired_total hot": 0,
	}, got)
}

func TestAGroupWhoseNameIsNoTextIsAnErrorOfTheScrape(t *testing.T) {
	const name = "\xff"
	g := groupcache.NewGroup(name, 1<<20, groupcache.GetterFunc(func(context.Context, string, groupcache.Sink) error { return nil }))
	groupcache.DeregisterGroup(name)
	registry := prometheus.NewRegistry()
	require.NoError(t, registry.Register(promexporter.NewExporter(
		promexporter.WithGroups(func() []*groupcache.Group { return []*groupcache.Group{g} }),
	)))
	_, err := registry.Gather()
	require.ErrorContains(t, err, "UTF-8")
}
