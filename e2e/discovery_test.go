package e2e_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// discovering prepares a node that finds the others as discovery says. It is
// not started yet.
func discovering(t *testing.T, id, discovery string) *node {
	t.Helper()
	n := &node{id: id, peers: ports.address(t), api: ports.address(t), admin: ports.address(t)}
	if id == "" {
		n.id = "localhost:" + n.port(t)
	}
	n.config = filepath.Join(t.TempDir(), "node.yaml")
	text := fmt.Sprintf("id: %q\nlisten: {peers: %q, api: %q, admin: %q}\ndiscovery: {%s}\ncompilation_cache: %q\n%s",
		n.id, n.peers, n.api, n.admin, discovery, built.compiled, groups())
	require.NoError(t, os.WriteFile(n.config, []byte(text), 0o600))
	return n
}

// port is the one on which the node listens for peers.
func (n *node) port(t *testing.T) string {
	t.Helper()
	_, port, err := net.SplitHostPort(n.peers)
	require.NoError(t, err)
	return port
}

// up starts nodes and waits until they are ready.
func up(t *testing.T, nodes ...*node) {
	t.Helper()
	for _, n := range nodes {
		n.start(t)
	}
	for _, n := range nodes {
		require.True(t, n.awaitReady(t), "the node's port was taken")
	}
}

// members waits until the nodes have lists of that length.
func members(t *testing.T, count int, nodes ...*node) {
	t.Helper()
	for _, n := range nodes {
		n.until(t, func(s stats) bool { return s.Discovery.Members == count }, fmt.Sprintf("there are not %d members", count))
	}
}

// load asks nodes for many keys at the same time. What it returns ends that,
// and looks that every answer was right.
func load(t *testing.T, nodes ...*node) (end func() (requests int64)) {
	t.Helper()
	const keys, askers = 200, 4
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	var requests atomic.Int64
	wrong := make(chan string, askers*len(nodes))
	for _, n := range nodes {
		for asker := range askers {
			done.Go(func() {
				for i := asker; ctx.Err() == nil; i++ {
					key := "key" + strconv.Itoa(i%keys)
					a, err := do(ctx, http.MethodGet, n.valueURL("echo", key))
					if ctx.Err() != nil {
						return
					}
					if err != nil || a.status != http.StatusOK || a.body != hexOf(key) {
						wrong <- fmt.Sprintf("%s from %s: %v %+v", key, n.id, err, a)
						return
					}
					requests.Add(1)
				}
			})
		}
	}
	return func() int64 {
		t.Helper()
		cancel()
		done.Wait()
		close(wrong)
		for w := range wrong {
			assert.Fail(t, "a request failed", w)
		}
		return requests.Load()
	}
}

// owned counts the keys under load that the node owns.
func owned(t *testing.T, asked, owner *node) (count int) {
	t.Helper()
	for i := range 50 {
		if asked.value(t, "echo", "key"+strconv.Itoa(i)).owner == owner.id {
			count++
		}
	}
	return count
}

func TestANodeIsAddedToAndTakenFromTheWatchedFileUnderLoad(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "peers")
	discovery := fmt.Sprintf("file: %q, refresh: 1h", file)
	a, b, c := discovering(t, "a", discovery), discovering(t, "b", discovery), discovering(t, "c", discovery)
	list := func(nodes ...*node) {
		var text strings.Builder
		for _, n := range nodes {
			fmt.Fprintf(&text, "%s http://%s/\n", n.id, n.peers)
		}
		require.NoError(t, os.WriteFile(file+".new", []byte(text.String()), 0o600))
		require.NoError(t, os.Rename(file+".new", file))
	}
	list(a, b)
	up(t, a, b)
	end := load(t, a, b)
	members(t, 2, a, b)
	assert.Zero(t, owned(t, a, c))

	// The others know of the node before it is there.
	list(a, b, c)
	members(t, 3, a, b)
	up(t, c)
	for _, n := range []*node{a, b} {
		n.until(t, func(s stats) bool { return !s.peer("c").Down }, "c is not used")
	}
	assert.Positive(t, owned(t, a, c))
	assert.Positive(t, owned(t, c, a))

	list(a, b)
	members(t, 2, a, b)
	c.until(t, func(s stats) bool { return strings.Contains(s.Discovery.Error, "this node is not on the list") }, "it does not notice")
	assert.Zero(t, owned(t, b, c))
	assert.Equal(t, 3, c.stats(t).Discovery.Members, "it keeps the list that it had")

	// A node that is told to look again begins to count anew.
	assert.EqualValues(t, 3, a.stats(t).Discovery.Changes)
	a.signal(t, syscall.SIGHUP)
	a.until(t, func(s stats) bool { return s.Discovery.Changes == 1 }, "it does not look again")

	// Somebody breaks the file.
	require.NoError(t, os.WriteFile(file, []byte("a b c d\n"), 0o600))
	for _, n := range []*node{a, b} {
		n.until(t, func(s stats) bool { return strings.Contains(s.Discovery.Error, "peers:1: a line must be") }, "it does not notice")
	}
	members(t, 2, a, b)
	assert.Greater(t, end(), int64(100), "there was next to no load")
	assert.EqualValues(t, 1, a.stats(t).Discovery.Changes)
	assert.EqualValues(t, 3, b.stats(t).Discovery.Changes)
}

// nameServer is a DNS server with SRV records for nodes.
type nameServer struct {
	addr string

	mu      sync.Mutex
	members []*node
}

// peersName is the name of its records.
const peersName = "_peers._tcp.cache.test."

// startNameServer runs one until the test ends.
func startNameServer(t *testing.T) *nameServer {
	t.Helper()
	packets, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &nameServer{addr: packets.LocalAddr().String()}
	started, done := make(chan struct{}), make(chan error)
	server := &dns.Server{PacketConn: packets, Handler: s, NotifyStartedFunc: func() { close(started) }}
	go func() { done <- server.ActivateAndServe() }()
	<-started
	t.Cleanup(func() {
		assert.NoError(t, server.Shutdown())
		assert.NoError(t, <-done)
	})
	return s
}

// knows sets the nodes that have a record.
func (s *nameServer) knows(nodes ...*node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members = nodes
}

// ServeDNS implements [dns.Handler].
func (s *nameServer) ServeDNS(w dns.ResponseWriter, question *dns.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := new(dns.Msg)
	answer.SetReply(question)
	answer.Authoritative = true
	if len(s.members) == 0 {
		answer.Rcode = dns.RcodeNameError
	}
	for _, n := range s.members {
		host, port, _ := net.SplitHostPort(n.id)
		rr, err := dns.NewRR(fmt.Sprintf("%s 1 SRV 0 %d %s %s.", peersName, 100/len(s.members), port, host))
		if err == nil && question.Question[0].Qtype == dns.TypeSRV {
			answer.Answer = append(answer.Answer, rr)
		}
	}
	_ = w.WriteMsg(answer)
}

func TestNodesFindEachOtherInTheDNS(t *testing.T) {
	t.Parallel()
	s := startNameServer(t)
	discovery := fmt.Sprintf("dns: %s, records: srv, server: %q, refresh: 50ms, hold_back: {for: 1h}", peersName, s.addr)
	nodes := make([]*node, 4)
	for i := range nodes {
		nodes[i] = discovering(t, "", discovery)
	}
	a, b, c, d := nodes[0], nodes[1], nodes[2], nodes[3]

	// The name does not exist yet.
	a.start(t)
	a.until(t, func(s stats) bool { return strings.Contains(s.Discovery.Error, "the name does not exist") }, "it does not notice")
	status, reason := a.ready(t.Context())
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.Equal(t, "not ready: there is no list of members yet\n", reason)
	s.knows(b)
	a.until(t, func(s stats) bool {
		return strings.Contains(s.Discovery.Error, fmt.Sprintf("its ID is %q, those on the list are %q", a.id, b.id))
	}, "it does not notice that it is missing")

	s.knows(a, b)
	require.True(t, a.awaitReady(t), "the node's port was taken")
	up(t, b)
	members(t, 2, a, b)
	end := load(t, a, b)
	s.knows(a, b, c, d)
	members(t, 4, a, b)
	up(t, c, d)
	assert.Positive(t, owned(t, a, c)+owned(t, a, d))

	// An outage of the DNS, and then most members seem to be gone.
	s.knows()
	for _, n := range nodes {
		n.until(t, func(s stats) bool { return s.Discovery.Error != "" }, "it does not notice")
	}
	s.knows(a)
	a.until(t, func(s stats) bool { return s.Discovery.HeldBack && s.Discovery.Waiting == 1 }, "the loss is not held back")
	members(t, 4, nodes...)
	assert.Positive(t, owned(t, a, b)+owned(t, a, c)+owned(t, a, d))
	s.knows(a, b)
	members(t, 2, b) // half of the members may go
	assert.Positive(t, end())
}
