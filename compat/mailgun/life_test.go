package groupcache

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAValueIsServedUntilItExpires(t *testing.T) {
	t.Parallel()
	members := cluster(t)
	key, o := members[0].keyOf(t, "key"), members[0].origin
	o.ttl = 200 * time.Millisecond
	for _, m := range members[:2] {
		begun := time.Now()
		loads := o.loaded(key)
		var v ByteView
		require.NoError(t, m.group.Get(t.Context(), key, ByteViewSink(&v)))
		assert.False(t, v.Expire().IsZero(), "a copy knows it too")
		assert.WithinDuration(t, begun.Add(o.ttl), v.Expire(), time.Minute)
		await(t, func() bool {
			asked := time.Now()
			require.NoError(t, m.group.Get(t.Context(), key, ByteViewSink(&v)))
			assert.True(t, o.loaded(key) > loads+1 || asked.Before(begun.Add(time.Minute)))
			return o.loaded(key) > loads+1
		})
		assert.GreaterOrEqual(t, time.Since(begun), o.ttl/2)
	}
}

func TestWhatHasExpiredIsNotKept(t *testing.T) {
	t.Parallel()
	members := cluster(t)
	key, o := members[0].keyOf(t, "key"), members[0].origin
	o.ttl = -time.Hour
	for i := range 4 {
		assert.Equal(t, "0", members[i%2].get(t, key))
		assert.Equal(t, i+1, o.loaded(key))
	}
	require.NoError(t, members[1].group.Set(t.Context(), key, []byte("7"), time.Now().Add(-time.Hour), true))
	assert.Equal(t, "0", members[0].get(t, key))
	require.NoError(t, members[1].group.Set(t.Context(), key, []byte("7"), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), false))
	var v ByteView
	require.NoError(t, members[0].group.Get(t.Context(), key, ByteViewSink(&v)))
	assert.Equal(t, "7", v.String())
}

// It sets a global, so that it does not run beside others.
func TestAClockOfOnesOwnDecidesWhatHasExpired(t *testing.T) {
	members := cluster(t)
	key, o := members[0].keyOf(t, "key"), members[0].origin
	o.ttl = 10 * time.Minute
	var ahead time.Duration
	NowFunc = func() time.Time { return time.Now().Add(ahead) }
	defer func() { NowFunc = time.Now }()
	for _, m := range members { // there are copies
		m.get(t, key)
	}
	ahead = 5 * time.Minute
	members[0].get(t, key)
	assert.Equal(t, 1, o.loaded(key))
	ahead, o.ttl = 11*time.Minute, time.Hour
	o.write(key, 1)
	for _, m := range members {
		assert.Equal(t, "1", m.get(t, key))
	}
	NowFunc = nil
	assert.Equal(t, "1", members[0].get(t, key))
}

func TestStats(t *testing.T) {
	t.Parallel()
	members := cluster(t)
	owner, other := members[0], members[1]
	key := owner.keyOf(t, "key")
	other.get(t, key) // loaded by the owner
	other.get(t, key) // a copy
	owner.get(t, key) // a hit
	members[2].get(t, key)

	numbers := func(g *Group) map[string]int64 {
		return map[string]int64{
			"Gets": g.Stats.Gets.Get(), "CacheHits": g.Stats.CacheHits.Get(), "Loads": g.Stats.Loads.Get(), "LoadsDeduped": g.Stats.LoadsDeduped.Get(),
			"PeerLoads": g.Stats.PeerLoads.Get(), "PeerErrors": g.Stats.PeerErrors.Get(), "LocalLoads": g.Stats.LocalLoads.Get(),
			"LocalLoadErrs": g.Stats.LocalLoadErrs.Get(), "ServerRequests": g.Stats.ServerRequests.Get(),
		}
	}
	assert.Equal(t, map[string]int64{
		"Gets": 3, "CacheHits": 2, "Loads": 1, "LoadsDeduped": 1, "PeerLoads": 0, "PeerErrors": 0,
		"LocalLoads": 1, "LocalLoadErrs": 0, "ServerRequests": 2,
	}, numbers(owner.group))
	assert.Equal(t, map[string]int64{
		"Gets": 2, "CacheHits": 1, "Loads": 1, "LoadsDeduped": 1, "PeerLoads": 1, "PeerErrors": 0,
		"LocalLoads": 0, "LocalLoadErrs": 0, "ServerRequests": 0,
	}, numbers(other.group))
	assert.Equal(t, CacheStats{Items: 1, Gets: 3, Hits: 2, Bytes: owner.group.CacheStats(MainCache).Bytes}, owner.group.CacheStats(MainCache))
	assert.Equal(t, CacheStats{Items: 1, Gets: 2, Hits: 1, Bytes: other.group.CacheStats(HotCache).Bytes}, other.group.CacheStats(HotCache))
	assert.Zero(t, other.group.CacheStats(MainCache).Items, "who does not own it does not keep it as if")
}

func TestThoseWhoWaitForALoadAreCountedOnce(t *testing.T) {
	t.Parallel()
	members := cluster(t)
	owner, other := members[0], members[1]
	key := owner.keyOf(t, "key")
	proceed := make(chan struct{})
	owner.origin.hold(func(context.Context, string) error {
		<-proceed
		<-time.After(5 * time.Millisecond) // it is measured
		return nil
	})
	begun := time.Now()
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			var s string
			assert.NoError(t, other.group.Get(t.Context(), key, StringSink(&s)))
		})
	}
	await(t, func() bool {
		return other.group.Stats.Loads.Get() == 5 && owner.origin.loaded(key) == 1
	})
	close(proceed)
	wg.Wait()
	st := &other.group.Stats
	assert.EqualValues(t, 5, st.Loads.Get())
	assert.EqualValues(t, 1, st.LoadsDeduped.Get())
	assert.EqualValues(t, 1, st.PeerLoads.Get())
	assert.GreaterOrEqual(t, st.GetFromPeersLatencyLower.Get(), int64(5))
	assert.LessOrEqual(t, st.GetFromPeersLatencyLower.Get(), time.Since(begun).Milliseconds())
	assert.Zero(t, owner.group.Stats.GetFromPeersLatencyLower.Get())
}

func TestTheLongestFetchIsCounted(t *testing.T) {
	t.Parallel()
	var s Stats
	for _, took := range []time.Duration{3 * time.Millisecond, 9 * time.Millisecond, 5 * time.Millisecond} {
		s.answered(nil, took)
	}
	assert.EqualValues(t, 9, s.GetFromPeersLatencyLower.Get())
	assert.Equal(t, "3", s.PeerLoads.String())
	s.PeerLoads.Store(0)
	assert.Zero(t, s.PeerLoads.Get())
}
