package httptransport_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	httptransport "github.com/gcnode/gcnode/transport/http"
)

// life is a node between a start and a stop.
type life struct {
	node    *gcnode.Node
	group   *gcnode.Group
	client  *httptransport.Client
	handler *httptransport.Handler
	secrets *httptransport.Secrets // nil: it signs nothing
	end     func()
}

// startLife starts the member of a list of two again, with secrets or without. The
// group loads a key as itself.
func startLife(t *testing.T, peers []gcnode.Peer, self gcnode.Peer, shared *httptransport.Secrets, plain bool) *life {
	t.Helper()
	l := &life{secrets: shared}
	l.client = newClient(t, httptransport.ClientOptions{DialTimeout: patience, Plain: plain, Secrets: shared})
	var err error
	l.node, err = gcnode.NewNode(gcnode.Config{Self: self, Transport: l.client, PeerTimeout: patience})
	require.NoError(t, err)
	l.group, err = l.node.Group("g", gcnode.GetterFunc[gcnode.Value](func(_ context.Context, key string) (gcnode.Item[gcnode.Value], error) {
		return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(key)}, nil
	}), gcnode.GroupOptions{MaxBytes: 8 << 20})
	require.NoError(t, err)
	l.handler = newHandler(t, l.node, httptransport.HandlerOptions{Self: self.ID, Secrets: shared})
	server := httptest.NewUnstartedServer(l.handler)
	require.NoError(t, server.Listener.Close())
	server.Listener = listen(t, self.Addr[len("http://"):])
	server.Start()
	l.end = func() {
		require.NoError(t, l.node.Close(context.WithoutCancel(t.Context())))
		l.client.Close()
		server.CloseClientConnections()
		l.handler.Close()
		server.Close()
	}
	require.NoError(t, l.node.SetPeers(peers))
	return l
}

// understand checks that two nodes read, set and remove at each other.
func understand(t *testing.T, what string, a, b *life) {
	t.Helper()
	require.NoError(t, a.node.Joined(t.Context()), what)
	require.NoError(t, b.node.Joined(t.Context()), what)
	groups := []*gcnode.Group{a.group, b.group}
	for by, group := range groups {
		for i := range 20 {
			requireValue(t, strconv.Itoa(i), groups)
			key := fmt.Sprint("set", i)
			require.NoError(t, group.Set(t.Context(), key, gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(key)}), what)
			requireValue(t, key, groups[1-by:2-by])
		}
		require.NoError(t, group.Remove(t.Context(), "1", "2"), what)
		require.NoError(t, group.Clear(t.Context()), what)
	}
}

// TestAClusterGetsItsSecretsNodeByNode has two nodes that sign nothing, and which
// are started again with secrets one after the other. Each serves while the other
// is away, and at each step they understand each other.
func TestAClusterGetsItsSecretsNodeByNode(t *testing.T) {
	for way, opts := range ways() {
		t.Run(way, func(t *testing.T) {
			var peers []gcnode.Peer
			for _, id := range []string{"a", "b"} {
				l := listen(t, "127.0.0.1:0")
				peers = append(peers, gcnode.Peer{ID: id, Addr: "http://" + l.Addr().String()})
				require.NoError(t, l.Close())
			}
			lives := make([]*life, 2)
			start := func(i int, shared *httptransport.Secrets) {
				if lives[i] != nil {
					lives[i].end()
					requireValue(t, "while the other one is away", []*gcnode.Group{lives[1-i].group})
				}
				lives[i] = startLife(t, peers, peers[i], shared, opts.Plain)
			}
			unsigned := func(i int) bool { return statsOf(t, lives[i].client).Unsigned }
			start(0, nil)
			start(1, nil)
			understand(t, "without secrets", lives[0], lives[1])

			first := secrets(t, "k")
			first.AcceptUnsigned(true)
			start(0, first)
			understand(t, "one with secrets", lives[0], lives[1])
			require.True(t, unsigned(0))
			require.False(t, unsigned(1), "who signs nothing wants no signatures")
			require.NotZero(t, lives[0].handler.Stats().Unsigned)
			require.Zero(t, lives[1].handler.Stats().Unsigned)

			second := secrets(t, "k")
			second.AcceptUnsigned(true)
			start(1, second)
			before := lives[0].handler.Stats().Unsigned
			understand(t, "both with secrets", lives[0], lives[1])
			require.False(t, unsigned(0))
			require.False(t, unsigned(1))
			require.Equal(t, before, lives[0].handler.Stats().Unsigned, "what is signed is counted")
			require.Zero(t, lives[1].handler.Stats().Unsigned)

			streams := statsOf(t, lives[0].client).Streams
			first.AcceptUnsigned(false)
			understand(t, "one wants signatures", lives[0], lives[1])
			second.AcceptUnsigned(false)
			understand(t, "both want signatures", lives[0], lives[1])
			require.Equal(t, streams, statsOf(t, lives[0].client).Streams, "what is signed goes on")
			for i, l := range lives {
				require.Zero(t, l.handler.Stats().Signatures, "a request was refused on the way")
				_, err := fetchFrom(t, newClient(t, opts), peers[i].ID, peers[i].Addr, "k")
				require.ErrorContains(t, err, "wants requests to be signed")
				l.end()
			}
		})
	}
}

// TestAStreamWithoutASignatureEndsWhenItNeedsOne has clients without secrets, and
// ones that took what was not signed.
func TestAStreamWithoutASignatureEndsWhenItNeedsOne(t *testing.T) {
	ours := secrets(t, "k")
	ours.AcceptUnsigned(true)
	m, served := guarded(t, httptransport.HandlerOptions{Secrets: ours})
	client := newClient(t, httptransport.ClientOptions{})
	_, err := fetchFrom(t, client, "a", m.URL, "k")
	require.NoError(t, err)
	require.EqualValues(t, 1, m.handler.Stats().Unsigned)
	ours.AcceptUnsigned(false)
	_, err = fetchFrom(t, client, "a", m.URL, "k")
	require.ErrorIs(t, err, gcnode.ErrUnreachable)
	require.ErrorContains(t, err, "wants requests to be signed")
	require.EqualValues(t, 1, served.Load())
	require.EqualValues(t, 1, m.handler.Stats().Signatures.Outdated)

	open := serve(t, handlerFunc(echo), httptransport.HandlerOptions{})
	theirs := secrets(t, "k")
	theirs.AcceptUnsigned(true)
	client = newClient(t, httptransport.ClientOptions{Secrets: theirs})
	_, err = fetchFrom(t, client, "a", open.URL, "k")
	require.NoError(t, err)
	require.True(t, statsOf(t, client).Stream)
	theirs.AcceptUnsigned(false)
	_, err = fetchFrom(t, client, "a", open.URL, "k")
	require.ErrorContains(t, err, "the answer is not signed by the peer")
}

// TestASignatureThatIsThereIsChecked where none has to be.
func TestASignatureThatIsThereIsChecked(t *testing.T) {
	ours := secrets(t, "k")
	ours.AcceptUnsigned(true)
	m, served := guarded(t, httptransport.HandlerOptions{Secrets: ours})
	for _, method := range methods {
		c := newClaim(t, method)
		c.secret = secretOf("other")
		authorization, _ := c.sign()
		status, text, _ := exchanged(t, c.request(t, m, authorization))
		require.Equal(t, http.StatusUnauthorized, status)
		require.Contains(t, text, "the signature is wrong")
		status, text, _ = exchanged(t, c.request(t, m, "Gcnode-HMAC-SHA256 cut"))
		require.Equal(t, http.StatusUnauthorized, status)
		require.Contains(t, text, "wants requests to be signed")
	}
	require.Zero(t, served.Load())

	const proof = `nonce="AAAA", mac="AAAA"`
	open := newHandler(t, handlerFunc(echo), httptransport.HandlerOptions{})
	forged := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			conn, _, err := http.NewResponseController(w).Hijack()
			if !assert.NoError(t, err) {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: gcnode.peer.v1\r\n"+
				"Authentication-Info: "+proof+"\r\n\r\n")
			_ = conn.Close()
			return
		}
		w.Header().Set("Authentication-Info", proof)
		open.ServeHTTP(w, r)
	})
	for way, opts := range ways() {
		opts.Secrets = ours
		client := newClient(t, opts)
		_, err := fetchFrom(t, client, "a", forged, "k")
		require.ErrorContains(t, err, "the answer is not signed by the peer", way)
		require.Zero(t, statsOf(t, client).Streams)
		require.False(t, statsOf(t, client).Unsigned)
	}
}

// TestWhoDoesNotSignIsKnownByItsCertificate where signatures need not be there,
// and by nothing else.
func TestWhoDoesNotSignIsKnownByItsCertificate(t *testing.T) {
	ours := secrets(t, "k")
	ours.AcceptUnsigned(true)
	list := members(t, "a", "b")
	handler := newHandler(t, handlerFunc(echo), httptransport.HandlerOptions{
		Self: "a", Secrets: ours,
		Access: httptransport.NewAccess(map[string]httptransport.Grant{"b": {Member: true}, "k": {Read: []string{"h"}}}),
	})
	server := httptest.NewUnstartedServer(handler)
	server.TLS = list["a"].Members("")
	server.StartTLS()
	t.Cleanup(server.Close)
	t.Cleanup(handler.Close)
	plain := httptest.NewServer(handler)
	t.Cleanup(plain.Close)
	for way, opts := range ways() {
		for says, test := range map[string]struct {
			addr   string
			shared *httptransport.Secrets
			tls    bool
		}{
			"":                              {addr: server.URL, tls: true},
			"nobody knows who asks":         {addr: plain.URL},
			`"k" is no member, so that the`: {addr: server.URL, tls: true, shared: ours},
		} {
			opts.Secrets, opts.TLS = test.shared, nil
			if test.tls {
				opts.TLS = list["b"].Client
			}
			denied := handler.Stats().Denied
			got, err := fetchFrom(t, newClient(t, opts), "a", test.addr, "k")
			require.NoError(t, err, way)
			if says == "" {
				require.Nil(t, got[0].Err)
				continue
			}
			require.ErrorIs(t, got[0].Err, gcnode.ErrDenied, way)
			require.ErrorContains(t, got[0].Err, says, way)
			require.Equal(t, denied+1, handler.Stats().Denied)
		}
	}
}
