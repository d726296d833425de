package e2e_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestAnUnknownGroupIsNamed(t *testing.T) {
	t.Parallel()
	n := startNode(t, groups())
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		f := send(t, method, n.valueURL("nobody", "key")).failure(t, http.StatusNotFound, "no_such_group")
		assert.Contains(t, f.Error.Message, `"nobody"`)
	}
	n.requireAlive(t)
}

func TestAKeyThatIsTooLongIsRefused(t *testing.T) {
	t.Parallel()
	n := startNode(t, groups())
	for _, letter := range []string{"k", "\xff"} { // as it is, and percent-encoded
		for _, method := range []string{http.MethodGet, http.MethodDelete} {
			f := send(t, method, n.valueURL("echo", strings.Repeat(letter, 65<<10))).failure(t, http.StatusRequestEntityTooLarge, "too_large")
			assert.Contains(t, f.Error.Message, "66560 bytes; at most 65536 are allowed")
		}
	}
	n.requireAlive(t)
}

func TestAFailureOfTheOriginIsTold(t *testing.T) {
	t.Parallel()
	o := startOrigin(t)
	o.publish("flaky", "there at last")
	gone := "http://" + ports.address(t)
	c := startCluster(t, 2, groups(documentation(o.URL, "text"),
		strings.Replace(documentation(gone, "text"), "  doc:", "  gone:", 1)))
	for _, n := range c {
		f := n.get(t, "gone", "fmt").failure(t, http.StatusBadGateway, "transient")
		assert.Contains(t, f.Error.Message, gone+"/fmt/")
		assert.Contains(t, f.Error.Message, "connection refused")
		assert.Contains(t, f.Error.Message, `"fmt" in group "gone"`)
	}

	o.breaks(true)
	f := c[0].get(t, "doc", "flaky").failure(t, http.StatusBadGateway, "transient")
	assert.Contains(t, f.Error.Message, "status 500")
	o.breaks(false)
	for _, n := range c {
		assert.Contains(t, n.value(t, "doc", "flaky").body, "there at last", "a failure is not remembered")
		n.requireAlive(t)
	}
}

func TestAPluginThatLoopsOccupiesNobodyElse(t *testing.T) {
	t.Parallel()
	const timeout = 5 * time.Second
	n := startNode(t, groups(echo("rogue", "config: {rogue: true}, instances: 2, timeout: "+timeout.String())))
	cached := n.value(t, "rogue", "cached")

	begun := time.Now()
	looped := sendLater(t, http.MethodGet, n.valueURL("rogue", "loop"))
	n.until(t, func(s stats) bool {
		i := s.group("rogue").Plugin.Instances
		return i.Live > i.Idle
	}, "the plugin does not run")
	for _, key := range []string{"one", "two", "three"} {
		assert.Equal(t, hexOf(key), n.value(t, "rogue", key).body)
		assert.Equal(t, hexOf(key), n.value(t, "echo", key).body)
	}
	assert.Equal(t, cached.body, n.value(t, "rogue", "cached").body)
	assert.Zero(t, n.stats(t).group("rogue").Plugin.Calls.Timeout, "the loop has ended before the others were served")

	f := looped().failure(t, http.StatusGatewayTimeout, "timeout")
	assert.Contains(t, f.Error.Message, `get "loop" in group "rogue"`)
	assert.GreaterOrEqual(t, time.Since(begun), timeout)
	assert.Less(t, time.Since(begun), 20*timeout)
	assert.EqualValues(t, 1, n.stats(t).group("rogue").Plugin.Calls.Timeout)
	n.requireAlive(t)
}

func TestAPluginThatFailsDoesNotTakeTheNodeAlong(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2, groups(echo("rogue", "config: {rogue: true}, instances: 1, memory: 32MiB, timeout: 30s")))
	for key, want := range map[string]string{"panic": "told to panic", "exit": "exit", "memory": "memory"} {
		for _, n := range c {
			f := n.get(t, "rogue", key).failure(t, http.StatusInternalServerError, "permanent")
			assert.Contains(t, f.Error.Message, want)
			assert.Contains(t, f.Error.Message, key)
			assert.Equal(t, hexOf("good"+key), n.value(t, "rogue", "good"+key).body)
		}
	}
	for _, n := range c {
		n.requireAlive(t)
	}
}

func TestGarbageForApplicationsIsRefused(t *testing.T) {
	t.Parallel()
	n := startNode(t, groups())
	base := "http://" + n.api
	for _, tc := range []struct {
		method, path, kind, message string
		status                      int
	}{
		{http.MethodGet, "/", "no_such_endpoint", "/v1/groups/{group}/value?key={key}", http.StatusNotFound},
		{http.MethodGet, "/v1/groups/echo", "no_such_endpoint", "", http.StatusNotFound},
		{http.MethodGet, "/v1/groups/echo/../echo/value?key=a", "no_such_endpoint", "", http.StatusNotFound},
		{http.MethodGet, "/v1/groups/echo/value", "bad_request", "query is missing", http.StatusBadRequest},
		{http.MethodGet, "/v1/groups/echo/value?key", "bad_request", "names no key", http.StatusBadRequest},
		{http.MethodGet, "/v1/groups/echo/value?name=a", "bad_request", `"name"`, http.StatusBadRequest},
		{http.MethodGet, "/v1/groups/echo/value?key=a&key=b", "bad_request", "exactly one", http.StatusBadRequest},
		{http.MethodGet, "/v1/groups/echo/value?key=a;b", "bad_request", "semicolon", http.StatusBadRequest},
		{http.MethodGet, "/v1/groups/echo/value?key=%zz", "bad_request", "percent-encoded", http.StatusBadRequest},
		{http.MethodDelete, "/v1/groups/echo/value?key=%", "bad_request", "percent-encoded", http.StatusBadRequest},
		{http.MethodPost, "/v1/groups/echo/value?key=a", "method_not_allowed", "POST", http.StatusMethodNotAllowed},
	} {
		f := send(t, tc.method, base+tc.path).failure(t, tc.status, tc.kind)
		assert.Contains(t, f.Error.Message, tc.message, tc.path)
	}
	long := base + "/v1/groups/echo/value?key=" + strings.Repeat("k", 1<<20)
	assert.Equal(t, http.StatusRequestHeaderFieldsTooLarge, send(t, http.MethodGet, long).status)
	for _, garbage := range rubbish() {
		assert.Regexp(t, `^HTTP/1\.1 400 `, exchange(t, n.api, garbage))
	}
	n.requireAlive(t)
}

// refusal is what the port for other nodes answers to what no node says. That of a
// NATS server speaks first, and then closes the connection.
func refusal(status string) string {
	if allOverNATS() {
		return `^INFO \{.*\} \r\n(-ERR '.*'\r\n)*$`
	}
	return `^HTTP/1\.1 ` + status
}

func TestGarbageOnThePeerPortIsRefused(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2, "log: {level: debug}\n"+groups())
	n := c[0]
	const header = "POST / HTTP/1.1\r\nHost: peer\r\nConnection: close\r\nContent-Type: application/vnd.gcnode.peer.v1\r\n"
	chunk := strings.Repeat("x", 1<<20)
	for _, tc := range []struct{ name, request, status string }{
		{"a browser", "GET / HTTP/1.1\r\nHost: peer\r\nConnection: close\r\n\r\n", "405"},
		{"an application", "GET /v1/groups/echo/value?key=a HTTP/1.1\r\nHost: peer\r\nConnection: close\r\n\r\n", "405"},
		{"a form", "POST / HTTP/1.1\r\nHost: peer\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\na", "415"},
		{"no frame", header + "Content-Length: 0\r\n\r\n", "400"},
		{"half a length", header + "Content-Length: 1\r\n\r\n\x80", "400"},
		{"half a frame", header + "Content-Length: 5\r\n\r\n\x40\x08\x01\x12\x04", "400"},
		{"a length that is too long", header + "Content-Length: 11\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "413"},
		{"a frame that is too large", header + "Content-Length: 5\r\n\r\n\xff\xff\xff\x7f\x00", "413"},
		{"a body that is too large", header + "Content-Length: 1000000000\r\n\r\n", "413"},
		{
			"a body that turns out too large",
			header + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("100000\r\n"+chunk+"\r\n", 6) + "0\r\n\r\n", "400",
		},
		{"a header that is too large", "GET / HTTP/1.1\r\nHost: peer\r\nX: " + strings.Repeat("x", 1<<16) + "\r\n\r\n", "431"},
	} {
		assert.Regexp(t, refusal(tc.status), exchange(t, n.peers, tc.request), tc.name)
	}
	for _, garbage := range rubbish() {
		assert.Regexp(t, refusal("400 "), exchange(t, n.peers, garbage))
		body := header + "Content-Length: " + strconv.Itoa(len(garbage)) + "\r\n\r\n" + garbage
		assert.Regexp(t, refusal("4(00|13) "), exchange(t, n.peers, body))
	}
	for _, key := range c.keysOf(t, n, "echo", 2) {
		assert.Equal(t, hexOf(key), c[1].value(t, "echo", key).body)
	}
	assert.NotZero(t, n.stats(t).group("echo").ServedFetches)
	n.requireAlive(t)
}
