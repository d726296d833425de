package test

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
	natstransport "github.com/gcnode/gcnode/transport/nats"
	"github.com/gcnode/gcnode/transport/wire"
)

// gate is a handler that answers the key "slow" only when it is let.
type gate struct {
	begun chan struct{} // has one element for each time it was asked for
	open  chan struct{}
}

func newGate() *gate { return &gate{make(chan struct{}, 10), make(chan struct{})} }

func (g *gate) ServePeer(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
	if req.Keys[0] == "slow" {
		g.begun <- struct{}{}
		select {
		case <-g.open:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return echo(ctx, req, w)
}

// port is where a server listens.
func port(t *testing.T, s *natsserver.Server) int {
	t.Helper()
	u, err := url.Parse(s.ClientURL())
	require.NoError(t, err)
	n, err := strconv.Atoi(u.Port())
	require.NoError(t, err)
	return n
}

// restart stops a server and starts one in its place.
func restart(t *testing.T, s *natsserver.Server, change func(*natsserver.Options)) *natsserver.Server {
	t.Helper()
	at := port(t, s)
	stopServer(s)
	return startServer(t, func(o *natsserver.Options) {
		o.Port = at
		if change != nil {
			change(o)
		}
	})
}

// TestAbsentMemberIsKnownAtOnce expects NATS to say that nobody is there, before
// any time is up: once in some tries, as a machine may be slow.
func TestAbsentMemberIsKnownAtOnce(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	client := newClient(t, connect(t, url), natstransport.ClientOptions{})
	for _, addr := range []string{"", "gone"} {
		quickest := patience
		for range 5 {
			start := time.Now()
			err := client.RoundTrip(t.Context(), gcnode.Peer{ID: "server", Addr: addr}, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"k"}}, &collect{})
			quickest = min(quickest, time.Since(start))
			require.ErrorIs(t, err, gcnode.ErrUnreachable)
			require.ErrorContains(t, err, "no responders")
		}
		require.Less(t, quickest, natstransport.DefaultReconnectWait)
	}
}

// TestInterruptedConnections breaks a connection while a request is under way,
// which is asked again.
func TestInterruptedConnections(t *testing.T) {
	tests := map[string]func(t *testing.T, s *natsserver.Server, client, server *nats.Conn){
		"of the client": func(t *testing.T, _ *natsserver.Server, client, _ *nats.Conn) {
			t.Helper()
			require.NoError(t, client.ForceReconnect())
		},
		"of the server": func(t *testing.T, _ *natsserver.Server, _, server *nats.Conn) {
			t.Helper()
			require.NoError(t, server.ForceReconnect())
		},
		"NATS restarts": func(t *testing.T, s *natsserver.Server, _, _ *nats.Conn) {
			t.Helper()
			restart(t, s, nil)
		},
	}
	for name, interrupt := range tests {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, nil)
			theirs, ours := connect(t, s.ClientURL()), connect(t, s.ClientURL())
			g := newGate()
			serve(t, theirs, g, natstransport.ServerOptions{})
			client := newClient(t, ours, natstransport.ClientOptions{ReconnectWait: patience})
			answered := make(chan error, 1)
			go func() {
				got, err := fetch(t.Context(), client, "slow")
				if err == nil && (len(got) != 1 || got[0].Value.String() != "slow") {
					err = gcnode.ErrInternal
				}
				answered <- err
			}()
			<-g.begun
			interrupt(t, s, ours, theirs)
			select {
			case <-g.begun:
			case err := <-answered:
				require.Fail(t, "the request was not asked again", "%v", err)
			case <-time.After(patience):
				require.Fail(t, "the request was not asked again")
			}
			close(g.open)
			require.NoError(t, <-answered)
			_, err := fetch(t.Context(), client, "k")
			require.NoError(t, err)
		})
	}
}

// TestMembersComeBackOneByOne has a member that is back later than the client.
func TestMembersComeBackOneByOne(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	nc := connect(t, url)
	client := newClient(t, nc, natstransport.ClientOptions{ReconnectWait: patience})
	_, err := fetch(t.Context(), client, "k")
	require.ErrorIs(t, err, gcnode.ErrUnreachable, "there was no interruption")
	require.NoError(t, nc.ForceReconnect())
	eventually(t, func() bool { return nc.Stats().Reconnects == 1 && nc.IsConnected() }, "the client is back")
	asked := nc.Stats().OutMsgs
	answered := make(chan error, 1)
	go func() {
		_, err := fetch(t.Context(), client, "k")
		answered <- err
	}()
	eventually(t, func() bool { return nc.Stats().OutMsgs > asked+2 }, "the client tries again and again")
	serve(t, connect(t, url), handlerFunc(echo), natstransport.ServerOptions{})
	require.NoError(t, <-answered)
}

// TestNoConnection expects a request to wait for a while, and then to fail.
func TestNoConnection(t *testing.T) {
	s := startServer(t, nil)
	nc := connect(t, s.ClientURL())
	client := newClient(t, nc, natstransport.ClientOptions{ReconnectWait: 50 * time.Millisecond})
	stopServer(s)
	eventually(t, nc.IsReconnecting, "the connection is lost")
	_, err := fetch(t.Context(), client, "k")
	require.ErrorIs(t, err, gcnode.ErrUnreachable)
	require.ErrorContains(t, err, "interrupted")
	nc.Close()
	_, err = fetch(t.Context(), client, "k")
	require.ErrorIs(t, err, gcnode.ErrUnreachable)
	require.ErrorContains(t, err, "closed")
}

// TestLowerMaxPayload sends a large value both ways before and after the server
// has come back with a lower maximum, and when it lowers it meanwhile.
func TestLowerMaxPayload(t *testing.T) {
	s := startServer(t, nil)
	value := strings.Repeat("0123456789abcdef", 8<<20/16)
	serve(t, connect(t, s.ClientURL()), handlerFunc(func(_ context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
		if req.Op == gcnode.OpSet && req.Value.String() != value {
			return gcnode.ErrInternal
		}
		return w.WriteReply(gcnode.Reply{Value: gcnode.StringValue(value)})
	}), natstransport.ServerOptions{})
	client := newClient(t, connect(t, s.ClientURL()), natstransport.ClientOptions{ReconnectWait: patience})
	transfer := func() {
		for _, req := range []*gcnode.Request{
			{Op: gcnode.OpFetch, Keys: []string{"k"}}, {Op: gcnode.OpSet, Keys: []string{"k"}, Value: gcnode.StringValue(value)},
		} {
			var got collect
			eventually(t, func() bool { // who comes back first finds nobody
				got = collect{}
				return client.RoundTrip(t.Context(), gcnode.Peer{ID: "server"}, req, &got) == nil
			}, "the value arrives")
			require.Len(t, got.replies, 1)
			require.True(t, got.replies[0].Value.String() == value)
		}
	}
	transfer()
	var wg sync.WaitGroup
	wg.Go(transfer)
	s = restart(t, s, maxPayload(16<<10))
	wg.Wait()
	transfer()
	require.EqualValues(t, 16<<10, connect(t, s.ClientURL()).MaxPayload())
}

// TestTooLowMaxPayload expects an error that says what is wrong.
func TestTooLowMaxPayload(t *testing.T) {
	for _, size := range []int32{32, 512} {
		testTooLowMaxPayload(t, size)
	}
}

func testTooLowMaxPayload(t *testing.T, size int32) {
	t.Helper()
	url := startServer(t, maxPayload(size)).ClientURL()
	serve(t, connect(t, url), handlerFunc(echo), natstransport.ServerOptions{NoService: true})
	client := newClient(t, connect(t, url), natstransport.ClientOptions{})
	_, err := fetch(t.Context(), client, "k")
	require.ErrorIs(t, err, gcnode.ErrUnreachable)
	require.ErrorContains(t, err, "max_payload")
}

// TestDrainedConnections drains the connection of either side.
func TestDrainedConnections(t *testing.T) {
	t.Run("of the client", func(t *testing.T) {
		url := startServer(t, nil).ClientURL()
		serve(t, connect(t, url), handlerFunc(echo), natstransport.ServerOptions{})
		nc := connect(t, url)
		client := newClient(t, nc, natstransport.ClientOptions{})
		_, err := fetch(t.Context(), client, "k")
		require.NoError(t, err)
		require.NoError(t, nc.Drain())
		eventually(t, nc.IsClosed, "the connection is drained")
		_, err = fetch(t.Context(), client, "k")
		require.ErrorIs(t, err, gcnode.ErrUnreachable)
	})
	t.Run("of the server", func(t *testing.T) {
		url := startServer(t, nil).ClientURL()
		nc := connect(t, url)
		g := newGate()
		serve(t, nc, g, natstransport.ServerOptions{})
		client := newClient(t, connect(t, url), natstransport.ClientOptions{})
		answered := make(chan error, 1)
		go func() {
			_, err := fetch(t.Context(), client, "slow")
			answered <- err
		}()
		<-g.begun
		require.NoError(t, nc.Drain())
		require.ErrorIs(t, <-answered, gcnode.ErrUnreachable)
		_, err := fetch(t.Context(), client, "k")
		require.ErrorIs(t, err, gcnode.ErrUnreachable)
		eventually(t, nc.IsClosed, "the connection is drained")
	})
}

// TestAMemberThatIsDrainedSaysGoodbye drains the connection of a member while its
// log takes its time: it tells all whose streams there are, and all who are about
// to open one, so that nobody has to find out.
func TestAMemberThatIsDrainedSaysGoodbye(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	nc, peer := connect(t, url), connect(t, url)
	serve(t, nc, handlerFunc(echo), natstransport.ServerOptions{Logger: slog.New(&slowLog{})})
	inbox := nats.NewInbox()
	said, err := peer.SubscribeSync(inbox + ".*")
	require.NoError(t, err)
	require.NoError(t, said.SetPendingLimits(-1, -1))
	opened := 0
	open := func() {
		opened++
		require.NoError(t, peer.PublishRequest("gcnode.default.node.server", inbox+"."+strconv.Itoa(opened), nil))
	}
	for range 4 {
		open()
	}
	require.NoError(t, peer.Flush())
	time.AfterFunc(time.Millisecond, func() { _ = nc.Drain() })
	for opened < gcnode.MaxPeers && !nc.IsDraining() && !nc.IsClosed() { // more would be refused as too many
		open()
	}
	eventually(t, func() bool { return nc.IsDraining() || nc.IsClosed() }, "the connection is being drained")
	for range 100 {
		open()
	}
	eventually(t, nc.IsClosed, "the connection is drained")
	require.NoError(t, peer.Flush())
	refused, ended := 0, map[string]bool{}
	for pending, _, _ := said.Pending(); pending > 0; pending-- {
		m, err := said.NextMsg(patience)
		if errors.Is(err, nats.ErrNoResponders) {
			refused++
			continue
		}
		require.NoError(t, err)
		p, err := wire.DecodePacket(m.Data)
		require.NoError(t, err)
		if p.Close != nil {
			require.Equal(t, gcnode.KindDraining, p.Close.Kind)
			ended[m.Subject] = true
		}
	}
	t.Logf("%d streams, of which %d were refused by NATS", opened, refused)
	require.Equal(t, opened-refused, len(ended))
}

// slowLog takes more time for its first record than NATS for draining a connection.
type slowLog struct {
	slog.Handler
	first sync.Once
}

func (*slowLog) Enabled(context.Context, slog.Level) bool { return true }

func (l *slowLog) Handle(context.Context, slog.Record) error {
	l.first.Do(func() { time.Sleep(100 * time.Millisecond) })
	return nil
}

// startCluster starts two NATS servers that know each other.
func startCluster(t *testing.T) (a, b *natsserver.Server) {
	t.Helper()
	a = startServer(t, func(o *natsserver.Options) {
		o.ServerName = "a"
		o.LameDuckDuration, o.LameDuckGracePeriod = 100*time.Millisecond, 50*time.Millisecond
		o.Cluster = natsserver.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoAdvertise: true}
	})
	b = startServer(t, func(o *natsserver.Options) {
		o.ServerName = "b"
		o.Cluster = natsserver.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoAdvertise: true}
		o.Routes = natsserver.RoutesFromStr("nats://" + a.ClusterAddr().String())
	})
	eventually(t, func() bool { return a.NumRoutes() > 0 && b.NumRoutes() > 0 }, "the NATS servers know each other")
	return a, b
}

// TestLameDuck takes a server of a NATS cluster out of service while members
// talk over it.
func TestLameDuck(t *testing.T) {
	a, b := startCluster(t)
	both := a.ClientURL() + "," + b.ClientURL()
	nc := connect(t, both, nats.DontRandomize())
	serve(t, connect(t, b.ClientURL()), handlerFunc(echo), natstransport.ServerOptions{})
	client := newClient(t, nc, natstransport.ClientOptions{ReconnectWait: patience})
	require.Equal(t, "a", nc.ConnectedServerName())
	eventually(t, func() bool {
		_, err := fetch(t.Context(), client, "k")
		return err == nil
	}, "the member is known to the other server")
	done := make(chan struct{})
	var asked atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				_, err := fetch(t.Context(), client, "k")
				if err != nil {
					t.Errorf("a fetch failed: %v", err)
					return
				}
				asked.Add(1)
			}
		})
	}
	a.LameDuckShutdown()
	eventually(t, func() bool { return nc.IsConnected() && nc.ConnectedServerName() == "b" }, "the client has moved")
	before := asked.Load()
	eventually(t, func() bool { return asked.Load() > before+100 }, "fetches go on")
	close(done)
	wg.Wait()
}

// TestSlowConsumer has a client that is held up, by what it is told of one member,
// until it has more to look at than it may: what comes then of another one is lost,
// which it notices, and asks again.
func TestSlowConsumer(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	theirs, others := connect(t, url), connect(t, url)
	server := serve(t, theirs, handlerFunc(echo), natstransport.ServerOptions{})
	serve(t, others, handlerFunc(echo), natstransport.ServerOptions{ID: "other"})
	slow := make(chan error, 100)
	nc := connect(t, url, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { slow <- err }))
	client := newClient(t, nc, natstransport.ClientOptions{MaxPendingBytes: leastPending})
	answers, err := others.SubscribeSync("gcnode.default.back.*.*")
	require.NoError(t, err)
	require.NoError(t, others.Flush())
	req := &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"k"}}
	require.NoError(t, client.RoundTrip(t.Context(), gcnode.Peer{ID: "other"}, req, &collect{}))
	_, err = fetch(t.Context(), client, "k")
	require.NoError(t, err)
	answer, err := answers.NextMsg(patience)
	require.NoError(t, err)

	p := pausing{transporttest.NewQueue(), make(chan struct{}), make(chan struct{})}
	_, ok := client.Begin(t.Context(), gcnode.Peer{ID: "other"}, req, p)
	require.True(t, ok)
	<-p.told
	nobodys := answer.Subject[:strings.LastIndexByte(answer.Subject, '.')] + ".0"
	for size := leastPending / 2; size > 0; size /= 2 { // until nothing has room
		require.NoError(t, others.Publish(nobodys, make([]byte, size)))
	}
	require.ErrorIs(t, <-slow, nats.ErrSlowConsumer)
	said := theirs.Stats().OutMsgs
	answered := make(chan error, 1)
	go func() {
		_, err := fetch(t.Context(), client, "lost")
		answered <- err
	}()
	eventually(t, func() bool { return theirs.Stats().OutMsgs > said }, "it is answered")
	require.NoError(t, theirs.Flush())
	require.NoError(t, nc.Flush()) // now it is thrown away
	close(p.goOn)
	require.NoError(t, <-answered)
	require.EqualValues(t, 2, server.Stats().StreamsOpened, "the first one has lost a message")
}

// TestTooLittleMayBePending refuses a bound with which messages that are in order
// would be thrown away.
func TestTooLittleMayBePending(t *testing.T) {
	nc := connect(t, startServer(t, nil).ClientURL())
	for _, bytes := range []int{-1, 1, leastPending - 1} {
		_, err := natstransport.NewClient(nc, natstransport.ClientOptions{MaxPendingBytes: bytes})
		require.ErrorContains(t, err, "at least 2097152")
		_, err = natstransport.Serve(nc, handlerFunc(echo), natstransport.ServerOptions{ID: "server", MaxPendingBytes: bytes})
		require.ErrorContains(t, err, "at least 2097152")
	}
}

// leastPending is the least of MaxPendingBytes.
const leastPending = 2 << 20

// TestSlowReader has one who takes an answer slowly: the member waits, and
// other requests pass.
func TestSlowReader(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	const values, size = 64, 256 << 10
	var sent atomic.Int64
	value := gcnode.StringValue(strings.Repeat("v", size))
	serve(t, connect(t, url), handlerFunc(func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
		if len(req.Keys) < values {
			return echo(ctx, req, w)
		}
		for i := range values {
			if err := w.WriteReply(gcnode.Reply{Key: i, Value: value}); err != nil {
				return err
			}
			sent.Add(1)
		}
		return nil
	}), natstransport.ServerOptions{})
	client := newClient(t, connect(t, url), natstransport.ClientOptions{})
	got := 0
	err := client.RoundTrip(t.Context(), gcnode.Peer{ID: "server"}, &gcnode.Request{Op: gcnode.OpFetch, Keys: make([]string, values)},
		replyFunc(func(gcnode.Reply) error {
			if got++; got == 1 {
				for range 10 {
					if _, err := fetch(t.Context(), client, "k"); err != nil {
						return err
					}
				}
				if n := sent.Load(); n > values/2 {
					t.Errorf("%d values of %d bytes are on their way to one who has taken one", n, size)
				}
			}
			return nil
		}))
	require.NoError(t, err)
	require.Equal(t, values, got)
}

// replyFunc is a function that is a gcnode.ReplyWriter.
type replyFunc func(gcnode.Reply) error

func (f replyFunc) WriteReply(r gcnode.Reply) error { return f(r) }

// TestCancelReachesTheMember expects a handler to end with the request, although
// the client is still there and waits for another answer.
func TestCancelReachesTheMember(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	g := newGate()
	ended := make(chan error, 2)
	serve(t, connect(t, url), handlerFunc(func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
		err := g.ServePeer(ctx, req, w)
		ended <- err
		return err
	}), natstransport.ServerOptions{})
	client := newClient(t, connect(t, url), natstransport.ClientOptions{})
	other := make(chan error, 1)
	go func() {
		_, err := fetch(t.Context(), client, "slow")
		other <- err
	}()
	<-g.begun
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-g.begun
		cancel()
	}()
	_, err := fetch(ctx, client, "slow")
	require.ErrorIs(t, err, context.Canceled)
	select {
	case err := <-ended:
		require.ErrorIs(t, err, context.Canceled)
	case <-time.After(patience):
		t.Error("the member goes on")
	}
	close(g.open)
	require.NoError(t, <-other)
}

// TestASlowLoadIsNotGivenUp has a handler that says nothing for longer than
// either side waits for a sign of the other.
func TestASlowLoadIsNotGivenUp(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	const long = 8 * time.Second
	asked := 0
	serve(t, connect(t, url), handlerFunc(func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
		asked++
		select {
		case <-time.After(long):
			return echo(ctx, req, w)
		case <-ctx.Done():
			return ctx.Err()
		}
	}), natstransport.ServerOptions{})
	client := newClient(t, connect(t, url), natstransport.ClientOptions{})
	_, err := fetch(t.Context(), client, "k")
	require.NoError(t, err)
	require.Equal(t, 1, asked)
}

// TestClientGone expects what a member does for a client to end when that is
// gone without a word.
func TestClientGone(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	g := newGate()
	ended := make(chan error, 1)
	server := serve(t, connect(t, url), handlerFunc(func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
		err := g.ServePeer(ctx, req, w)
		ended <- err
		return err
	}), natstransport.ServerOptions{})
	nc := connect(t, url)
	client := newClient(t, nc, natstransport.ClientOptions{})
	go func() { _, _ = fetch(t.Context(), client, "slow") }()
	<-g.begun
	nc.Close()
	select {
	case err := <-ended:
		require.ErrorIs(t, err, context.Canceled)
	case <-time.After(patience):
		require.Fail(t, "the handler is still at work")
	}
	eventually(t, func() bool { return server.Stats().Streams == 0 && server.Stats().Running == 0 }, "nothing is left of the client")
}

// TestMemberGone expects a request to end soon when its member is gone without
// a word.
func TestMemberGone(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	nc := connect(t, url)
	g := newGate()
	serve(t, nc, g, natstransport.ServerOptions{})
	client := newClient(t, connect(t, url), natstransport.ClientOptions{})
	answered := make(chan error, 1)
	go func() {
		_, err := fetch(t.Context(), client, "slow")
		answered <- err
	}()
	<-g.begun
	nc.Close()
	select {
	case err := <-answered:
		require.ErrorIs(t, err, gcnode.ErrUnreachable)
		require.ErrorContains(t, err, "no responders")
	case <-time.After(patience):
		require.Fail(t, "the request has not ended")
	}
}

// TestRestartedMember expects requests to go to the new life of a member, and
// none of the address of the old one.
func TestRestartedMember(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	answer := func(text string) gcnode.Handler {
		return handlerFunc(func(_ context.Context, _ *gcnode.Request, w gcnode.ReplyWriter) error {
			return w.WriteReply(gcnode.Reply{Value: gcnode.StringValue(text)})
		})
	}
	old := serve(t, connect(t, url), answer("old"), natstransport.ServerOptions{})
	client := newClient(t, connect(t, url), natstransport.ClientOptions{})
	got, err := fetch(t.Context(), client, "k")
	require.NoError(t, err)
	require.Equal(t, "old", got[0].Value.String())
	require.NoError(t, old.Shutdown(t.Context()))
	_, err = fetch(t.Context(), client, "k")
	require.ErrorIs(t, err, gcnode.ErrUnreachable)
	next := serve(t, connect(t, url), answer("new"), natstransport.ServerOptions{})
	require.NotEqual(t, old.Addr(), next.Addr())
	got, err = fetch(t.Context(), client, "k")
	require.NoError(t, err)
	require.Equal(t, "new", got[0].Value.String())
	err = client.RoundTrip(t.Context(), gcnode.Peer{ID: "server", Addr: old.Addr()}, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"k"}}, &collect{})
	require.ErrorIs(t, err, gcnode.ErrUnreachable)
}

// TestShutdown finishes what is under way, or says what it could not.
func TestShutdown(t *testing.T) {
	for _, finish := range []bool{true, false} {
		t.Run("finish "+strconv.FormatBool(finish), func(t *testing.T) {
			url := startServer(t, nil).ClientURL()
			g := newGate()
			server := serve(t, connect(t, url), g, natstransport.ServerOptions{})
			client := newClient(t, connect(t, url), natstransport.ClientOptions{})
			answered := make(chan error, 1)
			go func() {
				_, err := fetch(t.Context(), client, "slow")
				answered <- err
			}()
			<-g.begun
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			down := make(chan error, 1)
			go func() { down <- server.Shutdown(ctx) }()
			eventually(t, func() bool {
				_, err := fetch(t.Context(), client, "k")
				return err != nil
			}, "nothing more is asked of the member")
			if finish {
				close(g.open)
				require.NoError(t, <-answered)
				require.NoError(t, <-down)
				return
			}
			cancel()
			require.ErrorContains(t, <-down, "1 requests were still running")
			require.ErrorIs(t, <-answered, gcnode.ErrUnreachable)
		})
	}
}

// TestRequestsShareMessages counts the messages of many fetches at once, and
// those of fetches one by one.
func TestRequestsShareMessages(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	theirs, ours := connect(t, url), connect(t, url)
	serve(t, theirs, handlerFunc(echo), natstransport.ServerOptions{})
	client := newClient(t, ours, natstransport.ClientOptions{})
	_, err := fetch(t.Context(), client, "k")
	require.NoError(t, err)
	sent := func() uint64 { return ours.Stats().OutMsgs + theirs.Stats().OutMsgs }
	before := sent()
	for range 100 {
		_, err := fetch(t.Context(), client, "k")
		require.NoError(t, err)
	}
	require.InDelta(t, 200, sent()-before, 20, "a lone fetch is one message each way")

	before = sent()
	const callers, each = 200, 20
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				if _, err := fetch(t.Context(), client, "k"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	messages := sent() - before
	t.Logf("%d fetches took %d messages", callers*each, messages)
	require.Less(t, messages, uint64(callers*each), "fetches share messages")
}
