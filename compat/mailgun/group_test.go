package groupcache

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
)

func TestAKeyIsLoadedOnceByItsOwner(t *testing.T) {
	t.Parallel()
	members := cluster(t)
	for i := range 30 {
		key := strconv.Itoa(i)
		for _, m := range members {
			assert.Equal(t, "0", m.get(t, key))
		}
		assert.Equal(t, 1, members[0].origin.loaded(key))
	}
}

func TestEdges(t *testing.T) {
	t.Parallel()
	o := newOrigin()
	g := alone(t, 1<<20, o)
	ctx := t.Context()
	var s string
	require.ErrorIs(t, g.Get(ctx, "k", nil), errNilSink)
	require.ErrorIs(t, g.Set(ctx, "", nil, time.Time{}, false), errEmptyKey)
	require.NoError(t, g.Get(ctx, "", StringSink(&s)), "an empty key is one like others")
	assert.Equal(t, 1, o.loaded(""))
	require.NoError(t, g.Get(nil, "k", StringSink(&s)), "without a context") //nolint:staticcheck // so old programs do
	require.Error(t, g.Get(ctx, "k", ByteViewSink(nil)))
	assert.Equal(t, "alone", g.Name())
	assert.Equal(t, CacheStats{}, g.CacheStats(0))
}

func TestAGroupOfNoBytesKeepsNothing(t *testing.T) {
	t.Parallel()
	o := newOrigin()
	g := alone(t, 0, o)
	var v ByteView
	for i := range 2 {
		require.NoError(t, g.Get(t.Context(), "k", ByteViewSink(&v)))
		assert.Equal(t, i+1, o.loaded("k"))
		require.NoError(t, g.Set(t.Context(), "k", []byte("set"), time.Time{}, true))
	}
	assert.True(t, v.Expire().IsZero(), "it says nothing of the value")
	assert.Zero(t, g.CacheStats(MainCache).Items)
	assert.Zero(t, g.CacheStats(HotCache).Items)
}

// Members may differ in what they keep: who keeps nothing stores at others what
// they own, and nothing is stored with it.
func TestAGroupOfNoBytesAmongOthers(t *testing.T) {
	t.Parallel()
	for _, old := range []bool{false, true} {
		o := newOrigin()
		members := []*member{start(t, &HTTPPoolOptions{OldPeers: old}, t.Cleanup), start(t, &HTTPPoolOptions{OldPeers: old}, t.Cleanup)}
		owned := map[*member]string{}
		for i, m := range members {
			m.origin, m.group = o, m.newGroup(groupName, int64(i)<<20, o)
			m.pool.Set(members[0].url, members[1].url)
		}
		nothing, all := members[0], members[1]
		for i := 0; owned[nothing] == "" || owned[all] == ""; i++ {
			key := fmt.Sprintf("%x", sha256.Sum256([]byte{byte(i)}))
			if _, remote := nothing.pool.PickPeer(key); remote {
				owned[all] = key
			} else {
				owned[nothing] = key
			}
		}
		if !old {
			require.NoError(t, all.pool.Node().Joined(t.Context()))
		}
		in := func() time.Time { return time.Now().Add(time.Hour) }
		require.NoError(t, nothing.group.Set(t.Context(), owned[all], []byte("7"), in(), true))
		for range 2 {
			assert.Equal(t, "7", nothing.get(t, owned[all]))
			assert.Equal(t, "7", all.get(t, owned[all]))
		}
		assert.Zero(t, o.loaded(owned[all]))
		assert.Zero(t, nothing.group.CacheStats(HotCache).Items)
		assert.EqualValues(t, 2, all.group.Stats.ServerRequests.Get(), "there is no copy")
		for i, m := range members {
			require.NoError(t, m.group.Set(t.Context(), owned[nothing], []byte("7"), in(), false))
			assert.Equal(t, "0", nothing.get(t, owned[nothing]))
			assert.Equal(t, i+1, o.loaded(owned[nothing]))
			assert.Zero(t, nothing.group.CacheStats(MainCache).Items)
		}
	}
}

func TestAProcessThatIsNotOnItsListOwnsNothing(t *testing.T) {
	t.Parallel()
	members := cluster(t)
	client := start(t, nil, t.Cleanup)
	o := newOrigin()
	client.group = client.newTestGroup(t, members[0].group.Name(), o)
	client.pool.Set(members[0].url, members[1].url, members[2].url)
	for i := range 20 {
		key := strconv.Itoa(i)
		assert.Equal(t, "0", client.get(t, key))
		assert.Zero(t, o.loaded(key), "it has loaded by itself")
		_, remote := client.pool.PickPeer(key)
		assert.True(t, remote)
	}
}

func TestAGroupThatWasUsedBeforeThePoolIsOnItsOwn(t *testing.T) {
	t.Parallel()
	r := newRegistry()
	before, later := r.newGroup("before", 1<<20, newOrigin()), r.newGroup("later", 1<<20, newOrigin())
	var s string
	require.NoError(t, before.Get(t.Context(), "k", StringSink(&s)))
	p := r.newPool("http://here", nil)
	t.Cleanup(func() { assert.NoError(t, p.Close(context.Background())) })
	_, ok := p.Node().Lookup("before")
	assert.False(t, ok)
	_, ok = p.Node().Lookup("later")
	assert.True(t, ok, "peers may ask for it before anybody here does")
	require.NoError(t, later.Get(t.Context(), "k", StringSink(&s)))
}

func TestErrorsOfGettersAcrossMembers(t *testing.T) {
	t.Parallel()
	members := cluster(t)
	errBroken := errors.New("the disk is broken")
	wrapped := fmt.Errorf("user 7: %w", &ErrNotFound{Msg: "no such user"})
	members[0].origin.hold(func(_ context.Context, key string) error {
		switch {
		case strings.HasPrefix(key, "none"):
			return &ErrNotFound{Msg: "there is none"}
		case strings.HasPrefix(key, "wrapped"):
			return wrapped
		case strings.HasPrefix(key, "remote"):
			return &ErrRemoteCall{Msg: "from further away"}
		default:
			return errBroken
		}
	})
	var s string
	get := func(m *member, key string) error { return m.group.Get(t.Context(), key, StringSink(&s)) }
	owner, other := members[0], members[1]
	for what, want := range map[string]struct {
		local, remote error
		text          string
	}{
		"none":    {&ErrNotFound{}, &ErrNotFound{}, "there is none"},
		"wrapped": {wrapped, &ErrNotFound{}, "user 7: no such user"},
		"remote":  {&ErrRemoteCall{}, &ErrRemoteCall{}, "from further away"},
		"broken":  {errBroken, &ErrRemoteCall{}, "the disk is broken"},
	} {
		key := owner.keyOf(t, what)
		err := get(owner, key)
		require.ErrorIs(t, err, want.local)
		require.EqualError(t, err, want.text)
		err = get(other, key)
		require.ErrorIs(t, err, want.remote)
		require.EqualError(t, err, want.text)
		assert.Equal(t, 2, owner.origin.loaded(key), "%s: it is not loaded again by who has asked, nor remembered", what)
	}
	assert.NotErrorIs(t, get(other, owner.keyOf(t, "broken")), &ErrNotFound{})
	assert.Zero(t, other.group.Stats.PeerErrors.Get())
}

func TestAPeerThatCannotBeReachedIsPassedOver(t *testing.T) {
	t.Parallel()
	members := own(t, 2)
	key := members[0].keyOf(t, "key")
	members[0].kill()
	assert.Equal(t, "0", members[1].get(t, key))
	assert.Equal(t, 1, members[1].origin.loaded(key))
	assert.EqualValues(t, 1, members[1].group.Stats.PeerErrors.Get())
	assert.EqualValues(t, 1, members[1].group.Stats.LocalLoads.Get())
}

func TestAPanicIsAnErrorForAllWhoWait(t *testing.T) {
	t.Parallel()
	members := cluster(t)
	key := members[0].keyOf(t, "key")
	proceed := make(chan struct{})
	members[0].origin.hold(func(context.Context, string) error {
		<-proceed
		panic("oops")
	})
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	for i := range cap(errs) {
		wg.Go(func() {
			var s string
			errs <- members[i%3].group.Get(t.Context(), key, StringSink(&s))
		})
	}
	await(t, func() bool {
		return members[0].group.Stats.Loads.Get()+members[1].group.Stats.Loads.Get()+members[2].group.Stats.Loads.Get() >= int64(cap(errs))
	})
	close(proceed)
	wg.Wait()
	for range cap(errs) {
		require.ErrorContains(t, <-errs, "oops")
	}
	members[0].origin.hold(nil)
	assert.Equal(t, "0", members[1].get(t, key), "the key is not stuck")
}

func TestAGetterThatGivesNothingHasFailed(t *testing.T) {
	t.Parallel()
	g := alone(t, 1<<20, GetterFunc(func(context.Context, string, Sink) error { return nil }))
	var s string
	require.ErrorIs(t, g.Get(t.Context(), "k", StringSink(&s)), errNoValue)
	assert.EqualValues(t, 1, g.Stats.LocalLoadErrs.Get())
}

func TestALoadBelongsToNoCaller(t *testing.T) {
	t.Parallel()
	members := cluster(t)
	key := members[0].keyOf(t, "key")
	proceed := make(chan struct{})
	members[0].origin.hold(func(ctx context.Context, _ string) error {
		select {
		case <-proceed:
			return ctx.Err()
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	for _, m := range members {
		group, ok := m.pool.Node().Lookup(m.group.Name())
		require.True(t, ok)
		joined := group.Stats().Joined
		ctx, cancel := context.WithCancel(t.Context())
		first, second := make(chan error, 1), make(chan error, 1)
		var s, other string
		loads := members[0].origin.loaded(key)
		go func() { first <- m.group.Get(ctx, key, StringSink(&s)) }()
		await(t, func() bool { return members[0].origin.loaded(key) == loads+1 })
		go func() { second <- m.group.Get(t.Context(), key, StringSink(&other)) }()
		await(t, func() bool { return m.group.Stats.Loads.Get() >= 2 })
		cancel()
		require.ErrorIs(t, <-first, context.Canceled, "whoever is cancelled does not wait")
		short, stop := context.WithTimeout(t.Context(), 10*time.Millisecond)
		require.ErrorIs(t, m.group.Get(short, key, StringSink(&s)), context.DeadlineExceeded)
		stop()
		proceed <- struct{}{}
		require.NoError(t, <-second)
		assert.Equal(t, "0", other)
		// The last one has joined a load. If the second has not, it came when nobody
		// waited for the first load any more, and began one of its own.
		loads++
		if group.Stats().Joined-joined < 2 {
			loads++
		}
		assert.Equal(t, loads, members[0].origin.loaded(key))
		require.NoError(t, m.group.Remove(t.Context(), key))
	}
}

func TestWhatWasGivenIsNotTheCachesMemory(t *testing.T) {
	t.Parallel()
	g := alone(t, 1<<20, newOrigin())
	given := []byte("value")
	require.NoError(t, g.Set(t.Context(), "k", given, time.Time{}, false))
	given[0] = 'X'
	var got []byte
	for range 2 {
		require.NoError(t, g.Get(t.Context(), "k", AllocatingByteSliceSink(&got)))
		assert.Equal(t, "value", string(got))
		got[0] = 'Y'
	}
}

func TestAnyBytesAreAKeyAndAGroup(t *testing.T) {
	t.Parallel()
	members := cluster(t)
	for _, name := range []string{"a/b", "", ".", "..", "%2F", "\x00\xff", strings.Repeat("long", 100)} {
		for _, m := range members {
			m.newTestGroup(t, name, GetterFunc(func(_ context.Context, key string, dest Sink) error {
				return dest.SetString(name+"|"+key, time.Time{})
			}))
		}
	}
	for _, name := range []string{"a/b", "", ".", "..", "%2F", "\x00\xff", strings.Repeat("long", 100)} {
		for _, key := range []string{"", " ", "+", "/", "//", ".", "..", "a/../b", "%2F", "\x00", "\xff\xfe", strings.Repeat("k", gcnode.MaxKeyBytes)} {
			for _, m := range members {
				g := m.registry.group(coreName(name))
				require.NotNil(t, g)
				assert.Equal(t, name, g.Name())
				var s string
				require.NoError(t, g.Get(t.Context(), key, StringSink(&s)))
				require.Equal(t, name+"|"+key, s)
			}
		}
	}
	var s string
	require.ErrorIs(t, members[0].group.Get(t.Context(), strings.Repeat("k", gcnode.MaxKeyBytes+1), StringSink(&s)), gcnode.ErrTooLarge)
}

func TestAMemberWithoutTheGroupIsPassedOver(t *testing.T) {
	t.Parallel()
	members := cluster(t)
	o := newOrigin()
	members[1].group = members[1].newTestGroup(t, "only here", o)
	key := members[0].keyOf(t, "key")
	assert.Equal(t, "0", members[1].get(t, key), "the owner of the key does not have the group")
	assert.Equal(t, 1, o.loaded(key))
	assert.Zero(t, members[1].group.Stats.PeerLoads.Get())
	assert.Positive(t, members[1].group.Stats.PeerErrors.Get())
}

func TestGroupsComeAndGo(t *testing.T) {
	t.Parallel()
	members := cluster(t)
	key := members[0].keyOf(t, "key")
	assert.Equal(t, "0", members[1].get(t, key))
	old := members[0].group
	name := old.Name()
	members[0].deregister(name)
	members[0].deregister(name)
	assert.Nil(t, members[0].registry.group(name))
	var s string
	for range 2 {
		require.NoError(t, old.Get(t.Context(), key, StringSink(&s)))
	}
	assert.Equal(t, 3, members[0].origin.loaded(key), "it keeps nothing")
	members[0].group = members[0].newGroup(name, 1<<20, members[0].origin)
	members[0].origin.write(key, 1)
	require.NoError(t, members[0].group.Remove(t.Context(), key))
	for _, m := range members {
		assert.Equal(t, "1", m.get(t, key))
	}
	assert.Equal(t, 4, members[0].origin.loaded(key))
}

func TestMisuseOfTheGlobalsPanics(t *testing.T) {
	t.Parallel()
	for what, misuse := range map[string]func(r *registry){
		"a second group":  func(r *registry) { r.newGroup("g", 1<<20, newOrigin()) },
		"no getter":       func(r *registry) { r.newGroup("h", 1<<20, nil) },
		"a second pool":   func(r *registry) { r.newPool("http://a", nil) },
		"a second hook":   func(r *registry) { r.registerHook(func(*Group) {}) },
		"a second start":  func(r *registry) { r.registerStart(func() {}) },
		"a second picker": func(r *registry) { r.registerPicker(func(string) PeerPicker { return nil }) },
	} {
		r := newRegistry()
		r.newGroup("g", 1<<20, newOrigin())
		r.registerHook(func(*Group) {})
		r.registerStart(func() {})
		p := r.newPool("http://a", nil)
		assert.Panics(t, func() { misuse(r) }, what)
		assert.NotNil(t, r.newGroup("h", 1<<20, newOrigin()), "nothing is locked, nothing half done")
		require.NoError(t, p.Close(t.Context()))
	}
}

func TestHooksAreCalledAndMayMakeGroups(t *testing.T) {
	t.Parallel()
	r := newRegistry()
	var made []string
	r.registerHook(func(g *Group) { made = append(made, g.Name()) })
	starts := 0
	r.registerStart(func() {
		starts++
		r.newGroup("first", 1<<20, newOrigin())
	})
	r.newGroup("second", 1<<20, newOrigin())
	r.newGroup("third", 1<<20, newOrigin())
	assert.Equal(t, 1, starts)
	assert.Equal(t, []string{"first", "second", "third"}, made)
}

// await polls a condition.
func await(tb testing.TB, condition func() bool) {
	tb.Helper()
	require.Eventually(tb, condition, time.Minute, time.Millisecond)
}
