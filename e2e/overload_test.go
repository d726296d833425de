package e2e_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestALoadTooManyIsRefusedAndNobodyElse(t *testing.T) {
	t.Parallel()
	o := startOrigin(t)
	for i := range 50 {
		o.publish(fmt.Sprintf("key%d", i), "worth waiting for")
	}
	c := startCluster(t, 2, groups(with(documentation(o.URL, "text"), "max_loads: 1", "max_queued_loads: 0")))
	owner, other := c[0], c[1]
	keys := c.keysOf(t, owner, "doc", 3)
	running, refused, cached := keys[0], keys[1], keys[2]
	owner.value(t, "doc", cached)

	listed := o.listings(refused)
	o.hold("/" + running + "/")
	waiting := []func() answer{sendLater(t, http.MethodGet, other.valueURL("doc", running))}
	owner.until(t, func(s stats) bool { return s.group("doc").Loading == 1 }, "the load does not run")
	waiting = append(waiting, sendLater(t, http.MethodGet, owner.valueURL("doc", running))) // it needs no load of its own
	for _, n := range c {
		got := n.get(t, "doc", refused)
		f := got.failure(t, http.StatusServiceUnavailable, "overloaded")
		assert.Contains(t, f.Error.Message, "1 loads are running and 0 are waiting", n.id)
		assert.Equal(t, "1", got.retryAfter)
		assert.Equal(t, "no-store", got.cacheControl)
		assert.Contains(t, n.value(t, "doc", cached).body, "worth waiting for")
		n.requireAlive(t)
	}
	assert.Contains(t, runProcess(t, 1, "get", "--addr", "http://"+owner.api, "doc", refused), "overloaded, try later")
	assert.EqualValues(t, 3, owner.stats(t).group("doc").Overloaded)
	assert.Zero(t, other.stats(t).group("doc").Overloaded, "the limit is that of the node that loads")
	assert.Equal(t, listed, o.listings(refused), "a load that was refused reached the origin")

	o.release()
	for _, wait := range waiting {
		got := wait()
		require.Equal(t, http.StatusOK, got.status, got.body)
		assert.Contains(t, got.body, "worth waiting for")
	}
	for _, n := range c {
		assert.Contains(t, n.value(t, "doc", refused).body, "worth waiting for")
	}
}
