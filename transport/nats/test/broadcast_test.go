package test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	natstransport "github.com/gcnode/gcnode/transport/nats"
)

// whole is all of a member, with one group.
type whole struct {
	nc      *nats.Conn
	pending int // bytes that it may have without having looked at them; 0: the default
	node    *gcnode.Node
	group   *gcnode.Group
	server  *natstransport.Server
	ear     *inattentive
}

// versions are the values of the origin: one number for all keys.
type versions struct{ atomic.Int64 }

// of is the origin of each member.
func (v *versions) of(int) gcnode.Getter[gcnode.Value] { return v }

func (v *versions) GetItem(context.Context, string) (gcnode.Item[gcnode.Value], error) {
	return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(strconv.FormatInt(v.Load(), 10))}, nil
}

// startMembers starts n members of a fixed list, which have joined.
// hot is for how long they keep copies of each other's values.
func startMembers(t *testing.T, n int, hot time.Duration, connection func(i int) *nats.Conn, origin func(i int) gcnode.Getter[gcnode.Value]) []*whole {
	t.Helper()
	members := startAlone(t, n, hot, 0, connection, origin)
	meet(t, members, peersOf(members))
	return members
}

// startAlone starts n members that know nobody. pending is how much each may have
// that it has not looked at, as in the options of both sides.
func startAlone(t *testing.T, n int, hot time.Duration, pending int, connection func(i int) *nats.Conn, origin func(i int) gcnode.Getter[gcnode.Value]) []*whole {
	t.Helper()
	members := make([]*whole, n)
	for i := range members {
		m := &whole{nc: connection(i), pending: pending}
		m.start(t, gcnode.Config{
			Self: gcnode.Peer{ID: fmt.Sprintf("n%d", i)}, HotTTL: hot,
			Transport: newClient(t, m.nc, natstransport.ClientOptions{ReconnectWait: 100 * time.Millisecond, MaxPendingBytes: pending}),
		}, origin(i))
		members[i] = m
	}
	return members
}

// peersOf is the list of the members.
func peersOf(members []*whole) []gcnode.Peer {
	list := make([]gcnode.Peer, len(members))
	for i, m := range members {
		list[i] = gcnode.Peer{ID: m.node.Self().ID, Addr: m.server.Addr()}
	}
	return list
}

// meet gives the members a list, and waits until they have joined.
func meet(t *testing.T, members []*whole, list []gcnode.Peer) {
	t.Helper()
	for _, m := range members {
		require.NoError(t, m.node.SetPeers(list))
	}
	for _, m := range members {
		require.NoError(t, m.node.Joined(t.Context()))
	}
}

// start starts the node of a member.
func (m *whole) start(t *testing.T, cfg gcnode.Config, origin gcnode.Getter[gcnode.Value]) {
	t.Helper()
	var err error
	m.node, err = gcnode.NewNode(cfg)
	require.NoError(t, err)
	m.group, err = m.node.Group("g", origin, gcnode.GroupOptions{MaxBytes: 1 << 20, HotAfter: 1})
	require.NoError(t, err)
	m.ear = &inattentive{Handler: m.node}
	m.server = serve(t, m.nc, m.ear, natstransport.ServerOptions{ID: cfg.Self.ID, MaxPendingBytes: m.pending})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := m.node.SetPeers([]gcnode.Peer{m.node.Self()}); err != nil { // there is nobody to say goodbye to
			t.Error(err)
		}
		if err := m.node.Close(ctx); err != nil {
			t.Error(err)
		}
	})
}

// want expects a value on all members.
func want(t *testing.T, members []*whole, key, value string) {
	t.Helper()
	for i, m := range members {
		v, err := m.group.Get(t.Context(), key)
		require.NoError(t, err)
		require.Equal(t, value, v.String(), "member %d", i)
	}
}

// listen counts what is published to a subject.
func listen(t *testing.T, url, subject string) *atomic.Int64 {
	t.Helper()
	var n atomic.Int64
	nc := connect(t, url)
	_, err := nc.Subscribe(subject, func(m *nats.Msg) {
		if len(m.Data) > 0 {
			n.Add(1)
		}
	})
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	return &n
}

// TestARemovalIsPublishedOnce counts what members publish for a removal on
// twelve of them.
func TestARemovalIsPublishedOnce(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	const n = 12
	var origin versions
	members := startMembers(t, n, gcnode.DefaultHotTTL, func(int) *nats.Conn { return connect(t, url) }, origin.of)
	events, ends := listen(t, url, "gcnode.default.events.removals"), listen(t, url, "gcnode.default.events.ends")
	published := func() (sum uint64) {
		for _, m := range members {
			sum += m.nc.Stats().OutMsgs
		}
		return sum
	}
	want(t, members, "k", "0")
	origin.Store(1)
	before := uint64(0)
	require.Eventually(t, func() bool {
		was := before
		before = published()
		return was == before
	}, patience, 300*time.Millisecond, "the members have said what they had to say")
	require.NoError(t, members[0].group.Remove(t.Context(), "k"))
	eventually(t, func() bool { return ends.Load() == 1 }, "the end is told to all")
	require.EqualValues(t, 1, events.Load())
	all := published() - before
	t.Logf("%d messages for a removal on %d members", all, n)
	require.LessOrEqual(t, all, uint64(1+(n-1)+1+4), "the removal, an answer of each, the end, and perhaps what members compare")
	want(t, members, "k", "1")
}

// TestManyKeysAreBroadcastInParts removes so many that they need several
// messages, and a key that is too long for any.
func TestManyKeysAreBroadcastInParts(t *testing.T) {
	url := startServer(t, maxPayload(16<<10)).ClientURL()
	var origin versions
	members := startMembers(t, 3, gcnode.DefaultHotTTL, func(int) *nats.Conn { return connect(t, url) }, origin.of)
	events := listen(t, url, "gcnode.default.events.removals")
	keys := make([]string, 200)
	for i := range keys {
		keys[i] = strings.Repeat(fmt.Sprintf("%8d", i), 16)
		want(t, members, keys[i], "0")
	}
	origin.Store(1)
	var wg sync.WaitGroup
	for _, key := range keys {
		wg.Go(func() {
			if err := members[0].group.Remove(t.Context(), key); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Positive(t, events.Load())
	for _, key := range keys {
		want(t, members, key, "1")
	}

	long := strings.Repeat("l", 20<<10)
	want(t, members, long, "1")
	origin.Store(2)
	before := events.Load()
	require.NoError(t, members[0].group.Remove(t.Context(), long))
	require.Equal(t, before, events.Load(), "it goes in pieces, to each")
	want(t, members, long, "2")
}

// inattentive is a member that does not apply what is broadcast, or applies it
// and does not say so, or takes its time.
type inattentive struct {
	gcnode.Handler

	deaf, mute, slow atomic.Bool
}

func (i *inattentive) ServePeer(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
	broadcast := req.To == ""
	if broadcast && i.deaf.Load() {
		return errors.New("not heard")
	}
	if broadcast && i.slow.Load() {
		time.Sleep(200 * time.Millisecond)
	}
	err := i.Handler.ServePeer(ctx, req, w)
	if broadcast && i.mute.Load() {
		return errors.New("not said")
	}
	return err
}

// TestARemovalWaitsForWhoDidNotHearIt has members that get no broadcast, or
// whose confirmation gets lost: a removal returns when they were told by
// themselves, or names them.
func TestARemovalWaitsForWhoDidNotHearIt(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	var origin versions
	members := startMembers(t, 3, gcnode.DefaultHotTTL, func(int) *nats.Conn { return connect(t, url) }, origin.of)
	remove := func() error { return members[0].group.Remove(t.Context(), "k") }
	want(t, members, "k", "0")

	origin.Store(1)
	members[2].ear.deaf.Store(true)
	require.NoError(t, remove())
	want(t, members, "k", "1")

	origin.Store(2)
	members[2].ear.deaf.Store(false)
	members[2].ear.mute.Store(true)
	require.NoError(t, remove())
	want(t, members, "k", "2")

	origin.Store(3)
	members[2].nc.Close()
	var failed *gcnode.PeerErrors
	require.ErrorAs(t, remove(), &failed)
	require.Len(t, failed.Peers, 1)
	require.Equal(t, "n2", failed.Peers[0].Peer)
	require.ErrorIs(t, failed, gcnode.ErrUnreachable)
	want(t, members[:2], "k", "3")
}

// TestABroadcastIsConfirmedAsAWhole has a member that takes one of the messages
// of a broadcast and not the other, one whose address is that of an earlier life,
// and one that was restarted between the two.
func TestABroadcastIsConfirmedAsAWhole(t *testing.T) {
	url := startServer(t, maxPayload(16<<10)).ClientURL()
	long := strings.Repeat("l", 10<<10)
	kept := map[string]int64{"2": 7} // of each message, when that was written which it leaves
	confirm := func(refused string) gcnode.Handler {
		return handlerFunc(func(_ context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
			if req.Removals[0].Keys[0] == refused {
				return gcnode.ErrInternal
			}
			key := req.Removals[0].Keys[0]
			return w.WriteReply(gcnode.Reply{Ack: &gcnode.Ack{Members: []gcnode.Peer{{ID: key[:1]}}, Time: kept[key[:1]]}})
		})
	}
	all := serve(t, connect(t, url), confirm(""), natstransport.ServerOptions{ID: "all", NoService: true})
	half := serve(t, connect(t, url), confirm("2"+long), natstransport.ServerOptions{ID: "half"})
	serve(t, connect(t, url), confirm(""), natstransport.ServerOptions{ID: "reborn"})
	serve(t, connect(t, url), confirm("2"+long), natstransport.ServerOptions{ID: "twice"})
	serve(t, connect(t, url), confirm("1"+long), natstransport.ServerOptions{ID: "twice"})
	client := newClient(t, connect(t, url), natstransport.ClientOptions{})
	req := &gcnode.Request{Op: gcnode.OpRemove, Removals: []gcnode.Removal{{Group: "g", Keys: []string{"1" + long}}, {Group: "g", Keys: []string{"2" + long}}}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	confirmed := map[string]gcnode.Ack{}
	to := []gcnode.Peer{{ID: "all", Addr: all.Addr()}, {ID: "half", Addr: half.Addr()}, {ID: "reborn", Addr: "before"}, {ID: "twice"}}
	err := client.Broadcast(ctx, to, req, func(from gcnode.Peer, r gcnode.Reply) { confirmed[from.ID] = *r.Ack })
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, map[string]gcnode.Ack{"all": {Members: []gcnode.Peer{{ID: "1"}, {ID: "2"}}, Time: 7}}, confirmed,
		"and it names all whom the member knew of, and what it has left")

	req.Removals[0].Keys[0] += long
	err = client.Broadcast(t.Context(), []gcnode.Peer{{ID: "all"}}, req, func(gcnode.Peer, gcnode.Reply) { t.Error("it does not fit") })
	require.ErrorContains(t, err, "max_payload")
}
