package e2e_test

import (
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// proxies are a fabric that works everywhere: from each node to each other
// there is a proxy, which stops passing on what it gets when the two are cut
// off. Connections are accepted all the same.
type proxies struct{ links map[[2]string]*link }

// link is a proxy from one node to another.
type link struct {
	listener    net.Listener
	to          string
	forth, back gate // for what goes to the node, and what comes from it

	mu    sync.Mutex
	conns map[net.Conn]bool
	done  bool
}

func newProxies(*testing.T) fabric { return &proxies{map[[2]string]*link{}} }

func (*proxies) name() string { return "proxies" }

func (*proxies) discovers() bool { return false }

func (*proxies) host() string { return "127.0.0.1" }

func (p *proxies) place(t *testing.T, nodes cluster) {
	t.Helper()
	for _, n := range nodes {
		n.peers, n.api, n.admin = ports.address(t), ports.address(t), ports.address(t)
	}
	p.connect(t, nodes)
}

// connect starts the links between nodes.
func (p *proxies) connect(t *testing.T, nodes cluster) {
	t.Helper()
	for _, from := range nodes {
		for _, to := range nodes {
			if from != to {
				p.links[[2]string{from.id, to.id}] = startLink(t, to.peers)
			}
		}
	}
}

func (p *proxies) members(n *node, all cluster) string { return peersSetting(n, all, p.url) }

func (p *proxies) url(from, to *node) string {
	if from == to {
		return "http://" + to.peers + "/"
	}
	return "http://" + p.address(from, to) + "/"
}

// address is where a node reaches another.
func (p *proxies) address(from, to *node) string {
	return p.links[[2]string{from.id, to.id}].listener.Addr().String()
}

func (p *proxies) cut(t *testing.T, from, to *node) {
	t.Helper()
	p.links[[2]string{from.id, to.id}].cut()
}

func (p *proxies) mend(t *testing.T) {
	t.Helper()
	for _, l := range p.links {
		l.mend()
	}
}

func startLink(t *testing.T, to string) *link {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := &link{listener: listener, to: to, conns: map[net.Conn]bool{}}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { l.pass(conn) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close() // it is in use until now
		l.end()
		running.Wait()
	})
	return l
}

// pass connects a connection with the node.
func (l *link) pass(from net.Conn) {
	defer l.forget(from)
	if !l.remember(from) {
		return
	}
	l.forth.wait()
	to, err := net.Dial("tcp", l.to) //nolint:noctx // the node's listener is on the loopback
	if err != nil {
		return
	}
	defer l.forget(to)
	if !l.remember(to) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { l.copy(to, from, &l.forth) })
	both.Go(func() { l.copy(from, to, &l.back) })
	both.Wait()
}

// copy passes on what comes through a gate, until one side has closed.
func (l *link) copy(dst, src net.Conn, g *gate) {
	defer func() { _, _ = dst.Close(), src.Close() }()
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		g.wait()
		if _, lost := dst.Write(buf[:n]); err != nil || lost != nil {
			return
		}
	}
}

// cut stops passing on, until mend.
func (l *link) cut() {
	l.forth.shut()
	l.back.shut()
}

func (l *link) mend() {
	l.forth.open()
	l.back.open()
}

// remember keeps a connection to be closed in the end, unless that has come.
func (l *link) remember(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[conn] = true
	return !l.done
}

func (l *link) forget(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, conn)
	_ = conn.Close() // it may be closed already
}

func (l *link) end() {
	l.mend()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done = true
	for conn := range l.conns {
		_ = conn.Close() // whoever reads from it ends
	}
}

// gate lets through what comes, unless it is shut. The zero value is open.
type gate struct {
	mu   sync.Mutex
	free chan struct{} // closed when it opens; nil: it is open
}

// wait returns when the gate is open.
func (g *gate) wait() {
	g.mu.Lock()
	free := g.free
	g.mu.Unlock()
	if free != nil {
		<-free
	}
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.free == nil {
		g.free = make(chan struct{})
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.free != nil {
		close(g.free)
		g.free = nil
	}
}
