package bench_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/bench/remote"
	gcnode "github.com/gcnode/gcnode/core"
	natstransport "github.com/gcnode/gcnode/transport/nats"
)

const (
	natsImpl      = "gcnode-nats"
	plainNATSImpl = "nats"
	// hugeBytes is the size of a value that takes many messages of NATS, the
	// largest of which have largeBytes.
	hugeBytes = 8 << 20
)

// BenchmarkFetchNATS gets values that are larger than a message may be, beside
// plain requests whose replies are as large as a message may be.
func BenchmarkFetchNATS(b *testing.B) {
	for _, callers := range []int{1, 4} {
		for _, c := range []struct {
			impl  string
			bytes int
		}{{natsImpl, hugeBytes}, {natsImpl, largeBytes}, {plainNATSImpl, largeBytes}} {
			j := job{Impl: c.impl, Fetch: fetch{Load: load{callers, c.bytes}, Period: time.Duration(amount(int(fetchTime)))}}
			runOnce(b, c.impl, func(b *testing.B) { inChild(b, j).report(b) },
				fmt.Sprintf("callers=%d", callers), fmt.Sprintf("size=%dMiB", c.bytes>>20))
		}
	}
}

// natsCluster is nodes in this process that talk over NATS, each with a
// connection of its own to the same server over loopback.
type natsCluster struct {
	peers  []gcnode.Peer
	conns  []*nats.Conn
	nodes  []*gcnode.Node
	groups []*gcnode.Group
}

// newNATSCluster starts a cluster.
func newNATSCluster(tb testing.TB, size int) *natsCluster {
	tb.Helper()
	broker, err := remote.NewBroker()
	require.NoError(tb, err)
	tb.Cleanup(broker.Shutdown)
	c := &natsCluster{}
	tb.Cleanup(func() {
		for _, node := range c.nodes {
			_ = node.Close(context.Background())
		}
	})
	for i := range size {
		c.start(tb, broker, fmt.Sprintf("node-%d", i+1))
	}
	for _, node := range c.nodes {
		require.NoError(tb, node.SetPeers(c.peers))
	}
	for _, node := range c.nodes {
		require.Eventually(tb, func() bool { return node.Stats().Joined }, time.Minute, time.Millisecond)
	}
	return c
}

// start adds a node, and somebody who answers plain requests on its connection.
func (c *natsCluster) start(tb testing.TB, broker *natsserver.Server, id string) {
	tb.Helper()
	conn, err := nats.Connect(broker.ClientURL())
	require.NoError(tb, err)
	tb.Cleanup(conn.Close)
	client, err := natstransport.NewClient(conn, natstransport.ClientOptions{})
	require.NoError(tb, err)
	tb.Cleanup(client.Close)
	node, err := gcnode.NewNode(gcnode.Config{Self: gcnode.Peer{ID: id}, Transport: client})
	require.NoError(tb, err)
	group, err := node.Group("bench", gcnode.GetterFunc[gcnode.Value](func(context.Context, string) (gcnode.Item[gcnode.Value], error) {
		return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(value())}, nil
	}), gcnode.GroupOptions{MaxBytes: capacity})
	require.NoError(tb, err)
	server, err := natstransport.Serve(conn, node, natstransport.ServerOptions{ID: id})
	require.NoError(tb, err)
	tb.Cleanup(server.Close)
	for _, to := range []string{id, "all"} {
		_, err = conn.Subscribe(plainSubject(to), func(m *nats.Msg) {
			if to == id || len(c.conns) > 0 && conn != c.conns[0] {
				_ = m.Respond([]byte(id)) // an error shows as a request without an answer
			}
		})
		require.NoError(tb, err)
	}
	require.NoError(tb, conn.Flush())
	c.peers = append(c.peers, gcnode.Peer{ID: id, Addr: server.Addr()})
	c.conns, c.nodes, c.groups = append(c.conns, conn), append(c.nodes, node), append(c.groups, group)
}

func plainSubject(id string) string { return "plain." + id }

// gather publishes a plain message to all nodes, and waits until all but the
// first, which has sent it, have replied.
func (c *natsCluster) gather(b *testing.B, replies *nats.Subscription) {
	require.NoError(b, c.conns[0].PublishRequest(plainSubject("all"), replies.Subject, nil))
	for range c.conns[1:] {
		_, err := replies.NextMsg(time.Minute)
		require.NoError(b, err)
	}
}

// BenchmarkRemoveNATS removes keys on twelve nodes, one after the other, and
// after each sends a plain request of NATS to one of the others, in turn: a
// removal waits for the slowest of them, and is compared with that one. Then a
// plain message goes to all of them, to which each replies: no removal can take
// less.
func BenchmarkRemoveNATS(b *testing.B) {
	const nodes = 12
	runOnce(b, natsImpl, func(b *testing.B) {
		c := newNATSCluster(b, nodes)
		rounds := amount(11_000)
		replies, err := c.conns[0].SubscribeSync(c.conns[0].NewRespInbox())
		require.NoError(b, err)
		var removals, gathered times
		plain := make([]times, nodes)
		for i, key := range newKeys(0, rounds) {
			_, err := c.groups[i%nodes].Get(b.Context(), key)
			require.NoError(b, err)
			removals = append(removals, measure(func() {
				require.NoError(b, c.groups[0].Remove(b.Context(), key))
			}))
			to := 1 + i%(nodes-1)
			plain[to] = append(plain[to], measure(func() {
				answer, err := c.conns[0].Request(plainSubject(c.peers[to].ID), []byte(key), time.Minute)
				if err == nil && string(answer.Data) != c.peers[to].ID {
					err = errors.New("somebody else has answered")
				}
				require.NoError(b, err)
			}))
			gathered = append(gathered, measure(func() { c.gather(b, replies) }))
		}
		slowest := func(part float64) (slowest time.Duration) {
			for _, took := range plain[1:] {
				slowest = max(slowest, took.quantile(part))
			}
			return slowest
		}
		for _, q := range []struct {
			name string
			part float64
		}{{"p50", 0.5}, {"p99", 0.99}} {
			b.ReportMetric(us(removals.quantile(q.part)), "remove-"+q.name+"-us")
			b.ReportMetric(us(slowest(q.part)), "plain-"+q.name+"-us")
			b.ReportMetric(us(gathered.quantile(q.part)), "gather-"+q.name+"-us")
		}
		b.ReportMetric(us(removals.quantile(0.99))/us(slowest(0.99)), "p99/plain-p99")
		b.ReportMetric(us(gathered.quantile(0.99))/us(slowest(0.99)), "gather-p99/plain-p99")
	}, fmt.Sprintf("nodes=%d", nodes))
}
