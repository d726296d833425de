package httptransport_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
	httptransport "github.com/gcnode/gcnode/transport/http"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newHandler serves h over HTTP.
func newHandler(t *testing.T, h gcnode.Handler, opts httptransport.HandlerOptions) *httptransport.Handler {
	t.Helper()
	handler, err := httptransport.NewHandler(h, opts)
	require.NoError(t, err)
	t.Cleanup(handler.Close)
	return handler
}

// newClient is a client that is closed with the test.
func newClient(t *testing.T, opts httptransport.ClientOptions) *httptransport.Client {
	t.Helper()
	client, err := httptransport.NewClient(opts)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

// carrier is a way for requests to a handler.
type carrier struct {
	name   string
	stream bool // there is one in the end
	path   string
	server func(t *testing.T, h http.Handler) *httptest.Server
	client func(t *testing.T, s *httptest.Server) httptransport.ClientOptions
	tls    func(s *httptest.Server) *tls.Config // of a client; nil: there is none
	signed bool
	alike  bool // it differs from another one in the code of net/http alone
}

// carriers are all ways that differ, each with a client of our own and with
// the user's where it can be had with both. Those that are alike are tested
// without the race detector.
func carriers(t *testing.T) []carrier {
	t.Helper()
	list := members(t, "a", "b")
	mutual := func(t *testing.T, h http.Handler) *httptest.Server {
		t.Helper()
		return start(t, h, func(s *httptest.Server) { s.TLS = list["a"].Members("b") })
	}
	mutualTLS := func(*httptest.Server) *tls.Config { return list["b"].Client("127.0.0.1") }
	all := []carrier{
		{name: "stream", stream: true, server: overTCP, client: own},
		{name: "stream of the user's client", stream: true, server: overTCP, client: users(nil), alike: true},
		{name: "plain", server: overTCP, client: plain(own)},
		{name: "plain with the user's client", server: overTLS, client: plain(users(trusting)), tls: trusting, alike: true},
		{name: "under a path", stream: true, path: "/cluster/peers/", server: underPath, client: own, alike: true},
		{name: "TLS", stream: true, server: overTLS, client: ownTLS(trusting), tls: trusting, alike: true},
		{name: "mutual TLS", stream: true, server: mutual, client: ownTLS(mutualTLS), tls: mutualTLS},
		{name: "HTTP2", server: overHTTP2, client: usersHTTP2(trusting), tls: trusting, alike: true},
		{name: "HTTP2 without TLS", server: overH2C, client: usersHTTP2(nil)},
		{name: "unknown connection", stream: true, server: overTCP, client: changed(func(c *http.Client) { c.Transport = untraced{c.Transport} })},
		{name: "client with a timeout", stream: true, server: overTCP, client: changed(func(c *http.Client) { c.Timeout = patience }), alike: true},
		{name: "no hijacking", server: withoutHijacking, client: own},
		{name: "signed stream", stream: true, server: overTCP, client: own, signed: true},
		{name: "signed stream of an unknown connection", stream: true, server: overTCP, client: changed(func(c *http.Client) { c.Transport = untraced{c.Transport} }), signed: true, alike: true},
		{name: "signed plain", server: overTCP, client: plain(own), signed: true},
	}
	return slices.DeleteFunc(all, func(c carrier) bool { return c.alike && raceDetector })
}

// start is a server that ends with the test. change is told of it before.
func start(t *testing.T, h http.Handler, change func(*httptest.Server)) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	change(s)
	if s.TLS != nil {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

func overTCP(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	return start(t, h, func(*httptest.Server) {})
}

func underPath(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/cluster/peers/", h)
	return overTCP(t, mux)
}

func withoutHijacking(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	return overTCP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(flushOnly{w}, r) }))
}

func overTLS(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	return start(t, h, func(s *httptest.Server) { s.TLS = &tls.Config{MinVersion: tls.VersionTLS12} })
}

func overHTTP2(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	return start(t, h, func(s *httptest.Server) {
		s.TLS, s.EnableHTTP2 = &tls.Config{MinVersion: tls.VersionTLS12}, true
		s.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 2000}
	})
}

func overH2C(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	return start(t, h, func(s *httptest.Server) {
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetHTTP1(true)
		s.Config.Protocols.SetUnencryptedHTTP2(true)
		s.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 2000}
	})
}

// trusting believes the certificate of a server that has made its own.
func trusting(s *httptest.Server) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: "127.0.0.1"}
}

// own is the client that is made for the purpose.
func own(*testing.T, *httptest.Server) httptransport.ClientOptions {
	return httptransport.ClientOptions{DialTimeout: patience}
}

// ownTLS is the same with TLS.
func ownTLS(config func(*httptest.Server) *tls.Config) func(*testing.T, *httptest.Server) httptransport.ClientOptions {
	return func(_ *testing.T, s *httptest.Server) httptransport.ClientOptions {
		return httptransport.ClientOptions{DialTimeout: patience, TLS: func(string) *tls.Config { return config(s) }}
	}
}

// usersTransport is one that a user might have. It has few connections, since
// handshakes take long.
func usersTransport(t *testing.T, s *httptest.Server, config func(*httptest.Server) *tls.Config) *http.Transport {
	t.Helper()
	transport := &http.Transport{MaxConnsPerHost: 100, MaxIdleConnsPerHost: 100}
	if config != nil {
		transport.TLSClientConfig = config(s)
	}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// users is a client that speaks HTTP/1.1.
func users(config func(*httptest.Server) *tls.Config) func(*testing.T, *httptest.Server) httptransport.ClientOptions {
	return func(t *testing.T, s *httptest.Server) httptransport.ClientOptions {
		t.Helper()
		return httptransport.ClientOptions{HTTPClient: &http.Client{Transport: usersTransport(t, s, config)}}
	}
}

// usersHTTP2 is a client that speaks nothing but HTTP/2.
func usersHTTP2(config func(*httptest.Server) *tls.Config) func(*testing.T, *httptest.Server) httptransport.ClientOptions {
	return func(t *testing.T, s *httptest.Server) httptransport.ClientOptions {
		t.Helper()
		transport := usersTransport(t, s, config)
		transport.MaxConnsPerHost = 0
		transport.Protocols = new(http.Protocols)
		transport.Protocols.SetHTTP2(config != nil)
		transport.Protocols.SetUnencryptedHTTP2(config == nil)
		// With a connection there, requests share it and dial no others.
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, http.NoBody)
		require.NoError(t, err)
		resp, err := transport.RoundTrip(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, 2, resp.ProtoMajor)
		return httptransport.ClientOptions{HTTPClient: &http.Client{Transport: transport}}
	}
}

// changed is a client of a user who has his own ideas.
func changed(change func(*http.Client)) func(*testing.T, *httptest.Server) httptransport.ClientOptions {
	return func(t *testing.T, s *httptest.Server) httptransport.ClientOptions {
		t.Helper()
		opts := users(nil)(t, s)
		change(opts.HTTPClient)
		return opts
	}
}

// plain is a client that asks for no stream.
func plain(
	client func(*testing.T, *httptest.Server) httptransport.ClientOptions,
) func(*testing.T, *httptest.Server) httptransport.ClientOptions {
	return func(t *testing.T, s *httptest.Server) httptransport.ClientOptions {
		t.Helper()
		opts := client(t, s)
		opts.Plain = true
		return opts
	}
}

// endpoint serves h over the carrier.
func (c carrier) endpoint(t *testing.T, h gcnode.Handler) transporttest.Endpoint {
	t.Helper()
	var opts httptransport.HandlerOptions
	if c.signed {
		opts.Self, opts.Secrets = "server", secrets(t, "k")
	}
	handler := newHandler(t, h, opts)
	server := c.server(t, handler)
	asking := c.client(t, server)
	asking.Secrets = opts.Secrets
	scheme, _, _ := strings.Cut(server.URL, ":")
	addr := func(l net.Listener) string { return scheme + "://" + l.Addr().String() + c.path }
	absent := listen(t, "127.0.0.1:0")
	require.NoError(t, absent.Close())
	silent := listen(t, "127.0.0.1:0") // nobody accepts
	t.Cleanup(func() { require.NoError(t, silent.Close()) })
	return transporttest.Endpoint{
		Transport: newClient(t, asking),
		Peer:      gcnode.Peer{ID: "server", Addr: server.URL + c.path},
		Absent:    gcnode.Peer{ID: "nobody", Addr: addr(absent)},
		Silent:    gcnode.Peer{ID: "silent", Addr: addr(silent)},
		Cut: func() {
			go server.CloseClientConnections() // which waits for handlers
			handler.Close()
		},
		Garbage:   c.garbage(server),
		Impostors: c.impostors(t),
	}
}

func TestConformance(t *testing.T) {
	for _, c := range carriers(t) {
		t.Run(c.name, func(t *testing.T) {
			transporttest.Run(t, c.endpoint)
			t.Run("Way", func(t *testing.T) {
				e := c.endpoint(t, handlerFunc(echo))
				client, ok := e.Transport.(*httptransport.Client)
				require.True(t, ok)
				_, err := fetch(t.Context(), client, e.Peer.Addr, "k")
				require.NoError(t, err)
				stats := client.Stats().Peers
				require.Len(t, stats, 1)
				require.Equal(t, c.stream, stats[0].Stream, "problem: %s", stats[0].Problem)
			})
		})
	}
}

// untraced is a client's transport that does not say which connections it uses.
type untraced struct{ http.RoundTripper }

func (u untraced) RoundTrip(r *http.Request) (*http.Response, error) {
	return u.RoundTripper.RoundTrip(r.WithContext(valueless{r.Context()}))
}

// valueless is a context without its values.
type valueless struct{ context.Context }

func (valueless) Value(any) any { return nil }

// flushOnly is the response writer of a middleware that lets nobody hijack.
type flushOnly struct{ w http.ResponseWriter }

func (f flushOnly) Header() http.Header         { return f.w.Header() }
func (f flushOnly) Write(b []byte) (int, error) { return f.w.Write(b) }
func (f flushOnly) WriteHeader(status int)      { f.w.WriteHeader(status) }
func (f flushOnly) FlushError() error           { return http.NewResponseController(f.w).Flush() }

func (f flushOnly) SetReadDeadline(t time.Time) error {
	return http.NewResponseController(f.w).SetReadDeadline(t)
}
