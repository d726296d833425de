package test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	natstransport "github.com/gcnode/gcnode/transport/nats"
)

// streamName is that of the archive of the cluster "default".
const streamName = "gcnode-default-removals"

// withJetStream is a server that keeps streams.
func withJetStream(t *testing.T) func(*natsserver.Options) {
	t.Helper()
	dir := t.TempDir()
	return func(o *natsserver.Options) { o.JetStream, o.StoreDir = true, dir }
}

// TestAMemberThatWasAway has one that was cut off until nobody remembers what it
// has missed. What is in the archive it applies, and keeps the rest of what it
// has; otherwise it drops everything. It gives nobody an old value.
func TestAMemberThatWasAway(t *testing.T) {
	tests := map[string]struct {
		without bool // there is no JetStream
		opts    natstransport.ArchiveOptions
		// while happens while the member is away, after a key was removed.
		while func(t *testing.T, s *natsserver.Server, change func(*natsserver.Options), remover *whole, key string)
		drops bool
	}{
		"applies what is kept": {},
		"of which there is much": {while: func(t *testing.T, _ *natsserver.Server, _ func(*natsserver.Options), remover *whole, _ string) {
			t.Helper()
			for i := range 1000 {
				require.NoError(t, remover.group.Remove(t.Context(), fmt.Sprintf("another %d", i)))
			}
		}},
		"also when NATS has restarted": {while: func(t *testing.T, s *natsserver.Server, change func(*natsserver.Options), remover *whole, key string) {
			t.Helper()
			archive, err := natstransport.NewArchive(newClient(t, remover.nc, natstransport.ClientOptions{}), natstransport.ArchiveOptions{})
			require.NoError(t, err)
			kept := func() (found bool) {
				err := archive.Replay(t.Context(), func(r gcnode.Removal) { found = found || slices.Contains(r.Keys, key) })
				return found && err == nil
			}
			eventually(t, kept, "the removal is in the stream a moment after the members have it")
			restart(t, s, change)
			eventually(t, remover.nc.IsConnected, "the remover is back")
			eventually(t, kept, "the stream was read again")
		}},
		"drops everything without JetStream": {without: true, drops: true},
		"or when the stream was deleted": {drops: true, while: func(t *testing.T, _ *natsserver.Server, _ func(*natsserver.Options), remover *whole, _ string) {
			t.Helper()
			js, err := jetstream.New(remover.nc)
			require.NoError(t, err)
			require.NoError(t, js.DeleteStream(t.Context(), streamName))
		}},
		"or has kept the latest only": {drops: true, opts: natstransport.ArchiveOptions{MaxBytes: 2 << 10}, while: func(t *testing.T, _ *natsserver.Server, _ func(*natsserver.Options), remover *whole, _ string) {
			t.Helper()
			for i := range 50 {
				require.NoError(t, remover.group.Remove(t.Context(), fmt.Sprintf("another %d", i)))
			}
		}},
		"or for too short a time": {drops: true, opts: natstransport.ArchiveOptions{MaxAge: time.Second, InMemory: true}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			change := withJetStream(t)
			if test.without {
				change = func(*natsserver.Options) {}
			}
			s := startServer(t, change)
			const n, away = 3, 2
			between := newProxy(t, strings.TrimPrefix(s.ClientURL(), "nats://"))
			var origin versions
			members, list := make([]*whole, n), make([]gcnode.Peer, n)
			for i := range members {
				url := s.ClientURL()
				if i == away {
					url = "nats://" + between.l.Addr().String()
				}
				m := &whole{nc: connect(t, url)}
				archive, err := natstransport.NewArchive(newClient(t, m.nc, natstransport.ClientOptions{}), test.opts)
				require.NoError(t, err)
				id := fmt.Sprintf("n%d", i)
				m.start(t, gcnode.Config{Self: gcnode.Peer{ID: id}, Transport: archive, HotTTL: 200 * time.Millisecond}, &origin)
				members[i], list[i] = m, gcnode.Peer{ID: id, Addr: m.server.Addr()}
			}
			meet(t, members, list)
			var keys []string // of the one that is away
			for i := 0; len(keys) < 2; i++ {
				if key := fmt.Sprintf("k%d", i); members[0].group.Owner(key).ID == list[away].ID {
					keys = append(keys, key)
				}
			}
			want(t, members[away:], keys[0], "0")
			want(t, members[away:], keys[1], "0")

			between.set(true)
			for _, m := range members[:away] {
				require.NoError(t, m.node.SetPeers(list[:away]))
			}
			origin.Store(1)
			eventually(t, func() bool { return members[0].group.Remove(t.Context(), "some") == nil }, "who is away need not be told any more")
			require.NoError(t, members[0].group.Remove(t.Context(), keys[0]))
			if test.while != nil {
				test.while(t, s, change, members[0], keys[0])
			}
			time.Sleep(6 * time.Second) // for so long a removal is remembered that all have confirmed
			between.set(false)
			eventually(t, func() bool { return members[away].nc.IsConnected() }, "it is back")
			for _, m := range members[:away] {
				require.NoError(t, m.node.SetPeers(list))
			}
			eventually(t, func() bool {
				want(t, members[:away], keys[0], "1")
				v, err := members[away].group.Get(t.Context(), keys[0])
				return err == nil && v.String() == "1"
			}, "it knows")
			rest := "0"
			if test.drops {
				rest = "1"
			}
			want(t, members[away:], keys[1], rest)
			require.Equal(t, test.drops, members[away].node.Stats().Gaps > 0)
		})
	}
}

// TestTheArchiveIsMadeAgain deletes the stream.
func TestTheArchiveIsMadeAgain(t *testing.T) {
	nc := connect(t, startServer(t, withJetStream(t)).ClientURL())
	archive, err := natstransport.NewArchive(newClient(t, nc, natstransport.ClientOptions{}), natstransport.ArchiveOptions{})
	require.NoError(t, err)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	await := func(want ...string) {
		t.Helper()
		eventually(t, func() bool { // it is kept a moment after it was heard
			var keys []string
			err := archive.Replay(t.Context(), func(r gcnode.Removal) { keys = append(keys, r.Keys...) })
			return err == nil && slices.Equal(want, keys)
		}, "the archive has them")
	}
	remove := func(key string) {
		req := &gcnode.Request{Op: gcnode.OpRemove, Removals: []gcnode.Removal{{Group: "g", Keys: []string{key}}}}
		require.NoError(t, archive.Broadcast(t.Context(), nil, req, nil))
		require.NoError(t, archive.Broadcast(t.Context(), nil, &gcnode.Request{Op: gcnode.OpFinish}, nil))
	}
	await()
	remove("a")
	remove("b")
	await("a", "b")
	require.NoError(t, js.DeleteStream(t.Context(), streamName))
	remove("c")
	err = archive.Replay(t.Context(), func(gcnode.Removal) { t.Error("a removal that is kept nowhere") })
	require.ErrorIs(t, err, jetstream.ErrStreamNotFound)
	remove("d")
	await("d")
}

// TestAStreamGoesWhileItIsRead deletes the stream, or stops NATS, when a part of
// what is kept was read: the rest is not to be had, which is known soon.
func TestAStreamGoesWhileItIsRead(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *natsserver.Server, *nats.Conn, *proxy){
		"it is deleted": func(t *testing.T, _ *natsserver.Server, nc *nats.Conn, _ *proxy) {
			t.Helper()
			js, err := jetstream.New(nc)
			require.NoError(t, err)
			require.NoError(t, js.DeleteStream(t.Context(), streamName))
		},
		"NATS stops": func(t *testing.T, s *natsserver.Server, _ *nats.Conn, _ *proxy) {
			t.Helper()
			stopServer(s)
		},
		"the connection ends while nothing comes": func(_ *testing.T, _ *natsserver.Server, _ *nats.Conn, between *proxy) {
			between.stall(back)
			time.AfterFunc(500*time.Millisecond, func() { between.set(true) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, withJetStream(t))
			between := newProxy(t, strings.TrimPrefix(s.ClientURL(), "nats://"))
			nc := connect(t, "nats://"+between.l.Addr().String())
			archive, err := natstransport.NewArchive(newClient(t, nc, natstransport.ClientOptions{}), natstransport.ArchiveOptions{})
			require.NoError(t, err)
			const kept = 5000
			for range kept {
				req := &gcnode.Request{Op: gcnode.OpRemove, Removals: []gcnode.Removal{{Group: "g", Keys: []string{"k"}}}}
				require.NoError(t, archive.Broadcast(t.Context(), nil, req, nil))
			}
			count := func(ctx context.Context, each func(n int)) (n int, err error) {
				err = archive.Replay(ctx, func(gcnode.Removal) { n++; each(n) })
				return n, err
			}
			eventually(t, func() bool {
				n, err := count(t.Context(), func(int) {})
				return n == kept && err == nil
			}, "all are kept")
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			n, err := count(ctx, func(n int) {
				if n == 1 {
					end(t, s, nc, between)
				}
			})
			require.Error(t, err)
			require.NoError(t, ctx.Err(), "it is known long before")
			require.Less(t, n, kept)
		})
	}
}

// TestAStreamConfirmsNothing has a stream that somebody has made who wants what it
// keeps to be acknowledged. That is not the answer of any member.
func TestAStreamConfirmsNothing(t *testing.T) {
	url := startServer(t, withJetStream(t)).ClientURL()
	nc := connect(t, url)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: streamName, Subjects: []string{"gcnode.default.events.removals"}})
	require.NoError(t, err)
	answers, err := nc.SubscribeSync("gcnode.default.back.*.*")
	require.NoError(t, err)
	require.NoError(t, nc.Flush()) // NATS knows of it before there is an answer
	archive, err := natstransport.NewArchive(newClient(t, connect(t, url), natstransport.ClientOptions{}), natstransport.ArchiveOptions{})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		req := &gcnode.Request{Op: gcnode.OpRemove, Removals: []gcnode.Removal{{Group: "g", Keys: []string{"k"}}}}
		ended <- archive.Broadcast(ctx, []gcnode.Peer{{ID: "away"}}, req, func(from gcnode.Peer, _ gcnode.Reply) { t.Errorf("%q has not answered", from.ID) })
	}()
	m, err := answers.NextMsg(patience)
	require.NoError(t, err)
	require.Contains(t, string(m.Data), streamName)
	select {
	case err := <-ended:
		require.Fail(t, "the broadcast has ended", "%v", err)
	case <-time.After(100 * time.Millisecond):
	}
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
}

// TestArchiveOptions refuses what makes no sense.
func TestArchiveOptions(t *testing.T) {
	client := newClient(t, connect(t, startServer(t, nil).ClientURL()), natstransport.ClientOptions{})
	_, err := natstransport.NewArchive(client, natstransport.ArchiveOptions{MaxBytes: -1})
	require.ErrorContains(t, err, "MaxBytes")
	_, err = natstransport.NewArchive(client, natstransport.ArchiveOptions{})
	require.NoError(t, err, "JetStream is not there, which is no reason not to start")
}
