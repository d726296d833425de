package admin_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/admin"
	"github.com/gcnode/gcnode/cmd/gcnode/internal/status"
	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/discovery"
)

func TestWhereTheMembersComeFromIsInTheFigures(t *testing.T) {
	node, err := gcnode.NewNode(gcnode.Config{})
	require.NoError(t, err)
	defer func() { assert.NoError(t, node.Close(t.Context())) }()
	metrics, err := admin.NewMetrics()
	require.NoError(t, err)
	st := discovery.Status{}
	known := false
	source := &status.Source{Node: node, Members: func() (discovery.Status, bool) { return st, known }}
	require.NoError(t, metrics.Observe(source))
	h := admin.NewHandler(admin.Options{Readiness: &admin.Readiness{}, Metrics: metrics, Stats: source.Handler()})

	_, text := ask(t, h, http.MethodGet, "/metrics")
	assert.NotContains(t, text, "gcnode_discovery_")
	_, text = ask(t, h, http.MethodGet, "/v1/stats")
	assert.NotContains(t, text, "discovery")

	known = true
	_, text = ask(t, h, http.MethodGet, "/metrics")
	assert.Contains(t, text, "\ngcnode_discovery_last_change_timestamp_seconds 0\n")
	assert.Contains(t, text, "\ngcnode_discovery_failing 0\n")

	at := func(s int64) time.Time { return time.Unix(s, 0) }
	st = discovery.Status{
		Source: "dns A x.", Members: 7, Changes: 3, Changed: at(100), Answered: at(200), Errors: 4, Failed: at(300),
		Err: errors.New("broken"), Losses: 2, Waiting: 1, Held: true, Since: at(150),
	}
	_, text = ask(t, h, http.MethodGet, "/metrics")
	for _, line := range []string{
		`gcnode_discovery_source_info{source="dns A x."} 1`,
		"gcnode_discovery_members 7",
		"gcnode_discovery_changes_total 3",
		"gcnode_discovery_last_change_timestamp_seconds 100",
		"gcnode_discovery_last_answer_timestamp_seconds 200",
		"gcnode_discovery_errors_total 4",
		"gcnode_discovery_failing 1",
		"gcnode_discovery_losses_total 2",
		"gcnode_discovery_held_back 1",
	} {
		assert.Contains(t, text, "\n"+line+"\n")
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	require.NoError(t, err)
	assert.Empty(t, problems)
	_, text = ask(t, h, http.MethodGet, "/v1/stats")
	var report struct{ Discovery json.RawMessage }
	require.NoError(t, json.Unmarshal([]byte(text), &report))
	assert.JSONEq(t, `{
		"source": "dns A x.", "members": 7, "changes": 3, "changed_at": "1970-01-01T00:01:40Z",
		"answered_at": "1970-01-01T00:03:20Z", "errors": 4, "failed_at": "1970-01-01T00:05:00Z", "error": "broken",
		"losses": 2, "waiting": 1, "waiting_since": "1970-01-01T00:02:30Z", "held_back": true
	}`, string(report.Discovery))
}
