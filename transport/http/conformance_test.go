package httptransport_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
	httptransport "github.com/gcnode/gcnode/transport/http"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newHandler serves h over HTTP.
func newHandler(t *testing.T, h gcnode.Handler, opts httptransport.HandlerOptions) http.Handler {
	t.Helper()
	handler, err := httptransport.NewHandler(h, opts)
	require.NoError(t, err)
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
	tests := []struct {
		name  string
		serve transporttest.Factory
	}{
		{"plain", func(t *testing.T, h gcnode.Handler) transporttest.Endpoint {
			t.Helper()
			server := httptest.NewServer(newHandler(t, h, httptransport.HandlerOptions{}))
			return endpoint(t, server, "/", httptransport.ClientOptions{DialTimeout: patience})
		}},
		{"under a path", func(t *testing.T, h gcnode.Handler) transporttest.Endpoint {
			t.Helper()
			mux := http.NewServeMux()
			mux.Handle("/cluster/peers/", newHandler(t, h, httptransport.HandlerOptions{}))
			return endpoint(t, httptest.NewServer(mux), "/cluster/peers/", httptransport.ClientOptions{DialTimeout: patience})
		}},
		{"TLS", func(t *testing.T, h gcnode.Handler) transporttest.Endpoint {
			t.Helper()
			server := httptest.NewTLSServer(newHandler(t, h, httptransport.HandlerOptions{}))
			client := server.Client()
			transport, ok := client.Transport.(*http.Transport)
			require.True(t, ok)
			transport.MaxConnsPerHost, transport.MaxIdleConnsPerHost = 100, 100 // handshakes take long
			return endpoint(t, server, "", httptransport.ClientOptions{HTTPClient: client})
		}},
		{"HTTP2", func(t *testing.T, h gcnode.Handler) transporttest.Endpoint {
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
		t.Run(test.name, func(t *testing.T) { transporttest.Run(t, test.serve) })
	}
}
