package httptransport_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	httptransport "github.com/gcnode/gcnode/transport/http"
	"github.com/gcnode/gcnode/transport/wire"
)

const (
	contentType = "application/vnd.gcnode.peer.v1"
	// patience is how long a test waits for what should happen at once.
	patience = 2 * time.Minute
)

// handlerFunc is a function that is a gcnode.Handler.
type handlerFunc func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error

func (f handlerFunc) ServePeer(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
	return f(ctx, req, w)
}

// echo answers each key with itself.
func echo(_ context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
	for i, key := range req.Keys {
		if err := w.WriteReply(gcnode.Reply{Key: i, Value: gcnode.StringValue(key)}); err != nil {
			return err
		}
	}
	return nil
}

// collect is a gcnode.ReplyWriter that keeps the replies.
type collect struct{ replies []gcnode.Reply }

func (c *collect) WriteReply(r gcnode.Reply) error {
	c.replies = append(c.replies, r)
	return nil
}

// fetch asks the member at addr for keys.
func fetch(ctx context.Context, c *httptransport.Client, addr string, keys ...string) ([]gcnode.Reply, error) {
	var got collect
	err := c.RoundTrip(ctx, gcnode.Peer{ID: "server", Addr: addr}, &gcnode.Request{Op: gcnode.OpFetch, Group: "g", Keys: keys}, &got)
	return got.replies, err
}

// member is a server of a handler.
type member struct {
	*httptest.Server

	handler *httptransport.Handler
}

// serve is a server of h.
func serve(t *testing.T, h gcnode.Handler, opts httptransport.HandlerOptions) *member {
	t.Helper()
	handler := newHandler(t, h, opts)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return &member{server, handler}
}

// drop closes all connections to the member.
func (m *member) drop() {
	m.CloseClientConnections()
	m.handler.Close()
}

// ways are those on which a client reaches a peer.
func ways() map[string]httptransport.ClientOptions {
	return map[string]httptransport.ClientOptions{"stream": {}, "plain": {Plain: true}}
}

// encode is a request as the body of a POST.
func encode(t *testing.T, req *gcnode.Request) string {
	t.Helper()
	var body bytes.Buffer
	require.NoError(t, wire.NewWriter(&body).WriteRequest(req))
	return body.String()
}

// do sends a request over a connection of its own, and reads the answer.
func do(t *testing.T, req *http.Request) (status int, body string) {
	t.Helper()
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text)
}

// listen opens a port that the test closes.
func listen(t *testing.T, addr string) net.Listener {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", addr)
	require.NoError(t, err)
	return l
}

// dial is a bare connection to a server.
func dial(t *testing.T, addr net.Addr) net.Conn {
	t.Helper()
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", addr.String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	return conn
}

// secrets has one for each ID, the first of which signs.
func secrets(t *testing.T, ids ...string) *httptransport.Secrets {
	t.Helper()
	s, err := httptransport.NewSecrets(secretList(ids...)...)
	require.NoError(t, err)
	return s
}

// secretList is the secrets of some IDs.
func secretList(ids ...string) []httptransport.Secret {
	var list []httptransport.Secret
	for _, id := range ids {
		list = append(list, httptransport.Secret{ID: id, Secret: secretOf(id)})
	}
	return list
}

// secretOf is the secret of an ID.
func secretOf(id string) string { return "the secret with the id " + id + ", which is long enough" }

// serveHTTP is the URL of a server that is no member.
func serveHTTP(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}
