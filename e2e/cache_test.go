package e2e_test

import (
	"bytes"
	"context"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAKeyIsLoadedOnceForAllNodes(t *testing.T) {
	t.Parallel()
	o := startOrigin(t)
	o.publish("cold", "read once")
	c := startCluster(t, 3, groups(documentation(o.URL, "text")))

	cold := c[0].value(t, "doc", "cold")
	assert.Equal(t, "loaded", cold.source)
	assert.Equal(t, "text/plain", cold.contentType)
	owner := c.by(t, cold.owner)
	assert.Equal(t, "hit", owner.value(t, "doc", "cold").source)
	for _, n := range c.others(owner) {
		for range 2 { // the second time it has a copy
			again := n.value(t, "doc", "cold")
			assert.Equal(t, cold.body, again.body)
			assert.Contains(t, []string{"owner", "hot"}, again.source)
			assert.Equal(t, owner.id, again.owner)
		}
		assert.Equal(t, "hot", n.value(t, "doc", "cold").source)
	}
	assert.Equal(t, 1, o.listings("cold"))
}

func TestACrowdThroughAllNodesIsOneLoad(t *testing.T) {
	t.Parallel()
	const crowd = 300
	o := startOrigin(t)
	o.publish("crowd", "wanted by many")
	c := startCluster(t, 3, groups(documentation(o.URL, "text")))
	o.hold("/crowd/")

	var waiting []func() answer
	for i := range crowd {
		waiting = append(waiting, sendLater(t, http.MethodGet, c[i%len(c)].valueURL("doc", "crowd")))
	}
	// All of them are waiting at the same time.
	for _, n := range c {
		n.until(t, func(s stats) bool { return s.group("doc").Gets == crowd/uint64(len(c)) }, "not all of the crowd came in")
	}
	o.release()
	for _, wait := range waiting {
		got := wait()
		require.Equal(t, http.StatusOK, got.status, got.body)
		assert.Contains(t, got.body, "wanted by many")
	}
	assert.Equal(t, 1, o.listings("crowd"))
	var loads uint64
	for _, n := range c {
		loads += n.stats(t).group("doc").Loads
	}
	assert.EqualValues(t, 1, loads)
}

// edition finds the number of the edition in the documentation of a package.
func edition(t *testing.T, a answer) int64 {
	t.Helper()
	match := regexp.MustCompile(`edition-(\d+)`).FindStringSubmatch(a.body)
	if !assert.NotNil(t, match, "%d: %s", a.status, a.body) {
		return 0
	}
	number, err := strconv.ParseInt(match[1], 10, 64)
	assert.NoError(t, err)
	return number
}

// TestNoNodeServesWhatWasRemoved changes a package again and again, removes it
// through each of the nodes in turn, and reads it through all of them, also
// while that happens.
func TestNoNodeServesWhatWasRemoved(t *testing.T) {
	t.Parallel()
	const editions = 30
	o := startOrigin(t)
	publish := func(number int) { o.publish("news", "in edition-"+strconv.Itoa(number)) }
	publish(0)
	c := startCluster(t, 3, groups(documentation(o.URL, "text")))

	var removed atomic.Int64 // no read that begins now may be older
	var readers sync.WaitGroup
	defer readers.Wait()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	for _, n := range c {
		readers.Go(func() {
			for ctx.Err() == nil {
				oldest := removed.Load()
				got, err := do(ctx, http.MethodGet, n.valueURL("doc", "news"))
				if ctx.Err() != nil {
					return
				}
				if !assert.NoError(t, err) || !assert.GreaterOrEqual(t, edition(t, got), oldest, "through %s, source %s", n.id, got.source) {
					return
				}
			}
		})
	}
	for number := range editions {
		publish(number)
		remover := c[number%len(c)]
		remover.remove(t, "doc", "news")
		removed.Store(int64(number))
		for _, n := range c {
			got := n.value(t, "doc", "news")
			require.EqualValues(t, number, edition(t, got), "through %s after the removal through %s, source %s", n.id, remover.id, got.source)
		}
	}
	stop()
	readers.Wait()
	// Without a removal the old text stays: what the nodes serve are copies.
	publish(editions)
	for _, n := range c {
		assert.EqualValues(t, editions-1, edition(t, n.value(t, "doc", "news")))
	}
}

// TestARemovalOvertakesALoad removes a package while the getter of its owner
// waits for the old source.
func TestARemovalOvertakesALoad(t *testing.T) {
	t.Parallel()
	o := startOrigin(t)
	o.publish("late", "in edition-1")
	c := startCluster(t, 3, groups(documentation(o.URL, "text")))
	const file = "/late/late.go"
	o.hold(file)
	var waiting []func() answer
	for _, n := range c {
		waiting = append(waiting, sendLater(t, http.MethodGet, n.valueURL("doc", "late")))
	}
	require.Eventually(t, func() bool { return o.requests(file) == 1 }, patience, pollEvery)

	o.publish("late", "in edition-2")
	c[1].remove(t, "doc", "late")
	for _, n := range c {
		assert.EqualValues(t, 2, edition(t, n.value(t, "doc", "late")), "through %s", n.id)
	}
	o.release()
	var old int
	for _, wait := range waiting {
		if edition(t, wait()) == 1 {
			old++
		}
	}
	assert.Positive(t, old, "nobody waited for the old load")
	for _, n := range c {
		assert.EqualValues(t, 2, edition(t, n.value(t, "doc", "late")), "through %s after the old load has ended", n.id)
	}
	assert.Equal(t, 2, o.listings("late"))
}

func TestKeysOfAnyBytesReachTheGetterUnchanged(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2, groups())
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for _, key := range []string{
		"", " ", "+", "/", "//", ".", "..", "../..", "%2F", "%", "%%", "%zz", "\x00", "a\x00b", "\n", "\r\n", "\xff\xfe", "é", "e\u0301",
		"a b", "a+b", "?", "#", "&", "=", ";", "a=b&key=c", "\"", "'", "<script>", "\\", "~", "*", ":", "@", "\u202e",
		string(all), strings.Repeat("k", 64<<10), string(bytes.Repeat([]byte{0xff}, 64<<10)),
	} {
		for _, n := range c {
			got := n.value(t, "echo", key)
			require.Equal(t, hexOf(key), got.body, "the key %.40q through %s", key, n.id)
		}
		c[0].remove(t, "echo", key)
		assert.Equal(t, "loaded", c[1].value(t, "echo", key).source, "the key %.40q was not removed", key)
	}
}
