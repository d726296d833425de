package e2e_test

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// onLoopback is a part of fabrics whose nodes are on one host, and which cannot
// keep two of them apart.
type onLoopback struct{}

func (onLoopback) host() string { return "127.0.0.1" }

func (onLoopback) discovers() bool { return true }

func (onLoopback) cut(t *testing.T, _, _ *node) {
	t.Helper()
	require.FailNow(t, "what goes from a node to another may take any way")
}

func (onLoopback) mend(*testing.T) {}

// embeddedNATS are nodes with NATS servers within, which connect to each other.
type embeddedNATS struct{ onLoopback }

func (embeddedNATS) name() string { return "NATS servers within them" }

func (embeddedNATS) place(t *testing.T, nodes cluster) {
	t.Helper()
	for _, n := range nodes {
		n.peers, n.api, n.admin = ports.address(t), ports.address(t), ports.address(t)
	}
}

func (embeddedNATS) members(n *node, all cluster) string {
	return routesSetting(n, all, time.Second, func(_, to *node) string { return to.peers })
}

// routesSetting is the setting nats of a node with a server within, with the
// addresses of the others as it has them.
func routesSetting(n *node, all cluster, heartbeat time.Duration, address func(from, to *node) string) string {
	var routes []string
	for _, other := range all {
		if other != n || len(all) == 1 { // one is needed
			routes = append(routes, strconv.Quote(address(n, other)))
		}
	}
	return fmt.Sprintf("transport: nats\nnats: {embedded: true, heartbeat: %v, routes: [%s]}\n", heartbeat, strings.Join(routes, ", "))
}

// serverForAll is a NATS server for the nodes of all tests, which it outlives.
var serverForAll = sync.OnceValues(func() (*natsserver.Server, error) {
	s, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoLog: true, NoSigs: true})
	if err == nil {
		s.Start()
	}
	return s, err
})

// natsForAll is the URL of the server for all.
func natsForAll(t *testing.T) string {
	t.Helper()
	s, err := serverForAll()
	require.NoError(t, err)
	require.True(t, s.ReadyForConnections(patience))
	return s.ClientURL()
}

// oneNATS are nodes that are connected by one NATS server, each through a proxy
// of its own.
type oneNATS struct {
	onLoopback

	address string
	server  *natsserver.Server
	links   map[string]*link // by the ID of the node
}

func newOneNATS(t *testing.T) *oneNATS {
	t.Helper()
	f := &oneNATS{address: ports.address(t), links: map[string]*link{}}
	f.start(t)
	t.Cleanup(func() { f.stop() })
	return f
}

// start starts the server, the first one or a later one at the same address.
func (f *oneNATS) start(t *testing.T) {
	t.Helper()
	host, port, err := net.SplitHostPort(f.address)
	require.NoError(t, err)
	number, err := strconv.Atoi(port)
	require.NoError(t, err)
	f.server, err = natsserver.NewServer(&natsserver.Options{Host: host, Port: number, NoLog: true, NoSigs: true})
	require.NoError(t, err)
	f.server.Start()
	require.True(t, f.server.ReadyForConnections(patience))
}

func (f *oneNATS) stop() {
	f.server.Shutdown()
	f.server.WaitForShutdown()
}

func (*oneNATS) name() string { return "one NATS server" }

func (f *oneNATS) place(t *testing.T, nodes cluster) {
	t.Helper()
	for _, n := range nodes {
		n.api, n.admin = ports.address(t), ports.address(t)
		f.links[n.id] = startLink(t, f.address)
	}
}

func (f *oneNATS) members(n *node, _ cluster) string {
	return fmt.Sprintf("transport: nats\nnats: {url: \"nats://%s\"}\n", f.links[n.id].listener.Addr())
}

// TestNodesLoseTheirConnectionToNATS cuts one node off from the server, and then
// lets the server restart.
func TestNodesLoseTheirConnectionToNATS(t *testing.T) {
	t.Parallel()
	f := newOneNATS(t)
	w := newWorld(t, f, 3, forSilence())
	keys := someKeys("k", 12)
	stop := w.start(t, traffic{clients: 6, written: keys, changes: 15})
	w.more(t, "answers", 300)

	victim := w.nodes[0]
	w.fault("nodes that were cut off", victim)
	f.links[victim.id].cut()
	w.more(t, "answers", 100)
	for _, n := range w.nodes.others(victim) {
		n.until(t, func(s stats) bool { return s.Discovery.Members == 2 }, "it does not do without "+victim.id)
	}
	w.unready(t, victim)
	assert.Equal(t, 3, victim.stats(t).Discovery.Members, "it concludes something from what it does not hear")
	w.more(t, "answers", 100) // also of the one that is cut off
	f.links[victim.id].mend()
	w.heal(t)
	require.True(t, victim.awaitReady(t))
	w.more(t, "answers", 150)

	w.fault("restarts of the server", nil)
	f.stop()
	for _, n := range w.nodes {
		w.unready(t, n)
	}
	w.more(t, "answers", 100)
	f.start(t)
	w.heal(t)
	for _, n := range w.nodes {
		require.True(t, n.awaitReady(t))
		assert.Contains(t, n.log.String(), `level=WARN msg="the connection to NATS is lost"`)
		assert.Contains(t, n.log.String(), `level=INFO msg="connected to NATS again"`)
	}
	w.more(t, "answers", 150)
	w.finish(t, stop, keys, "nodes that were cut off", "restarts of the server", "confirmed removes", "failed removes")
}

// unready waits until a node says that it has no connection.
func (w *world) unready(t *testing.T, n *node) {
	t.Helper()
	require.Eventually(t, func() bool {
		status, why := n.ready(t.Context())
		return status == http.StatusServiceUnavailable && strings.Contains(why, "there is no connection to NATS")
	}, patience, pollEvery, "%s does not notice that it has no connection", n.id)
}

// TestThereIsNoNATSServerInWhatProgramsImport looks at what a program is built
// from that imports one of our packages. The tests of examples start servers.
func TestThereIsNoNATSServerInWhatProgramsImport(t *testing.T) {
	t.Parallel()
	servers := []string{"cmd/gcnode", "e2e", "transport/nats/test"}
	for module := range knows() {
		if slices.Contains(servers, module) {
			continue
		}
		for pkg := range strings.Lines(goList(t, "../"+module, nil, "-deps", "./...")) {
			assert.NotContains(t, pkg, "nats-server", "%s gets a server", module)
		}
	}
	assert.Contains(t, goList(t, "../cmd/gcnode", nil, "-deps", "./..."), "github.com/nats-io/nats-server/v2/server\n")
}
