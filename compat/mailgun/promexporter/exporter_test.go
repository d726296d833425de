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
