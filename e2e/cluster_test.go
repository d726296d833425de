package e2e_test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// startTries is how often a cluster is started, for the case that somebody
// else takes one of its ports.
const startTries = 5

// transportOf is the variable in the environment that decides what the nodes of
// all clusters talk over, where a test does not: "http", "nats" with a server in
// each of them, or "nats-server" with one for all of them. Empty is "http".
const transportOf = "GCNODE_E2E_TRANSPORT"

func allOverNATS() bool { return strings.HasPrefix(os.Getenv(transportOf), "nats") }

// allThroughServer reports whether nodes have no port for others.
func allThroughServer() bool { return os.Getenv(transportOf) == "nats-server" }

// cluster is nodes that know each other.
type cluster []*node

// startCluster starts nodes with the ids a, b, c and so on, and waits until
// they are ready. What is in config is the same for all.
func startCluster(t *testing.T, size int, config string) cluster {
	t.Helper()
	for range startTries {
		if c, ok := tryCluster(t, size, config); ok {
			return c
		}
	}
	require.FailNow(t, "others take all the ports")
	return nil
}

// startNode starts a cluster of one.
func startNode(t *testing.T, config string) *node {
	t.Helper()
	return startCluster(t, 1, config)[0]
}

// tryCluster starts a cluster on ports that are free at the moment. It reports
// whether they still were when the nodes came.
func tryCluster(t *testing.T, size int, config string) (cluster, bool) {
	t.Helper()
	dir := t.TempDir()
	var c cluster
	for i := range size {
		n := &node{id: string(rune('a' + i)), api: ports.address(t), admin: ports.address(t)}
		if !allThroughServer() {
			n.peers = ports.address(t)
		}
		n.config = filepath.Join(dir, n.id+".yaml")
		c = append(c, n)
	}
	members := membersByTransport(t, c)
	for _, n := range c {
		text := fmt.Sprintf("id: %s\nlisten: {%s api: %q, admin: %q}\n%scompilation_cache: %q\n%s",
			n.id, n.listenPeers(), n.api, n.admin, members(n), built.compiled, config)
		require.NoError(t, os.WriteFile(n.config, []byte(text), 0o600))
		n.start(t)
	}
	ready := true
	for _, n := range c {
		ready = n.awaitReady(t) && ready
	}
	if ready {
		for _, n := range c { // over NATS they find each other one by one
			n.until(t, func(s stats) bool { return s.Node.Joined && s.Discovery.Members == size }, "it does not find the others")
		}
		return c, true
	}
	for _, n := range c {
		_ = n.terminate() // one of them is gone already
		n.wait(t)
	}
	return nil, false
}

// membersByTransport returns the part of a node's configuration that says what
// members talk over.
func membersByTransport(t *testing.T, c cluster) func(n *node) string {
	t.Helper()
	switch transport := os.Getenv(transportOf); transport {
	case "", "http":
		return func(n *node) string {
			return peersSetting(n, c, func(_, to *node) string { return "http://" + to.peers + "/" })
		}
	case "nats":
		return func(n *node) string { return embeddedNATS{}.members(n, c) }
	case "nats-server":
		url, name := natsForAll(t), "e2e-"+rand.Text()
		return func(*node) string { return fmt.Sprintf("transport: nats\nnats: {url: %q, cluster: %s}\n", url, name) }
	default:
		require.FailNow(t, "unknown transport", "%s is %q", transportOf, transport)
		return nil
	}
}

// start starts the node's process, the first one or a later one.
func (n *node) start(t *testing.T) {
	t.Helper()
	n.process = startCommand(t, n.id, slices.Concat(n.inside, []string{built.gcnode, "serve", "--config", n.config}))
}

// awaitReady waits until the node is ready, and reports false when one of its
// ports is in use.
func (n *node) awaitReady(t *testing.T) bool {
	t.Helper()
	require.Eventually(t, func() bool {
		status, _ := n.ready(t.Context())
		return status == http.StatusOK || !n.running()
	}, patience, pollEvery, "%s does not get ready", n.id)
	if n.running() {
		return true
	}
	require.Contains(t, n.log.String(), "address already in use", "%s ended", n.id)
	n.expect(1)
	return false
}

// by finds a node by its id.
func (c cluster) by(t *testing.T, id string) *node {
	t.Helper()
	for _, n := range c {
		if n.id == id {
			return n
		}
	}
	require.FailNow(t, "there is no such node", id)
	return nil
}

// others are all nodes but one.
func (c cluster) others(not *node) cluster {
	var rest cluster
	for _, n := range c {
		if n != not {
			rest = append(rest, n)
		}
	}
	return rest
}

// keysOf finds keys that a node owns. Nobody has a copy of them afterwards.
func (c cluster) keysOf(t *testing.T, owner *node, group string, count int) []string {
	t.Helper()
	var keys []string
	for i := 0; len(keys) < count; i++ {
		require.Less(t, i, 100*count, "%s owns next to nothing", owner.id)
		key := fmt.Sprintf("key%d", i)
		if owner.get(t, group, key).owner == owner.id {
			keys = append(keys, key)
		}
		owner.remove(t, group, key)
	}
	return keys
}
