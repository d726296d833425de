package httptransport_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	httptransport "github.com/gcnode/gcnode/transport/http"
)

// A fetch of what the owner has in memory allocates three times at the member
// that asks (flight, question, value), and once at the owner (key).
func TestAFetchAllocatesLittle(t *testing.T) {
	client := newClient(t, httptransport.ClientOptions{})
	getter := gcnode.GetterFunc[gcnode.Value](func(context.Context, string) (gcnode.Item[gcnode.Value], error) {
		return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(strings.Repeat("v", 128))}, nil
	})
	start := func(id string) (*gcnode.Node, *gcnode.Group) {
		// The shortest HotTTL there is means that no copy is kept.
		node, err := gcnode.NewNode(gcnode.Config{Self: gcnode.Peer{ID: id}, Transport: client, HotTTL: time.Nanosecond})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, node.Close(context.Background())) })
		g, err := node.Group("g", getter, gcnode.GroupOptions{MaxBytes: 1 << 20})
		require.NoError(t, err)
		return node, g
	}
	owner, _ := start("owner")
	asker, group := start("asker")
	peers := []gcnode.Peer{{ID: "owner", Addr: serve(t, owner, httptransport.HandlerOptions{}).URL}}
	require.NoError(t, owner.SetPeers(peers))
	require.NoError(t, asker.SetPeers(peers))
	allocs := testing.AllocsPerRun(1000, func() {
		if v, err := group.Get(t.Context(), "a key"); err != nil || v.Len() != 128 {
			t.Errorf("got %d bytes, %v", v.Len(), err)
		}
	})
	require.LessOrEqual(t, allocs, 4.0+poolMisses)
}
