package groupcache_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	groupcache "github.com/gcnode/gcnode/compat/mailgun"
	"github.com/gcnode/gcnode/compat/mailgun/internal/userpb"
)

// allSinks gets the key into each kind of sink.
func allSinks(t *testing.T, g *groupcache.Group, key string, want proto.Message) {
	t.Helper()
	ctx, wire := t.Context(), marshal(t, want)
	var s string
	var view groupcache.ByteView
	var bytes []byte
	room := make([]byte, 3)
	var user userpb.User
	require.NoError(t, g.Get(ctx, key, groupcache.StringSink(&s)))
	require.NoError(t, g.Get(ctx, key, groupcache.ByteViewSink(&view)))
	require.NoError(t, g.Get(ctx, key, groupcache.AllocatingByteSliceSink(&bytes)))
	require.NoError(t, g.Get(ctx, key, groupcache.TruncatingByteSliceSink(&room)))
	require.NoError(t, g.Get(ctx, key, groupcache.ProtoSink(&user)))
	assert.Equal(t, string(wire), s)
	assert.True(t, view.EqualBytes(wire))
	assert.Equal(t, wire, bytes)
	assert.Equal(t, wire[:3], room)
	assert.True(t, proto.Equal(want, &user))
}

func marshal(t *testing.T, m proto.Message) []byte {
	t.Helper()
	wire, err := proto.Marshal(m)
	require.NoError(t, err)
	return wire
}

// TestAProgramOfTheOldLibrary uses the globals as such a program does, which has
// the server started by the first group and a pool on the default mux.
func TestAProgramOfTheOldLibrary(t *testing.T) {
	require.NoError(t, groupcache.Restart())
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	self := "http://" + l.Addr().String()
	server := &http.Server{ReadHeaderTimeout: time.Minute} // with the default mux
	mux := http.DefaultServeMux
	http.DefaultServeMux = http.NewServeMux()
	var made []string
	groupcache.RegisterNewGroupHook(func(g *groupcache.Group) { made = append(made, g.Name()) })
	groupcache.RegisterServerStart(func() {
		pool := groupcache.NewHTTPPool(self)
		pool.Set(self)
		go func() { _ = server.Serve(l) }()
	})
	t.Cleanup(func() {
		http.DefaultServeMux = mux
		assert.NoError(t, server.Close())
		assert.NoError(t, groupcache.Restart())
	})
	ann := &userpb.User{Id: "ann", Name: "Ann", Age: 41}
	users := groupcache.NewGroup("users", 1<<20, groupcache.GetterFunc(
		func(_ context.Context, key string, dest groupcache.Sink) error {
			if key != ann.GetId() {
				return &groupcache.ErrNotFound{Msg: "there is no " + key}
			}
			return dest.SetProto(ann, time.Now().Add(time.Minute))
		}))
	assert.Equal(t, []string{"users"}, made)
	assert.Same(t, users, groupcache.GetGroup("users"))
	assert.Equal(t, []*groupcache.Group{users}, groupcache.GetGroups())
	allSinks(t, users, "ann", ann)
	var s string
	err = users.Get(t.Context(), "bob", groupcache.StringSink(&s))
	require.ErrorIs(t, err, &groupcache.ErrNotFound{})
	require.EqualError(t, err, "there is no bob")

	bob := &userpb.User{Id: "bob", Name: "Bob", Age: 7}
	require.NoError(t, users.Set(t.Context(), "bob", marshal(t, bob), time.Now().Add(time.Minute), false))
	allSinks(t, users, "bob", bob)
	require.NoError(t, users.Remove(t.Context(), "bob"))
	require.Error(t, users.Get(t.Context(), "bob", groupcache.StringSink(&s)))

	res, err := http.Get(self + "/_groupcache/users/ann") //nolint:noctx // so it is with the old library's peers
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	assert.Equal(t, http.StatusOK, res.StatusCode, "the pool is on the default mux")
	assert.EqualValues(t, 1, users.Stats.ServerRequests.Get())
	assert.EqualValues(t, 1, users.CacheStats(groupcache.MainCache).Items)

	groupcache.DeregisterGroup("users")
	assert.Nil(t, groupcache.GetGroup("users"))
}

// TestAProgramWithPeersOfItsOwn registers a picker for all groups, or one for each.
func TestAProgramWithPeersOfItsOwn(t *testing.T) {
	t.Cleanup(func() { assert.NoError(t, groupcache.Restart()) })
	var asked []string
	for _, register := range []func(){
		func() {
			groupcache.RegisterPeerPicker(func() groupcache.PeerPicker {
				asked = append(asked, "any")
				return groupcache.NoPeers{}
			})
		},
		func() {
			groupcache.RegisterPerGroupPeerPicker(func(name string) groupcache.PeerPicker {
				asked = append(asked, name)
				return groupcache.NoPeers{}
			})
		},
	} {
		require.NoError(t, groupcache.Restart())
		register()
		assert.Panics(t, register, "there are peers already")
		errBroken := errors.New("broken")
		g := groupcache.NewGroup("g", 1<<20, groupcache.GetterFunc(
			func(context.Context, string, groupcache.Sink) error { return errBroken }))
		var s string
		require.Same(t, errBroken, g.Get(t.Context(), "k", groupcache.StringSink(&s)))
	}
	assert.Equal(t, []string{"any", "g"}, asked)
}
