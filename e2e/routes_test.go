package e2e_test

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/e2e/history"
)

// partedHeartbeat is that of nodes that are kept apart, and short so that they
// soon do without each other.
const partedHeartbeat = 500 * time.Millisecond

// natsProxies are proxies between nodes with NATS servers within: what one says
// to another goes through connections that either has opened.
type natsProxies struct{ *proxies }

func newNATSProxies(*testing.T) fabric {
	return natsProxies{&proxies{map[[2]string]*link{}}}
}

func (natsProxies) name() string { return "NATS servers within them, through proxies" }

func (natsProxies) discovers() bool { return true }

// place lets each server listen at a host of its own. Servers tell each other of
// a third one where they are called from, which is the host of the proxies, and
// at which port it listens: there is nobody.
func (f natsProxies) place(t *testing.T, nodes cluster) {
	t.Helper()
	for i, n := range nodes {
		_, port, err := net.SplitHostPort(ports.address(t))
		require.NoError(t, err)
		n.peers, n.api, n.admin = net.JoinHostPort(fmt.Sprintf("127.0.0.%d", 2+i), port), ports.address(t), ports.address(t)
	}
	f.connect(t, nodes)
}

func (f natsProxies) members(n *node, all cluster) string {
	return routesSetting(n, all, partedHeartbeat, f.address)
}

func (f natsProxies) cut(t *testing.T, from, to *node) {
	t.Helper()
	f.links[[2]string{from.id, to.id}].forth.shut()
	f.links[[2]string{to.id, from.id}].back.shut()
}

// TestNATSServersWithinNodesThatCannotReachEachOther parts the routes between
// the server of one node and those of the others, in each direction and in both,
// while clients ask all of them. A full partition lasts until both sides do
// without the other and remove what it has copies of.
func TestNATSServersWithinNodesThatCannotReachEachOther(t *testing.T) {
	throughFabric(t, newNATSNamespaces, newNATSProxies, func(t *testing.T, f fabric) {
		t.Helper()
		w := newWorld(t, f, 3, forSilence())
		keys := someKeys("k", 12)
		stop := w.start(t, traffic{clients: 6, written: keys, changes: 15, uncleared: true})
		w.more(t, "answers", 300)
		for i, how := range []struct {
			name    string
			to, fro bool
		}{
			{"partitions of what a node says", false, true},
			{"partitions of what a node hears", true, false},
			{"full partitions", true, true},
		} {
			victim := w.nodes[i]
			others := w.nodes.others(victim)
			own, foreign := w.owner(t, victim, victim), w.owner(t, others[0], others[0])
			crossed := w.partWhileRemoving(t, how.name, victim, keys, func(other *node) {
				if how.fro {
					f.cut(t, victim, other)
				}
				if how.to {
					f.cut(t, other, victim)
				}
			})
			if how.fro {
				for _, n := range others {
					n.until(t, func(s stats) bool { return s.Discovery.Members == len(others) }, "it does not do without "+victim.id)
				}
			}
			if how.to {
				victim.until(t, func(s stats) bool { return s.Discovery.Members == 1 }, "it does not do without the others")
			}
			w.more(t, "answers", 50)
			removed := map[string]int64{} // when, by key
			if how.to && how.fro {
				removed[own] = w.removeAlone(t, others[0], victim, own)
				removed[foreign] = w.removeAlone(t, victim, others[0], foreign)
			}
			crossed()
			f.mend(t)
			w.heal(t)
			for _, n := range w.nodes {
				assert.Equal(t, []string{"a", "b", "c"}, n.list(t), "the list of %s", n.id)
			}
			for key, at := range removed {
				for _, n := range w.nodes {
					assert.Greater(t, begun(t, w.read(t.Context(), n, key)), at, "%s has what was removed: %s", n.id, key)
				}
			}
		}
		w.finish(t, stop, keys, "partitions of what a node says", "partitions of what a node hears", "full partitions",
			"removals that crossed a partition", "removals on one side of a partition", "confirmed removes", "failed removes")
	})
}

// partWhileRemoving cuts a node off from each of the others while something is
// removed through all of them. Removals that have begun before that, and are not
// confirmed because of it, cross the partition: what it returns awaits and counts
// them.
func (w *world) partWhileRemoving(t *testing.T, what string, victim *node, keys []string, cut func(other *node)) (crossed func()) {
	t.Helper()
	var removals sync.WaitGroup
	parted := make(chan struct{})
	for i, n := range w.nodes {
		removals.Go(func() {
			for {
				select {
				case <-parted:
					return
				default:
					w.remove(t.Context(), n, 100+i, keys[i])
				}
			}
		})
	}
	w.more(t, "changes", 20)
	w.fault(what, victim)
	for _, other := range w.nodes.others(victim) {
		cut(other)
	}
	at := w.rec.Now()
	close(parted)
	return func() {
		removals.Wait()
		for _, op := range w.rec.History().Ops {
			if op.Kind == history.Remove && op.Start < at && op.End > at && len(op.Unconfirmed) > 0 {
				w.count("removals that crossed a partition")
			}
		}
	}
}

// removeAlone removes a key through a node on one side of a partition, as soon as
// that side takes itself for the whole cluster, and returns when that was. A node
// on the other side, which has the value, does not hear of it.
func (w *world) removeAlone(t *testing.T, n, other *node, key string) (at int64) {
	t.Helper()
	for since := time.Now(); ; {
		require.Less(t, time.Since(since), patience, "%s does not do without %s", n.id, other.id)
		w.read(t.Context(), other, key)
		at = w.rec.Now()
		if w.remove(t.Context(), n, 100, key) == nil {
			break
		}
	}
	assert.Greater(t, begun(t, w.read(t.Context(), n, key)), at, "%s does not do what it has confirmed", n.id)
	assert.Less(t, begun(t, w.read(t.Context(), other, key)), at, "%s has heard of it", other.id)
	w.count("removals on one side of a partition")
	return at
}

// begun is when the load of a value has begun.
func begun(t *testing.T, a answer) int64 {
	t.Helper()
	require.Equal(t, http.StatusOK, a.status, a.body)
	v, err := history.ParseValue(a.body)
	require.NoError(t, err)
	require.NotEmpty(t, v.Load, "%s was set", v.Key)
	return v.Begin
}

// list is the IDs of the members that a node knows, itself among them.
func (n *node) list(t *testing.T) []string {
	t.Helper()
	ids := []string{n.id}
	for _, p := range n.stats(t).Peers {
		ids = append(ids, p.ID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
