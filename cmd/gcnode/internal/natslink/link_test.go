package natslink

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/config"
	gcnode "github.com/gcnode/gcnode/core"
)

const patience = time.Minute

func openLink(t *testing.T, n *config.NATS) *Link {
	t.Helper()
	if n.Heartbeat == 0 {
		n.Heartbeat = 50 * time.Millisecond
	}
	n.Weight = 1
	link, err := Open(t.Context(), Options{ID: "a", NATS: n, Listen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, link.Shutdown(t.Context())) })
	return link
}

// startServer starts a server beside the node.
func startServer(t *testing.T, opts *natsserver.Options) *natsserver.Server {
	t.Helper()
	opts.Host, opts.Port, opts.NoLog, opts.NoSigs = "127.0.0.1", natsserver.RANDOM_PORT, true, true
	server, err := natsserver.NewServer(opts)
	require.NoError(t, err)
	server.Start()
	t.Cleanup(server.Shutdown)
	require.True(t, server.ReadyForConnections(patience))
	return server
}

func embeddedOnly() *config.NATS {
	return &config.NATS{Embedded: &config.EmbeddedNATS{Routes: []string{"127.0.0.1:1"}}}
}

func TestNobodyButTheNodeReachesTheServerWithinIt(t *testing.T) {
	link := openLink(t, embeddedOnly())
	_, err := link.Connect(t.Context())
	require.NoError(t, err)
	for name, opts := range map[string][]nats.Option{
		"nothing":  nil,
		"token":    {nats.Token("a")},
		"password": {nats.UserInfo("gcnode", "")},
	} {
		_, err := nats.Connect(link.server.nats.ClientURL(), opts...)
		require.ErrorIs(t, err, nats.ErrAuthorization, name)
	}
	assert.True(t, loopback(link.server.nats.Addr().String()))
	assert.Empty(t, link.Exposed())
}

// An unusable directory is reported, and does not leave the start waiting.
func TestAServerThatDoesNotStartIsReported(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	n := embeddedOnly()
	n.Embedded.StoreDir, n.Embedded.MaxStore = dir, 1<<20
	require.NoError(t, os.WriteFile(dir, nil, 0o600))
	_, err := Open(t.Context(), Options{ID: "a", NATS: n, Listen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)})
	require.ErrorContains(t, err, "nats.embedded: ")
	require.ErrorContains(t, err, "JetStream")
}

func TestALinkSaysSinceWhenItIsCutOff(t *testing.T) {
	server := startServer(t, &natsserver.Options{})
	link := openLink(t, &config.NATS{URLs: []string{server.ClientURL()}})
	transport, err := link.Connect(t.Context())
	require.NoError(t, err)
	node, err := gcnode.NewNode(gcnode.Config{Self: gcnode.Peer{ID: "a"}, Transport: transport})
	require.NoError(t, err)
	require.NoError(t, link.Serve(node))
	assert.Empty(t, link.CutOff())
	figures := link.Figures()
	assert.True(t, figures.Connected)
	assert.Equal(t, server.ClientURL(), figures.URL)
	assert.Nil(t, figures.LostAt)

	server.Shutdown()
	require.Eventually(t, func() bool { return link.CutOff() == "there is no connection to NATS" }, patience, time.Millisecond)
	figures = link.Figures()
	assert.False(t, figures.Connected)
	assert.Equal(t, uint64(1), figures.Interruptions)
	assert.GreaterOrEqual(t, time.Since(*figures.LostAt), missedHeartbeats*50*time.Millisecond)
	link.Leave()
	require.NoError(t, node.Close(t.Context()))
}

func TestALinkKeepsRemovals(t *testing.T) {
	server := startServer(t, &natsserver.Options{JetStream: true, StoreDir: t.TempDir()})
	link := openLink(t, &config.NATS{
		URLs: []string{server.ClientURL()}, Cluster: "shop",
		Archive: &config.NATSArchive{MaxAge: 3 * time.Hour, MaxBytes: 5 << 20, Replicas: 1},
	})
	transport, err := link.Connect(t.Context())
	require.NoError(t, err)
	assert.Implements(t, (*gcnode.Archive)(nil), transport)
	js, err := jetstream.New(link.conn)
	require.NoError(t, err)
	stream, err := js.Stream(t.Context(), "gcnode-shop-removals")
	require.NoError(t, err)
	kept := stream.CachedInfo().Config
	assert.Equal(t, 3*time.Hour, kept.MaxAge)
	assert.Equal(t, int64(5<<20), kept.MaxBytes)
}

// Three nodes have servers that keep removals together, each in a directory of
// its own: what was removed is there when one of them has gone.
func TestServersWithinNodesKeepRemovals(t *testing.T) {
	const n = 3
	routes, held := make([]string, n), []net.Listener{}
	for i := range routes {
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is closed at once
		require.NoError(t, err)
		held = append(held, l) // so that they differ
		routes[i] = l.Addr().String()
	}
	for _, l := range held {
		require.NoError(t, l.Close())
	}
	links, archives := make([]*Link, n), make([]gcnode.Archive, n)
	var wg sync.WaitGroup
	for i := range links {
		wg.Go(func() {
			link, err := Open(t.Context(), Options{ID: fmt.Sprintf("n%d", i), Listen: routes[i], Logger: slog.New(slog.DiscardHandler), NATS: &config.NATS{
				Embedded: &config.EmbeddedNATS{Routes: routes, StoreDir: t.TempDir(), MaxStore: 64 << 20},
				Archive:  &config.NATSArchive{MaxAge: time.Hour, MaxBytes: 1 << 20, Replicas: n},
			}})
			if !assert.NoError(t, err) {
				return
			}
			links[i] = link
			transport, err := link.Connect(t.Context())
			assert.NoError(t, err)
			archives[i], _ = transport.(gcnode.Archive)
		})
	}
	wg.Wait()
	t.Cleanup(func() {
		for _, link := range links {
			assert.NoError(t, link.Shutdown(context.Background()))
		}
	})
	kept := func(by gcnode.Archive) (keys []string, err error) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		err = by.Replay(ctx, func(r gcnode.Removal) { keys = append(keys, r.Keys...) })
		return keys, err
	}
	require.Eventually(t, func() bool {
		_, err := kept(archives[0]) // which makes the stream
		return err == nil
	}, patience, 100*time.Millisecond, "they keep removals together")
	req := &gcnode.Request{Op: gcnode.OpRemove, Removals: []gcnode.Removal{{Group: "g", Keys: []string{"k"}}}}
	require.Eventually(t, func() bool { // the server of this node may not know yet who keeps the stream
		if err := archives[0].Broadcast(t.Context(), nil, req, nil); err != nil {
			return false
		}
		keys, err := kept(archives[0])
		return err == nil && slices.Contains(keys, "k")
	}, patience, 100*time.Millisecond)
	require.NoError(t, links[0].Shutdown(t.Context()))
	links[0] = nil
	require.Eventually(t, func() bool {
		keys, err := kept(archives[1])
		return err == nil && slices.Contains(keys, "k")
	}, patience, 100*time.Millisecond, "those that are left have it")
}
