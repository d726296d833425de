package e2e_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// groupURL is the address of what a group has besides single values.
func (n *node) groupURL(group, what string) string {
	return "http://" + n.api + "/v1/groups/" + url.PathEscape(group) + "/" + what
}

// post makes a request with a body, whatever its method.
func post(t *testing.T, method, address, contentType, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", contentType)
	return req
}

// change sends a request that changes something.
func change(t *testing.T, method, address, contentType, body string) answer {
	t.Helper()
	resp, err := client.Do(post(t, method, address, contentType, body))
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return answer{status: resp.StatusCode, body: string(text)}
}

// confirmed looks that all nodes have confirmed a change.
func (a answer) confirmed(t *testing.T) {
	t.Helper()
	require.Equal(t, http.StatusNoContent, a.status, a.body)
}

// set stores a value, which all nodes have to confirm.
func (n *node) set(t *testing.T, group, key, value string) {
	t.Helper()
	change(t, http.MethodPut, n.valueURL(group, key), "text/plain", value).confirmed(t)
}

// clear removes all keys of a group, which all nodes have to confirm.
func (n *node) clear(t *testing.T, group string) {
	t.Helper()
	change(t, http.MethodDelete, n.groupURL(group, "values?all=true"), "", "").confirmed(t)
}

// text is a key or value of a list.
type text string

func (s *text) UnmarshalJSON(data []byte) error {
	var encoded struct{ Base64 []byte }
	if json.Unmarshal(data, &encoded) == nil {
		*s = text(encoded.Base64)
		return nil
	}
	return json.Unmarshal(data, (*string)(s))
}

// line is the answer to one key of a list.
type line struct {
	Index        int
	Key, Value   text
	Error        struct{ Kind, Message string }
	CacheControl string `json:"cache_control"`
}

// listed writes keys, each as base64.
func listed(keys []string) string {
	var list strings.Builder
	for _, key := range keys {
		fmt.Fprintf(&list, `{"base64":%q}`+"\n", base64.StdEncoding.EncodeToString([]byte(key)))
	}
	return list.String()
}

// open asks for many keys, and returns the lines of the answer as they come.
func (n *node) open(t *testing.T, group string, keys []string) *json.Decoder {
	t.Helper()
	resp, err := client.Do(post(t, http.MethodPost, n.groupURL(group, "values"), "application/x-ndjson", listed(keys)))
	require.NoError(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	require.Equal(t, http.StatusOK, resp.StatusCode)
	return json.NewDecoder(bufio.NewReader(resp.Body))
}

// next reads a line that must be there.
func next(t *testing.T, lines *json.Decoder) line {
	t.Helper()
	var l line
	require.NoError(t, lines.Decode(&l))
	return l
}

// many asks for many keys and returns the answers by index.
func (n *node) many(t *testing.T, group string, keys []string) []line {
	t.Helper()
	lines, answers := n.open(t, group, keys), make([]line, len(keys))
	for range keys {
		l := next(t, lines)
		require.Equal(t, keys[l.Index], string(l.Key))
		answers[l.Index] = l
	}
	require.False(t, lines.More())
	return answers
}

// TestAfterASetNoNodeServesAnOlderValue sets a key again and again through each
// of the nodes in turn, and reads it through all of them, also while that
// happens.
func TestAfterASetNoNodeServesAnOlderValue(t *testing.T) {
	t.Parallel()
	const rounds = 60
	c := startCluster(t, 3, groups())
	c[0].set(t, "echo", "counter", "0")

	var written atomic.Int64 // no read that begins now may be older
	var readers sync.WaitGroup
	defer readers.Wait()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	for _, n := range c {
		readers.Go(func() {
			for ctx.Err() == nil {
				oldest := written.Load()
				got, err := do(ctx, http.MethodGet, n.valueURL("echo", "counter"))
				if ctx.Err() != nil {
					return
				}
				number, wrong := strconv.ParseInt(got.body, 10, 64)
				if !assert.NoError(t, err) || !assert.NoError(t, wrong, got.body) ||
					!assert.GreaterOrEqual(t, number, oldest, "through %s, source %s", n.id, got.source) {
					return
				}
			}
		})
	}
	for number := int64(1); number <= rounds; number++ {
		writer := c[int(number)%len(c)]
		writer.set(t, "echo", "counter", strconv.FormatInt(number, 10))
		written.Store(number)
		for _, n := range c {
			got := n.value(t, "echo", "counter")
			require.Equal(t, strconv.FormatInt(number, 10), got.body, "through %s after the set through %s, source %s", n.id, writer.id, got.source)
		}
	}
	stop()
	readers.Wait()
	var sets, loads uint64
	for _, n := range c {
		loads += n.stats(t).group("echo").Loads
		sets += n.stats(t).group("echo").Sets
	}
	assert.Zero(t, loads, "the getter knows nothing of what was set")
	assert.EqualValues(t, rounds+1, sets)
}

func TestValuesOfAnyBytesAreSetAndReadTogether(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2, groups())
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	keys := []string{"", " ", "+", "/", "..", "%2F", "\x00", "\n", "\xff\xfe", "\u2028", `"`, string(all), strings.Repeat("\xff", 64<<10)}
	values := append([]string{strings.Repeat("large\x80", 1<<20)}, keys[1:]...)
	for i, key := range keys {
		c[i%2].set(t, "echo", key, values[i])
	}
	for _, n := range c {
		for i, got := range n.many(t, "echo", keys) {
			assert.Empty(t, got.Error.Kind, "the key %.40q through %s", keys[i], n.id)
			assert.Equal(t, values[i], string(got.Value), "the key %.40q through %s", keys[i], n.id)
			assert.Equal(t, values[i], n.value(t, "echo", keys[i]).body)
		}
	}
	change(t, http.MethodPost, c[0].groupURL("echo", "removals"), "application/x-ndjson", listed(keys)).confirmed(t)
	for i, got := range c[1].many(t, "echo", keys) {
		assert.Equal(t, hexOf(keys[i]), string(got.Value), "the key %.40q was not removed", keys[i])
	}
}

// TestASlowKeyHoldsBackNoOther asks every node for keys of all of them, of which
// one is being loaded.
func TestASlowKeyHoldsBackNoOther(t *testing.T) {
	t.Parallel()
	o := startOrigin(t)
	keys := []string{"slow"}
	o.publish("slow", "after a while")
	for i := range 30 {
		keys = append(keys, fmt.Sprint("quick", i))
		o.publish(keys[i+1], "at once")
	}
	keys = append(keys, "missing")
	c := startCluster(t, 3, groups(documentation(o.URL, "text")))
	o.hold("/slow/")
	open := make([]*json.Decoder, 0, len(c))
	for _, n := range c {
		lines := n.open(t, "doc", keys)
		for range keys[1:] {
			got := next(t, lines)
			if keys[got.Index] == "missing" {
				assert.Equal(t, "not_found", got.Error.Kind)
			} else {
				assert.Empty(t, got.Error.Kind, "%s: %s", got.Key, got.Error.Message)
				assert.Contains(t, string(got.Value), "at once")
			}
			require.NotZero(t, got.Index, "the slow one is being held")
		}
		open = append(open, lines)
	}
	o.release()
	for _, lines := range open {
		got := next(t, lines)
		assert.Zero(t, got.Index)
		assert.Contains(t, string(got.Value), "after a while")
		assert.False(t, lines.More())
	}
	for _, key := range keys {
		assert.Equal(t, 1, o.listings(key), key)
	}
}

func TestABatchIsAnsweredWithoutAKilledOwner(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3, groups())
	keys := make([]string, 200)
	for i := range keys {
		keys[i] = fmt.Sprint("k", i)
	}
	c[2].kill(t)
	for _, n := range c[:2] {
		for i, got := range n.many(t, "echo", keys) {
			assert.Equal(t, hexOf(keys[i]), string(got.Value), "%s: %s", keys[i], got.Error.Message)
		}
	}
}

// TestNoNodeServesWhatWasCleared changes packages again and again, clears their
// group through each of the nodes in turn, and reads them through all.
func TestNoNodeServesWhatWasCleared(t *testing.T) {
	t.Parallel()
	o := startOrigin(t)
	keys := []string{"one", "two", "three", "four"}
	c := startCluster(t, 3, groups(documentation(o.URL, "text")))
	c[0].set(t, "echo", "kept", "of another group")
	for number := range 10 {
		for _, key := range keys {
			o.publish(key, "in edition-"+strconv.Itoa(number))
		}
		clearer := c[number%len(c)]
		clearer.clear(t, "doc")
		for range 2 { // with the copies of the first time
			for _, n := range c {
				for i, got := range n.many(t, "doc", keys) {
					require.Contains(t, string(got.Value), "edition-"+strconv.Itoa(number), "%s through %s after the clear through %s", keys[i], n.id, clearer.id)
				}
			}
		}
	}
	for _, n := range c {
		assert.Equal(t, "of another group", n.value(t, "echo", "kept").body)
	}
}

// TestAClearOvertakesALoad clears a group while the getter of a key's owner waits
// for the old source.
func TestAClearOvertakesALoad(t *testing.T) {
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
	c[1].clear(t, "doc")
	for _, n := range c {
		assert.EqualValues(t, 2, edition(t, n.value(t, "doc", "late")), "through %s", n.id)
	}
	o.release()
	for _, wait := range waiting {
		wait()
	}
	for _, n := range c {
		assert.EqualValues(t, 2, edition(t, n.value(t, "doc", "late")), "through %s after the old load has ended", n.id)
	}
}

// TestChangesThatOneNodeDidNotConfirmNameIt sets, clears and removes without a
// node that was killed.
func TestChangesThatOneNodeDidNotConfirmNameIt(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3, groups()+"peer_timeout: 500ms\n")
	c[2].kill(t)
	for what, got := range map[string]answer{
		"set":    change(t, http.MethodPut, c[0].valueURL("echo", "k"), "text/plain", "x"),
		"clear":  change(t, http.MethodDelete, c[0].groupURL("echo", "values?all=true"), "", ""),
		"remove": change(t, http.MethodPost, c[0].groupURL("echo", "removals"), "application/json", `["k","l"]`),
	} {
		f := got.failure(t, http.StatusBadGateway, "not_confirmed")
		assert.Contains(t, f.Error.Message, what+": not confirmed by all peers")
		require.Len(t, f.Error.Peers, 1, what)
		assert.Equal(t, "c", f.Error.Peers[0].ID)
		assert.Equal(t, "unreachable", f.Error.Peers[0].Kind)
	}
}

// TestTheSettingsOfCopiesAndHedgesReachTheNode looks at what they do.
func TestTheSettingsOfCopiesAndHedgesReachTheNode(t *testing.T) {
	t.Parallel()
	o := startOrigin(t)
	o.publish("slow", "after a while")
	c := startCluster(t, 3, groups(with(documentation(o.URL, "text"), "hot_after: 1"))+"hedge_after: 20ms\nhot_ttl: 1m\n")
	owner := c.by(t, c[0].value(t, "doc", "slow").owner)
	c[0].clear(t, "doc") // the node that was asked may have a copy already
	owner.value(t, "doc", "slow")
	for _, n := range c.others(owner) {
		assert.Equal(t, "owner", n.value(t, "doc", "slow").source)
		assert.Equal(t, "hot", n.value(t, "doc", "slow").source, "the first fetch makes a copy")
	}

	c[0].clear(t, "doc")
	o.hold("/slow/")
	var waiting []func() answer
	for _, n := range c.others(owner) { // the next in line is one of them, and runs its own plugin
		waiting = append(waiting, sendLater(t, http.MethodGet, n.valueURL("doc", "slow")))
	}
	require.Eventually(t, func() bool {
		var hedges uint64
		for _, n := range c {
			s, err := n.figures(t.Context())
			if err != nil {
				return false
			}
			hedges += s.group("doc").Hedges
		}
		return hedges == 2
	}, patience, pollEvery, "nobody but the owner was asked")
	o.release()
	for _, wait := range waiting {
		assert.Contains(t, wait().body, "after a while")
	}
}
