package bench_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	httptransport "github.com/gcnode/gcnode/transport/http"
)

const (
	clusterImpl = "gcnode-http"
	// capacity is enough for all keys of a member, in bytes.
	capacity = 64 << 20
)

// getFunc looks a key up and returns the length of its value.
type getFunc func(ctx context.Context, key string) (int, error)

func look(b *testing.B, get getFunc, key string) {
	n, err := get(b.Context(), key)
	if err != nil || n != valueBytes {
		b.Errorf("got %d bytes, %v", n, err)
	}
}

// serve serves h on a port of its own until the benchmark ends.
func serve(tb testing.TB, h http.Handler) (url string) {
	tb.Helper()
	listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	tb.Cleanup(func() { _ = server.Close() })
	return "http://" + listener.Addr().String()
}

// nodeCluster is the nodes of a cluster in this process, which talk over the
// loopback.
type nodeCluster struct {
	peers []gcnode.Peer
	nodes []*member
	// loads are the calls of the getter, and removes the removal messages.
	loads, removes atomic.Int64
	loadTime       time.Duration
}

// member is one node. Its address stays when it is followed by another one.
type member struct {
	of     *nodeCluster
	client *httptransport.Client
	door   atomic.Pointer[httptransport.Handler] // nil: nobody is at home
	hangs  atomic.Bool                           // requests get no answer
	node   *gcnode.Node
	group  *gcnode.Group
}

// newCluster starts a cluster.
func newCluster(tb testing.TB, size int, loadTime time.Duration) *nodeCluster {
	tb.Helper()
	c := &nodeCluster{loadTime: loadTime}
	for i := range size {
		client, err := httptransport.NewClient(httptransport.ClientOptions{})
		require.NoError(tb, err)
		tb.Cleanup(client.Close)
		m := &member{of: c, client: client}
		c.nodes = append(c.nodes, m)
		c.peers = append(c.peers, gcnode.Peer{ID: fmt.Sprintf("node-%d", i+1), Addr: serve(tb, m)})
	}
	for i := range c.nodes {
		c.start(tb, i)
	}
	for i := range c.nodes {
		c.joined(tb, i)
	}
	tb.Cleanup(func() {
		for _, m := range c.nodes {
			_ = m.node.Close(context.Background()) // it may be closed already
		}
	})
	return c
}

// start begins a life of a member.
func (c *nodeCluster) start(tb testing.TB, i int) {
	tb.Helper()
	m := c.nodes[i]
	node, err := gcnode.NewNode(gcnode.Config{Self: c.peers[i], Transport: counting{m.client, &c.removes}})
	require.NoError(tb, err)
	group, err := node.Group("bench", gcnode.GetterFunc[gcnode.Value](c.load), gcnode.GroupOptions{MaxBytes: capacity})
	require.NoError(tb, err)
	handler, err := httptransport.NewHandler(hanging{node, &m.hangs}, httptransport.HandlerOptions{})
	require.NoError(tb, err)
	tb.Cleanup(handler.Close)
	m.node, m.group = node, group
	m.door.Store(handler)
	require.NoError(tb, node.SetPeers(c.peers))
}

// joined waits until a member has joined the others.
func (c *nodeCluster) joined(tb testing.TB, i int) {
	tb.Helper()
	require.Eventually(tb, func() bool { return c.nodes[i].node.Stats().Joined }, time.Minute, time.Millisecond)
}

func (c *nodeCluster) load(context.Context, string) (gcnode.Item[gcnode.Value], error) {
	c.loads.Add(1)
	if c.loadTime > 0 {
		<-time.After(c.loadTime)
	}
	return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(value())}, nil
}

// ServeHTTP answers peers, unless the member is dead.
func (m *member) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	door := m.door.Load()
	if door == nil {
		panic(http.ErrAbortHandler) // the connection is cut, as by a process that dies
	}
	door.ServeHTTP(w, r)
}

// hanging is a node that may give no answers.
type hanging struct {
	node  *gcnode.Node
	hangs *atomic.Bool
}

// ServePeer implements [gcnode.Handler].
func (h hanging) ServePeer(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
	if h.hangs.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	return h.node.ServePeer(ctx, req, w)
}

// breaks cuts the connections of a member, as when its process dies.
func (m *member) breaks() {
	if handler := m.door.Swap(nil); handler != nil {
		handler.Close()
	}
}

// close ends the life of a member with goodbye.
func (m *member) close(tb testing.TB) {
	tb.Helper()
	require.NoError(tb, m.node.Close(tb.Context()))
	m.breaks()
}

// resident is how many keys the owners have.
func (c *nodeCluster) resident() (n int) {
	for _, m := range c.nodes {
		for _, g := range m.node.Stats().Groups {
			n += g.Owned.Entries
		}
	}
	return n
}

// fill asks for the first n keys, each through one of the members.
func (c *nodeCluster) fill(b *testing.B, n int) {
	b.Helper()
	for i, key := range newKeys(0, n) {
		look(b, c.nodes[i%len(c.nodes)].get, key)
	}
}

func (m *member) get(ctx context.Context, key string) (int, error) {
	v, err := m.group.Get(ctx, key)
	return v.Len(), err
}

// counting is a transport that counts removal messages.
type counting struct {
	gcnode.Transport

	removes *atomic.Int64
}

func (t counting) RoundTrip(ctx context.Context, to gcnode.Peer, req *gcnode.Request, w gcnode.ReplyWriter) error {
	if req.Op == gcnode.OpRemove {
		t.removes.Add(1)
	}
	return t.Transport.RoundTrip(ctx, to, req, w)
}

// times are how long things took.
type times []time.Duration

// quantile is the time that a part of all did not exceed.
func (t times) quantile(part float64) time.Duration {
	sorted := slices.Sorted(slices.Values(t))
	return sorted[min(int(part*float64(len(sorted))), len(sorted)-1)]
}

// us is a time in microseconds.
func us(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// measure is how long f takes.
func measure(f func()) time.Duration {
	begun := time.Now()
	f()
	return time.Since(begun)
}

// amount is n, or much less with -short.
func amount(n int) int {
	if testing.Short() {
		return n / 20
	}
	return n
}

// clusterRun runs a benchmark of which the whole is one operation.
func clusterRun(b *testing.B, run func(b *testing.B), labels ...string) {
	b.Helper()
	runOnce(b, run, append(labels, "impl="+clusterImpl)...)
}

// runOnce is clusterRun of whatever the labels name.
func runOnce(b *testing.B, run func(b *testing.B), labels ...string) {
	b.Helper()
	b.Run(strings.Join(labels, "/"), func(b *testing.B) {
		for b.Loop() {
			run(b)
		}
		b.ReportMetric(0, "ns/op") // it is not what was measured
	})
}
