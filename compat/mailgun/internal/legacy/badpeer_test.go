package legacy_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/compat/mailgun/internal/legacy"
	gcnode "github.com/gcnode/gcnode/core"
)

const patience = 2 * time.Minute // when a test hangs

// badPeer is a peer that answers in this way.
func badPeer(t *testing.T, answer http.HandlerFunc) legacy.Peer {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	client := legacy.NewClient(legacy.ClientOptions{Timeout: patience})
	t.Cleanup(client.Close)
	return client.Peer(server.URL)
}

// hijacked answers with these bytes, and closes the connection.
func hijacked(answer string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = io.WriteString(conn, answer)
			_ = conn.Close()
		}
	}
}

// TestBadAnswersAreNone wants whatever is no answer to be an error of its own
// kind, after which the value is loaded.
func TestBadAnswersAreNone(t *testing.T) {
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"nothing":       {hijacked(""), "EOF"},
		"no HTTP":       {hijacked("what?\r\n\r\n"), "malformed HTTP"},
		"half a header": {hijacked("HTTP/1.1 200 OK\r\nContent-Le"), "malformed MIME header"},
		"half a body":   {hijacked("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n\x0a\x03a"), "unexpected EOF"},
		"half a value":  {hijacked("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n\x0a\x03a"), "the answer is no value"},
		"a page":        {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, "the answer is no value"},
		"another status": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "no such group: g", http.StatusMisdirectedRequest)
		}, "421 Misdirected Request: no such group: g"},
		"no group": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no such group: g", http.StatusNotFound) }, "404"},
		"no pool":  {http.NotFound, "404"},
		"somewhere else": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusMovedPermanently)
		}, "301"},
		"an endless text": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			endless(w, "x")
		}, "500"},
		"another protocol": {func(w http.ResponseWriter, _ *http.Request) { // and nothing after it
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n")
				_, _ = io.Copy(io.Discard, conn) // until the client is gone
				_ = conn.Close()
			}
		}, "101 Switching Protocols"},
		"a long header": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) }, "headers exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := badPeer(t, test.answer).Get(t.Context(), "g", "k")
			require.ErrorContains(t, err, test.want)
			require.NotErrorIs(t, err, gcnode.ErrNotFound)
			require.Less(t, len(err.Error()), 8<<10)
		})
	}
}

// TestAnswersAreFinal has the two that an old peer gives about a key.
func TestAnswersAreFinal(t *testing.T) {
	say := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no user\nof that name", status) }
	}
	_, err := badPeer(t, say(http.StatusNotFound)).Get(t.Context(), "g", "k")
	require.ErrorIs(t, err, gcnode.ErrNotFound)
	require.ErrorContains(t, err, "no user\nof that name")
	_, err = badPeer(t, say(http.StatusServiceUnavailable)).Get(t.Context(), "g", "k")
	require.Equal(t, &legacy.RemoteError{Text: "no user\nof that name"}, err)
}

// endless writes until the other side has enough.
func endless(w io.Writer, s string) {
	chunk := []byte(strings.Repeat(s, 64<<10))
	for {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

// allocated is how much memory do takes, what is given back included.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestBombsTakeLittle has answers that announce more than there is, or may be.
func TestBombsTakeLittle(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"a length that is not kept": hijacked("HTTP/1.1 200 OK\r\nContent-Length: 67000000\r\n\r\n\x0a"),
		"a value that is not there": hijacked("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n\x0a\xff\xff\xff\x7f1"),
		"many fields":               func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte{0x18, 0}, 64<<10)) },
	} {
		t.Run(name, func(t *testing.T) {
			peer := badPeer(t, answer)
			took := allocated(func() { _, _ = peer.Get(t.Context(), "g", "k") })
			require.Less(t, took, uint64(4<<20))
		})
	}
	t.Run("an endless value", func(t *testing.T) {
		var sent atomic.Int64
		peer := badPeer(t, func(w http.ResponseWriter, _ *http.Request) {
			endless(io.MultiWriter(countWriter{&sent}, w), "\x12")
		})
		_, err := peer.Get(t.Context(), "g", "k")
		require.ErrorContains(t, err, "the answer has more than")
		require.Less(t, sent.Load(), int64(gcnode.MaxValueBytes+16<<20))
	})
}

type countWriter struct{ n *atomic.Int64 }

func (c countWriter) Write(b []byte) (int, error) { c.n.Add(int64(len(b))); return len(b), nil }

// TestASilentPeerRests wants one that does not answer to be asked once, and not by
// each of many.
func TestASilentPeerRests(t *testing.T) {
	var asked atomic.Int64
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(release)
	client := legacy.NewClient(legacy.ClientOptions{Timeout: 100 * time.Millisecond})
	defer client.Close()
	peer := client.Peer(server.URL)
	_, err := peer.Get(t.Context(), "g", "k")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	for range 50 {
		_, err := peer.Get(t.Context(), "g", "k")
		require.ErrorContains(t, err, "did not answer a short time ago")
	}
	require.Equal(t, int64(1), asked.Load())
}

// TestAPeerThatIsBackIsAsked wants the rest to end, and whoever leaves to say
// nothing about the peer.
func TestAPeerThatIsBackIsAsked(t *testing.T) {
	var back atomic.Bool
	peer := badPeer(t, func(w http.ResponseWriter, r *http.Request) {
		if !back.Load() {
			hijacked("")(w, r)
		}
	})
	_, err := peer.Get(t.Context(), "g", "k")
	require.Error(t, err)
	back.Store(true)
	require.Eventually(t, func() bool { _, err := peer.Get(t.Context(), "g", "k"); return err == nil }, patience, 10*time.Millisecond)

	left, leave := context.WithCancel(t.Context())
	leave()
	_, err = peer.Get(left, "g", "k")
	require.ErrorIs(t, err, context.Canceled)
	_, err = peer.Get(t.Context(), "g", "k")
	require.NoError(t, err, "it rests since somebody else has left")
}

// TestAWriteSurvivesTheEndOfAConnection has every second request find out that the
// connection which the one before it has left is not served any more, as it is
// after the peer was replaced.
func TestAWriteSurvivesTheEndOfAConnection(t *testing.T) {
	var old sync.Map // connections that were used before
	peer := badPeer(t, func(w http.ResponseWriter, r *http.Request) {
		if _, again := old.LoadOrStore(r.RemoteAddr, true); again {
			hijacked("")(w, r)
		}
	})
	for range 3 {
		require.NoError(t, peer.Remove(t.Context(), "g", "k"))
		require.NoError(t, peer.Set(t.Context(), "g", "k", gcnode.Item[gcnode.Value]{Value: gcnode.StringValue("v")}))
	}
}

func TestAGroupThatOldPeersTakeForAnotherIsNotAsked(t *testing.T) {
	peer := badPeer(t, func(http.ResponseWriter, *http.Request) { t.Error("it was asked") })
	_, err := peer.Get(t.Context(), "a/b", "k")
	require.ErrorContains(t, err, `the name of group "a/b" has a slash`)
	require.Error(t, peer.Remove(t.Context(), "a/b", "k"))
	require.Error(t, peer.Set(t.Context(), "a/b", "k", gcnode.Item[gcnode.Value]{}))
}

// echo is a getter whose values are the keys.
func echo(_ context.Context, key string) (gcnode.Item[gcnode.Value], error) {
	return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(key)}, nil
}

// served is a handler on a node of its own, without peers.
func served(t *testing.T) *httptest.Server {
	t.Helper()
	node, err := gcnode.NewNode(gcnode.Config{})
	require.NoError(t, err)
	group, err := node.Group("g", gcnode.GetterFunc[gcnode.Value](echo), gcnode.GroupOptions{MaxBytes: 1 << 20})
	require.NoError(t, err)
	server := httptest.NewServer(legacy.NewHandler(legacy.HandlerOptions{
		Lookup: func(name string) (legacy.Cache, bool) { return group, name == "g" },
	}))
	t.Cleanup(server.Close)
	return server
}

// TestBadRequestsAreRefused wants each to be told what is wrong.
func TestBadRequestsAreRefused(t *testing.T) {
	server := served(t)
	for name, test := range map[string]struct {
		method, path string
		body         io.Reader
		status       int
		text         string
	}{
		"another path":      {http.MethodGet, "/other", nil, 421, "at /_groupcache/"},
		"no key":            {http.MethodGet, "/_groupcache/g", nil, 400, "the path has no key"},
		"no group":          {http.MethodGet, "/_groupcache/other/k", nil, 421, "no such group: other"},
		"another method":    {http.MethodPatch, "/_groupcache/g/k", nil, 405, "GET, PUT and DELETE"},
		"no value":          {http.MethodPut, "/_groupcache/g/k", strings.NewReader("what?"), 400, "the body is no value to store"},
		"an empty body":     {http.MethodPut, "/_groupcache/g/k", nil, 400, "required field"},
		"another key":       {http.MethodPut, "/_groupcache/g/k", strings.NewReader("\x0a\x01g\x12\x05other"), 400, `the path names "k"`},
		"of unknown length": {http.MethodPut, "/_groupcache/g/k", io.MultiReader(strings.NewReader("x")), 411, "length"},
		"a key too long":    {http.MethodGet, "/_groupcache/g/" + strings.Repeat("k", gcnode.MaxKeyBytes+1), nil, 503, "at most 65536"},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), test.method, server.URL+test.path, test.body)
			require.NoError(t, err)
			res, err := http.DefaultClient.Do(req)
			require.NoError(t, err)
			defer func() { require.NoError(t, res.Body.Close()) }()
			text, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.Equal(t, test.status, res.StatusCode, "%s", text)
			require.Contains(t, string(text), test.text)
		})
	}
}

// TestLargeBodiesAreBoundedTogether wants those that announce a value, and do not
// send it, to take little, and no more of them to be let in than there is room for.
func TestLargeBodiesAreBoundedTogether(t *testing.T) {
	server := served(t)
	addr := strings.TrimPrefix(server.URL, "http://")
	announce := func(length int64) net.Conn {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		_, err = fmt.Fprintf(conn, "PUT /_groupcache/g/k HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", length)
		require.NoError(t, err)
		return conn
	}
	status := func(conn net.Conn) string {
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
		line := make([]byte, len("HTTP/1.1 429"))
		_, err := io.ReadFull(conn, line)
		require.NoError(t, err)
		return string(line)
	}
	require.Equal(t, "HTTP/1.1 413", status(announce(gcnode.MaxValueBytes+1<<20)))
	took := allocated(func() {
		var wg sync.WaitGroup
		turned := make(chan string, 8)
		for range 8 { // of which four have room
			conn := announce(60 << 20)
			wg.Go(func() {
				line := make([]byte, len("HTTP/1.1 429"))
				_ = conn.SetReadDeadline(time.Now().Add(patience))
				if _, err := io.ReadFull(conn, line); err == nil {
					turned <- string(line)
				}
			})
		}
		for range 4 {
			require.Equal(t, "HTTP/1.1 429", <-turned)
		}
		server.CloseClientConnections()
		wg.Wait()
	})
	require.Less(t, took, uint64(8<<20))
}

// drawer is a cache with room for one value of any size.
type drawer struct{ it gcnode.Item[gcnode.Value] }

func (d *drawer) GetItem(context.Context, string) (gcnode.Item[gcnode.Value], error) {
	return d.it, nil
}
func (d *drawer) Remove(context.Context, ...string) error { return nil }
func (d *drawer) Set(_ context.Context, _ string, it gcnode.Item[gcnode.Value]) error {
	d.it = it
	return nil
}

// TestAValueIsAsLargeAsAllowed sends the largest one to and fro.
func TestAValueIsAsLargeAsAllowed(t *testing.T) {
	kept := &drawer{}
	server := httptest.NewServer(legacy.NewHandler(legacy.HandlerOptions{
		Lookup: func(string) (legacy.Cache, bool) { return kept, true },
	}))
	defer server.Close()
	client := legacy.NewClient(legacy.ClientOptions{Timeout: patience})
	defer client.Close()
	peer := client.Peer(server.URL)
	large := gcnode.BytesValue(make([]byte, gcnode.MaxValueBytes))
	require.NoError(t, peer.Set(t.Context(), "g", "k", gcnode.Item[gcnode.Value]{Value: large, Keep: gcnode.Forever}))
	it, err := peer.Get(t.Context(), "g", "k")
	require.NoError(t, err)
	require.True(t, it.Value == large)
}
