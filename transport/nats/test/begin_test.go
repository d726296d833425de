package test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
	natstransport "github.com/gcnode/gcnode/transport/nats"
)

func TestConformanceOfBegunRequests(t *testing.T) {
	var begun int64
	transporttest.Run(t, func(t *testing.T, h gcnode.Handler) transporttest.Endpoint {
		t.Helper()
		const first = "that there is a stream"
		url := startServer(t, nil).ClientURL()
		members := connect(t, url)
		serve(t, members, handlerFunc(func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
			if len(req.Keys) == 1 && req.Keys[0] == first {
				return echo(ctx, req, w)
			}
			return h.ServePeer(ctx, req, w)
		}), natstransport.ServerOptions{})
		client := newClient(t, connect(t, url), natstransport.ClientOptions{})
		_, err := fetch(t.Context(), client, first)
		require.NoError(t, err)
		silent := connect(t, url)
		hold(t, silent, natstransport.DefaultCluster, "silent")
		b := &transporttest.Beginning{Beginner: client}
		t.Cleanup(func() { begun += b.Begun() })
		return transporttest.Endpoint{
			Transport: b,
			Peer:      gcnode.Peer{ID: "server"},
			Absent:    gcnode.Peer{ID: "nobody"},
			Silent:    gcnode.Peer{ID: "silent"},
			Cut:       members.Close,
		}
	})
	require.Greater(t, begun, int64(500))
}

// begin begins a fetch on a client that has a stream.
func begin(t *testing.T, c *natstransport.Client, key string) (*transporttest.Queue, gcnode.Ticket) {
	t.Helper()
	x := transporttest.NewQueue()
	req := &gcnode.Request{Op: gcnode.OpFetch, Group: "g", Keys: []string{key}}
	ticket, ok := c.Begin(t.Context(), gcnode.Peer{ID: "server"}, req, x)
	require.True(t, ok)
	return x, ticket
}

// holding is a member that answers "k", and tells of other keys and their ends.
type holding struct{ begun, ended chan string }

func newHolding() holding { return holding{make(chan string, 10), make(chan string, 10)} }

// ServePeer implements [gcnode.Handler].
func (h holding) ServePeer(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
	if req.Keys[0] == "k" {
		return echo(ctx, req, w)
	}
	h.begun <- req.Keys[0]
	<-ctx.Done()
	h.ended <- req.Keys[0]
	return ctx.Err()
}

func TestATicketCancelsItsRequest(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	member := newHolding()
	server := serve(t, connect(t, url), member, natstransport.ServerOptions{})
	client := newClient(t, connect(t, url), natstransport.ClientOptions{})
	_, err := fetch(t.Context(), client, "k")
	require.NoError(t, err)
	a, first := begin(t, client, "first")
	require.Equal(t, "first", <-member.begun)
	b, second := begin(t, client, "second")
	require.Equal(t, "second", <-member.begun)
	first.Cancel()
	require.Equal(t, "first", <-member.ended)
	_, err = a.Wait(t)
	require.Error(t, err)
	require.NotErrorAs(t, err, new(*gcnode.RepeatError))
	first.Cancel() // once more, and for what has ended
	require.False(t, b.Ended())
	second.Cancel()
	_, err = b.Wait(t)
	require.Error(t, err)
	_, err = fetch(t.Context(), client, "k")
	require.NoError(t, err)
	require.EqualValues(t, 1, server.Stats().StreamsOpened)
}

// A request that was begun ends with its stream, and says that it may be asked
// again: by the connection of the member, of the client, and by Close.
func TestBegunRequestsEndWithTheirStream(t *testing.T) {
	for name, again := range map[string]bool{"member": true, "connection": true, "client": false} {
		t.Run(name, func(t *testing.T) {
			url := startServer(t, nil).ClientURL()
			theirs, ours := connect(t, url), connect(t, url)
			member := newHolding()
			server := serve(t, theirs, member, natstransport.ServerOptions{})
			client := newClient(t, ours, natstransport.ClientOptions{})
			_, err := fetch(t.Context(), client, "k")
			require.NoError(t, err)
			x, ticket := begin(t, client, "lost")
			require.Equal(t, "lost", <-member.begun)
			switch name {
			case "member":
				server.Close()
			case "connection":
				require.NoError(t, ours.ForceReconnect())
			default:
				client.Close()
			}
			_, err = x.Wait(t)
			require.ErrorIs(t, err, gcnode.ErrUnreachable)
			_, repeat := errors.AsType[*gcnode.RepeatError](err)
			require.Equal(t, again, repeat)
			ticket.Cancel()
		})
	}
}

func TestWhatCannotBeginIsLeftToRoundTrip(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	serve(t, connect(t, url), handlerFunc(echo), natstransport.ServerOptions{})
	for name, test := range map[string]struct {
		asked bool
		req   gcnode.Request
	}{
		"no stream yet":   {req: gcnode.Request{Keys: []string{"k"}}},
		"without a key":   {asked: true},
		"with two keys":   {asked: true, req: gcnode.Request{Keys: []string{"k", "l"}}},
		"with a value":    {asked: true, req: gcnode.Request{Keys: []string{"k"}, Value: gcnode.StringValue("v")}},
		"over a limit":    {asked: true, req: gcnode.Request{Keys: []string{strings.Repeat("k", gcnode.MaxKeyBytes+1)}}},
		"to another peer": {asked: true, req: gcnode.Request{Keys: []string{"k"}, To: "other"}},
	} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, connect(t, url), natstransport.ClientOptions{})
			if test.asked {
				_, err := fetch(t.Context(), client, "k")
				require.NoError(t, err)
			}
			to := gcnode.Peer{ID: "server"}
			if test.req.To != "" {
				to.ID = test.req.To
			}
			test.req.Op = gcnode.OpFetch
			_, ok := client.Begin(t.Context(), to, &test.req, transporttest.NewQueue())
			require.False(t, ok)
		})
	}
}

// What is asked after something else is not taken for the like of that.
func TestQuestionsAfterOthers(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	serve(t, connect(t, url), handlerFunc(func(_ context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
		return w.WriteReply(gcnode.Reply{Value: gcnode.StringValue(req.Op.String() + req.Group + req.Keys[0])})
	}), natstransport.ServerOptions{})
	client := newClient(t, connect(t, url), natstransport.ClientOptions{})
	_, err := fetch(t.Context(), client, "k")
	require.NoError(t, err)
	for _, between := range []*gcnode.Request{
		{Op: gcnode.OpFetch, Group: "other", Keys: []string{"k"}},
		{Op: gcnode.OpFetch, Group: "g", Keys: []string{"k", "l"}},
		{Op: gcnode.OpSet, Group: "g", Keys: []string{"k"}, Value: gcnode.StringValue("v")},
	} {
		for range 2 {
			for _, key := range []string{"a", "b"} {
				x, _ := begin(t, client, key)
				replies, err := x.Wait(t)
				require.NoError(t, err)
				require.Equal(t, "fetchg"+key, replies[0].Value.String())
			}
			require.NoError(t, client.RoundTrip(t.Context(), gcnode.Peer{ID: "server"}, between, &collect{}))
		}
	}
}

// A stream that is not open yet is no place to begin: whether anybody is there
// may take several attempts to find out.
func TestNothingBeginsBeforeTheStreamIsOpen(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	asked := make(chan struct{}, 10)
	silent := connect(t, url)
	_, err := silent.Subscribe("gcnode.default.node.server", func(*nats.Msg) { asked <- struct{}{} })
	require.NoError(t, err)
	require.NoError(t, silent.Flush())
	client := newClient(t, connect(t, url), natstransport.ClientOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error, 1)
	go func() {
		_, err := fetch(ctx, client, "k")
		waiting <- err
	}()
	<-asked
	req := &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"k"}}
	_, ok := client.Begin(t.Context(), gcnode.Peer{ID: "server"}, req, transporttest.NewQueue())
	require.False(t, ok)
	cancel()
	require.ErrorIs(t, <-waiting, context.Canceled)
}

// quitter abandons its request at the first reply.
type quitter struct {
	*transporttest.Queue

	ticket chan gcnode.Ticket
}

// WriteReply implements [gcnode.Exchange].
func (q quitter) WriteReply(r gcnode.Reply) error {
	(<-q.ticket).Cancel()
	return q.Queue.WriteReply(r)
}

func TestAnExchangeMayAbandonItselfWhileItIsTold(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	serve(t, connect(t, url), handlerFunc(echo), natstransport.ServerOptions{})
	client := newClient(t, connect(t, url), natstransport.ClientOptions{})
	for range 2 { // the second one has the memory of the first one
		_, err := fetch(t.Context(), client, "k")
		require.NoError(t, err)
		q := quitter{transporttest.NewQueue(), make(chan gcnode.Ticket, 1)}
		req := &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"k"}}
		ticket, ok := client.Begin(t.Context(), gcnode.Peer{ID: "server"}, req, q)
		require.True(t, ok)
		q.ticket <- ticket
		replies, err := q.Wait(t)
		require.Len(t, replies, 1)
		require.ErrorContains(t, err, "abandoned")
	}
}

// pausing is an exchange that is told something for as long as it likes.
type pausing struct {
	*transporttest.Queue

	told, goOn chan struct{}
}

// WriteReply implements [gcnode.Exchange].
func (p pausing) WriteReply(r gcnode.Reply) error {
	close(p.told)
	<-p.goOn
	return p.Queue.WriteReply(r)
}

// Close says goodbye even while something is received, and returns when that is
// on its way.
func TestCloseWhileAnExchangeIsTold(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	server := serve(t, connect(t, url), handlerFunc(echo), natstransport.ServerOptions{})
	nc := connect(t, url)
	client := newClient(t, nc, natstransport.ClientOptions{})
	_, err := fetch(t.Context(), client, "k")
	require.NoError(t, err)
	p := pausing{transporttest.NewQueue(), make(chan struct{}), make(chan struct{})}
	req := &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"k"}}
	_, ok := client.Begin(t.Context(), gcnode.Peer{ID: "server"}, req, p)
	require.True(t, ok)
	<-p.told
	closed := make(chan struct{})
	go func() {
		client.Close()
		close(closed)
	}()
	select {
	case <-closed:
		t.Error("nobody can have said goodbye")
	case <-time.After(50 * time.Millisecond):
	}
	close(p.goOn)
	<-closed
	require.NoError(t, nc.Flush())
	eventually(t, func() bool { return server.Stats().Streams == 0 }, "the member knows")
	_, err = p.Wait(t)
	require.Error(t, err)
}

// stuck is a connection that sends nothing while gate is locked.
type stuck struct {
	net.Conn
	*stuckDialer
}

// Write implements [net.Conn].
func (s stuck) Write(b []byte) (int, error) {
	if s.shut.Load() {
		s.waits <- struct{}{}
	}
	s.gate.Lock()
	defer s.gate.Unlock()
	return s.Conn.Write(b)
}

// stuckDialer makes such connections.
type stuckDialer struct {
	gate  sync.Mutex
	shut  atomic.Bool
	waits chan struct{} // has an element when something is to be sent though gate is shut
}

// Dial implements [nats.CustomDialer].
func (d *stuckDialer) Dial(network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(context.Background(), network, addr)
	return stuck{conn, d}, err
}

// Who asks waits for the answer and its deadline, and not for a connection that
// sends nothing.
func TestAConnectionThatIsStuckHoldsUpNoCaller(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	serve(t, connect(t, url), handlerFunc(echo), natstransport.ServerOptions{})
	dialer := &stuckDialer{waits: make(chan struct{}, 10)}
	client := newClient(t, connect(t, url, nats.SetCustomDialer(dialer)), natstransport.ClientOptions{})
	_, err := fetch(t.Context(), client, "k")
	require.NoError(t, err)

	dialer.gate.Lock()
	dialer.shut.Store(true)
	lifted := time.AfterFunc(patience, dialer.gate.Unlock) // so that a caller that is held up is not for ever
	first, _ := begin(t, client, "first")
	<-dialer.waits // from now on who publishes waits for the one who sends
	second, ticket := begin(t, client, "second")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = fetch(ctx, client, "k")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	ticket.Cancel()
	_, err = second.Wait(t)
	require.ErrorContains(t, err, "abandoned")
	require.True(t, lifted.Stop(), "all of this takes no time")

	dialer.shut.Store(false)
	dialer.gate.Unlock()
	replies, err := first.Wait(t)
	require.NoError(t, err)
	require.Equal(t, "first", replies[0].Value.String())
}
