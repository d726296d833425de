package groupcache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
)

// version is what a member has of the key.
func (m *member) version(tb testing.TB, key string) int {
	tb.Helper()
	v, err := strconv.Atoi(m.get(tb, key))
	require.NoError(tb, err)
	return v
}

func TestALoadUnderWayDoesNotOutliveARemovalNorASet(t *testing.T) {
	t.Parallel()
	for _, change := range []string{"remove", "set"} {
		for loader := range 2 { // the owner, and a member whose copy it becomes
			t.Run(fmt.Sprint(change, loader), func(t *testing.T) {
				t.Parallel()
				members := cluster(t)
				key, o := members[0].keyOf(t, "key"), members[0].origin
				proceed, read := make(chan struct{}), make(chan struct{}, 1)
				o.hold(func(context.Context, string) error {
					read <- struct{}{}
					<-proceed
					return nil
				})
				done := make(chan error, 1)
				var s string
				go func() { done <- members[loader].group.Get(t.Context(), key, StringSink(&s)) }()
				<-read
				o.hold(nil)
				o.write(key, 1)
				if change == "remove" {
					require.NoError(t, members[2].group.Remove(t.Context(), key))
				} else {
					require.NoError(t, members[2].group.Set(t.Context(), key, []byte("1"), time.Time{}, false))
				}
				close(proceed)
				require.NoError(t, <-done)
				for _, m := range members {
					assert.Equal(t, 1, m.version(t, key))
				}
			})
		}
	}
}

func TestASetIsSeenByAllWhoHaveCopies(t *testing.T) {
	t.Parallel()
	for _, hot := range []bool{false, true} {
		members := cluster(t)
		key := members[0].keyOf(t, "key")
		for i := 1; i <= 9; i++ {
			for _, m := range members { // has a copy now
				m.get(t, key)
			}
			require.NoError(t, members[i%3].group.Set(t.Context(), key, []byte(strconv.Itoa(i)), time.Time{}, hot))
			copies := members[i%3].group.CacheStats(HotCache).Items
			assert.Equal(t, hot && i%3 != 0, copies > 0, "a copy where it was set")
			for _, m := range members {
				assert.Equal(t, i, m.version(t, key))
			}
		}
		assert.Equal(t, 1, members[0].origin.loaded(key))
		assert.Zero(t, members[0].group.CacheStats(MainCache).Evictions, "nobody had to make room")
	}
}

func TestSetsAtTheSameTimeAreNotMerged(t *testing.T) {
	t.Parallel()
	members := cluster(t)
	for round := range 20 {
		key := fmt.Sprint("key", round)
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				assert.NoError(t, members[i%3].group.Set(t.Context(), key, []byte(strconv.Itoa(1+i)), time.Time{}, i > 3))
			})
		}
		wg.Wait()
		want := members[0].version(t, key)
		assert.NotZero(t, want, "none was stored")
		for _, m := range members {
			assert.Equal(t, want, m.version(t, key))
		}
	}
}

// Removals of one key are under way all the time, and each holds for its caller.
func TestHammerRemovals(t *testing.T) {
	t.Parallel()
	members := cluster(t)
	o := members[0].origin
	const key = "key"
	var last atomic.Int64
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			for range 40 {
				o.mu.Lock()
				version := int(last.Add(1))
				o.versions[key] = version
				o.mu.Unlock()
				if !assert.NoError(t, members[rand.N(3)].group.Remove(t.Context(), key)) {
					return
				}
				var s string
				if !assert.NoError(t, members[rand.N(3)].group.Get(t.Context(), key, StringSink(&s))) {
					return
				}
				got, err := strconv.Atoi(s)
				assert.NoError(t, err)
				assert.GreaterOrEqual(t, got, version)
			}
		})
	}
	wg.Wait()
}

func TestARemovalThatIsNotConfirmedNamesWhoDidNotAndHoldsForTheOthers(t *testing.T) {
	t.Parallel()
	members := own(t, 3)
	owner, others := members[0], members[1:]
	key := owner.keyOf(t, "key")
	for _, m := range members {
		m.get(t, key)
	}
	owner.kill()
	owner.origin.write(key, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second) // a member may come back in its time
	defer cancel()
	err := others[0].group.Remove(ctx, key)
	require.ErrorContains(t, err, owner.url)
	unconfirmed, ok := errors.AsType[*gcnode.PeerErrors](err)
	require.True(t, ok)
	assert.Len(t, unconfirmed.Peers, 1)
	for _, m := range others {
		assert.Equal(t, 1, m.version(t, key))
	}
}

func TestMembersThatTakeEachOtherForTheOwnerDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	members := own(t, 2)
	members[0].pool.Set(members[1].url)
	members[1].pool.Set(members[0].url)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			var s string
			assert.NoError(t, members[i%2].group.Get(t.Context(), fmt.Sprint("key", i), StringSink(&s)))
		})
	}
	wg.Wait()
}

func TestAValueThatCannotFitIsHandedOnAndThrowsNothingOut(t *testing.T) {
	t.Parallel()
	g := alone(t, 1<<20, GetterFunc(func(_ context.Context, key string, dest Sink) error {
		if key == "large" {
			return dest.SetBytes(make([]byte, 4<<20), time.Time{})
		}
		return dest.SetString(strings.Repeat("x", 100), time.Time{})
	}))
	var v ByteView
	for i := range 100 {
		require.NoError(t, g.Get(t.Context(), strconv.Itoa(i), ByteViewSink(&v)))
	}
	require.NoError(t, g.Get(t.Context(), "large", ByteViewSink(&v)))
	assert.Equal(t, 4<<20, v.Len())
	assert.EqualValues(t, 100, g.CacheStats(MainCache).Items)
	assert.Zero(t, g.CacheStats(MainCache).Evictions)
}

func TestHammerGroups(t *testing.T) {
	t.Parallel()
	members := cluster(t)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			m := members[i%2]
			for n := range 30 {
				name := fmt.Sprintf("%d-%d of %s", i, n, members[0].group.Name())
				g := m.newGroup(name, 1<<20, newOrigin())
				assert.Same(t, g, m.registry.group(name))
				var s string
				assert.NoError(t, g.Get(t.Context(), "k", StringSink(&s)))
				for _, g := range m.all() {
					g.CacheStats(MainCache)
					assert.NotEmpty(t, g.Stats.Gets.String())
				}
				m.deregister(name)
			}
		})
	}
	wg.Wait()
}
