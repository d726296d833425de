package e2e_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// shortLived is documentation of which nothing lives for long.
func shortLived(origin string) string {
	return strings.Replace(documentation(origin, "text"), "config: {", "config: {ttl: 10ms, ", 1)
}

// late reports whether a value that its owner served was beyond its life.
func late(a answer) bool { return a.source == "hit" && a.cacheControl == "no-store" }

func TestWhenTheOriginIsGoneOldValuesStandIn(t *testing.T) {
	t.Parallel()
	o := startOrigin(t)
	o.publish("kept", "in edition-1")
	o.publish("removed", "in edition-1")
	c := startCluster(t, 2, groups(with(shortLived(o.URL), "stale_on_error: 1h")))
	for _, key := range []string{"kept", "removed"} {
		assert.EqualValues(t, 1, edition(t, c[0].value(t, "doc", key)))
	}
	owner := c.by(t, c[0].value(t, "doc", "kept").owner)
	other := c.others(owner)[0]
	o.publish("kept", "in edition-2")
	other.values(t, "doc", "kept", func(a answer) bool { return edition(t, a) == 2 }, "the old value stands in for one that can be loaded")

	o.Close()
	owner.values(t, "doc", "kept", late, "its life does not end")
	before := owner.stats(t).group("doc").StaleOnError
	for range 3 {
		for n, source := range map[*node]string{owner: "hit", other: "owner"} {
			got := n.value(t, "doc", "kept")
			assert.EqualValues(t, 2, edition(t, got))
			assert.Equal(t, source, got.source)
			assert.Equal(t, "no-store", got.cacheControl)
			assert.Equal(t, owner.id, got.owner)
		}
	}
	assert.Equal(t, before+6, owner.stats(t).group("doc").StaleOnError)
	assert.Zero(t, owner.stats(t).group("doc").StaleHits, "a value was served before its load was tried")

	other.remove(t, "doc", "removed")
	for _, n := range c {
		for _, key := range []string{"removed", "never-seen"} {
			f := n.get(t, "doc", key).failure(t, http.StatusBadGateway, "transient")
			assert.Contains(t, f.Error.Message, "connection refused")
		}
		n.requireAlive(t)
	}
}

func TestAnOldValueIsServedWhileItIsReloaded(t *testing.T) {
	t.Parallel()
	o := startOrigin(t)
	o.publish("slow", "in edition-1")
	n := startNode(t, groups(with(shortLived(o.URL), "stale_while_revalidate: 1h")))
	assert.EqualValues(t, 1, edition(t, n.value(t, "doc", "slow")))
	o.publish("slow", "in edition-2")
	o.hold("/slow/")
	n.values(t, "doc", "slow", late, "its life does not end")
	n.values(t, "doc", "slow", func(a answer) bool {
		assert.EqualValues(t, 1, edition(t, a))
		assert.Equal(t, "hit", a.source)
		return o.listings("slow") == 2
	}, "it is not reloaded")
	assert.NotZero(t, n.stats(t).group("doc").StaleHits)
	o.release()
	n.values(t, "doc", "slow", func(a answer) bool {
		assert.Equal(t, "hit", a.source)
		return edition(t, a) == 2
	}, "the new edition does not come")
}
