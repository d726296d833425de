package httptransport_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	httptransport "github.com/gcnode/gcnode/transport/http"
)

// cluster is some nodes that reach each other over HTTP.
type cluster struct {
	servers map[string]*member
	groups  []*gcnode.Group
	loads   atomic.Int64
}

// newCluster starts the nodes and gives each of them the group "g", which
// loads a key as itself and has no value for "none".
// With secrets, members sign what they send.
func newCluster(t *testing.T, shared *httptransport.Secrets, ids ...string) *cluster {
	t.Helper()
	c := &cluster{servers: map[string]*member{}}
	getter := gcnode.GetterFunc[gcnode.Value](func(_ context.Context, key string) (gcnode.Item[gcnode.Value], error) {
		c.loads.Add(1)
		if key == "none" {
			return gcnode.Item[gcnode.Value]{}, gcnode.ErrNotFound
		}
		return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(key)}, nil
	})
	var peers []gcnode.Peer
	var nodes []*gcnode.Node
	for _, id := range ids {
		node, err := gcnode.NewNode(gcnode.Config{
			Self:        gcnode.Peer{ID: id},
			Transport:   newClient(t, httptransport.ClientOptions{DialTimeout: patience, Secrets: shared}),
			PeerTimeout: patience,
		})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, node.Close(context.WithoutCancel(t.Context()))) })
		group, err := node.Group("g", getter, gcnode.GroupOptions{MaxBytes: 8 << 20})
		require.NoError(t, err)
		server := serve(t, node, httptransport.HandlerOptions{Self: id, Secrets: shared})
		c.servers[id] = server
		c.groups = append(c.groups, group)
		nodes = append(nodes, node)
		peers = append(peers, gcnode.Peer{ID: id, Addr: server.URL})
	}
	for _, node := range nodes {
		require.NoError(t, node.SetPeers(peers))
	}
	for _, node := range nodes {
		require.NoError(t, node.Joined(t.Context()))
	}
	return c
}

// requireValue gets the key from each of the groups.
func requireValue(t *testing.T, key string, groups []*gcnode.Group) {
	t.Helper()
	for _, group := range groups {
		value, err := group.Get(t.Context(), key)
		require.NoError(t, err)
		require.Equal(t, key, value.String())
	}
}

func TestCluster(t *testing.T) {
	t.Run("open", func(t *testing.T) { testCluster(t, nil) })
	t.Run("signed", func(t *testing.T) { testCluster(t, secrets(t, "k")) })
}

func testCluster(t *testing.T, shared *httptransport.Secrets) {
	t.Helper()
	c := newCluster(t, shared, "a", "b", "c")
	keys := []string{"", "a b+/%2F/..", "\x00\xff", "x", "y", "z"}
	for _, key := range keys {
		requireValue(t, key, c.groups)
	}
	require.EqualValues(t, len(keys), c.loads.Load(), "each key is loaded once")

	require.NoError(t, c.groups[0].Remove(t.Context(), keys...))
	for _, key := range keys {
		requireValue(t, key, c.groups)
	}
	require.EqualValues(t, 2*len(keys), c.loads.Load(), "each key is loaded once more")

	for _, group := range c.groups {
		_, err := group.Get(t.Context(), "none")
		require.ErrorIs(t, err, gcnode.ErrNotFound)
	}
	require.EqualValues(t, 2*len(keys)+1, c.loads.Load())

	for by, group := range c.groups {
		value := strings.Repeat(strconv.Itoa(by), 300_000)
		require.NoError(t, group.Set(t.Context(), "set", gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(value)}))
		for _, group := range c.groups {
			got, err := group.Get(t.Context(), "set")
			require.NoError(t, err)
			require.True(t, got.String() == value)
		}
	}
	many, err := c.groups[0].GetMany(t.Context(), append(keys, "none"))
	require.NoError(t, err)
	require.Len(t, many, len(keys))
	require.NoError(t, c.groups[2].Clear(t.Context()))
	for _, group := range c.groups {
		require.Zero(t, group.Stats().Owned.Entries+group.Stats().Hot.Entries)
	}

	c.servers["c"].drop()
	c.servers["c"].Close()
	for _, key := range []string{"1", "2", "3", "4", "5", "6"} {
		requireValue(t, key, c.groups[:2])
	}
	err = c.groups[0].Remove(t.Context(), "1")
	unconfirmed, ok := errors.AsType[*gcnode.PeerErrors](err)
	require.True(t, ok, "error is %v", err)
	require.Len(t, unconfirmed.Peers, 1)
	require.Equal(t, "c", unconfirmed.Peers[0].Peer)
	require.ErrorIs(t, err, gcnode.ErrUnreachable)
}
