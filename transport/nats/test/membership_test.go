package test

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	natstransport "github.com/gcnode/gcnode/transport/nats"
)

const (
	// heartbeat is that of the members in tests.
	heartbeat = 200 * time.Millisecond
	// calm is the heartbeat where nobody may be taken for gone who is only slow.
	calm = time.Second
)

// watcher is a membership and what it reports.
type watcher struct {
	*natstransport.Membership

	nc *nats.Conn

	mu    sync.Mutex
	lists []string // one after another, each as its IDs
	peers []gcnode.Peer
	err   error
	fails int // reports of errors
}

// join announces a member, and watches until the end of the test.
func join(t *testing.T, url string, self gcnode.Peer) *watcher {
	t.Helper()
	return joinEvery(t, heartbeat, url, self)
}

// joinEvery is join with another heartbeat.
func joinEvery(t *testing.T, beat time.Duration, url string, self gcnode.Peer) *watcher {
	t.Helper()
	return watch(t, connect(t, url), self, beat)
}

// watch announces a member over a connection, and watches until the end of the
// test.
func watch(t *testing.T, nc *nats.Conn, self gcnode.Peer, beat time.Duration) *watcher {
	t.Helper()
	w := &watcher{nc: nc}
	m, err := natstransport.Announce(nc, self, natstransport.MembershipOptions{Heartbeat: beat})
	require.NoError(t, err)
	w.Membership = m
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.Watch(ctx, w.report)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		m.Close()
	})
	return w
}

func (w *watcher) report(peers []gcnode.Peer, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err = err; err != nil {
		w.fails++
		return
	}
	w.peers = peers
	if list := ids(peers); len(w.lists) == 0 || w.lists[len(w.lists)-1] != list {
		w.lists = append(w.lists, list)
	}
}

func ids(peers []gcnode.Peer) string {
	var all []string
	for _, p := range peers {
		all = append(all, p.ID)
	}
	return strings.Join(all, ",")
}

// list is the last one that was reported.
func (w *watcher) list() ([]gcnode.Peer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.peers), w.err
}

// await waits until all have the list with these IDs, and the same one.
func await(t *testing.T, want string, all ...*watcher) {
	t.Helper()
	eventually(t, func() bool {
		first, _ := all[0].list()
		for _, w := range all {
			peers, err := w.list()
			if err != nil || ids(peers) != want || !slices.Equal(peers, first) {
				return false
			}
		}
		return true
	}, "all have the list "+want)
}

// TestMembersComeAndGo has members that come, say goodbye, and are gone without
// a word.
func TestMembersComeAndGo(t *testing.T) {
	const beat = 2 * time.Second // a goodbye has twice that
	url := startServer(t, nil).ClientURL()
	a := joinEvery(t, beat, url, gcnode.Peer{ID: "a", Addr: "1"})
	b := joinEvery(t, beat, url, gcnode.Peer{ID: "b", Addr: "2", Weight: 3})
	odd := joinEvery(t, beat, url, gcnode.Peer{ID: "\x00/.*>\xff", Addr: "3"})
	looker := joinEvery(t, beat, url, gcnode.Peer{})
	await(t, "\x00/.*>\xff,a,b", a, b, odd, looker)
	for _, w := range []*watcher{a, b, odd, looker} {
		w.mu.Lock()
		last := w.lists[len(w.lists)-1]
		require.LessOrEqual(t, len(w.lists), 3, "lists %q: nobody was missing from one after it was there", w.lists)
		require.Equal(t, "\x00/.*>\xff,a,b", last)
		w.mu.Unlock()
	}

	start := time.Now()
	b.Close()
	await(t, "\x00/.*>\xff,a", a, odd, looker)
	require.Less(t, time.Since(start), 2*beat, "a goodbye is heard before heartbeats are missed")

	start = time.Now()
	odd.nc.Close()
	await(t, "a", a, looker)
	require.Greater(t, time.Since(start), beat, "one heartbeat may be missing")
	_, err := odd.list()
	require.Eventually(t, func() bool { _, err = odd.list(); return err != nil }, patience, heartbeat)
	require.ErrorContains(t, err, "closed", "who is cut off does not know")
}

// TestFirstListIsComplete starts a member among others, which must be on its
// first list.
func TestFirstListIsComplete(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	var all []*watcher
	var want []string
	for i := range 10 {
		id := "node-" + strconv.Itoa(i)
		want = append(want, id)
		all = append(all, joinEvery(t, calm, url, gcnode.Peer{ID: id, Addr: id}))
	}
	await(t, strings.Join(want, ","), all...)
	late := joinEvery(t, calm, url, gcnode.Peer{ID: "z", Addr: "z"})
	await(t, strings.Join(append(want, "z"), ","), append(all, late)...)
	require.Len(t, late.lists, 1)
}

// TestIdentity expects a member to stay the same over an interruption, and to
// be another one after a restart, of which the last start counts.
func TestIdentity(t *testing.T) {
	s := startServer(t, nil)
	a := join(t, s.ClientURL(), gcnode.Peer{ID: "a", Addr: "1"})
	b := join(t, s.ClientURL(), gcnode.Peer{ID: "b", Addr: "first"})
	await(t, "a,b", a, b)
	before, _ := a.list()
	s = restart(t, s, nil)
	eventually(t, func() bool { return a.nc.IsConnected() && b.nc.IsConnected() }, "both are connected again")
	await(t, "a,b", a, b)
	after, _ := a.list()
	require.Equal(t, before, after)
	require.Equal(t, []string{"a,b"}, a.lists[len(a.lists)-1:], "the interruption took nobody off the list")
	require.NotContains(t, a.lists[slices.Index(a.lists, "a,b"):], "a")

	b.nc.Close() // without a word
	next := join(t, s.ClientURL(), gcnode.Peer{ID: "b", Addr: "second"})
	eventually(t, func() bool {
		peers, _ := a.list()
		return len(peers) == 2 && peers[1].Addr == "second"
	}, "the new life is on the list")
	await(t, "a,b", a, next)
}

// TestCutOff expects a node to conclude nothing while it hears nothing.
func TestCutOff(t *testing.T) {
	s := startServer(t, nil)
	a := join(t, s.ClientURL(), gcnode.Peer{ID: "a", Addr: "1"})
	b := join(t, s.ClientURL(), gcnode.Peer{ID: "b", Addr: "2"})
	await(t, "a,b", a, b)
	stopServer(s)
	eventually(t, func() bool { // for longer than it takes to forget somebody
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.fails > 6
	}, "the node says that it is cut off, in each heartbeat")
	_, err := a.list()
	require.ErrorContains(t, err, "interrupted")
	require.NotContains(t, a.lists, "", "nobody was dropped")
	require.Equal(t, "a,b", a.lists[len(a.lists)-1])
}

// proxy passes connections on until it is cut.
type proxy struct {
	l     net.Listener
	mu    sync.Mutex
	to    string // empty: nowhere yet
	cut   bool
	conns []net.Conn
	free  [2]chan struct{} // closed unless nothing is passed on, by the way
}

// The ways through a proxy: from who calls, and back.
const (
	forth = iota
	back
)

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is closed with the test
	require.NoError(t, err)
	p := &proxy{l: l, to: to}
	for way := range p.free {
		p.free[way] = make(chan struct{})
		close(p.free[way])
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.pass(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.set(true)
		p.flow(forth)
		p.flow(back)
		wg.Wait()
	})
	return p
}

func (p *proxy) pass(conn net.Conn) {
	defer conn.Close()
	p.mu.Lock()
	to := p.to
	p.mu.Unlock()
	there, err := net.Dial("tcp", to) //nolint:noctx // it is closed with the test
	if err != nil {
		return
	}
	defer there.Close()
	p.mu.Lock()
	if p.cut {
		p.mu.Unlock()
		return
	}
	p.conns = append(p.conns, conn, there)
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.copy(there, conn, forth) })
	both.Go(func() { p.copy(conn, there, back) })
	both.Wait()
}

// copy passes on what goes one way, until the connection has ended.
func (p *proxy) copy(dst, src net.Conn, way int) {
	defer dst.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		p.mu.Lock()
		free := p.free[way]
		p.mu.Unlock()
		<-free
		if _, lost := dst.Write(buf[:n]); err != nil || lost != nil {
			return
		}
	}
}

// lead says where connections are passed on to.
func (p *proxy) lead(to string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.to = to
}

// stall passes nothing on that goes one way.
func (p *proxy) stall(way int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.free[way]:
		p.free[way] = make(chan struct{})
	default:
	}
}

// flow ends that.
func (p *proxy) flow(way int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.free[way]:
	default:
		close(p.free[way])
	}
}

// set cuts all connections, or lets new ones pass.
func (p *proxy) set(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut
	for _, conn := range p.conns {
		_ = conn.Close()
	}
	p.conns = nil
}

// splitCluster starts two NATS servers that know each other through a proxy.
func splitCluster(t *testing.T) (a, b *natsserver.Server, between *proxy) {
	t.Helper()
	a = startServer(t, func(o *natsserver.Options) {
		o.ServerName = "a"
		o.Cluster = natsserver.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoAdvertise: true, PoolSize: -1}
	})
	between = newProxy(t, a.ClusterAddr().String())
	b = startServer(t, func(o *natsserver.Options) {
		o.ServerName = "b"
		o.Cluster = natsserver.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoAdvertise: true, PoolSize: -1}
		o.Routes = natsserver.RoutesFromStr("nats://" + between.l.Addr().String())
	})
	eventually(t, func() bool { return a.NumRoutes() > 0 && b.NumRoutes() > 0 }, "the NATS servers know each other")
	return a, b, between
}

// member is a node with all that it takes.
type member struct {
	node   *gcnode.Node
	group  *gcnode.Group
	server *natstransport.Server
	self   *natstransport.Membership
}

// newMember starts a node that finds the others by itself. Its group loads what
// origin says.
func newMember(t *testing.T, url, id string, origin func(key string) string) *member {
	t.Helper()
	nc := connect(t, url)
	node, err := gcnode.NewNode(gcnode.Config{
		Self: gcnode.Peer{ID: id}, Transport: newClient(t, nc, natstransport.ClientOptions{}), JoinTimeout: time.Second, HotTTL: time.Second,
	})
	require.NoError(t, err)
	m := &member{node: node}
	m.group, err = node.Group("g", gcnode.GetterFunc[gcnode.Value](func(_ context.Context, key string) (gcnode.Item[gcnode.Value], error) {
		return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(origin(key))}, nil
	}), gcnode.GroupOptions{MaxBytes: 8 << 20})
	require.NoError(t, err)
	m.server = serve(t, nc, node, natstransport.ServerOptions{ID: id})
	m.self, err = natstransport.Announce(nc, gcnode.Peer{ID: id, Addr: m.server.Addr()}, natstransport.MembershipOptions{Heartbeat: calm / 2})
	require.NoError(t, err)
	t.Cleanup(func() {
		closing, stop := context.WithTimeout(context.Background(), patience)
		defer stop()
		require.NoError(t, node.Close(closing))
		m.self.Close()
	})
	follow(t, node, m.self)
	return m
}

// TestSplitAndHealing has two halves of a NATS cluster that lose sight of each
// other, a removal in one of them, and one list without stale values in the
// end.
func TestSplitAndHealing(t *testing.T) {
	a, b, between := splitCluster(t)
	var mu sync.Mutex
	version := "1"
	origin := func(key string) string {
		mu.Lock()
		defer mu.Unlock()
		return key + version
	}
	var all []*member
	for i, s := range []*natsserver.Server{a, a, b, b} {
		all = append(all, newMember(t, s.ClientURL(), "node-"+strconv.Itoa(i), origin))
	}
	lists := func(want int) {
		t.Helper()
		eventually(t, func() bool {
			for _, m := range all {
				if len(m.node.Peers()) != want {
					return false
				}
			}
			return true
		}, "all have lists of "+strconv.Itoa(want))
	}
	get := func(m *member, key string) string {
		value, err := m.group.Get(t.Context(), key)
		require.NoError(t, err)
		return value.String()
	}
	lists(4)
	for _, m := range all {
		require.NoError(t, m.node.Joined(t.Context()))
	}
	var keys []string
	for i := range 20 {
		keys = append(keys, "key"+strconv.Itoa(i)+"-")
	}
	for _, m := range all {
		for _, key := range keys {
			require.Equal(t, key+"1", get(m, key))
		}
	}

	between.set(true)
	lists(2)
	mu.Lock()
	version = "2"
	mu.Unlock()
	_ = all[0].group.Remove(t.Context(), keys...) // the other half does not hear of it
	for _, key := range keys {
		require.Equal(t, key+"2", get(all[1], key))
	}

	between.set(false)
	lists(4)
	first := all[0].node.Peers()
	for _, m := range all {
		require.Equal(t, first, m.node.Peers())
		for _, key := range keys {
			eventually(t, func() bool { return get(m, key) == key+"2" }, "no value is stale in the end")
		}
	}
}
