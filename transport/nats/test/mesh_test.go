package test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
)

// mesh is NATS servers each two of which know each other through proxies alone.
type mesh struct {
	servers []*natsserver.Server
	// links are the proxies through which one server calls another.
	links map[[2]int]*proxy
}

// startMesh starts servers. Servers tell each other of a third one where they
// are called from, and at which port it listens: so each listens at a host of
// its own, and at that of the proxies there is nobody at its port.
func startMesh(t *testing.T, n int, change func(*natsserver.Options)) *mesh {
	t.Helper()
	m := &mesh{links: map[[2]int]*proxy{}}
	for i := range n {
		for j := range n {
			if i != j {
				m.links[[2]int{i, j}] = newProxy(t, "")
			}
		}
	}
	for i := range n {
		s := startServer(t, func(o *natsserver.Options) {
			o.ServerName = string(rune('a' + i))
			o.Cluster = natsserver.ClusterOpts{
				Name: "c", Host: fmt.Sprintf("127.0.0.%d", 2+i), Port: natsserver.RANDOM_PORT, NoAdvertise: true, PoolSize: -1,
			}
			o.PingInterval = time.Second
			for j := range n {
				if i != j {
					o.Routes = append(o.Routes, natsserver.RoutesFromStr("nats://"+m.links[[2]int{i, j}].l.Addr().String())...)
				}
			}
			if change != nil {
				change(o)
			}
		})
		m.servers = append(m.servers, s)
		for j := range n {
			if i != j {
				m.links[[2]int{j, i}].lead(s.ClusterAddr().String())
			}
		}
	}
	eventually(t, func() bool {
		return !slices.ContainsFunc(m.servers, func(s *natsserver.Server) bool { return s.NumRoutes() < n-1 })
	}, "the NATS servers know each other")
	return m
}

// part breaks all connections between a server and the others, or lets there be
// new ones.
func (m *mesh) part(server int, apart bool) {
	for between, p := range m.links {
		if slices.Contains(between[:], server) {
			p.set(apart)
		}
	}
}

// mute lets nothing come from a server to the others, whose words it hears.
func (m *mesh) mute(server int) { m.from(server, (*proxy).stall) }

// unmute ends that.
func (m *mesh) unmute(server int) { m.from(server, (*proxy).flow) }

// from does something to the ways from a server to the others.
func (m *mesh) from(server int, do func(p *proxy, way int)) {
	for between, p := range m.links {
		switch server {
		case between[0]:
			do(p, forth)
		case between[1]:
			do(p, back)
		}
	}
}
