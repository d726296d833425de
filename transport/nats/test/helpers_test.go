package test

import (
	"context"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	gcnode "github.com/gcnode/gcnode/core"
	natstransport "github.com/gcnode/gcnode/transport/nats"
)

// patience is how long a test waits for what should happen at once.
const patience = 2 * time.Minute

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startServer starts a NATS server; change, if it is not nil, changes its
// options.
func startServer(t *testing.T, change func(*natsserver.Options)) *natsserver.Server {
	t.Helper()
	opts := &natsserver.Options{Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoLog: true, NoSigs: true}
	if change != nil {
		change(opts)
	}
	s, err := natsserver.NewServer(opts)
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() { stopServer(s) })
	require.True(t, s.ReadyForConnections(patience))
	return s
}

// stopServer ends a NATS server.
func stopServer(s *natsserver.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// maxPayload limits the size of messages.
func maxPayload(size int32) func(*natsserver.Options) {
	return func(o *natsserver.Options) { o.MaxPayload = size }
}

// connect is a connection that is closed with the test.
func connect(t *testing.T, url string, opts ...nats.Option) *nats.Conn {
	t.Helper()
	opts = append([]nats.Option{
		nats.MaxReconnects(-1), nats.ReconnectWait(20 * time.Millisecond), nats.ReconnectJitter(0, 0), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}),
	}, opts...)
	nc, err := nats.Connect(url, opts...)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return nc
}

// serve serves h until the end of the test.
func serve(t *testing.T, nc *nats.Conn, h gcnode.Handler, opts natstransport.ServerOptions) *natstransport.Server {
	t.Helper()
	if opts.ID == "" {
		opts.ID = "server"
	}
	server, err := natstransport.Serve(nc, h, opts)
	require.NoError(t, err)
	t.Cleanup(server.Close)
	return server
}

// newClient is a client that is closed with the test.
func newClient(t *testing.T, nc *nats.Conn, opts natstransport.ClientOptions) *natstransport.Client {
	t.Helper()
	client, err := natstransport.NewClient(nc, opts)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

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

// fetch asks the member "server" for keys.
func fetch(ctx context.Context, c *natstransport.Client, keys ...string) ([]gcnode.Reply, error) {
	var got collect
	err := c.RoundTrip(ctx, gcnode.Peer{ID: "server"}, &gcnode.Request{Op: gcnode.OpFetch, Group: "g", Keys: keys}, &got)
	return got.replies, err
}

// eventually polls a condition.
func eventually(t *testing.T, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, patience, 5*time.Millisecond, what)
}
