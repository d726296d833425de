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
	"github.com/gcnode/gcnode/discovery"
	natstransport "github.com/gcnode/gcnode/transport/nats"
)

// removals is how many TestRemovalsAndSlowConsumers makes.
var removals = flag.Int("removals", burst, "how many removals there are in TestRemovalsAndSlowConsumers")

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
	callers := max(200, *removals/50)
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

// TestAHundredNodes measures how long a hundred nodes with caches take to know
// each other, and what they publish while nothing happens, all of them having
// removed something before.
func TestAHundredNodes(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	const n, beat, hot = crowd, 2 * time.Second, 4 * time.Second
	var origin versions
	members := make([]*whole, n)
	watchers := make([]*watcher, n)
	for i := range n {
		m := &whole{nc: connect(t, url)}
		members[i] = m
		id := fmt.Sprintf("n%03d", i)
		m.start(t, gcnode.Config{
			Self: gcnode.Peer{ID: id}, HotTTL: hot, PeerTimeout: patience, Transport: newClient(t, m.nc, natstransport.ClientOptions{}),
		}, &origin)
		watchers[i] = watch(t, m.nc, gcnode.Peer{ID: id, Addr: m.server.Addr()}, beat)
	}
	started := time.Now()
	lists := make([][]gcnode.Peer, n)
	eventually(t, func() bool {
		for i, w := range watchers {
			peers, err := w.list()
			if err != nil || len(peers) != n {
				return false
			}
			lists[i] = peers
		}
		return true
	}, "all know all")
	took := time.Since(started)
	require.Less(t, took, 3*beat)
	for i, m := range members {
		require.NoError(t, m.node.SetPeers(lists[i]))
	}
	for _, m := range members {
		require.NoError(t, m.node.Joined(t.Context()))
	}
	for _, m := range members {
		eventually(t, func() bool { return m.group.Remove(t.Context(), "k") == nil }, "the removal is confirmed")
	}
	published := func() (sum uint64) {
		for _, m := range members {
			sum += m.nc.Stats().OutMsgs
		}
		return sum
	}
	// What they have to say is a heartbeat, and in half of hot what they know. The
	// bound is a third more.
	most := (1/beat.Seconds() + 1/(hot/2).Seconds()) * 4 / 3
	time.Sleep(hot) // who has not told by then what it knows is asked
	var idle float64
	for end := time.Now().Add(patience); ; { // what joining and removing has begun comes to an end
		before, since := published(), time.Now()
		time.Sleep(hot / 2) // in which each compares with all others
		idle = float64(published()-before) / time.Since(since).Seconds() / n
		if idle < most || time.Now().After(end) {
			break
		}
	}
	t.Logf("%d nodes knew each other %v after the last one had started (a heartbeat is %v), and publish %.2f messages a second each", n, took, beat, idle)
	require.Less(t, idle, most)
}

// follow gives a node the lists of a source until the end of the test.
func follow(t *testing.T, node interface {
	discovery.Node
	Self() gcnode.Peer
}, source discovery.Source,
) {
	t.Helper()
	members, err := discovery.New(node, source, discovery.Options{Self: node.Self().ID})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- members.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
}
