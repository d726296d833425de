package test

import (
	"cmp"
	"fmt"
	"sync"
	"testing"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
	natstransport "github.com/gcnode/gcnode/transport/nats"
)

func TestConformance(t *testing.T) {
	tests := []struct {
		name   string
		change func(*natsserver.Options)
		opts   natstransport.ServerOptions
		byAddr bool
	}{
		{name: "usual payload"},
		{
			name: "payload of 64 KiB by address", change: maxPayload(64 << 10), byAddr: true,
			opts: natstransport.ServerOptions{ID: "node a/.*>\xff", Cluster: "other"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			transporttest.Run(t, func(t *testing.T, h gcnode.Handler) transporttest.Endpoint {
				t.Helper()
				url := startServer(t, test.change).ClientURL()
				members := connect(t, url)
				server := serve(t, members, h, test.opts)
				others := connect(t, url)
				cluster := cmp.Or(test.opts.Cluster, natstransport.DefaultCluster)
				hold(t, others, cluster, "silent")
				e := transporttest.Endpoint{
					Transport: newClient(t, connect(t, url), natstransport.ClientOptions{Cluster: test.opts.Cluster}),
					Peer:      gcnode.Peer{ID: "server"},
					Absent:    gcnode.Peer{ID: "nobody"},
					Silent:    gcnode.Peer{ID: "silent"},
					Cut:       members.Close,
				}
				if test.byAddr {
					e.Peer = gcnode.Peer{ID: test.opts.ID, Addr: server.Addr()}
				}
				return e
			})
		})
	}
}

// hold has a member be there that says nothing.
func hold(t *testing.T, nc *nats.Conn, cluster, id string) {
	t.Helper()
	_, err := nc.Subscribe("gcnode."+cluster+".node."+id, func(*nats.Msg) {})
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
}

// TestNoKeyAndNoGroupIsPartOfASubject has one who sees all subjects while members
// exchange what they exchange.
func TestNoKeyAndNoGroupIsPartOfASubject(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	var seen sync.Map
	watcher := connect(t, url)
	_, err := watcher.Subscribe(">", func(m *nats.Msg) { seen.Store(m.Subject, true) })
	require.NoError(t, err)
	require.NoError(t, watcher.Flush())
	var origin versions
	members := startMembers(t, 3, gcnode.DefaultHotTTL, func(int) *nats.Conn { return connect(t, url) }, origin.of)
	for _, m := range members {
		g, err := m.node.Group("a-group", origin.of(0), gcnode.GroupOptions{MaxBytes: 1 << 20})
		require.NoError(t, err)
		for i := range 10 {
			key := fmt.Sprintf("a-key-%d", i)
			_, err := g.Get(t.Context(), key)
			require.NoError(t, err)
			require.NoError(t, g.Set(t.Context(), key, gcnode.Item[gcnode.Value]{Value: gcnode.StringValue("v"), Keep: gcnode.Forever}))
			require.NoError(t, g.Remove(t.Context(), key))
		}
		require.NoError(t, g.Clear(t.Context()))
	}
	require.NoError(t, watcher.Flush())
	subjects := 0
	seen.Range(func(subject, _ any) bool {
		subjects++
		require.NotContains(t, subject, "a-key")
		require.NotContains(t, subject, "a-group")
		return true
	})
	require.Greater(t, subjects, 10)
}
