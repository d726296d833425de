package httptransport_test

import (
	"context"
	"net/http"
	"net/http/httptest"
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

// absentAddr is the URL of a port on which nobody listens.
func absentAddr(t *testing.T) string {
	t.Helper()
	l := listen(t, "127.0.0.1:0")
	require.NoError(t, l.Close())
	return "http://" + l.Addr().String() + "/"
}

// endpoint is a server that is reached at the path.
func endpoint(t *testing.T, server *httptest.Server, path string, opts httptransport.ClientOptions) transporttest.Endpoint {
	t.Helper()
	t.Cleanup(server.Close)
	return transporttest.Endpoint{
		Transport: newClient(t, opts),
		Peer:      gcnode.Peer{ID: "server", Addr: server.URL + path},
		Absent:    gcnode.Peer{ID: "nobody", Addr: absentAddr(t)},
	}
}

func TestConformance(t *testing.T) {
	patient := httptransport.ClientOptions{DialTimeout: patience}
	tests := []struct {
		name   string
		stream bool // there is one in the end
		serve  transporttest.Factory
	}{
		{"stream", true, func(t *testing.T, h gcnode.Handler) transporttest.Endpoint {
			t.Helper()
			server := httptest.NewServer(newHandler(t, h, httptransport.HandlerOptions{}))
			return endpoint(t, server, "/", patient)
		}},
		{"plain", false, func(t *testing.T, h gcnode.Handler) transporttest.Endpoint {
			t.Helper()
			server := httptest.NewServer(newHandler(t, h, httptransport.HandlerOptions{}))
			return endpoint(t, server, "/", httptransport.ClientOptions{DialTimeout: patience, Plain: true})
		}},
		{"signed stream", true, func(t *testing.T, h gcnode.Handler) transporttest.Endpoint {
			t.Helper()
			shared := secrets(t, "k")
			server := httptest.NewServer(newHandler(t, h, httptransport.HandlerOptions{Self: "server", Secrets: shared}))
			return endpoint(t, server, "/", httptransport.ClientOptions{DialTimeout: patience, Secrets: shared})
		}},
		{"signed plain", false, func(t *testing.T, h gcnode.Handler) transporttest.Endpoint {
			t.Helper()
			shared := secrets(t, "k")
			server := httptest.NewServer(newHandler(t, h, httptransport.HandlerOptions{Self: "server", Secrets: shared}))
			return endpoint(t, server, "/", httptransport.ClientOptions{DialTimeout: patience, Secrets: shared, Plain: true})
		}},
		{"signed over an unknown connection", true, func(t *testing.T, h gcnode.Handler) transporttest.Endpoint {
			t.Helper()
			shared := secrets(t, "k")
			server := httptest.NewServer(newHandler(t, h, httptransport.HandlerOptions{Self: "server", Secrets: shared}))
			client := server.Client()
			client.Transport = untraced{client.Transport}
			return endpoint(t, server, "", httptransport.ClientOptions{HTTPClient: client, Secrets: shared})
		}},
		{"under a path", true, func(t *testing.T, h gcnode.Handler) transporttest.Endpoint {
			t.Helper()
			mux := http.NewServeMux()
			mux.Handle("/cluster/peers/", newHandler(t, h, httptransport.HandlerOptions{}))
			return endpoint(t, httptest.NewServer(mux), "/cluster/peers/", patient)
		}},
		{"TLS", true, func(t *testing.T, h gcnode.Handler) transporttest.Endpoint {
			t.Helper()
			server := httptest.NewTLSServer(newHandler(t, h, httptransport.HandlerOptions{}))
			return endpoint(t, server, "", httptransport.ClientOptions{HTTPClient: fewConnections(t, server)})
		}},
		{"plain TLS", false, func(t *testing.T, h gcnode.Handler) transporttest.Endpoint {
			t.Helper()
			server := httptest.NewTLSServer(newHandler(t, h, httptransport.HandlerOptions{}))
			return endpoint(t, server, "", httptransport.ClientOptions{HTTPClient: fewConnections(t, server), Plain: true})
		}},
		{"unknown connection", true, func(t *testing.T, h gcnode.Handler) transporttest.Endpoint {
			t.Helper()
			server := httptest.NewServer(newHandler(t, h, httptransport.HandlerOptions{}))
			client := server.Client()
			client.Transport = untraced{client.Transport}
			return endpoint(t, server, "", httptransport.ClientOptions{HTTPClient: client})
		}},
		{"client with a timeout", true, func(t *testing.T, h gcnode.Handler) transporttest.Endpoint {
			t.Helper()
			server := httptest.NewServer(newHandler(t, h, httptransport.HandlerOptions{}))
			client := server.Client()
			client.Timeout = patience
			return endpoint(t, server, "", httptransport.ClientOptions{HTTPClient: client})
		}},
		{"no hijacking", false, func(t *testing.T, h gcnode.Handler) transporttest.Endpoint {
			t.Helper()
			member := newHandler(t, h, httptransport.HandlerOptions{})
			return endpoint(t, httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				member.ServeHTTP(flushOnly{w}, r)
			})), "", patient)
		}},
		{"HTTP2", false, func(t *testing.T, h gcnode.Handler) transporttest.Endpoint {
			t.Helper()
			server := httptest.NewUnstartedServer(newHandler(t, h, httptransport.HandlerOptions{}))
			server.EnableHTTP2 = true
			server.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 2000}
			server.StartTLS()
			// With a connection there, requests share it and dial no others.
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
			require.NoError(t, err)
			resp, err := server.Client().Do(req)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, 2, resp.ProtoMajor)
			return endpoint(t, server, "", httptransport.ClientOptions{HTTPClient: server.Client()})
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			transporttest.Run(t, test.serve)
			t.Run("Way", func(t *testing.T) {
				e := test.serve(t, handlerFunc(echo))
				client, ok := e.Transport.(*httptransport.Client)
				require.True(t, ok)
				_, err := fetch(t.Context(), client, e.Peer.Addr, "k")
				require.NoError(t, err)
				stats := client.Stats().Peers
				require.Len(t, stats, 1)
				require.Equal(t, test.stream, stats[0].Stream, "problem: %s", stats[0].Problem)
			})
		})
	}
}

// fewConnections is a client for many requests at once without as many
// handshakes, which take long.
func fewConnections(t *testing.T, server *httptest.Server) *http.Client {
	t.Helper()
	client := server.Client()
	transport, ok := client.Transport.(*http.Transport)
	require.True(t, ok)
	transport.MaxConnsPerHost, transport.MaxIdleConnsPerHost = 100, 100
	return client
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
