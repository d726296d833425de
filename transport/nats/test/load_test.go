package test

import (
	"context"
	"flag"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	natstransport "github.com/gcnode/gcnode/transport/nats"
)

// removals is how many TestRemovalsAndSlowConsumers makes.
var removals = flag.Int("removals", 5_000, "how many removals there are in TestRemovalsAndSlowConsumers")

// TestRemovalsAndSlowConsumers has many removals, and a member that takes its
// time: longer than anybody waits for it after a broadcast. It is told by itself
// and follows, or the removal names it.
func TestRemovalsAndSlowConsumers(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	var origin versions
	members := startMembers(t, 3, gcnode.DefaultHotTTL, func(int) *nats.Conn { return connect(t, url) }, origin.of)
	slow := members[2]
	slow.server.Close()
	server, err := natstransport.Serve(slow.nc, sluggish{slow.node}, natstransport.ServerOptions{ID: "n2"})
	require.NoError(t, err)
	t.Cleanup(server.Close)
	list := members[0].node.Peers()
	for i := range list {
		if list[i].ID == "n2" {
			list[i].Addr = server.Addr()
		}
	}
	for _, m := range members {
		require.NoError(t, m.node.SetPeers(list))
	}
	for i := range 100 {
		want(t, members, fmt.Sprintf("k%d", i), "0")
	}
	origin.Store(1)
	const callers = 200
	var all sync.WaitGroup
	var failed sync.Map
	for c := range callers {
		all.Go(func() {
			for i := c; i < *removals; i += callers {
				key := fmt.Sprintf("k%d", i)
				if err := members[i%2].group.Remove(context.Background(), key); err != nil {
					failed.Store(key, err)
				}
			}
		})
	}
	all.Wait()
	named := 0
	for i := range 100 {
		key := fmt.Sprintf("k%d", i)
		if _, ok := failed.Load(key); ok {
			named++
			continue
		}
		want(t, members, key, "1")
	}
	eventually(t, func() bool { return members[0].node.Stats().Retrying+members[1].node.Stats().Retrying == 0 }, "it has followed in the end")
	for i := range 100 {
		want(t, members, fmt.Sprintf("k%d", i), "1")
	}
	t.Logf("%d of 100 removals named the slow member", named)
}

// sluggish is a member that takes its time with removals.
type sluggish struct{ gcnode.Handler }

func (s sluggish) ServePeer(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
	if req.Op == gcnode.OpRemove {
		pause := 20 * time.Millisecond
		if req.To == "" {
			pause = time.Second
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return s.Handler.ServePeer(ctx, req, w)
}

// TestAHundredNodes measures how long a hundred nodes take to know each other,
// and what they publish while nothing happens.
func TestAHundredNodes(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	const n, beat = 100, 2 * time.Second
	conns := make([]*nats.Conn, n)
	watchers := make([]*watcher, n)
	begun := time.Now()
	for i := range n {
		conns[i] = connect(t, url)
		self := gcnode.Peer{ID: fmt.Sprintf("n%03d", i)}
		server := serve(t, conns[i], handlerFunc(echo), natstransport.ServerOptions{ID: self.ID})
		self.Addr = server.Addr()
		m, err := natstransport.Announce(conns[i], self, natstransport.MembershipOptions{Heartbeat: beat})
		require.NoError(t, err)
		w := &watcher{Membership: m, nc: conns[i]}
		watchers[i] = w
		ctx, cancel := context.WithCancel(context.Background())
		var watching sync.WaitGroup
		watching.Go(func() { m.Watch(ctx, w.report) })
		t.Cleanup(func() {
			cancel()
			watching.Wait()
			m.Close()
		})
	}
	started := time.Now()
	eventually(t, func() bool {
		for _, w := range watchers {
			if peers, err := w.list(); err != nil || len(peers) != n {
				return false
			}
		}
		return true
	}, "all know all")
	took := time.Since(started)
	published := func() (sum uint64) {
		for _, nc := range conns {
			sum += nc.Stats().OutMsgs
		}
		return sum
	}
	before, since := published(), time.Now()
	time.Sleep(2 * beat)
	rate := float64(published()-before) / time.Since(since).Seconds() / n
	t.Logf("%d nodes started in %v, knew each other %v later (a heartbeat is %v), and publish %.2f messages a second each", n, started.Sub(begun), took, beat, rate)
	require.Less(t, took, 3*beat)
	require.Less(t, rate, 2.0)
}
