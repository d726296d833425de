package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/admin"
	"github.com/gcnode/gcnode/cmd/gcnode/internal/build"
	"github.com/gcnode/gcnode/cmd/gcnode/internal/status"
	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
)

// ask sends a request to a handler.
func ask(t *testing.T, h http.Handler, method, path string) (code int, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, http.NoBody))
	text, err := io.ReadAll(w.Result().Body)
	require.NoError(t, err)
	return w.Code, string(text)
}

// newAdmin makes the interface of a node whose one group answers with the key.
func newAdmin(t *testing.T, pprof bool) (http.Handler, *admin.Readiness, *gcnode.Group, *admin.Metrics) {
	t.Helper()
	return newAdminOf(t, pprof, func(_ context.Context, key string) (gcnode.Item[gcnode.Value], error) {
		if key == "missing" {
			return gcnode.Item[gcnode.Value]{}, gcnode.ErrNotFound
		}
		return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(key)}, nil
	}, gcnode.GroupOptions{MaxBytes: 1 << 20})
}

// newAdminOf makes the interface of a node with one group.
func newAdminOf(t *testing.T, pprof bool, getter gcnode.GetterFunc[gcnode.Value], opts gcnode.GroupOptions,
) (http.Handler, *admin.Readiness, *gcnode.Group, *admin.Metrics) {
	t.Helper()
	node, err := gcnode.NewNode(gcnode.Config{Self: gcnode.Peer{ID: "a"}})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		assert.NoError(t, node.Close(ctx))
	})
	group, err := node.Group("g", getter, opts)
	require.NoError(t, err)
	metrics, err := admin.NewMetrics()
	require.NoError(t, err)
	source := &status.Source{
		Node: node, Started: time.Unix(1_700_000_000, 0),
		Build: build.Info{Version: "v1.2.3", Revision: "abc", GoVersion: "go1.26"},
	}
	require.NoError(t, metrics.Observe(source))
	readiness := &admin.Readiness{}
	return admin.NewHandler(admin.Options{Readiness: readiness, Metrics: metrics, Stats: source.Handler(), Pprof: pprof}), readiness, group, metrics
}

func TestReadinessSaysWhyNot(t *testing.T) {
	h, readiness, _, _ := newAdmin(t, false)
	why := "joining"
	for _, want := range []struct {
		set  func()
		code int
		body string
	}{
		{func() {}, 503, "not ready: starting\n"},
		{func() { readiness.ReadyUnless(func() string { return why }) }, 503, "not ready: joining\n"},
		{func() { why = "" }, 200, "ready\n"},
		{func() { readiness.NotReady("draining") }, 503, "not ready: draining\n"},
	} {
		want.set()
		code, body := ask(t, h, http.MethodGet, "/readyz")
		assert.Equal(t, want.code, code)
		assert.Equal(t, want.body, body)
		code, body = ask(t, h, http.MethodGet, "/healthz")
		assert.Equal(t, 200, code, "a node that is not ready is still alive")
		assert.Equal(t, "alive\n", body)
	}
	code, _ := ask(t, h, http.MethodPost, "/readyz")
	assert.Equal(t, 405, code)
}

func TestProfilesAreThereWhenAskedFor(t *testing.T) {
	without, _, _, _ := newAdmin(t, false)
	code, _ := ask(t, without, http.MethodGet, "/debug/pprof/")
	assert.Equal(t, 404, code)
	with, _, _, _ := newAdmin(t, true)
	code, body := ask(t, with, http.MethodGet, "/debug/pprof/")
	assert.Equal(t, 200, code)
	assert.Contains(t, body, "goroutine")
}

func TestMetricsAreThoseOfTheNode(t *testing.T) {
	h, _, group, metrics := newAdmin(t, false)
	for _, key := range []string{"k", "k", "k", "missing", "missing"} {
		_, err := group.Get(t.Context(), key)
		if key == "missing" {
			require.ErrorIs(t, err, gcnode.ErrNotFound)
		} else {
			require.NoError(t, err)
		}
	}
	require.NoError(t, group.Remove(t.Context(), "k"))
	require.NoError(t, group.Clear(t.Context()))
	instrumented := metrics.Instrument(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	_, _ = ask(t, instrumented, http.MethodGet, "/")

	code, text := ask(t, h, http.MethodGet, "/metrics")
	require.Equal(t, 200, code)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	require.NoError(t, err)
	value := func(name string) float64 {
		require.Contains(t, families, name)
		m := families[name].GetMetric()[0]
		return m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
	}
	for name, want := range map[string]float64{
		"gcnode_group_gets_total":            5,
		"gcnode_group_hits_total":            3,
		"gcnode_group_negative_hits_total":   1,
		"gcnode_group_loads_total":           2,
		"gcnode_group_loads_not_found_total": 1,
		"gcnode_group_load_errors_total":     0,
		"gcnode_group_removals_total":        1,
		"gcnode_group_sets_total":            0,
		"gcnode_group_clears_total":          1,
		"gcnode_joined":                      1,
		"gcnode_peers_silent":                0,
		"gcnode_gaps_total":                  0,
		"gcnode_start_time_seconds":          1_700_000_000,
		"gcnode_build_info":                  1,
		"gcnode_removals_retrying":           0,
		"gcnode_api_requests_total":          1,
	} {
		assert.InDelta(t, want, value(name), 0, name)
	}
	assert.Contains(t, text, `gcnode_build_info{goversion="go1.26",id="a",revision="abc",version="v1.2.3"} 1`)
	assert.Contains(t, text, `gcnode_api_requests_total{code="418",method="get"} 1`)
	assert.Contains(t, text, `gcnode_store_entries{group="g",part="owned"} 0`)
	assert.Contains(t, text, `gcnode_store_removed_total{group="g",part="owned"} 2`)
	assert.Contains(t, text, "go_goroutines ")
}

// TestLatenciesAreHistograms has one node load four keys of the other in exact
// times, two of which are bounds of buckets.
func TestLatenciesAreHistograms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := transporttest.NewNetwork()
		peers := []gcnode.Peer{{ID: "a"}, {ID: "b"}}
		var groups []*gcnode.Group
		var handlers []http.Handler
		var nodes []*gcnode.Node
		for _, self := range peers {
			node, err := gcnode.NewNode(gcnode.Config{Self: self, Transport: network.Transport(self.ID)})
			require.NoError(t, err)
			defer func() { require.NoError(t, node.Close(context.Background())) }()
			network.Attach(self.ID, node)
			require.NoError(t, node.SetPeers(peers))
			group, err := node.Group("g", gcnode.GetterFunc[gcnode.Value](func(_ context.Context, key string) (gcnode.Item[gcnode.Value], error) {
				_, took, _ := strings.Cut(key, " ")
				d, err := time.ParseDuration(took)
				time.Sleep(d)
				return gcnode.Item[gcnode.Value]{}, err
			}), gcnode.GroupOptions{MaxBytes: 1 << 20, LoadTimeout: time.Minute})
			require.NoError(t, err)
			metrics, err := admin.NewMetrics()
			require.NoError(t, err)
			source := &status.Source{Node: node, Started: time.Now()}
			require.NoError(t, metrics.Observe(source))
			handlers = append(handlers, admin.NewHandler(admin.Options{Readiness: &admin.Readiness{}, Metrics: metrics, Stats: source.Handler()}))
			groups, nodes = append(groups, group), append(nodes, node)
		}
		for _, node := range nodes {
			require.NoError(t, node.Joined(t.Context()))
		}
		for _, took := range []string{"100us", "250us", "251us", "40s"} {
			i := 0
			for groups[0].Owner(fmt.Sprint(i, " ", took)).ID != "b" {
				i++
			}
			_, err := groups[0].Get(t.Context(), fmt.Sprint(i, " ", took))
			require.NoError(t, err)
		}
		for i, series := range []string{`gcnode_peer_fetch_duration_seconds%s{peer="b"%s} %s`, `gcnode_group_load_duration_seconds%s{group="g"%s} %s`} {
			code, text := ask(t, handlers[i], http.MethodGet, "/metrics")
			require.Equal(t, 200, code)
			for bound, want := range map[string]string{
				"0.0001": "1", "0.00025": "2", "0.0005": "3", "0.001": "3", "30": "3", "+Inf": "4",
			} {
				assert.Contains(t, text, fmt.Sprintf(series, "_bucket", `,le="`+bound+`"`, want)+"\n")
			}
			assert.Contains(t, text, fmt.Sprintf(series, "_sum", "", "40.000601")+"\n")
			assert.Contains(t, text, fmt.Sprintf(series, "_count", "", "4")+"\n")
			code, text = ask(t, handlers[i], http.MethodGet, "/v1/stats")
			require.Equal(t, 200, code)
			name := []string{"fetch_time", "load_time"}[i]
			_, text, ok := strings.Cut(text, `"`+name+`": `)
			require.True(t, ok, name)
			var latency status.Latency
			require.NoError(t, json.NewDecoder(strings.NewReader(text)).Decode(&latency))
			assert.EqualValues(t, 4, latency.Count)
			assert.InDelta(t, 40.000601, latency.Sum, 1e-9)
			assert.InEpsilon(t, 250e-6, latency.P50, 0.05)
			assert.InEpsilon(t, 40, latency.P99, 0.05)
			assert.InEpsilon(t, 40, latency.P999, 0.05)
		}
		_, text := ask(t, handlers[0], http.MethodGet, "/metrics")
		assert.Contains(t, text, `gcnode_group_load_duration_seconds_count{group="g"} 0`, "a group that loaded nothing")
	})
}

// TestFiguresAboutStaleValuesAndLimitsOnLoads brings each figure to a value
// that no other has.
func TestFiguresAboutStaleValuesAndLimitsOnLoads(t *testing.T) {
	const running, waiting = 6, 5
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		h, _, group, _ := newAdminOf(t, false, func(context.Context, string) (gcnode.Item[gcnode.Value], error) {
			time.Sleep(time.Second)
			if broken.Load() {
				return gcnode.Item[gcnode.Value]{}, gcnode.ErrTransient
			}
			return gcnode.Item[gcnode.Value]{Keep: gcnode.For(time.Minute)}, nil
		}, gcnode.GroupOptions{
			MaxBytes: 1 << 20, StaleWhileRevalidate: 10 * time.Second, StaleOnError: time.Hour,
			MaxLoads: running, MaxQueuedLoads: waiting,
		})
		get := func(key string) error { _, err := group.Get(t.Context(), key); return err }
		require.NoError(t, get("k"))
		time.Sleep(time.Minute)
		for range 2 { // beyond its life, and reloaded once
			require.NoError(t, get("k"))
		}
		time.Sleep(2 * time.Minute)
		broken.Store(true)
		for range 3 { // too old to be served at once
			require.NoError(t, get("k"))
		}
		broken.Store(false)
		var busy sync.WaitGroup
		defer busy.Wait()
		for i := range running + waiting {
			busy.Go(func() { assert.NoError(t, get(fmt.Sprint("busy", i))) })
		}
		synctest.Wait()
		for range 4 {
			require.ErrorIs(t, get("one too many"), gcnode.ErrOverloaded)
		}
		_, metrics := ask(t, h, http.MethodGet, "/metrics")
		_, stats := ask(t, h, http.MethodGet, "/v1/stats")
		for _, want := range []struct {
			metric, field string
			value         int
		}{
			{"stale_hits_total", "stale_hits", 2},
			{"refreshes_total", "refreshes", 1},
			{"stale_on_error_total", "stale_on_error", 3},
			{"overloaded_total", "overloaded", 4},
			{"loading", "loading", running},
			{"queued", "queued", waiting},
		} {
			assert.Contains(t, metrics, fmt.Sprintf("\ngcnode_group_%s{group=\"g\"} %d\n", want.metric, want.value))
			assert.Contains(t, stats, fmt.Sprintf("%q: %d,\n", want.field, want.value))
		}
	})
}

func TestMetricsFollowTheConventions(t *testing.T) {
	h, _, _, _ := newAdmin(t, false)
	_, text := ask(t, h, http.MethodGet, "/metrics")
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	require.NoError(t, err)
	for _, p := range problems {
		assert.NotContains(t, p.Metric, "gcnode_", "%s", p.Text)
	}
	count := 0
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "# HELP gcnode_") {
			count++
		}
	}
	assert.Greater(t, count, 20)
}

func TestStatisticsAsJSON(t *testing.T) {
	h, _, group, _ := newAdmin(t, false)
	_, err := group.Get(t.Context(), "k")
	require.NoError(t, err)
	code, body := ask(t, h, http.MethodGet, "/v1/stats")
	assert.Equal(t, 200, code)
	for _, want := range []string{`"id": "a"`, `"version": "v1.2.3"`, `"peers": []`, `"name": "g"`, `"gets": 1`, `"loads": 1`, `"load_time": {`, `"p50_seconds": `, `"p99_seconds": `, `"p99_9_seconds": `, `"max_bytes": `} {
		assert.Contains(t, body, want)
	}
	assert.NotContains(t, body, `"plugin"`, "a group without a module has no figures of one")
}
