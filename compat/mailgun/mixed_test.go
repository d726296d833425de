package groupcache

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// keysOf are keys of which each process owns some, and one of every kind that the
// old protocol can carry.
func keysOf() []string {
	keys := []string{"a b", "a+b", "a/b", "%2F", "ä", "a?b#c", "\xff\x00", "&=;,"}
	for i := range 16 {
		keys = append(keys, fmt.Sprintf("user:%d:profile", i*i))
	}
	return keys
}

// mixes are clusters of both, in which each asks the other.
func mixes() map[string][]mode {
	return map[string][]mode{
		"old alone":     {onOld, onOld, onOld},
		"one new":       {onOld, withOld, onOld},
		"one old":       {withOld, onOld, withOld},
		"new alone":     {withOld, withOld, withOld},
		"native beside": {withOld, onNative, withOld},
	}
}

// TestAKeyIsLoadedByItsOwner wants every process to find the owner of each key,
// and nobody else to load it.
func TestAKeyIsLoadedByItsOwner(t *testing.T) {
	for name, modes := range mixes() {
		if name == "native beside" {
			continue // there are two rings
		}
		t.Run(name, func(t *testing.T) {
			o := newDatabase()
			ps := mixedCluster(t, o, time.Hour, modes...)
			for _, key := range keysOf() {
				for i := range ps {
					value, _, wrong := ps[(i+len(key))%len(ps)].get(t.Context(), key)
					require.Empty(t, wrong, "%q", key)
					require.Equal(t, key+"@0", value)
				}
				require.Equal(t, 1, o.loadsOf(key), "%q", key)
			}
		})
	}
}

// TestOwnersSayHowLongAValueLives looks at what has come from a peer. A copy on this
// module ends earlier than the value.
func TestOwnersSayHowLongAValueLives(t *testing.T) {
	for _, modes := range [][]mode{{onOld, withOld}, {withOld, onOld}} {
		for _, life := range []time.Duration{0, time.Minute} {
			ps := mixedCluster(t, newDatabase(), life, modes...)
			for _, key := range keysOf() {
				for _, p := range ps {
					_, expire, wrong := p.get(t.Context(), key)
					require.Empty(t, wrong)
					switch {
					case p.mode == withOld && expire.IsZero():
						require.Zero(t, life)
					case p.mode == withOld:
						require.Less(t, time.Until(expire), time.Minute)
					case life == 0:
						require.Zero(t, expire)
					default:
						require.WithinDuration(t, time.Now().Add(life), expire, 10*time.Second)
					}
				}
			}
		}
	}
}

// TestAValueThatHasExpiredIsLoadedAgain has lives that end.
func TestAValueThatHasExpiredIsLoadedAgain(t *testing.T) {
	o := newDatabase()
	ps := mixedCluster(t, o, 300*time.Millisecond, onOld, withOld)
	for _, key := range keysOf()[:8] {
		_, _, wrong := ps[0].get(t.Context(), key)
		require.Empty(t, wrong)
		want := o.change(key)
		for _, p := range ps {
			require.Eventually(t, func() bool { value, _, _ := p.get(t.Context(), key); return value == want }, patience, 10*time.Millisecond)
		}
	}
}

// TestErrorsReachOldAndNewPeers wants what a getter says to be known everywhere,
// and not to be tried a second time.
func TestErrorsReachOldAndNewPeers(t *testing.T) {
	for name, modes := range mixes() {
		t.Run(name, func(t *testing.T) {
			o := newDatabase()
			ps := mixedCluster(t, o, time.Hour, modes...)
			for i := range 20 {
				none, bad := fmt.Sprint("none", i*i), fmt.Sprint("bad", i*i)
				for _, p := range ps {
					_, _, wrong := p.get(t.Context(), none)
					require.Equal(t, "none", wrong)
					before := o.loadsOf(bad)
					_, _, wrong = p.get(t.Context(), bad)
					require.Contains(t, wrong, errBad.Error())
					require.Equal(t, 1, o.loadsOf(bad)-before)
				}
			}
		})
	}
}

// TestWritesReachOldAndNewPeers sets and removes at each process what all have.
func TestWritesReachOldAndNewPeers(t *testing.T) {
	for name, modes := range mixes() {
		t.Run(name, func(t *testing.T) {
			o := newDatabase()
			ps := mixedCluster(t, o, time.Hour, modes...)
			all := func(key, want string) {
				t.Helper()
				for _, p := range ps {
					value, _, wrong := p.get(t.Context(), key)
					require.Empty(t, wrong)
					require.Equal(t, want, value, "%q at a process that is %v", key, p.mode)
				}
			}
			for _, key := range keysOf() {
				all(key, key+"@0")
				for _, p := range ps {
					want := o.change(key)
					require.NoError(t, p.remove(t.Context(), key))
					all(key, want)
				}
				for _, p := range ps {
					if p.mode == onOld {
						continue // it leaves others' copies
					}
					want := o.change(key)
					require.NoError(t, p.set(t.Context(), key, want))
					all(key, want)
				}
			}
		})
	}
}

// TestASetIsAtTheOwner wants what was set to be served without a load.
func TestASetIsAtTheOwner(t *testing.T) {
	for _, modes := range [][]mode{{onOld, withOld, onOld}, {withOld, onOld, withOld}, {onNative, onNative}} {
		t.Run(fmt.Sprint(modes), func(t *testing.T) {
			o := newDatabase()
			ps := mixedCluster(t, o, time.Hour, modes...)
			for i, key := range keysOf() {
				require.NoError(t, ps[i%len(ps)].set(t.Context(), key, "set"))
				for _, p := range ps {
					value, expire, wrong := p.get(t.Context(), key)
					require.Empty(t, wrong)
					require.Equal(t, "set", value, "%q", key)
					require.False(t, expire.IsZero())
				}
				require.Zero(t, o.loadsOf(key))
			}
		})
	}
}

// TestAPeerWithoutTheGroupIsPassedOver wants the value to be loaded by whoever
// asks.
func TestAPeerWithoutTheGroupIsPassedOver(t *testing.T) {
	for _, modes := range [][]mode{{onOld, withOld}, {withOld, onOld}, {onNative, onOld}, {onNative, withOld}} {
		d := newDatabase()
		ps := mixedCluster(t, d, time.Hour, modes...)
		if ps[0].mode == onOld {
			delete(ps[0].old.groups, groupName)
		} else {
			ps[0].pool.registry.deregister(groupName)
		}
		for _, key := range keysOf() {
			value, _, wrong := ps[1].get(t.Context(), key)
			require.Empty(t, wrong)
			require.Equal(t, key+"@0", value)
		}
	}
}

// TestNobodyIsAskedTwiceWhenListsDiffer has two processes that each take the other
// one for the owner of everything.
func TestNobodyIsAskedTwiceWhenListsDiffer(t *testing.T) {
	o := newDatabase()
	ps := mixedCluster(t, o, time.Hour, withOld, withOld)
	ps[0].setPeers(ps[1].url)
	ps[1].setPeers(ps[0].url)
	ctx, cancel := context.WithTimeout(t.Context(), patience/2)
	defer cancel()
	for _, key := range keysOf() {
		for _, p := range ps {
			value, _, wrong := p.get(ctx, key)
			require.Empty(t, wrong)
			require.Equal(t, key+"@0", value)
		}
	}
}

// TestTheFirstNativePeerWakesTheNode wants the node of a process among old peers to
// ask nobody until then, and to join the native ones afterwards.
func TestTheFirstNativePeerWakesTheNode(t *testing.T) {
	ps := mixedCluster(t, newDatabase(), time.Hour, withOld, withOld)
	for _, p := range ps {
		_, _, wrong := p.get(t.Context(), "k")
		require.Empty(t, wrong)
		require.Len(t, p.pool.Node().Peers(), 1, "beside itself")
	}
	ps = append(ps, startMixed(t, onNative, listen(t, ""), newDatabase(), time.Hour, 0))
	for _, p := range ps {
		p.setPeers(ps[0].url, ps[1].url, ps[2].url)
	}
	for _, p := range ps {
		p.awaitNative(t, len(ps))
	}
}

// A process that goes back from native peers to old ones takes the place of one
// that has said goodbye: native members think that nobody is there.
func TestAProcessThatGoesBackIsToldOfRemovals(t *testing.T) {
	d := newDatabase()
	ps := mixedCluster(t, d, time.Hour, onNative, onNative, onNative)
	var urls []string
	for _, p := range ps {
		urls = append(urls, p.url)
	}
	ps[2].end()
	ps[2] = startMixed(t, withOld, listen(t, ps[2].url), d, time.Hour, 0)
	early := map[string]string{}
	for i := range 20 {
		key := fmt.Sprintf("early:%d:%x", i, i*i)
		_, _, wrong := ps[2].get(t.Context(), key)
		require.Empty(t, wrong)
		early[key] = d.change(key)
		require.NoError(t, ps[i%2].remove(t.Context(), key))
	}
	ps[2].setPeers(urls...)
	ps[2].awaitNative(t, 3)
	require.Eventually(t, func() bool {
		for key, want := range early {
			if got, _, wrong := ps[2].get(t.Context(), key); got != want || wrong != "" {
				return false
			}
		}
		return true
	}, patience, time.Millisecond, "it has what it had before it joined")
	for i := range 50 {
		key := fmt.Sprintf("key:%d:%x", i, i*i)
		_, _, wrong := ps[2].get(t.Context(), key)
		require.Empty(t, wrong)
		want := d.change(key)
		require.NoError(t, ps[i%2].remove(t.Context(), key))
		got, _, wrong := ps[2].get(t.Context(), key)
		require.Empty(t, wrong)
		require.Equal(t, want, got)
	}
}
