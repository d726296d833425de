package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/api"
	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
)

// jsonList are the headers of a list of keys.
var jsonList = []string{"Content-Type", "application/json"}

// listOf writes keys as an application would.
func listOf(t *testing.T, keys ...string) string {
	t.Helper()
	list := make([]api.Text, len(keys))
	for i, key := range keys {
		list[i] = api.Text(key)
	}
	text, err := json.Marshal(list)
	require.NoError(t, err)
	return string(text)
}

// values asks for keys and returns the lines of the answer in the order of the
// keys, and the order in which they came.
func (s *site) values(t *testing.T, headers []string, list string) (lines []api.Result, order []int) {
	t.Helper()
	got := s.send(t, http.MethodPost, "/v1/groups/echo/values", headers, strings.NewReader(list))
	require.Equal(t, 200, got.status, got.body)
	assert.Equal(t, "application/x-ndjson", got.header.Get("Content-Type"))
	assert.Equal(t, "no-store", got.header.Get("Cache-Control"))
	assert.Equal(t, "a", got.header.Get("Gcnode-Node"))
	for line := range strings.Lines(got.body) {
		var r api.Result
		require.NoError(t, json.Unmarshal([]byte(line), &r), line)
		lines = append(lines, r)
		order = append(order, r.Index)
	}
	slices.SortFunc(lines, func(a, b api.Result) int { return a.Index - b.Index })
	return lines, order
}

func TestManyValuesAtOnce(t *testing.T) {
	s := newSite(t)
	s.set(t, "set", "\xff\x00")
	keys := []string{"minute", "missing", "", "\xff\xfe", "denied", "later", "minute", "set", "never", `"\/<>&` + "\u2028\x00\n"}
	lines, _ := s.values(t, jsonList, listOf(t, keys...))
	require.Len(t, lines, len(keys))
	for i, key := range keys {
		assert.Equal(t, i, lines[i].Index)
		assert.Equal(t, key, string(lines[i].Key))
		if !slices.Contains([]string{"missing", "denied", "later", "set"}, key) {
			assert.Nil(t, lines[i].Error, key)
			assert.Equal(t, "value of "+key, string(lines[i].Value))
		}
	}
	assert.Equal(t, "\xff\x00", string(lines[7].Value))
	assert.Regexp(t, "^max-age=5[0-9]$", lines[0].CacheControl)
	assert.Equal(t, "no-store", lines[8].CacheControl)

	assert.Equal(t, "not_found", lines[1].Error.Kind)
	assert.Regexp(t, "^max-age=5[0-9]$", lines[1].CacheControl, "not found is remembered")
	assert.Equal(t, api.ErrorDetail{Kind: "denied", Message: `get "denied" in group "echo": denied: the getter says so`}, *lines[4].Error)
	assert.Equal(t, "no-store", lines[4].CacheControl)
	assert.Equal(t, "overloaded", lines[5].Error.Kind)
	assert.EqualValues(t, 2, lines[5].Error.RetryAfter)
	assert.EqualValues(t, len(keys)-2, s.loads.Load(), "one was set, and one is there twice")

	// The same as plain text.
	got := s.send(t, http.MethodPost, "/v1/groups/echo/values", jsonList, strings.NewReader(`["k",{"base64":"/w=="},"set"]`))
	assert.ElementsMatch(t, []string{
		`{"index":0,"key":"k","value":"value of k","cache_control":"max-age=31536000"}`,
		`{"index":1,"key":{"base64":"/w=="},"value":{"base64":"dmFsdWUgb2Yg/w=="},"cache_control":"max-age=31536000"}`,
		`{"index":2,"key":"set","value":{"base64":"/wA="},"cache_control":"max-age=31536000"}`,
		"",
	}, strings.Split(got.body, "\n"))
}

func TestListsOfKeys(t *testing.T) {
	s := newSite(t)
	for _, list := range []string{
		`["a",{"base64":"Yg=="},"c"]`, " [ \"a\" ,\r\n\"b\", {\"base64\" : \"Yw==\"} ]\n", `"a" "b" "c"`, "\"a\"\n\"b\"\n\"c\"\n",
		"\n\n\"a\"\r\n{\"base64\":\"Yg==\"}\r\n\r\n\"c\"", `["\u0061","b","c"]`,
	} {
		for _, contentType := range []string{"application/json", "application/x-ndjson", "application/json; charset=utf-8"} {
			lines, _ := s.values(t, []string{"Content-Type", contentType}, list)
			require.Len(t, lines, 3, list)
			assert.Equal(t, "value of a value of b value of c", fmt.Sprint(string(lines[0].Value), " ", string(lines[1].Value), " ", string(lines[2].Value)))
		}
	}
	lines, _ := s.values(t, jsonList, `[]`)
	assert.Empty(t, lines)
}

func TestListsOfKeysThatAreRefused(t *testing.T) {
	s := newSite(t)
	s.set(t, "a", "still there")
	many := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat(`"a",`, n), ",") + "]" }
	for _, want := range []struct {
		status int
		kind   string
		list   string
	}{
		{400, "bad_request", ""},
		{400, "bad_request", " \n"},
		{400, "bad_request", `["a"`},
		{400, "bad_request", `["a",`},
		{400, "bad_request", `["a",]`},
		{400, "bad_request", `["a"]["b"]`},
		{400, "bad_request", `["a"] "b"`},
		{400, "bad_request", `"a","b"`},
		{400, "bad_request", `a`},
		{400, "bad_request", `a=b&c=d`},
		{400, "bad_request", `[1]`},
		{400, "bad_request", `[null]`},
		{400, "bad_request", `[["a"]]`},
		{400, "bad_request", `{"keys":["a"]}`},
		{400, "bad_request", `["a",{"base64":"YQ"}]`},
		{400, "bad_request", `["a",{"base64":"YR=="}]`},
		{400, "bad_request", `["a",{"base64":"Y\nQ=="}]`},
		{400, "bad_request", `["a",{"base64":1}]`},
		{400, "bad_request", `["a",{"base64":"YQ==","base64":"Yg=="}]`},
		{400, "bad_request", `["a",{"base64":"YQ==","x":1}]`},
		{400, "bad_request", `["a",{"base64":{"base64":"YQ=="}}]`},
		{400, "bad_request", `["a",{"Base64":"YQ=="}]`},
		{400, "bad_request", `["a",{}]`},
		{400, "bad_request", "[\"a\",\"\xff\"]"},
		{400, "bad_request", `["a","\ud800"]`},
		{400, "bad_request", `["a","\udc00\ud800"]`},
		{400, "bad_request", `["a","\\ufffd\ud800x"]`},
		{413, "too_large", many(gcnode.MaxBatchKeys + 1)},
		{413, "too_large", `["a","` + strings.Repeat("k", gcnode.MaxKeyBytes+1) + `"]`},
		{413, "too_large", "[" + strings.Repeat(`"`+strings.Repeat("k", gcnode.MaxKeyBytes)+`",`, 16) + `"a"]`},
		{413, "too_large", strings.Repeat(" ", 8<<20) + `["a"]`},
	} {
		for _, path := range []string{"values", "removals"} {
			got := s.send(t, http.MethodPost, "/v1/groups/echo/"+path, jsonList, strings.NewReader(want.list))
			assert.Equal(t, want.status, got.status, "%.80s", want.list)
			assert.Equal(t, want.kind, got.problem(t).Kind, "%.80s: %s", want.list, got.body)
		}
	}
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/json/x"} {
		for _, path := range []string{"values", "removals"} {
			got := s.send(t, http.MethodPost, "/v1/groups/echo/"+path, []string{"Content-Type", contentType}, strings.NewReader(`["a"]`))
			assert.Equal(t, 415, got.status, contentType)
			assert.Contains(t, got.problem(t).Message, "application/x-ndjson")
		}
	}
	for _, path := range []string{"values", "removals"} {
		got := s.send(t, http.MethodPost, "/v1/groups/echo/"+path+"?key=a", jsonList, strings.NewReader(`["a"]`))
		assert.Equal(t, 400, got.status)
		got = s.send(t, http.MethodPost, "/v1/groups/nobody/"+path, jsonList, strings.NewReader(`["a"]`))
		assert.Equal(t, "no_such_group", got.problem(t).Kind)
	}
	assert.Equal(t, "still there", s.do(t, http.MethodGet, path(echoGroup, "a")).body)
	assert.Zero(t, s.loads.Load())
	// What is just within the limits.
	lines, _ := s.values(t, jsonList, many(gcnode.MaxBatchKeys))
	assert.Len(t, lines, gcnode.MaxBatchKeys)
	lines, _ = s.values(t, jsonList, "["+strings.Repeat(`"`+strings.Repeat(`\u006b`, gcnode.MaxKeyBytes)+`",`, 15)+`"`+strings.Repeat("l", gcnode.MaxKeyBytes)+`"]`)
	assert.Len(t, lines, 16)
}

// TestOneSlowKeyHoldsBackNobody reads the answers of a batch while one of its
// keys is being loaded.
func TestOneSlowKeyHoldsBackNobody(t *testing.T) {
	s := newSite(t)
	release := make(chan struct{})
	_, err := s.node.Group("slow", gcnode.GetterFunc[gcnode.Value](func(_ context.Context, key string) (gcnode.Item[gcnode.Value], error) {
		if key == "slow" {
			<-release
		}
		return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue("value of " + key)}, nil
	}), gcnode.GroupOptions{MaxBytes: 1 << 20})
	require.NoError(t, err)
	keys := []string{"slow"}
	for i := range 200 {
		keys = append(keys, fmt.Sprint("k", i))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // to catch a hang
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/v1/groups/slow/values", strings.NewReader(listOf(t, keys...)))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(t, err, "the header comes before the values")
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for range 200 {
		if !lines.Scan() {
			close(release)
			require.Fail(t, "a value waits for the slow one")
		}
		assert.NotContains(t, lines.Text(), "slow")
	}
	close(release)
	require.True(t, lines.Scan())
	assert.Equal(t, `{"index":0,"key":"slow","value":"value of slow","cache_control":"max-age=31536000"}`, lines.Text())
	assert.False(t, lines.Scan())
	assert.NoError(t, lines.Err())
}

func TestAnApplicationThatLeavesABatchEndsItsLoads(t *testing.T) {
	s := newSite(t)
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/v1/groups/echo/values", strings.NewReader(`["k","wait"]`))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(t, err)
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	require.NoError(t, err)
	assert.Contains(t, line, "value of k")
	cancel()
	_ = resp.Body.Close()
	// The node's Close at the end of the test waits a minute for the load.
}

func TestALargeValueInABatch(t *testing.T) {
	s := newSite(t)
	_, err := s.node.Group("large", gcnode.GetterFunc[gcnode.Value](func(_ context.Context, key string) (gcnode.Item[gcnode.Value], error) {
		return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(strings.Repeat(key, 300_001))}, nil
	}), gcnode.GroupOptions{MaxBytes: 64 << 20})
	require.NoError(t, err)
	got := s.send(t, http.MethodPost, "/v1/groups/large/values", jsonList, strings.NewReader(`["é","\u0001",{"base64":"/w=="}]`))
	seen := 0
	for line := range strings.Lines(got.body) {
		var r api.Result
		require.NoError(t, json.Unmarshal([]byte(line), &r))
		assert.Equal(t, strings.Repeat(string(r.Key), 300_001), string(r.Value))
		seen++
	}
	assert.Equal(t, 3, seen)
}

func TestManyKeysAreRemovedAtOnce(t *testing.T) {
	s := newSite(t)
	keys := []string{"a", "\xff", "", "b"}
	for _, key := range append(keys, "kept") {
		s.set(t, key, "old")
	}
	got := s.send(t, http.MethodPost, "/v1/groups/echo/removals", jsonList, strings.NewReader(listOf(t, keys...)))
	assert.Equal(t, 204, got.status, got.body)
	for _, key := range keys {
		assert.Equal(t, "value of "+key, s.do(t, http.MethodGet, path(echoGroup, key)).body)
	}
	assert.Equal(t, "old", s.do(t, http.MethodGet, path(echoGroup, "kept")).body)
	assert.Equal(t, 204, s.send(t, http.MethodPost, "/v1/groups/echo/removals", jsonList, strings.NewReader("[]")).status)
	group, _ := s.node.Lookup(echoGroup)
	assert.EqualValues(t, 1, group.Stats().Removals)
}

func TestAGroupIsClearedOnlyOnPurpose(t *testing.T) {
	s := newSite(t)
	s.set(t, "a", "old")
	for _, query := range []string{
		"", "?", "?key=", "?key=a", "?all", "?all=", "?all=false", "?all=1", "?all=TRUE", "?all=true&key=a", "?key=a&all=true", "?all=true&all=true", "?all=true;", "?ALL=true",
	} {
		got := s.do(t, http.MethodDelete, "/v1/groups/echo/values"+query)
		assert.Equal(t, 400, got.status, query)
		assert.Equal(t, "bad_request", got.problem(t).Kind)
	}
	// Nor does a list of keys in a body, which is not looked at.
	assert.Equal(t, 400, s.send(t, http.MethodDelete, "/v1/groups/echo/values", jsonList, strings.NewReader(`["b"]`)).status)
	assert.Contains(t, s.do(t, http.MethodDelete, "/v1/groups/echo/values").body, "confirm that with ?all=true")
	assert.Equal(t, 400, s.do(t, http.MethodDelete, "/v1/groups/echo/value?all=true").status)
	assert.Equal(t, "old", s.do(t, http.MethodGet, path(echoGroup, "a")).body)

	got := s.do(t, http.MethodDelete, "/v1/groups/echo/values?all=true")
	assert.Equal(t, 204, got.status, got.body)
	assert.Empty(t, got.header.Get("Gcnode-Owner"))
	assert.Equal(t, "value of a", s.do(t, http.MethodGet, path(echoGroup, "a")).body)
	assert.Equal(t, "no_such_group", s.do(t, http.MethodDelete, "/v1/groups/nobody/values?all=true").problem(t).Kind)
}

// TestChangesThroughOneNodeAreSeenThroughAll sends everything through the nodes
// of a cluster in turn.
func TestChangesThroughOneNodeAreSeenThroughAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := transporttest.NewNetwork()
		peers := []gcnode.Peer{{ID: "a"}, {ID: "b"}, {ID: "c"}}
		handlers := make([]http.Handler, 0, len(peers))
		nodes := make([]*gcnode.Node, 0, len(peers))
		for _, self := range peers {
			node, err := gcnode.NewNode(gcnode.Config{Self: self, Transport: network.Transport(self.ID)})
			require.NoError(t, err)
			network.Attach(self.ID, node)
			nodes = append(nodes, node)
			_, err = node.Group(echoGroup, gcnode.GetterFunc[gcnode.Value](func(context.Context, string) (gcnode.Item[gcnode.Value], error) {
				return gcnode.Item[gcnode.Value]{}, gcnode.ErrNotFound
			}), gcnode.GroupOptions{MaxBytes: 1 << 20, HotAfter: 1})
			require.NoError(t, err)
			handlers = append(handlers, newHandler(t, node))
		}
		for _, node := range nodes {
			require.NoError(t, node.SetPeers(peers))
		}
		for _, node := range nodes {
			require.NoError(t, node.Joined(t.Context()))
		}
		defer func() {
			for _, node := range nodes {
				assert.NoError(t, node.Close(context.Background()))
			}
		}()
		ask := func(h http.Handler, method, target, body string) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			h.ServeHTTP(w, r)
			return w
		}
		keys := make([]string, 30)
		for i := range keys {
			keys[i] = fmt.Sprint("k", i)
		}
		want := func(value func(i int) string) {
			t.Helper()
			for range 2 { // with hot copies
				for _, h := range handlers {
					seen := 0
					for line := range strings.Lines(ask(h, http.MethodPost, "/v1/groups/echo/values", listOf(t, keys...)).Body.String()) {
						var r api.Result
						require.NoError(t, json.Unmarshal([]byte(line), &r))
						got := string(r.Value)
						if r.Error != nil {
							got = r.Error.Kind
						}
						require.Equal(t, value(r.Index), got, keys[r.Index])
						seen++
					}
					require.Equal(t, len(keys), seen)
				}
			}
		}
		set := func(round string) {
			t.Helper()
			for i, key := range keys {
				require.Equal(t, 204, ask(handlers[i%len(handlers)], http.MethodPut, path(echoGroup, key), round+key).Code)
			}
		}
		for _, round := range []string{"first ", "second "} {
			set(round)
			want(func(i int) string { return round + keys[i] })
		}
		require.Equal(t, 204, ask(handlers[1], http.MethodPost, "/v1/groups/echo/removals", listOf(t, keys[:10]...)).Code)
		want(func(i int) string {
			if i < 10 {
				return "not_found"
			}
			return "second " + keys[i]
		})
		require.Equal(t, 204, ask(handlers[2], http.MethodDelete, "/v1/groups/echo/values?all=true", "").Code)
		want(func(int) string { return "not_found" })
	})
}

// broken is an answer that nobody takes.
type broken struct{ http.ResponseWriter }

func (broken) Write([]byte) (int, error) { return 0, errors.New("nobody is there") }

func TestABatchThatNobodyTakesIsCutOff(t *testing.T) {
	s := newSite(t)
	h := newHandler(t, s.node)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/groups/echo/values", strings.NewReader(`["a","wait"]`))
	r.Header.Set("Content-Type", "application/json")
	assert.PanicsWithValue(t, http.ErrAbortHandler, func() { h.ServeHTTP(broken{httptest.NewRecorder()}, r) })
}

// stuckWriter is an application that does not read until it is let go.
type stuckWriter struct {
	http.ResponseWriter
	letGo chan struct{}
}

func (w *stuckWriter) Write(p []byte) (int, error) {
	<-w.letGo
	return w.ResponseWriter.Write(p)
}

func TestAnApplicationThatDoesNotReadHoldsFewValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node, err := gcnode.NewNode(gcnode.Config{})
		require.NoError(t, err)
		defer node.Close(t.Context())
		var loads atomic.Int64
		_, err = node.Group(echoGroup, gcnode.GetterFunc[gcnode.Value](func(_ context.Context, key string) (gcnode.Item[gcnode.Value], error) {
			loads.Add(1)
			return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(key)}, nil
		}), gcnode.GroupOptions{MaxBytes: 1 << 20})
		require.NoError(t, err)
		keys := make([]string, 5000)
		for i := range keys {
			keys[i] = fmt.Sprintf("key-%d", i)
		}
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/groups/echo/values", strings.NewReader(listOf(t, keys...)))
		req.Header.Set("Content-Type", "application/json")
		recorder := httptest.NewRecorder()
		w := &stuckWriter{recorder, make(chan struct{})}
		done := make(chan struct{})
		go func() {
			defer close(done)
			newHandler(t, node).ServeHTTP(w, req)
		}()
		synctest.Wait()
		assert.NotZero(t, loads.Load())
		assert.LessOrEqual(t, loads.Load(), int64(1500))
		close(w.letGo)
		<-done
		seen := map[int]bool{}
		for line := range strings.Lines(recorder.Body.String()) {
			var r api.Result
			require.NoError(t, json.Unmarshal([]byte(line), &r), line)
			assert.Equal(t, keys[r.Index], string(r.Key))
			assert.Equal(t, r.Key, r.Value)
			seen[r.Index] = true
		}
		assert.Len(t, seen, len(keys))
		assert.Equal(t, int64(len(keys)), loads.Load())
	})
}
