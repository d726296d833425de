package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/api"
	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is a node with its interface on a real socket.
type site struct {
	url   string
	node  *gcnode.Node
	loads atomic.Int64
}

// Group names of the site.
const (
	echoGroup  = "echo"
	nastyGroup = "a/b c%2F;?"
)

// answerFor is the getter of the site: the key says what happens.
func (s *site) answerFor(ctx context.Context, key string) (gcnode.Item[gcnode.Value], error) {
	s.loads.Add(1)
	kinds := map[string]gcnode.Kind{
		"internal": gcnode.KindInternal, "transient": gcnode.KindTransient, "permanent": gcnode.KindPermanent,
		"denied": gcnode.KindDenied, "overloaded": gcnode.KindOverloaded, "too large": gcnode.KindTooLarge,
		"no such group": gcnode.KindNoSuchGroup, "unsupported": gcnode.KindUnsupported, "timeout": gcnode.KindTimeout,
		"unreachable": gcnode.KindUnreachable, "draining": gcnode.KindDraining,
	}
	if kind, ok := kinds[key]; ok {
		return gcnode.Item[gcnode.Value]{}, &gcnode.Error{Kind: kind, Err: errors.New("the getter says so")}
	}
	keep := map[string]gcnode.Lifetime{
		"minute": gcnode.For(time.Minute), "forever": gcnode.Forever, "never": gcnode.NoStore,
		"short": gcnode.For(900 * time.Millisecond), "century": gcnode.For(100 * 365 * 24 * time.Hour),
	}[key]
	switch key {
	case "missing":
		return gcnode.Item[gcnode.Value]{Keep: gcnode.For(time.Minute)}, gcnode.ErrNotFound
	case "later":
		return gcnode.Item[gcnode.Value]{}, &gcnode.Error{Kind: gcnode.KindOverloaded, RetryAfter: 1500 * time.Millisecond}
	case "wait":
		<-ctx.Done()
		return gcnode.Item[gcnode.Value]{}, ctx.Err()
	}
	return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue("value of " + key), Keep: keep}, nil
}

func newSite(t *testing.T) *site {
	t.Helper()
	return newSiteWith(t, gcnode.Config{Self: gcnode.Peer{ID: "a"}})
}

func newSiteWith(t *testing.T, cfg gcnode.Config) *site {
	t.Helper()
	node, err := gcnode.NewNode(cfg)
	require.NoError(t, err)
	s := &site{node: node}
	for _, name := range []string{echoGroup, nastyGroup} {
		_, err = node.Group(name, gcnode.GetterFunc[gcnode.Value](s.answerFor), gcnode.GroupOptions{MaxBytes: 1 << 20, LoadTimeout: time.Hour})
		require.NoError(t, err)
	}
	server := httptest.NewUnstartedServer(api.Named(node.Self().ID, newHandler(t, node)))
	server.Config.MaxHeaderBytes = 256 << 10
	server.Start()
	s.url = server.URL
	t.Cleanup(func() {
		server.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		assert.NoError(t, node.Close(ctx))
	})
	return s
}

func newHandler(t *testing.T, node *gcnode.Node) http.Handler {
	t.Helper()
	handler, err := api.NewHandler(api.Options{
		Node:         node,
		MaxBodyBytes: 256 << 20,
		ContentTypes: map[string]string{nastyGroup: "text/plain; charset=utf-8"},
		Stats:        http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }),
		Logger:       slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	return handler
}

// reply is an HTTP answer that was read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

func (s *site) do(t *testing.T, method, pathAndQuery string) reply {
	t.Helper()
	return s.send(t, method, pathAndQuery, nil, http.NoBody)
}

// send is do with a body, and headers as name, value, name, value.
func (s *site) send(t *testing.T, method, pathAndQuery string, headers []string, body io.Reader) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+pathAndQuery, body)
	require.NoError(t, err)
	for pair := range slices.Chunk(headers, 2) {
		req.Header.Add(pair[0], pair[1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	return reply{resp.StatusCode, resp.Header, string(answer)}
}

// problem is the error of an answer.
func (r reply) problem(t *testing.T) api.ErrorDetail {
	t.Helper()
	assert.Equal(t, "application/json", r.header.Get("Content-Type"))
	var body api.ErrorBody
	require.NoError(t, json.Unmarshal([]byte(r.body), &body), "body %q", r.body)
	return body.Error
}

func path(group, key string) string {
	return "/v1/groups/" + url.PathEscape(group) + "/value?key=" + url.QueryEscape(key)
}

func TestAValueComesWithWhereItIsFromAndHowLongItLives(t *testing.T) {
	s := newSite(t)
	first := s.do(t, http.MethodGet, path(echoGroup, "minute"))
	assert.Equal(t, 200, first.status)
	assert.Equal(t, "value of minute", first.body)
	assert.Equal(t, "loaded", first.header.Get("Gcnode-Source"))
	assert.Equal(t, "a", first.header.Get("Gcnode-Owner"))
	assert.Equal(t, "a", first.header.Get("Gcnode-Node"))
	assert.Equal(t, "application/octet-stream", first.header.Get("Content-Type"))
	assert.Equal(t, "15", first.header.Get("Content-Length"))
	assert.Regexp(t, "^max-age=5[0-9]$", first.header.Get("Cache-Control"), "a fraction of the minute is over, and seconds are rounded down")

	second := s.do(t, http.MethodGet, path(echoGroup, "minute"))
	assert.Equal(t, "hit", second.header.Get("Gcnode-Source"))
	assert.EqualValues(t, 1, s.loads.Load())

	head := s.do(t, http.MethodHead, path(echoGroup, "minute"))
	assert.Equal(t, 200, head.status)
	assert.Empty(t, head.body)
	assert.Equal(t, "15", head.header.Get("Content-Length"))
	assert.Equal(t, "hit", head.header.Get("Gcnode-Source"))

	for key, want := range map[string]string{
		"never": "no-store", "forever": "max-age=31536000", "century": "max-age=31536000", "short": "max-age=0", "default": "max-age=31536000",
	} {
		assert.Equal(t, want, s.do(t, http.MethodGet, path(echoGroup, key)).header.Get("Cache-Control"), key)
	}
	assert.Equal(t, "text/plain; charset=utf-8", s.do(t, http.MethodGet, path(nastyGroup, "x")).header.Get("Content-Type"))
}

func TestAnyBytesAreAKey(t *testing.T) {
	s := newSite(t)
	for _, key := range []string{
		"", " ", "+", "a b", "/", "//", ".", "..", "../x", "%2F", "%", "a;b", "a&b", "key=1&key=2", "\x00", "\xff\xfe", "é", "#?", "\r\n",
		strings.Repeat("\xff", gcnode.MaxKeyBytes),
	} {
		for _, group := range []string{echoGroup, nastyGroup} {
			got := s.do(t, http.MethodGet, path(group, key))
			require.Equal(t, 200, got.status, "%.40q in %q: %.200s", key, group, got.body)
			assert.Equal(t, "value of "+key, got.body)
		}
	}
}

func TestNotFoundIsRememberedAndIsNotAnUnknownGroup(t *testing.T) {
	s := newSite(t)
	first := s.do(t, http.MethodGet, path(echoGroup, "missing"))
	assert.Equal(t, 404, first.status)
	assert.Equal(t, "not_found", first.problem(t).Kind)
	assert.Equal(t, "loaded", first.header.Get("Gcnode-Source"))
	assert.Equal(t, "a", first.header.Get("Gcnode-Owner"))
	assert.Regexp(t, "^max-age=5[0-9]$", first.header.Get("Cache-Control"))
	second := s.do(t, http.MethodGet, path(echoGroup, "missing"))
	assert.Equal(t, "hit", second.header.Get("Gcnode-Source"))
	assert.EqualValues(t, 1, s.loads.Load())

	unknown := s.do(t, http.MethodGet, path("nobody", "missing"))
	assert.Equal(t, 404, unknown.status)
	assert.Equal(t, "no_such_group", unknown.problem(t).Kind)
	assert.Contains(t, unknown.problem(t).Message, `"nobody"`)
	assert.Equal(t, "no-store", unknown.header.Get("Cache-Control"))
	assert.Empty(t, unknown.header.Get("Gcnode-Source"))
	assert.Empty(t, unknown.header.Get("Gcnode-Owner"))
}

func TestQueriesThatTwoReadersCouldReadDifferentlyAreRefused(t *testing.T) {
	s := newSite(t)
	for _, query := range []string{
		"", "?", "?key", "?Key=a", "?key=a&key=b", "?key=a&", "?&key=a", "?key=a&x=1", "?x=1", "?key=a;b", "?key=a;key=b", ";",
		"?key=%", "?key=%zz", "?key=%4", "?k%ey=a", "?ke%7=a", "?=a", "?key[]=a",
	} {
		got := s.do(t, http.MethodGet, "/v1/groups/echo/value"+query)
		if query == ";" {
			assert.Equal(t, "no_such_endpoint", got.problem(t).Kind)
			continue
		}
		assert.Equal(t, 400, got.status, query)
		assert.Equal(t, "bad_request", got.problem(t).Kind, query)
		assert.NotEmpty(t, got.problem(t).Message, query)
	}
	assert.Zero(t, s.loads.Load(), "a refused query reached the getter")
	assert.Contains(t, s.do(t, http.MethodGet, "/v1/groups/echo/value?key=a&key=b").body, "a & that is part of the key is written %26", "people read it")
	assert.Equal(t, 200, s.do(t, http.MethodGet, "/v1/groups/echo/value?%6bey=a").status, "an escaped name is the same name")
	assert.Equal(t, "value of a=b", s.do(t, http.MethodGet, "/v1/groups/echo/value?key=a=b").body)
}

func TestPathsAreReadAsTheyWereSent(t *testing.T) {
	s := newSite(t)
	for _, p := range []string{
		"/", "/v1", "/v1/groups", "/v1/groups/echo", "/v1/groups/echo/value/", "/v1/groups/echo/values/", "/v1/groups/echo/removal", "/v1//groups/echo/value",
		"/v1/groups/x/../echo/value", "/v1/groups/a/b%20c%252F;%3F/value", "/v1/groups/echo%2Fvalue", "/v1/stats/", "/v2/stats",
	} {
		got := s.do(t, http.MethodGet, p+"?key=a")
		assert.Equal(t, 404, got.status, p)
		assert.Equal(t, "no_such_endpoint", got.problem(t).Kind, p)
	}
	for _, group := range []string{"%2E%2E", "..", ".", "%00", "echo%2F", "echo%20", "%2Fecho"} {
		got := s.do(t, http.MethodGet, "/v1/groups/"+group+"/value?key=a")
		assert.Equal(t, "no_such_group", got.problem(t).Kind, group)
	}
	assert.Equal(t, "no_such_group", s.do(t, http.MethodGet, "/v1/groups//value?key=a").problem(t).Kind)
	assert.Equal(t, 200, s.do(t, http.MethodGet, "/v1/groups/%65cho/value?key=a").status)
	assert.EqualValues(t, 1, s.loads.Load())
}

func TestWrongMethodsSayWhichAreRight(t *testing.T) {
	s := newSite(t)
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodOptions, "BREW"} {
		for _, want := range []struct{ path, allow string }{
			{path(echoGroup, "a"), "GET, HEAD, PUT, DELETE"},
			{"/v1/groups/echo/values", "POST, DELETE"},
			{"/v1/groups/echo/removals", "POST"},
		} {
			if strings.Contains(want.allow, method) {
				continue
			}
			got := s.do(t, method, want.path)
			assert.Equal(t, 405, got.status, method)
			assert.Equal(t, want.allow, got.header.Get("Allow"))
			assert.Equal(t, "method_not_allowed", got.problem(t).Kind)
		}
	}
	got := s.do(t, http.MethodDelete, "/v1/stats")
	assert.Equal(t, 405, got.status)
	assert.Equal(t, "GET, HEAD", got.header.Get("Allow"))
	assert.Equal(t, 200, s.do(t, http.MethodGet, "/v1/stats").status)
}

func TestKindsOfErrorsAndTheirStatus(t *testing.T) {
	s := newSite(t)
	for key, want := range map[string]struct {
		status int
		kind   string
	}{
		"internal":      {500, "internal"},
		"permanent":     {500, "permanent"},
		"transient":     {502, "transient"},
		"unreachable":   {502, "transient"}, // the getter's origin, no member
		"too large":     {502, "too_large"},
		"denied":        {403, "denied"},
		"overloaded":    {503, "overloaded"},
		"draining":      {502, "transient"},
		"timeout":       {504, "timeout"},
		"unsupported":   {502, "transient"},
		"no such group": {502, "transient"},
	} {
		got := s.do(t, http.MethodGet, path(echoGroup, key))
		assert.Equal(t, want.status, got.status, key)
		assert.Equal(t, want.kind, got.problem(t).Kind, key)
		assert.Contains(t, got.problem(t).Message, "the getter says so", key)
		assert.Equal(t, "no-store", got.header.Get("Cache-Control"), key)
		assert.Equal(t, "a", got.header.Get("Gcnode-Owner"), key)
		assert.Empty(t, got.header.Get("Gcnode-Source"), key)
		if want.status == 503 {
			assert.Equal(t, "1", got.header.Get("Retry-After"), key)
		}
	}
	assert.Equal(t, "2", s.do(t, http.MethodGet, path(echoGroup, "later")).header.Get("Retry-After"))
}

func TestAKeyThatIsTooLongIsRefusedWithItsSize(t *testing.T) {
	s := newSite(t)
	got := s.do(t, http.MethodGet, path(echoGroup, strings.Repeat("\xff", 65<<10)))
	assert.Equal(t, 413, got.status)
	assert.Equal(t, api.ErrorDetail{Kind: "too_large", Message: "the key has 66560 bytes; at most 65536 are allowed"}, got.problem(t))
	assert.Equal(t, 413, s.do(t, http.MethodDelete, path(echoGroup, strings.Repeat("k", gcnode.MaxKeyBytes+1))).status)
	assert.Zero(t, s.loads.Load())
}

func TestEveryAnswerNamesTheNode(t *testing.T) {
	s := newSite(t)
	for _, target := range []string{
		path(echoGroup, "a"), path(echoGroup, "missing"), path(echoGroup, "permanent"), path("nobody", "a"), "/", "/v1/stats",
		"/v1/groups/echo/value", path(echoGroup, strings.Repeat("k", gcnode.MaxKeyBytes+1)),
	} {
		for _, method := range []string{http.MethodGet, http.MethodDelete, http.MethodPost} {
			assert.Equal(t, "a", s.do(t, method, target).header.Get("Gcnode-Node"), "%s %.40s", method, target)
		}
	}
	server := httptest.NewServer(api.Named("b", api.Limit(0, api.Starting())))
	defer server.Close()
	assert.Equal(t, "b", (&site{url: server.URL}).do(t, http.MethodGet, "/").header.Get("Gcnode-Node"))
}

// TestAValueBeyondItsLifeMustNotBeKept asks the owner of a key and another node.
func TestAValueBeyondItsLifeMustNotBeKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := transporttest.NewNetwork()
		peers := []gcnode.Peer{{ID: "a"}, {ID: "b"}}
		var broken atomic.Bool
		handlers := map[string]http.Handler{}
		var group *gcnode.Group
		for _, self := range peers {
			node, err := gcnode.NewNode(gcnode.Config{Self: self, Transport: network.Transport(self.ID)})
			require.NoError(t, err)
			defer func() { require.NoError(t, node.Close(context.Background())) }()
			network.Attach(self.ID, node)
			require.NoError(t, node.SetPeers(peers))
			group, err = node.Group(echoGroup, gcnode.GetterFunc[gcnode.Value](func(context.Context, string) (gcnode.Item[gcnode.Value], error) {
				if broken.Load() {
					return gcnode.Item[gcnode.Value]{}, gcnode.ErrTransient
				}
				return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue("v"), Keep: gcnode.For(time.Minute)}, nil
			}), gcnode.GroupOptions{MaxBytes: 1 << 20, StaleWhileRevalidate: time.Minute, StaleOnError: time.Hour})
			require.NoError(t, err)
			handlers[self.ID] = newHandler(t, node)
		}
		get := func(at string) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			handlers[at].ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path(echoGroup, "k"), http.NoBody))
			return w
		}
		owner := group.Owner("k").ID
		other := map[string]string{"a": "b", "b": "a"}[owner]
		assert.Equal(t, "loaded", get(owner).Header().Get("Gcnode-Source"))
		broken.Store(true)
		time.Sleep(time.Minute)
		for range 3 { // while it is reloaded, and twice because it cannot be
			for at, source := range map[string]string{owner: "hit", other: "owner"} {
				got := get(at)
				assert.Equal(t, 200, got.Code)
				assert.Equal(t, source, got.Header().Get("Gcnode-Source"))
				assert.Equal(t, []string{"no-store"}, got.Header().Values("Cache-Control"))
				assert.Empty(t, got.Header().Get("Age"))
				assert.Empty(t, got.Header().Get("Warning"))
			}
			time.Sleep(time.Minute)
		}
		time.Sleep(time.Hour)
		for at := range handlers {
			assert.Equal(t, 502, get(at).Code, "%s: too old to stand in", at)
		}
	})
}

func TestAGroupWithTooManyLoadsIsOverloaded(t *testing.T) {
	s := newSite(t)
	hold := make(chan struct{})
	group, err := s.node.Group("limited", gcnode.GetterFunc[gcnode.Value](func(_ context.Context, key string) (gcnode.Item[gcnode.Value], error) {
		<-hold
		return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(key)}, nil
	}), gcnode.GroupOptions{MaxBytes: 1 << 20, MaxLoads: 1, MaxQueuedLoads: 1})
	require.NoError(t, err)
	var held sync.WaitGroup
	for _, key := range []string{"running", "waiting"} {
		held.Go(func() {
			got := s.do(t, http.MethodGet, path("limited", key))
			assert.Equal(t, 200, got.status)
			assert.Equal(t, key, got.body)
		})
	}
	require.Eventually(t, func() bool { st := group.Stats(); return st.Loading == 1 && st.Queued == 1 }, time.Minute, time.Millisecond)
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		got := s.do(t, method, path("limited", "refused"))
		assert.Equal(t, 503, got.status)
		assert.Equal(t, "1", got.header.Get("Retry-After"))
		assert.Equal(t, "no-store", got.header.Get("Cache-Control"))
		if method == http.MethodGet {
			assert.Equal(t, api.ErrorDetail{
				Kind:       "overloaded",
				Message:    `get "refused" in group "limited": overloaded, try later: 1 loads are running and 1 are waiting`,
				RetryAfter: 1,
			}, got.problem(t))
		}
	}
	close(hold)
	held.Wait()
	assert.Equal(t, 200, s.do(t, http.MethodGet, path("limited", "refused")).status)
}

func TestRemoval(t *testing.T) {
	s := newSite(t)
	s.do(t, http.MethodGet, path(echoGroup, "a"))
	got := s.do(t, http.MethodDelete, path(echoGroup, "a"))
	assert.Equal(t, 204, got.status)
	assert.Empty(t, got.body)
	assert.Equal(t, "a", got.header.Get("Gcnode-Owner"))
	assert.Equal(t, "loaded", s.do(t, http.MethodGet, path(echoGroup, "a")).header.Get("Gcnode-Source"))
	assert.EqualValues(t, 2, s.loads.Load())
	assert.Equal(t, 204, s.do(t, http.MethodDelete, path(echoGroup, "never seen")).status)
	for request, body := range map[string]string{
		"DELETE " + path(echoGroup, "a"): "", "DELETE /v1/groups/echo/values?all=true": "", "POST /v1/groups/echo/removals": `["a"]`,
	} {
		method, target, _ := strings.Cut(request, " ")
		got := s.send(t, method, target, []string{"If-Match", `"a"`, "Content-Type", "application/json"}, strings.NewReader(body))
		assert.Equal(t, 400, got.status, request)
		assert.Contains(t, got.problem(t).Message, "If-Match")
	}
	assert.Equal(t, "hit", s.do(t, http.MethodGet, path(echoGroup, "a")).header.Get("Gcnode-Source"))
	assert.Equal(t, "no_such_group", s.do(t, http.MethodDelete, path("nobody", "a")).problem(t).Kind)
	assert.Equal(t, 400, s.do(t, http.MethodDelete, "/v1/groups/echo/value").status)
}

// deaf is a transport whose peers never answer.
type deaf struct{}

func (deaf) RoundTrip(context.Context, gcnode.Peer, *gcnode.Request, gcnode.ReplyWriter) error {
	return errors.New("nobody is there")
}

func TestTheErrorOfAChangeNamesThoseWhoDidNotConfirm(t *testing.T) {
	s := newSiteWith(t, gcnode.Config{
		Self: gcnode.Peer{ID: "a"}, Transport: deaf{}, PeerTimeout: 100 * time.Millisecond, JoinTimeout: 10 * time.Millisecond,
	})
	require.NoError(t, s.node.SetPeers([]gcnode.Peer{{ID: "a"}, {ID: "b"}, {ID: "c"}}))
	group, _ := s.node.Lookup(echoGroup)
	for _, change := range []struct {
		what, owner string
		reply       reply
	}{
		{"remove", group.Owner("k").ID, s.do(t, http.MethodDelete, path(echoGroup, "k"))},
		{"set", group.Owner("k").ID, s.send(t, http.MethodPut, path(echoGroup, "k"), nil, strings.NewReader("x"))},
		{"remove", "", s.send(t, http.MethodPost, "/v1/groups/echo/removals", jsonList, strings.NewReader(`["k","l"]`))},
		{"clear", "", s.do(t, http.MethodDelete, "/v1/groups/echo/values?all=true")},
	} {
		assert.Equal(t, 502, change.reply.status, change.what)
		assert.Equal(t, change.owner, change.reply.header.Get("Gcnode-Owner"))
		problem := change.reply.problem(t)
		assert.Equal(t, "not_confirmed", problem.Kind)
		assert.Contains(t, problem.Message, change.what+": not confirmed by all peers")
		ids := make([]string, 0, len(problem.Peers))
		for _, p := range problem.Peers {
			ids = append(ids, p.ID)
			assert.Equal(t, "unreachable", p.Kind)
			assert.Contains(t, p.Message, "nobody is there")
		}
		assert.Equal(t, []string{"b", "c"}, ids)
	}
}

func TestAnApplicationThatLeavesEndsItsLoad(t *testing.T) {
	s := newSite(t)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(t, err)
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path(echoGroup, "wait"))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return s.loads.Load() == 1 }, time.Minute, time.Millisecond)
	require.NoError(t, conn.Close())
	// The node's Close at the end of the test waits a minute for the load.
}

func TestRequestsBeyondTheLimitAreAnsweredAtOnce(t *testing.T) {
	release, busy := make(chan struct{}), make(chan struct{}, 3)
	server := httptest.NewServer(api.Limit(2, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		busy <- struct{}{}
		<-release
		w.WriteHeader(http.StatusNoContent)
	})))
	defer server.Close()
	s := &site{url: server.URL}
	var held sync.WaitGroup
	for range 2 {
		held.Go(func() { assert.Equal(t, 204, s.do(t, http.MethodGet, "/").status) })
	}
	<-busy
	<-busy
	got := s.do(t, http.MethodGet, "/")
	assert.Equal(t, 503, got.status)
	assert.Equal(t, "overloaded", got.problem(t).Kind)
	assert.Equal(t, "1", got.header.Get("Retry-After"))
	close(release)
	held.Wait()
	assert.Equal(t, 204, s.do(t, http.MethodGet, "/").status, "a place that was left is free again")
}
