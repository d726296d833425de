package groupcache

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/compat/mailgun/consistenthash"
	pb "github.com/gcnode/gcnode/compat/mailgun/groupcachepb"
)

// picker is one of the program's own: a peer owns the keys that begin with its
// name.
type picker struct{ peers map[string]*fakePeer }

func (p picker) PickPeer(key string) (ProtoGetter, bool) {
	name, _, _ := strings.Cut(key, "/")
	peer, ok := p.peers[name]
	if !ok {
		return nil, false
	}
	return peer, true
}

func (p picker) GetAll() (all []ProtoGetter) {
	for _, name := range slices.Sorted(maps.Keys(p.peers)) {
		all = append(all, p.peers[name])
	}
	return all
}

// fakePeer is a peer that does as it is told.
type fakePeer struct {
	name string

	mu     sync.Mutex
	calls  []string
	err    error
	expire int64
}

func (f *fakePeer) call(what, group, key string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, what+" "+group+" "+key)
	return f.err
}

func (f *fakePeer) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *fakePeer) called() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

func (f *fakePeer) Get(_ context.Context, in *pb.GetRequest, out *pb.GetResponse) error {
	out.Value, out.Expire = []byte(f.name+" has "+in.GetKey()), new(f.expire)
	return f.call("get", in.GetGroup(), in.GetKey())
}

func (f *fakePeer) Remove(_ context.Context, in *pb.GetRequest) error {
	return f.call("remove", in.GetGroup(), in.GetKey())
}

func (f *fakePeer) Set(_ context.Context, in *pb.SetRequest) error {
	return f.call("set", in.GetGroup(), fmt.Sprintf("%s=%s until %d", in.GetKey(), in.GetValue(), in.GetExpire()))
}

func (f *fakePeer) GetURL() string { return "fake://" + f.name }

// amongFakes is a group whose peers are a and b.
func amongFakes(t *testing.T, bytes int64) (g *Group, o *origin, a, b *fakePeer) {
	t.Helper()
	r := newRegistry()
	a, b, o = &fakePeer{name: "a"}, &fakePeer{name: "b"}, newOrigin()
	r.registerPicker(func(group string) PeerPicker {
		assert.Equal(t, "group", group)
		return picker{map[string]*fakePeer{"a": a, "b": b}}
	})
	return r.newGroup("group", bytes, o), o, a, b
}

func TestPeersOfOnesOwnAreAsked(t *testing.T) {
	t.Parallel()
	g, o, a, b := amongFakes(t, 1<<20)
	get := func(key string) string {
		var s string
		require.NoError(t, g.Get(t.Context(), key, StringSink(&s)))
		return s
	}
	for range 2 {
		assert.Equal(t, "a has a/k", get("a/k"))
		assert.Equal(t, "0", get("own"))
	}
	assert.Equal(t, []string{"get group a/k"}, a.called())
	assert.Empty(t, b.called())
	assert.Equal(t, 1, o.loaded("own"))
	assert.EqualValues(t, 1, g.CacheStats(MainCache).Items)
	assert.Equal(t, CacheStats{Items: 1, Gets: 3, Hits: 1, Bytes: g.CacheStats(HotCache).Bytes}, g.CacheStats(HotCache))
	assert.EqualValues(t, 1, g.Stats.PeerLoads.Get())

	require.NoError(t, g.Remove(t.Context(), "a/k"))
	assert.Equal(t, []string{"get group a/k", "remove group a/k"}, a.called())
	assert.Equal(t, []string{"remove group a/k"}, b.called())
	get("a/k")
	assert.Len(t, a.called(), 3, "the copy is gone")

	require.NoError(t, g.Set(t.Context(), "a/k", []byte("new"), time.Time{}, false))
	assert.Equal(t, "set group a/k=new until 0", a.called()[3])
	assert.Equal(t, "remove group a/k", b.called()[1], "it may have a copy")
	require.NoError(t, g.Set(t.Context(), "own", []byte("mine"), time.Time{}, false))
	assert.Equal(t, "mine", get("own"))
}

func TestErrorsOfPeersOfOnesOwn(t *testing.T) {
	t.Parallel()
	g, o, a, b := amongFakes(t, 1<<20)
	var s string
	for _, err := range []error{&ErrNotFound{Msg: "none at a"}, &ErrRemoteCall{Msg: "broken at a"}} {
		a.fail(err)
		got := g.Get(t.Context(), "a/k", StringSink(&s))
		require.ErrorIs(t, got, err)
		require.EqualError(t, got, err.Error())
		assert.Zero(t, o.loaded("a/k"))
	}
	assert.Zero(t, g.Stats.PeerErrors.Get())
	a.fail(errors.New("the network is down"))
	require.NoError(t, g.Get(t.Context(), "a/k", StringSink(&s)))
	assert.Equal(t, "0", s, "loaded here")
	assert.EqualValues(t, 1, g.Stats.PeerErrors.Get())
	assert.Zero(t, g.CacheStats(MainCache).Items, "it is not kept as if this process owned it")

	b.fail(errors.New("it is asleep"))
	for what, err := range map[string]error{
		"remove": g.Remove(t.Context(), "a/k"),
		"set":    g.Set(t.Context(), "a/k", []byte("x"), time.Time{}, false),
	} {
		require.ErrorContains(t, err, "fake://a", what)
		require.ErrorContains(t, err, "fake://b", what)
	}
	assert.Zero(t, g.CacheStats(HotCache).Items)
}

func TestAValueThatHasExpiredByTheClockOfAPeerIsServedAndNotKept(t *testing.T) {
	t.Parallel()
	g, o, a, _ := amongFakes(t, 1<<20)
	a.expire = time.Now().Add(-time.Hour).UnixNano()
	var s string
	for range 2 {
		require.NoError(t, g.Get(t.Context(), "a/k", StringSink(&s)))
		assert.Equal(t, "a has a/k", s)
	}
	assert.Len(t, a.called(), 2)
	assert.Zero(t, o.loaded("a/k"))
}

func TestAGroupOfNoBytesKeepsNothingOfPeersOfOnesOwn(t *testing.T) {
	t.Parallel()
	g, _, a, _ := amongFakes(t, 0)
	var s string
	for range 2 {
		require.NoError(t, g.Get(t.Context(), "a/k", StringSink(&s)))
	}
	assert.Len(t, a.called(), 2)
	require.NoError(t, g.Set(t.Context(), "a/k", []byte("new"), time.Time{}, true))
	assert.Equal(t, []string{"set group a/k=new until 0"}, a.called()[2:], "it is kept there")
}

func TestNoPeersIsNoPeer(t *testing.T) {
	t.Parallel()
	_, ok := NoPeers{}.PickPeer("k")
	assert.False(t, ok)
	assert.Empty(t, NoPeers{}.GetAll())
	for _, peers := range []PeerPicker{nil, NoPeers{}} {
		r := newRegistry()
		r.registerPicker(func(string) PeerPicker { return peers })
		var s string
		require.NoError(t, r.newGroup("g", 1<<20, newOrigin()).Get(t.Context(), "k", StringSink(&s)))
	}
}

func TestMembersAsPeersOfAPicker(t *testing.T) {
	t.Parallel()
	members := cluster(t)
	name := members[0].group.Name()
	pool := members[0].pool
	require.Len(t, pool.GetAll(), 3)
	key := members[1].keyOf(t, "key")
	owner, ok := pool.PickPeer(key)
	require.True(t, ok)
	assert.Equal(t, members[1].url+defaultBasePath, owner.GetURL())
	_, ok = pool.PickPeer(members[0].keyOf(t, "key"))
	assert.False(t, ok)

	in := &pb.GetRequest{Group: &name, Key: &key}
	var out pb.GetResponse
	require.NoError(t, owner.Get(t.Context(), in, &out))
	assert.Equal(t, "0", string(out.GetValue()))
	assert.Zero(t, out.GetExpire())
	require.NoError(t, owner.Set(t.Context(), &pb.SetRequest{
		Group: &name, Key: &key, Value: []byte("7"), Expire: new(time.Now().Add(time.Hour).UnixNano()),
	}))
	for _, m := range members {
		assert.Equal(t, "7", m.get(t, key))
	}
	require.NoError(t, owner.Get(t.Context(), in, &out))
	assert.WithinDuration(t, time.Now().Add(time.Hour), time.Unix(0, out.GetExpire()), time.Minute)
	require.NoError(t, owner.Remove(t.Context(), in))
	for _, m := range members {
		assert.Equal(t, "0", m.get(t, key))
	}

	members[0].origin.hold(func(_ context.Context, key string) error {
		if strings.HasPrefix(key, "none") {
			return &ErrNotFound{Msg: "none"}
		}
		return errors.New("broken")
	})
	require.ErrorIs(t, owner.Get(t.Context(), &pb.GetRequest{Group: &name, Key: new("none")}, &out), &ErrNotFound{})
	require.ErrorIs(t, owner.Get(t.Context(), &pb.GetRequest{Group: &name, Key: new("bad")}, &out), &ErrRemoteCall{})
	elsewhere := &pb.GetRequest{Group: new("nowhere"), Key: &key}
	err := owner.Get(t.Context(), elsewhere, &out)
	require.Error(t, err)
	assert.NotErrorIs(t, err, &ErrNotFound{}, "it says nothing of the key")
	assert.NotErrorIs(t, err, &ErrRemoteCall{})
	require.ErrorContains(t, owner.Remove(t.Context(), elsewhere), "nowhere")
	require.ErrorContains(t, owner.Set(t.Context(), &pb.SetRequest{Group: new("nowhere"), Key: &key}), "nowhere")
	gone := &peer{pool, pool.member("http://127.0.0.1:1")}
	require.Error(t, gone.Get(t.Context(), in, &out))
}

// A deployment from old peers to native ones goes through pools of both kinds;
// what they say to one another is tested in internal/legacy.
func TestPoolsWithOldPeersAndNativeOnesUnderstandEachOther(t *testing.T) {
	t.Parallel()
	o := newOrigin()
	members := make([]*member, 3)
	var urls []string
	for i := range members {
		members[i] = start(t, &HTTPPoolOptions{OldPeers: i < 2}, t.Cleanup)
		members[i].group, members[i].origin = members[i].newTestGroup(t, "group", o), o
		urls = append(urls, members[i].url)
	}
	for _, m := range members {
		m.pool.Set(urls...)
	}
	require.NoError(t, members[2].pool.Node().Joined(t.Context()))
	var listed []string
	for _, p := range members[0].pool.GetAll() {
		listed = append(listed, p.GetURL())
		var out pb.GetResponse
		require.NoError(t, p.Get(t.Context(), &pb.GetRequest{Group: new("group"), Key: new("k")}, &out))
	}
	assert.ElementsMatch(t, []string{urls[0] + defaultBasePath, urls[1] + defaultBasePath, urls[2] + defaultBasePath}, listed)
	for i := range 60 {
		key := fmt.Sprintf("%x", sha256.Sum256([]byte{byte(i)})) // the old ring gives keys that are alike to one peer
		for _, m := range members {
			assert.Equal(t, "0", m.get(t, key))
		}
		assert.LessOrEqual(t, o.loaded(key), 2, "once by each of its two owners")
		o.write(key, 1)
		require.NoError(t, members[i%3].group.Remove(t.Context(), key))
		for _, m := range members {
			assert.Equal(t, "1", m.get(t, key))
		}
		require.NoError(t, members[(i+1)%3].group.Set(t.Context(), key, []byte("1"), time.Time{}, true))
		for _, m := range members {
			assert.Equal(t, "1", m.get(t, key))
		}
	}
	assert.Positive(t, members[2].group.Stats.ServerRequests.Get())
	assert.Positive(t, members[0].group.Stats.PeerLoads.Get())

	var key string
	var peer ProtoGetter
	for i := 0; peer == nil; i++ {
		key = fmt.Sprint("k", i)
		peer, _ = members[0].pool.PickPeer(key)
	}
	var out pb.GetResponse
	in := &pb.GetRequest{Group: new("group"), Key: &key}
	require.NoError(t, peer.Get(t.Context(), in, &out))
	assert.Equal(t, "0", string(out.GetValue()))
	require.NoError(t, peer.Set(t.Context(), &pb.SetRequest{Group: in.Group, Key: &key, Value: []byte("9")}))
	require.NoError(t, peer.Remove(t.Context(), in))
	assert.Contains(t, listed, peer.GetURL())
	o.hold(func(context.Context, string) error { return &ErrNotFound{Msg: "there is none"} })
	require.ErrorIs(t, peer.Get(t.Context(), in, &out), &ErrNotFound{})
	var s string
	for _, m := range members {
		err := m.group.Get(t.Context(), "missing", StringSink(&s))
		require.ErrorIs(t, err, &ErrNotFound{})
		require.EqualError(t, err, "there is none")
	}
	o.hold(func(context.Context, string) error { return errors.New("broken") })
	for _, m := range members {
		require.EqualError(t, m.group.Get(t.Context(), "bad", StringSink(&s)), "broken")
	}
	members[0].deregister("group")
}

// The ring and the path are what the old peers have agreed on.
func TestOptionsOfThePoolAmongOldPeers(t *testing.T) {
	t.Parallel()
	sum := func(data []byte) uint64 { return crc64.Checksum(data, crc64.MakeTable(crc64.ISO)) }
	var asked atomic.Int64
	opts := &HTTPPoolOptions{
		OldPeers: true, BasePath: "/cache/here/", Replicas: 3, HashFn: sum,
		Transport: func(context.Context) http.RoundTripper {
			asked.Add(1)
			return nil // the one that there is
		},
	}
	o := newOrigin()
	members := make([]*member, 3)
	var urls []string
	for i := range members {
		members[i] = start(t, opts, t.Cleanup)
		members[i].group = members[i].newTestGroup(t, groupName, o)
		urls = append(urls, members[i].url)
	}
	ring := consistenthash.New(3, sum)
	ring.Add(urls...)
	for _, m := range members {
		m.pool.Set(urls...)
		for i := range 60 {
			key := fmt.Sprint("key", i*i)
			owner := m.url
			if peer, ok := m.pool.PickPeer(key); ok {
				owner = strings.TrimSuffix(peer.GetURL(), "/cache/here/")
			}
			assert.Equal(t, ring.Get(key), owner)
			assert.Equal(t, "0", m.get(t, key))
			assert.Equal(t, 1, o.loaded(key))
		}
		assert.Zero(t, m.group.Stats.PeerErrors.Get())
	}
	assert.GreaterOrEqual(t, asked.Load(), 60*int64(len(members)-1), "every fetch asks for it")
}

type contextKey struct{}

func TestOptionsOfThePool(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	opts := &HTTPPoolOptions{
		BasePath: "/cache/here/",
		Transport: func(context.Context) http.RoundTripper {
			if asked.Add(1) > 1 {
				return nil // the one that there is
			}
			return http.DefaultTransport
		},
		Context: func(r *http.Request) context.Context {
			return context.WithValue(context.Background(), contextKey{}, r.URL.Path)
		},
	}
	o := newOrigin()
	var seen atomic.Value
	o.during = func(ctx context.Context, _ string) error {
		if path := ctx.Value(contextKey{}); path != nil {
			seen.Store(path)
		}
		return nil
	}
	members := []*member{start(t, opts, t.Cleanup), start(t, opts, t.Cleanup)}
	for _, m := range members {
		m.group = m.newTestGroup(t, "group", o)
		m.pool.Set(members[0].url, members[1].url, members[0].url)
	}
	for _, m := range members {
		require.NoError(t, m.pool.Node().Joined(t.Context()))
	}
	members[0].get(t, members[1].keyOf(t, "key"))
	assert.Equal(t, "/cache/here/", seen.Load())
	assert.Positive(t, asked.Load())

	for path, want := range map[string]int{
		"/elsewhere":       http.StatusMisdirectedRequest,
		"/_groupcache/g/k": http.StatusMisdirectedRequest,
		"/cache/here/":     http.StatusBadRequest,
		"/cache/here/none": http.StatusBadRequest,
		"/cache/here/g/k":  http.StatusMisdirectedRequest, // neither 404 nor 503, which would say something of the key
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, members[0].url+path, http.NoBody)
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, errors.Join(err, resp.Body.Close()))
		assert.Equal(t, want, resp.StatusCode, "%s: %s", path, text)
		assert.NotEmpty(t, text)
	}
}

// The values are those of the request's own context then.
func TestAPoolWhoseContextIsNil(t *testing.T) {
	t.Parallel()
	o := newOrigin()
	o.during = func(ctx context.Context, _ string) error {
		assert.Nil(t, ctx.Value(contextKey{}))
		return nil
	}
	m := start(t, &HTTPPoolOptions{Context: func(*http.Request) context.Context { return nil }}, t.Cleanup)
	m.newTestGroup(t, groupName, o)
	old := newOldPeers(m.pool)
	defer old.stopLooking()
	for key, asked := range map[string]ProtoGetter{
		"native": &peer{m.pool, m.pool.member(m.url)}, "old": oldPeer{m.pool, old.client.Peer(m.url)},
	} {
		var out pb.GetResponse
		require.NoError(t, asked.Get(t.Context(), &pb.GetRequest{Group: new(groupName), Key: &key}, &out))
		assert.Equal(t, 1, o.loaded(key))
	}
	old.client.Close()
}

// Who leaves says nothing of the peer that was asked.
func TestAFetchThatNobodyWaitsForIsNoError(t *testing.T) {
	t.Parallel()
	members := cluster(t)
	key := members[0].keyOf(t, "key")
	ended := make(chan struct{})
	members[0].origin.hold(func(ctx context.Context, _ string) error {
		<-ctx.Done()
		close(ended)
		return ctx.Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	var s string
	go func() { done <- members[1].group.Get(ctx, key, StringSink(&s)) }()
	await(t, func() bool { return members[0].origin.loaded(key) == 1 })
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	<-ended
	members[0].origin.hold(nil)
	assert.Equal(t, "0", members[1].get(t, key))
	assert.Zero(t, members[1].group.Stats.PeerErrors.Get())
}

// recorder is a Logger that remembers what it was told.
type recorder struct {
	level  string
	fields string
	to     *records
}

type records struct {
	mu   sync.Mutex
	list []string
}

func (r recorder) Error() Logger { return recorder{"error", r.fields, r.to} }
func (r recorder) Warn() Logger  { return recorder{"warn", r.fields, r.to} }
func (r recorder) Info() Logger  { return recorder{"info", r.fields, r.to} }
func (r recorder) Debug() Logger { return recorder{"debug", r.fields, r.to} }

func (r recorder) ErrorField(label string, err error) Logger {
	return recorder{r.level, r.fields + " " + label + "=" + err.Error(), r.to}
}

func (r recorder) StringField(label, val string) Logger {
	return recorder{r.level, r.fields + " " + label + "=" + val, r.to}
}

func (r recorder) WithFields(fields map[string]any) Logger {
	for _, label := range slices.Sorted(maps.Keys(fields)) {
		r.fields += fmt.Sprintf(" %s=%v", label, fields[label])
	}
	return r
}

func (r recorder) Printf(format string, args ...any) {
	r.to.mu.Lock()
	defer r.to.mu.Unlock()
	r.to.list = append(r.to.list, r.level+": "+fmt.Sprintf(format, args...)+r.fields)
}

func TestTheLoggerIsToldWhatNobodyElseIs(t *testing.T) {
	t.Parallel()
	r := newRegistry()
	var to records
	panics := GetterFunc(func(context.Context, string, Sink) error { panic("oops") })
	g := r.newGroup("g", 1<<20, panics)
	var s string
	require.Error(t, g.Get(t.Context(), "before", StringSink(&s)))
	assert.Empty(t, to.list, "without a logger nothing is logged")
	r.logs.set(recorder{to: &to})
	require.Error(t, g.Get(t.Context(), "after", StringSink(&s)))
	require.Len(t, to.list, 1)
	assert.Contains(t, to.list[0], "error: getter did not return category=groupcache")
	assert.Contains(t, to.list[0], "key=after")

	log := r.logs.logger().With(slog.Int("a", 1)).WithGroup("g").With(slog.Int("b", 2))
	for level, want := range map[slog.Level]string{
		slog.LevelDebug: "debug", slog.LevelInfo: "info", slog.LevelWarn: "warn", slog.LevelError: "error",
	} {
		log.LogAttrs(t.Context(), level, "text", slog.Int("c", 3))
		assert.Equal(t, want+": text a=1 category=groupcache g.b=2 g.c=3", to.list[len(to.list)-1])
	}
	r.logs.set(nil)
	log.LogAttrs(t.Context(), slog.LevelError, "nobody hears it")
	assert.Len(t, to.list, 5)
}

func TestAListThatCannotBeUsedIsLoggedAndChangesNothing(t *testing.T) {
	t.Parallel()
	m := start(t, nil, t.Cleanup)
	var to records
	m.logs.set(recorder{to: &to})
	long := make([]string, 5000)
	for i := range long {
		long[i] = fmt.Sprint("http://", i)
	}
	m.pool.Set(long...)
	require.Len(t, to.list, 1)
	assert.Contains(t, to.list[0], "5000 peers are too many")
	assert.Len(t, m.pool.GetAll(), 1)
}

// A list without peers is that of a process that owns everything.
func TestAnEmptyListIsOne(t *testing.T) {
	t.Parallel()
	for _, old := range []bool{false, true} {
		m := start(t, &HTTPPoolOptions{OldPeers: old}, t.Cleanup)
		m.origin = newOrigin()
		m.group = m.newTestGroup(t, groupName, m.origin)
		m.pool.Set("http://127.0.0.1:1")
		m.pool.Set()
		assert.Empty(t, m.pool.GetAll())
		_, remote := m.pool.PickPeer("k")
		assert.False(t, remote)
		for range 2 {
			assert.Equal(t, "0", m.get(t, "k"))
		}
		assert.Equal(t, 1, m.origin.loaded("k"), "it owns the key")
	}
}
