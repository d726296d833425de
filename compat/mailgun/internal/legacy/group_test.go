package legacy_test

import (
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/compat/mailgun/internal/legacy"
	gcnode "github.com/gcnode/gcnode/core"
)

// only is a picker with one peer that owns nothing.
type only struct{ peer legacy.Peer }

func (o only) Pick(string) (legacy.Peer, bool) { return nil, false }
func (o only) Remote(string) bool              { return false }
func (o only) All() []legacy.Peer              { return []legacy.Peer{o.peer} }

// TestAProcessMayBeOnItsOwnListOfPeers has one that tells itself to give up what
// it has just been given.
func TestAProcessMayBeOnItsOwnListOfPeers(t *testing.T) {
	var group *legacy.Group
	server := httptest.NewServer(legacy.NewHandler(legacy.HandlerOptions{
		BasePath: legacy.DefaultBasePath,
		Lookup:   func(string) (legacy.Cache, bool) { return group.Local(), true },
	}))
	defer server.Close()
	client := legacy.NewClient(legacy.ClientOptions{})
	defer client.Close()
	var err error
	group, err = legacy.NewGroup(legacy.GroupConfig{
		Name: "g", Picker: only{client.Peer(server.URL)}, Getter: gcnode.GetterFunc[gcnode.Value](echo),
		Options: gcnode.GroupOptions{MaxBytes: 1 << 20},
	})
	require.NoError(t, err)
	require.NoError(t, group.Set(t.Context(), "k", gcnode.Item[gcnode.Value]{Value: gcnode.StringValue("set")}))
	v, err := group.Get(t.Context(), "k")
	require.NoError(t, err)
	require.Equal(t, "set", v.String())
	require.NoError(t, group.Remove(t.Context(), "k"))
	v, err = group.Get(t.Context(), "k")
	require.NoError(t, err)
	require.Equal(t, "k", v.String())
}
