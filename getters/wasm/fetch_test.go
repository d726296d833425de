package wasm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
)

// readAnswer decodes a fetch answer as a guest would.
func readAnswer(tb testing.TB, msg string) (a fetchAnswer) {
	tb.Helper()
	b := []byte(msg)
	require.GreaterOrEqual(tb, len(b), fetchAnswerHead)
	le := binary.LittleEndian
	a.status, a.failure = le.Uint16(b), fetchFailure(le.Uint16(b[2:]))
	fields, bodyLen := le.Uint16(b[4:]), le.Uint32(b[8:])
	require.Zero(tb, le.Uint16(b[6:]), "reserved")
	b = b[fetchAnswerHead:]
	for range fields {
		nameLen, valueLen := int(le.Uint16(b)), int(le.Uint32(b[2:]))
		b = b[fetchFieldHead:]
		a.header = append(a.header, headerField{string(b[:nameLen]), string(b[nameLen : nameLen+valueLen])})
		b = b[nameLen+valueLen:]
	}
	require.Len(tb, b, int(bodyLen))
	a.body = b
	return a
}

// fetchThrough lets the Go guest perform an exchange.
func fetchThrough(tb testing.TB, p *Plugin, args string) fetchAnswer {
	tb.Helper()
	return readAnswer(tb, get(tb, p, "fetch:"+args))
}

// newOrigin is a server that is closed after the plugins of the test.
func newOrigin(tb testing.TB, handler http.HandlerFunc) *httptest.Server {
	tb.Helper()
	s := httptest.NewServer(handler)
	tb.Cleanup(s.Close)
	return s
}

func TestFetch(t *testing.T) {
	t.Parallel()
	type seen struct {
		method, path, query, host, body string
		header                          http.Header
	}
	requests := make(chan seen, 1)
	origin := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- seen{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, r.Host, string(body), r.Header}
		w.Header().Add("X-Two", "1")
		w.Header().Add("X-Two", "2")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprint(w, "short and stout")
	})
	p := loadVerbs(t, Options{AllowFetch: []string{origin.URL}})
	a := fetchThrough(t, p, "0:0:PUT:"+origin.URL+"/a%2Fb/c?q=1#frag|X-Name=value|x-name=other|the body")
	assert.EqualValues(t, http.StatusTeapot, a.status)
	assert.Zero(t, a.failure)
	assert.Equal(t, "short and stout", string(a.body))
	i := slices.Index(a.header, headerField{"X-Two", "1"})
	require.GreaterOrEqual(t, i, 0, "%v", a.header)
	assert.Equal(t, headerField{"X-Two", "2"}, a.header[i+1])

	r := <-requests
	assert.Equal(t, "PUT", r.method)
	assert.Equal(t, "/a%2Fb/c", r.path)
	assert.Equal(t, "q=1", r.query)
	assert.Equal(t, strings.TrimPrefix(origin.URL, "http://"), r.host)
	assert.Equal(t, "the body", r.body)
	assert.Equal(t, []string{"value", "other"}, r.header["X-Name"])
	assert.Equal(t, FetchStats{Started: 1}, p.Stats().Fetches)
}

func TestFetchRefusesWhatCannotBeSent(t *testing.T) {
	t.Parallel()
	origin := newOrigin(t, func(http.ResponseWriter, *http.Request) { t.Error("nothing may arrive") })
	p := loadVerbs(t, Options{AllowFetch: []string{origin.URL}, Instances: 1})
	for args, want := range map[string]string{
		"0:0::" + origin.URL:         "the method",
		"0:0:CONNECT:" + origin.URL:  "the method",
		"0:0:G T:" + origin.URL:      "the method",
		"0:0:GET:":                   "the url",
		"0:0:GET:/relative":          "neither http nor https",
		"0:0:GET:ftp://host/":        "neither http nor https",
		"0:0:GET:file:///etc/passwd": "neither http nor https",
		"0:0:GET:http://host:99999/": "the port",
		"0:0:GET:http://a\nb/":       "the url cannot be parsed",
		"0:0:GET:" + strings.Replace(origin.URL, "//", "//me:pass@", 1): "credentials",
		"0:0:GET:" + origin.URL + "|Host=internal|":                     "Host is set by the host",
		"0:0:GET:" + origin.URL + "|content-length=3|":                  "content-length is set by the host",
		"0:0:GET:" + origin.URL + "|Transfer-Encoding=chunked|":         "is set by the host",
		"0:0:GET:" + origin.URL + "|Connection=close|":                  "is set by the host",
		"0:0:GET:" + origin.URL + "|Proxy-Authorization=x|":             "is set by the host",
		"0:0:GET:" + origin.URL + "|Bad Name=x|":                        "header field name",
		"0:0:GET:" + origin.URL + "|=x|":                                "header field name",
		"0:0:GET:" + origin.URL + "|X-Split=a\r\nHost: internal|":       "control character",
	} {
		a := fetchThrough(t, p, args)
		assert.Equal(t, fetchMalformed, a.failure, "%.100q: %s", args, a.body)
		assert.Contains(t, string(a.body), want, "%.100q", args)
	}
	assert.Equal(t, "-2", get(t, p, "badfetch"), "a malformed message is no exchange")
}

func TestFetchKeepsToTheAllowList(t *testing.T) {
	t.Parallel()
	other := newOrigin(t, func(http.ResponseWriter, *http.Request) { t.Error("nothing may arrive here") })
	var target atomic.Value
	origin := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/redirect" {
			http.Redirect(w, r, target.Load().(string), http.StatusFound)
			return
		}
		fmt.Fprint(w, r.URL.Path)
	})
	port := strings.TrimPrefix(origin.URL, "http://127.0.0.1:")
	p := loadVerbs(t, Options{AllowFetch: []string{origin.URL}, Instances: 1})
	assert.Equal(t, "/ok", string(fetchThrough(t, p, "0:0:GET:"+origin.URL+"/ok").body))

	for _, denied := range []string{
		other.URL, "https://127.0.0.1:" + port, "http://localhost:" + port, "http://127.0.0.1",
		"http://127.1:" + port, "http://2130706433:" + port, "http://[::ffff:127.0.0.1]:" + port,
		"http://127.0.0.1:" + port + ".example.com/",
	} {
		a := fetchThrough(t, p, "0:0:GET:"+denied)
		if a.failure != fetchMalformed { // the last one has an impossible port
			assert.Equal(t, fetchDenied, a.failure, "%s: %s", denied, a.body)
			assert.Contains(t, string(a.body), "is not on the allow-list")
		}
		target.Store(denied)
		a = fetchThrough(t, p, "0:0:GET:"+origin.URL+"/redirect")
		assert.NotZero(t, a.failure, "redirect to %s", denied)
		if !strings.HasSuffix(denied, ".com/") {
			assert.Equal(t, fetchDenied, a.failure, "redirect to %s: %s", denied, a.body)
		}
	}
	target.Store("/followed")
	assert.Equal(t, "/followed", string(fetchThrough(t, p, "0:0:GET:"+origin.URL+"/redirect").body))
	target.Store("/redirect")
	a := fetchThrough(t, p, "0:0:GET:"+origin.URL+"/redirect")
	assert.Equal(t, fetchTooMany, a.failure)
	assert.Contains(t, string(a.body), "more than 10 redirects")
	assert.NotZero(t, p.Stats().Fetches.Denied)
}

func TestNamesThatResolveToPrivateAddresses(t *testing.T) {
	t.Parallel()
	origin := newOrigin(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })
	_, port, err := net.SplitHostPort(strings.TrimPrefix(origin.URL, "http://"))
	require.NoError(t, err)
	byName := "http://localhost:" + port
	p := loadVerbs(t, Options{AllowFetch: []string{byName}})
	assert.Equal(t, "hello", string(fetchThrough(t, p, "0:0:GET:"+byName).body), "localhost names the loopback")

	// A name in the loopback's domain stands for one that an attacker
	// lets resolve to an address inside.
	guard, err := newAddressGuard()
	require.NoError(t, err)
	host := "internal.localhost"
	if _, err := net.DefaultResolver.LookupNetIP(t.Context(), "ip", host); err != nil {
		host = "LOCALHOST" // the same address under a name that is not granted
	}
	conn, err := guard.dial(t.Context(), "tcp", net.JoinHostPort(host, port))
	if conn != nil {
		conn.Close()
	}
	require.ErrorIs(t, err, errFetchDenied)
	require.ErrorContains(t, err, "(AllowFetch, allow_fetch in a node's configuration)")
	require.ErrorContains(t, err, "(AllowPrivate, allow_private)")
}

func TestFetchEndsAtTheDeadline(t *testing.T) {
	t.Parallel()
	canceled := make(chan struct{})
	origin := newOrigin(t, func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		close(canceled)
	})
	p := loadVerbs(t, Options{AllowFetch: []string{origin.URL}, Timeout: time.Hour, Instances: 1})
	getWithin(t, p, 200*time.Millisecond, "fetch:0:0:GET:"+origin.URL, gcnode.KindTimeout)
	<-canceled // the origin is told
	assert.EqualValues(t, 1, p.Stats().Instances.Discarded.Timeout)
	assert.Equal(t, "again", get(t, p, "echo:again"))
}

func TestFetchHasATimeoutOfItsOwn(t *testing.T) {
	t.Parallel()
	origin := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			fmt.Fprint(w, "begun")
			http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
	})
	p := loadVerbs(t, Options{AllowFetch: []string{origin.URL}, Timeout: patience, Instances: 1})
	for _, path := range []string{"/", "/body"} {
		a := fetchThrough(t, p, "50:0:GET:"+origin.URL+path)
		assert.Equal(t, fetchTimeout, a.failure, "%s", a.body)
		assert.Zero(t, a.status)
	}
	assert.EqualValues(t, 1, p.Stats().Instances.Created, "the guest goes on")
	assert.Equal(t, FetchStats{Started: 2, Failed: 2}, p.Stats().Fetches)
}

// TestAnotherProtocolIsNoAnswer has an origin that says nothing after an Upgrade
// that nobody has asked for: what comes then is no body that ends with a context.
func TestAnotherProtocolIsNoAnswer(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	origin := newOrigin(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if assert.NoError(t, err) {
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n")
			<-over
			_ = conn.Close()
		}
	})
	t.Cleanup(func() { close(over) })
	p := loadVerbs(t, Options{AllowFetch: []string{origin.URL}, Timeout: patience, Instances: 1})
	a := fetchThrough(t, p, "0:0:GET:"+origin.URL)
	assert.Equal(t, fetchUnreachable, a.failure)
	assert.Contains(t, string(a.body), "101 Switching Protocols")
}

func TestCanceledCallerEndsAFetch(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	origin := newOrigin(t, func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	})
	p := loadVerbs(t, Options{AllowFetch: []string{origin.URL}, Timeout: time.Hour, Instances: 1})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	_, err := p.GetItem(ctx, "fetch:0:0:GET:"+origin.URL)
	wantKind(t, err, gcnode.KindTransient)
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, DiscardStats{Canceled: 1}, p.Stats().Instances.Discarded)
}

func TestCloseEndsAFetch(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	origin := newOrigin(t, func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	})
	p := loadVerbs(t, Options{AllowFetch: []string{origin.URL}, Timeout: time.Hour, Instances: 1})
	errs := make(chan error)
	go func() {
		_, err := p.GetItem(context.Background(), "fetch:0:0:GET:"+origin.URL)
		errs <- err
	}()
	<-arrived
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, p.Close(ctx), context.Canceled)
	wantKind(t, <-errs, gcnode.KindDraining)
}

func TestFetchLimits(t *testing.T) {
	t.Parallel()
	origin := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/header":
			w.Header().Set("X-Large", strings.Repeat("h", maxFetchHeadBytes))
		case "/huge-header":
			w.Header().Set("X-Large", strings.Repeat("h", 2*maxTransportHeadBytes))
		}
		io.WriteString(w, strings.Repeat("b", 1000))
	})
	allow := []string{origin.URL}
	p := loadVerbs(t, Options{AllowFetch: allow, Instances: 1})
	assert.Len(t, fetchThrough(t, p, "0:1000:GET:"+origin.URL).body, 1000)
	a := fetchThrough(t, p, "0:999:GET:"+origin.URL)
	assert.Equal(t, fetchTooLarge, a.failure)
	assert.Contains(t, string(a.body), "larger than 999 bytes")
	assert.Equal(t, fetchTooLarge, fetchThrough(t, p, "0:0:GET:"+origin.URL+"/header").failure)
	assert.Equal(t, fetchUnreachable, fetchThrough(t, p, "0:0:GET:"+origin.URL+"/huge-header").failure)

	p = loadVerbs(t, Options{AllowFetch: allow, MaxFetchBytes: 1900, Instances: 1})
	assert.EqualValues(t, 200, fetchThrough(t, p, "0:0:GET:"+origin.URL).status)
	a = readAnswer(t, get(t, p, "twice:0:0:GET:"+origin.URL))
	assert.Equal(t, fetchTooMany, a.failure, "%s", a.body)
	assert.EqualValues(t, 200, fetchThrough(t, p, "0:0:GET:"+origin.URL).status, "the next request has its own budget")

	p = loadVerbs(t, Options{AllowFetch: allow, MaxFetchBytes: 900, Instances: 1})
	assert.Equal(t, fetchTooLarge, fetchThrough(t, p, "0:0:GET:"+origin.URL).failure, "the host's limit for one body")
	assert.Equal(t, fetchTooMany, fetchThrough(t, p, "0:0:POST:"+origin.URL+"|"+strings.Repeat("b", 900)).failure)

	p = loadVerbs(t, Options{AllowFetch: allow, MaxFetches: 1, Instances: 1})
	assert.EqualValues(t, 200, fetchThrough(t, p, "0:0:GET:"+origin.URL).status)
	assert.Equal(t, fetchTooMany, readAnswer(t, get(t, p, "twice:0:0:GET:"+origin.URL)).failure)
}

func TestFailedFetchesCountAndAreNotHoarded(t *testing.T) {
	t.Parallel()
	p := loadVerbs(t, Options{MaxFetches: 3, Instances: 1})
	for fetches, want := range map[int]struct {
		number  string
		failure fetchFailure
	}{3: {"3", fetchMalformed}, 4: {"4", fetchTooMany}, 1000: {"4", fetchTooMany}} {
		number, answer, _ := strings.Cut(get(t, p, fmt.Sprintf("drain:%d", fetches)), " ")
		assert.Equal(t, want.number, number)
		assert.Equal(t, want.failure, readAnswer(t, answer).failure)
	}
}

func TestUnreachableOrigin(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	broken := newOrigin(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, "only this")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	p := loadVerbs(t, Options{AllowFetch: []string{gone.URL, broken.URL}})
	for _, u := range []string{gone.URL, broken.URL} {
		a := fetchThrough(t, p, "0:0:GET:"+u)
		assert.Equal(t, fetchUnreachable, a.failure, "%s", a.body)
		assert.NotEmpty(t, a.body)
		assert.NotContains(t, string(a.body), u, "the guest knows what it asked for")
	}
}

func TestFetchAfterTheAnswerIsRefused(t *testing.T) {
	t.Parallel()
	origin := newOrigin(t, func(http.ResponseWriter, *http.Request) { t.Error("nothing may arrive") })
	logger, lines := newRecorder()
	p := loadVerbs(t, Options{AllowFetch: []string{origin.URL}, Logger: logger})
	get(t, p, "latefetch:0:0:GET:"+origin.URL)
	assert.Contains(t, lines.lines(), "late fetch: -1")
}

func TestAnswersOfFetchesEndWithTheRequest(t *testing.T) {
	t.Parallel()
	logger, lines := newRecorder()
	p := loadVerbs(t, Options{Logger: logger})
	get(t, p, "stale:0:0:GET:nowhere")
	assert.Contains(t, lines.lines(), "stale: true -1")
}

func TestFetchThroughAGivenTransport(t *testing.T) {
	t.Parallel()
	p := loadVerbs(t, Options{
		AllowFetch: []string{"https://example.com"},
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			switch r.URL.Path {
			case "/redirect":
				return &http.Response{StatusCode: http.StatusFound, Header: http.Header{"Location": {"http://example.com/"}}, Body: http.NoBody}, nil
			case "/status":
				return &http.Response{StatusCode: 0, Body: http.NoBody}, nil
			case "/error":
				return nil, errors.New("no line\x00 to\nthe origin")
			}
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(r.URL.String()))}, nil
		}),
		Instances: 1,
	})
	assert.Equal(t, "https://example.com/a", string(fetchThrough(t, p, "0:0:GET:https://example.com/a").body))
	assert.Equal(t, fetchDenied, fetchThrough(t, p, "0:0:GET:https://example.com/redirect").failure)
	assert.Equal(t, fetchUnreachable, fetchThrough(t, p, "0:0:GET:https://example.com/status").failure)
	a := fetchThrough(t, p, "0:0:GET:https://example.com/error")
	assert.Equal(t, fetchUnreachable, a.failure)
	assert.Contains(t, string(a.body), "no line to | the origin")
}

func TestWhatIsPutAroundTheTransport(t *testing.T) {
	t.Parallel()
	origin := newOrigin(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header.Get("X-Added")) })
	_, port, err := net.SplitHostPort(strings.TrimPrefix(origin.URL, "http://"))
	require.NoError(t, err)
	private := "http://internal.localhost:" + port
	p := loadVerbs(t, Options{
		AllowFetch: []string{origin.URL, private},
		WrapTransport: func(next http.RoundTripper) http.RoundTripper {
			return roundTripper(func(r *http.Request) (*http.Response, error) {
				r = r.Clone(r.Context())
				r.Header.Set("X-Added", "outside")
				return next.RoundTrip(r)
			})
		},
	})
	assert.Equal(t, "outside", string(fetchThrough(t, p, "0:0:GET:"+origin.URL).body))
	assert.NotEqual(t, "outside", string(fetchThrough(t, p, "0:0:GET:"+private).body), "addresses are checked as before")
}

type roundTripper func(r *http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestOrigins(t *testing.T) {
	t.Parallel()
	for entry, want := range map[string]string{
		"http://127.0.0.1:8080":      "http://127.0.0.1:8080",
		"HTTPS://Example.COM":        "https://example.com:443",
		"http://example.com/":        "http://example.com:80",
		"http://[::1]:080":           "http://[::1]:80",
		"http://[0:0:0:0:0:0:0:1]":   "http://[::1]:80",
		"https://example.com.:65535": "https://example.com.:65535",
	} {
		o, err := parseOrigin(entry)
		require.NoError(t, err, entry)
		assert.Equal(t, want, o.String())
	}
	for entry, want := range map[string]string{
		"":                          "scheme://host[:port]",
		"example.com":               "scheme://host[:port]",
		"example.com:443":           "scheme://host[:port]",
		"//example.com":             "neither http nor https",
		"ftp://example.com":         "neither http nor https",
		"http://":                   "scheme://host[:port]",
		"http://:80":                "there is no host",
		"http://example.com:0":      "the port",
		"http://example.com:70000":  "the port",
		"http://example.com:http":   "scheme://host[:port]",
		"http://example.com/path":   `write "http://example.com"`,
		"http://example.com?q":      "an origin ends after the port",
		"http://example.com#f":      "an origin ends after the port",
		"http://u:p@example.com":    "an origin ends after the port",
		"https://*.example.com":     "no wildcards",
		"http://example.com, other": "scheme://host[:port]",
	} {
		_, err := parseOrigin(entry)
		require.ErrorContains(t, err, want, "%q", entry)
		require.ErrorContains(t, err, "AllowFetch")
	}
	_, err := parseAllowList([]string{"one", "http://fine", "two"})
	require.ErrorContains(t, err, `"one"`)
	require.ErrorContains(t, err, `"two"`)
}

func TestAllowListComparesOrigins(t *testing.T) {
	t.Parallel()
	list, err := parseAllowList([]string{"https://example.com", "http://10.0.0.1:81"})
	require.NoError(t, err)
	for raw, allowed := range map[string]bool{
		"https://example.com/a?b":      true,
		"https://EXAMPLE.com:443/":     true,
		"http://10.0.0.1:81":           true,
		"https://example.com:444/":     false,
		"http://example.com/":          false,
		"https://example.com./":        false,
		"https://example.com.evil.io/": false,
		"https://evil.io/example.com":  false,
		"https://evil.io#example.com":  false,
		"http://10.0.0.1":              false,
	} {
		u, err := url.Parse(raw)
		require.NoError(t, err)
		assert.Equal(t, allowed, list.check(u) == nil, raw)
	}
}
