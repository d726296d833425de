package httptransport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	httptransport "github.com/gcnode/gcnode/transport/http"
	"github.com/gcnode/gcnode/transport/wire"
)

func TestNewClientRefuses(t *testing.T) {
	tests := map[string]httptransport.ClientOptions{
		"must not be negative":    {DialTimeout: -1},
		"MaxIdlePerPeer -1":       {MaxIdlePerPeer: -1},
		"those of HTTPClient; se": {HTTPClient: http.DefaultClient, DialTimeout: time.Second},
	}
	for says, opts := range tests {
		_, err := httptransport.NewClient(opts)
		require.ErrorContains(t, err, says)
	}
}

func TestClientRefusesAddresses(t *testing.T) {
	client := newClient(t, httptransport.ClientOptions{})
	for _, addr := range []string{"", "localhost", "127.0.0.1:7001", "/peers", "ftp://a/", "http://", "http:///x", "http://a b/", "\x00"} {
		_, err := fetch(t.Context(), client, addr, "k")
		require.ErrorIs(t, err, gcnode.ErrUnreachable, "address %q", addr)
		require.ErrorContains(t, err, "is not an absolute URL")
		require.ErrorContains(t, err, `"server"`)
	}
}

// TestClientRefusesAnswers has servers that do not answer as a peer does.
func TestClientRefusesAnswers(t *testing.T) {
	reply := func(rs ...gcnode.Reply) string {
		var b strings.Builder
		for _, r := range rs {
			require.NoError(t, wire.NewWriter(&b).WriteReply(r))
		}
		return b.String()
	}
	var end strings.Builder
	require.NoError(t, wire.NewWriter(&end).WriteEnd(nil))
	one := reply(gcnode.Reply{Value: gcnode.StringValue("v")})
	const lastPiece = len("\x05\x12\x03\x0a\x01x")
	large := reply(gcnode.Reply{Value: gcnode.StringValue(strings.Repeat("x", wire.PieceBytes+1))})
	tests := []struct {
		name   string
		status int
		header string
		body   string
		says   string
	}{
		{"not found", http.StatusNotFound, "text/plain", "no such page", `404 Not Found: "no such page"`},
		{"redirect", http.StatusTemporaryRedirect, contentType, "", "307"},
		{"another server", http.StatusOK, "text/html", "<html>", "is this the URL of a peer?"},
		{"no content type", http.StatusOK, "", "", "is this the URL of a peer?"},
		{"empty", http.StatusOK, contentType, "", "unexpected EOF"},
		{"no end", http.StatusOK, contentType, one, "unexpected EOF"},
		{"truncated", http.StatusOK, contentType, one[:len(one)-1], "unexpected EOF"},
		{"truncated value", http.StatusOK, contentType, large[:len(large)-1], "unexpected EOF"},
		{"missing piece", http.StatusOK, contentType, large[:len(large)-lastPiece] + end.String(), "are missing"},
		{"garbage", http.StatusOK, contentType, "\x05hello", "malformed"},
		{"two replies to a key", http.StatusOK, contentType, one + one + end.String(), "a second reply to key 0"},
		{"another key", http.StatusOK, contentType, reply(gcnode.Reply{Key: 1}) + end.String(), "key 1, which was not asked for"},
		{"another key's work", http.StatusOK, contentType, reply(gcnode.Reply{Key: 1, Pending: true}) + end.String(), "key 1, which was not asked for"},
		{"after the end", http.StatusOK, contentType, one + end.String() + "x", "after the end"},
		{"frame over the limit", http.StatusOK, contentType, "\xff\xff\xff\x7f", "at most 4194304"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = []string{test.header}
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}))
			defer server.Close()
			_, err := fetch(t.Context(), newClient(t, httptransport.ClientOptions{}), server.URL, "k")
			require.ErrorIs(t, err, gcnode.ErrUnreachable)
			require.ErrorContains(t, err, test.says)
			require.ErrorContains(t, err, `"server"`)
			require.ErrorContains(t, err, server.URL)
		})
	}
}

// TestClientLeavesAnotherProtocol has a server that turns each connection into
// something else, and says nothing: what comes over it belongs to no request, so
// that no context ends reading it.
func TestClientLeavesAnotherProtocol(t *testing.T) {
	over := make(chan struct{})
	addr := serveHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("hijack: %v", err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n")
		<-over
	})
	t.Cleanup(func() { close(over) })
	for way, opts := range ways() {
		for _, signed := range []*httptransport.Secrets{nil, secrets(t, "k")} {
			opts.Secrets = signed
			client := newClient(t, opts)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond) // which reading would survive
			defer cancel()
			left := make(chan error)
			for range 20 { // some of them together
				go func() {
					_, err := fetch(ctx, client, addr, "k")
					left <- err
				}()
			}
			for range 20 {
				select {
				case err := <-left:
					require.Error(t, err)
				case <-time.After(patience):
					require.FailNow(t, "a caller cannot leave", way)
				}
			}
			_, err := fetch(t.Context(), client, addr, "k")
			require.ErrorIs(t, err, gcnode.ErrUnreachable, way)
			require.ErrorContains(t, err, "the answer is 101 Switching Protocols", way)
		}
	}
}

// TestClientStopsEndlessAnswers has servers that send for ever: the client
// stops on its own, or when its context ends.
func TestClientStopsEndlessAnswers(t *testing.T) {
	endless := func(write func(w *wire.Writer) error) *httptest.Server {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			frames := wire.NewWriter(w)
			for write(frames) == nil {
			}
		}))
		t.Cleanup(server.Close)
		return server
	}
	client := newClient(t, httptransport.ClientOptions{})
	values := endless(func(w *wire.Writer) error { return w.WriteReply(gcnode.Reply{Value: gcnode.StringValue("v")}) })
	_, err := fetch(t.Context(), client, values.URL, "k")
	require.ErrorContains(t, err, "a second reply")

	pending := endless(func(w *wire.Writer) error { return w.WriteReply(gcnode.Reply{Pending: true}) })
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	count := 0
	err = client.RoundTrip(ctx, gcnode.Peer{ID: "server", Addr: pending.URL},
		&gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"k"}}, writeFunc(func(gcnode.Reply) error {
			if count++; count == 1000 {
				cancel(enough)
			}
			return nil
		}))
	require.ErrorIs(t, err, enough)
	require.ErrorIs(t, err, context.Canceled)
}

// writeFunc is a function that is a gcnode.ReplyWriter.
type writeFunc func(gcnode.Reply) error

func (f writeFunc) WriteReply(r gcnode.Reply) error { return f(r) }

func TestClientRefusesRequestsOverLimits(t *testing.T) {
	server := serve(t, handlerFunc(echo), httptransport.HandlerOptions{})
	client := newClient(t, httptransport.ClientOptions{})
	_, err := fetch(t.Context(), client, server.URL, strings.Repeat("k", gcnode.MaxKeyBytes+1))
	require.ErrorIs(t, err, gcnode.ErrTooLarge)
	require.ErrorContains(t, err, "65537 bytes")
}

// TestClientUnderstandsTooLarge has a peer with lower limits.
func TestClientUnderstandsTooLarge(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "at most 3 keys", http.StatusRequestEntityTooLarge)
	}))
	defer server.Close()
	got, err := fetch(t.Context(), newClient(t, httptransport.ClientOptions{}), server.URL, "a", "b")
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.ErrorIs(t, got[1].Err, gcnode.ErrTooLarge)
	require.ErrorContains(t, got[1].Err, "at most 3 keys")
}

// TestClientRetriesClosedConnections has a peer that closes connections which
// the client keeps for later: it accepts a second request and closes the
// connection without an answer, as when it had timed out meanwhile.
func TestClientRetriesClosedConnections(t *testing.T) {
	member := newHandler(t, handlerFunc(echo), httptransport.HandlerOptions{})
	var conns, dropped atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served, ok := r.Context().Value(servedKey{}).(*atomic.Int32)
		if !ok || served.Add(1) == 1 {
			member.ServeHTTP(w, r)
			return
		}
		dropped.Add(1)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("hijack: %v", err)
			return
		}
		_ = conn.Close()
	}))
	server.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		conns.Add(1)
		return context.WithValue(ctx, servedKey{}, new(atomic.Int32))
	}
	server.Start()
	defer server.Close()
	client := newClient(t, httptransport.ClientOptions{Plain: true})
	for range 5 {
		got, err := fetch(t.Context(), client, server.URL, "k")
		require.NoError(t, err)
		require.Len(t, got, 1)
	}
	require.Equal(t, int32(5), conns.Load())
	require.Equal(t, int32(4), dropped.Load(), "connections were not used again")
}

// servedKey is the context key of the number of requests on a connection.
type servedKey struct{}

// TestClientReusesConnections also finds answers that are not read to the end.
func TestClientReusesConnections(t *testing.T) {
	for name, opts := range ways() {
		t.Run(name, func(t *testing.T) {
			var conns atomic.Int32
			server := httptest.NewUnstartedServer(newHandler(t, handlerFunc(echo), httptransport.HandlerOptions{}))
			server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					conns.Add(1)
				}
			}
			server.Start()
			defer server.Close()
			client := newClient(t, opts)
			for range 20 {
				_, err := fetch(t.Context(), client, server.URL, "a", "b")
				require.NoError(t, err)
			}
			require.Equal(t, int32(1), conns.Load())
		})
	}
}

// TestClientRestartedPeer has a peer that goes away and comes back under the
// same address.
func TestClientRestartedPeer(t *testing.T) {
	for name, opts := range ways() {
		t.Run(name, func(t *testing.T) {
			l := listen(t, "127.0.0.1:0")
			addr := l.Addr().String()
			client := newClient(t, opts)
			for range 3 {
				handler := newHandler(t, handlerFunc(echo), httptransport.HandlerOptions{})
				server := &http.Server{Handler: handler, ReadHeaderTimeout: patience}
				done := make(chan error, 1)
				go func() { done <- server.Serve(l) }()
				_, err := fetch(t.Context(), client, "http://"+addr, "k")
				require.NoError(t, err)
				require.NoError(t, server.Close())
				handler.Close()
				require.ErrorIs(t, <-done, http.ErrServerClosed)
				_, err = fetch(t.Context(), client, "http://"+addr, "k")
				require.ErrorIs(t, err, gcnode.ErrUnreachable)
				l = listen(t, addr)
			}
			require.NoError(t, l.Close())
		})
	}
}

// TestClientLosesConnection has a peer that dies in the middle of an answer.
func TestClientLosesConnection(t *testing.T) {
	for name, opts := range ways() {
		t.Run(name, func(t *testing.T) {
			server := serve(t, handlerFunc(func(ctx context.Context, _ *gcnode.Request, w gcnode.ReplyWriter) error {
				err := w.WriteReply(gcnode.Reply{Key: 1, Value: gcnode.StringValue("v")})
				<-ctx.Done()
				return err
			}), httptransport.HandlerOptions{})
			var got collect
			err := newClient(t, opts).RoundTrip(t.Context(), gcnode.Peer{ID: "server", Addr: server.URL},
				&gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"a", "b"}}, writeFunc(func(r gcnode.Reply) error {
					server.drop()
					return got.WriteReply(r)
				}))
			require.ErrorIs(t, err, gcnode.ErrUnreachable)
			require.Len(t, got.replies, 1)
		})
	}
}

func TestClientClosed(t *testing.T) {
	server := serve(t, handlerFunc(echo), httptransport.HandlerOptions{})
	client := newClient(t, httptransport.ClientOptions{})
	client.Close()
	_, err := fetch(t.Context(), client, server.URL, "k")
	require.ErrorContains(t, err, "the client is closed")
}
