package e2e_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSIGTERMLetsWhatIsRunningFinish(t *testing.T) {
	t.Parallel()
	o := startOrigin(t)
	c := startCluster(t, 2, "drain_timeout: 1m\n"+groups(documentation(o.URL, "text")))
	leaving, staying := c[0], c[1]
	for i := range 50 {
		o.publish(fmt.Sprintf("key%d", i), "worth waiting for")
	}
	keys := c.keysOf(t, leaving, "doc", 3)

	// One get comes from an application, one from the other node.
	var waiting []func() answer
	for i, n := range c {
		listed := o.listings(keys[i])
		o.hold("/" + keys[i] + "/")
		waiting = append(waiting, sendLater(t, http.MethodGet, n.valueURL("doc", keys[i])))
		require.Eventually(t, func() bool { return o.listings(keys[i]) > listed }, patience, pollEvery)
	}

	leaving.signal(t, syscall.SIGTERM)
	require.Eventually(t, func() bool {
		status, reason := leaving.ready(t.Context())
		return status == http.StatusServiceUnavailable && strings.Contains(reason, "draining")
	}, patience, pollEvery)
	require.Eventually(t, func() bool {
		_, err := do(t.Context(), http.MethodGet, leaving.valueURL("doc", keys[2]))
		return errors.Is(err, syscall.ECONNREFUSED)
	}, patience, pollEvery, "it takes new requests")
	assert.Equal(t, http.StatusOK, send(t, http.MethodGet, "http://"+leaving.admin+"/healthz").status)
	assert.Contains(t, staying.value(t, "doc", keys[2]).body, "worth waiting for")
	assert.True(t, leaving.running())

	o.release()
	for i, wait := range waiting {
		got := wait()
		assert.Equal(t, http.StatusOK, got.status, "through %s: %s", c[i].id, got.body)
		assert.Contains(t, got.body, "worth waiting for")
		assert.Equal(t, "loaded", got.source)
	}
	assert.Zero(t, leaving.wait(t), "exit status")
	assert.Contains(t, leaving.log.String(), "stopped")
	for _, key := range keys {
		assert.Contains(t, staying.value(t, "doc", key).body, "worth waiting for")
	}
}
