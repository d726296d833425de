package e2e_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/e2e/history"
)

// TestOwnersAreKilledWhileTheirKeysAreRemoved kills one node after the other,
// each in the middle of removals of what it owns, and starts it again.
func TestOwnersAreKilledWhileTheirKeysAreRemoved(t *testing.T) {
	overEach(t, func(t *testing.T, f fabric) {
		t.Helper()
		w := newWorld(t, f, 4, forDeath())
		keys := someKeys("k", 12)
		stop := w.start(t, traffic{clients: 8, written: keys, changes: 20})
		w.more(t, "answers", 300)
		for _, victim := range w.nodes[:3] {
			others := w.nodes.others(victim)
			mine := make([]string, 0, len(others))
			for _, n := range others {
				mine = append(mine, w.owner(t, n, victim))
			}
			changes := w.counted("changes")
			var removals sync.WaitGroup
			for i, n := range others {
				removals.Go(func() {
					for range 5 {
						w.remove(t.Context(), n, 100+i, mine[i])
					}
				})
			}
			require.Eventually(t, func() bool { return w.counted("changes") >= changes+len(others) }, patience, time.Millisecond)
			w.kill(t, victim)
			removals.Wait()
			w.more(t, "answers", 150)
			w.more(t, "changes", 15)
			w.again(t, victim)
			w.heal(t)
			w.more(t, "answers", 150)
		}
		h := w.rec.History()
		for _, e := range h.Events {
			if e.What != history.Down {
				continue
			}
			if slices.ContainsFunc(h.Ops, func(op history.Op) bool {
				return op.Kind == history.Remove && op.Start < e.At && (op.End == 0 || op.End > e.At)
			}) {
				w.count("kills in the middle of a removal")
			}
		}
		w.finish(t, stop, keys, "kills", "kills in the middle of a removal", "confirmed removes", "failed removes", "confirmed sets", "confirmed clears", "batches")
	})
}

// TestANodeThatStandsStillIsNamedAndCatchesUp stops nodes for longer than they
// count as alive, removes what they have, and lets them go on.
func TestANodeThatStandsStillIsNamedAndCatchesUp(t *testing.T) {
	overEach(t, func(t *testing.T, f fabric) {
		t.Helper()
		w := newWorld(t, f, 3, forSilence())
		keys := someKeys("k", 12)
		stop := w.start(t, traffic{clients: 6, written: keys, changes: 15})
		w.more(t, "answers", 300)
		for i, victim := range w.nodes {
			others := w.nodes.others(victim)
			own, copied := w.owner(t, victim, victim), w.owner(t, victim, others[0])
			for range 3 { // so that it has a copy
				w.read(t.Context(), victim, copied)
			}
			w.stop(t, victim)
			for _, key := range []string{own, copied} {
				refusal := w.remove(t.Context(), others[i%2], 100, key)
				require.NotNil(t, refusal, "%s was removed without %s", key, victim.id)
				require.Equal(t, "not_confirmed", refusal.Error.Kind, refusal.Error.Message)
				require.Len(t, refusal.Error.Peers, 1, refusal.Error.Message)
				assert.Equal(t, victim.id, refusal.Error.Peers[0].ID)
				w.count("removals that a stopped node did not confirm")
			}
			w.more(t, "answers", 60)
			w.goOn(t, victim)
			w.heal(t)
			for _, key := range []string{own, copied} {
				w.read(t.Context(), victim, key) // which is judged: it has confirmed
			}
			w.more(t, "answers", 60)
		}
		w.finish(t, stop, keys, "stops", "removals that a stopped node did not confirm", "confirmed removes", "failed removes")
	})
}

// TestNodesThatCannotReachEachOther cuts one node off from the others, in each
// direction and in both, while clients ask all of them.
func TestNodesThatCannotReachEachOther(t *testing.T) {
	throughFabric(t, newNamespaces, newProxies, func(t *testing.T, f fabric) {
		t.Helper()
		w := newWorld(t, f, 4, forSilence())
		keys := someKeys("k", 12)
		stop := w.start(t, traffic{clients: 8, written: keys, changes: 15})
		w.more(t, "answers", 300)
		for i, how := range []struct {
			name    string
			to, fro bool
		}{
			{"partitions of what a node asks", false, true},
			{"partitions of what a node is asked", true, false},
			{"full partitions", true, true},
		} {
			victim := w.nodes[i]
			w.fault(how.name, victim)
			for _, other := range w.nodes.others(victim) {
				if how.fro {
					f.cut(t, victim, other)
				}
				if how.to {
					f.cut(t, other, victim)
				}
			}
			w.more(t, "answers", 100)
			refusal := w.remove(t.Context(), w.nodes[3], 100, keys...)
			if how.to {
				require.NotNil(t, refusal, "%s was not reached", victim.id)
				require.Len(t, refusal.Error.Peers, 1, refusal.Error.Message)
				assert.Equal(t, victim.id, refusal.Error.Peers[0].ID)
			}
			refusal = w.remove(t.Context(), victim, 100, keys...)
			if how.fro {
				require.NotNil(t, refusal, "%s reached nobody", victim.id)
				assert.Len(t, refusal.Error.Peers, 3, refusal.Error.Message)
			}
			w.more(t, "answers", 150)
			f.mend(t)
			w.heal(t)
			w.more(t, "answers", 150)
		}
		w.finish(t, stop, keys, "partitions of what a node asks", "partitions of what a node is asked", "full partitions", "confirmed removes", "failed removes")
	})
}

// zipf picks one of n keys, the first ones far more often than the last.
func zipf(n int) int {
	// The inverse of a sum of 1/x up to the place that is picked.
	return min(int(math.Pow(float64(n+1), rand.Float64()))-1, n-1)
}

// TestARollingRestartUnderLoadIsNotNoticed restarts one node after the other.
// No read fails, nothing that is served is stale, and nearly nothing is loaded
// again.
func TestARollingRestartUnderLoadIsNotNoticed(t *testing.T) {
	overEach(t, func(t *testing.T, f fabric) {
		t.Helper()
		w := newWorld(t, f, 4, forRestarts())
		resident, written := someKeys("r", 1000), someKeys("k", 6)
		for _, key := range resident {
			w.read(t.Context(), w.nodes[0], key)
		}
		// Loads of what is changed do not count.
		loads := func() (n int) {
			for _, l := range w.rec.History().Loads {
				if l.Key[0] == 'r' {
					n++
				}
			}
			return n
		}
		before := loads()
		require.Equal(t, len(resident), before)
		stop := w.start(t, traffic{clients: 8, keys: resident, written: written, pick: zipf})
		changing := make(chan struct{})
		var changes sync.WaitGroup
		changes.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-changing:
					return
				case <-time.After(20 * time.Millisecond):
				}
				nodes := w.asked()
				n, key := nodes[rand.IntN(len(nodes))], written[i%len(written)]
				if i%2 == 0 {
					w.set(t.Context(), n, 100, key)
					continue
				}
				w.cross(t.Context(), n, 100, key)
			}
		})
		for _, n := range w.nodes {
			w.more(t, "answers", 100)
			w.leave(t, n)
			w.event(history.Closed, n, "")
			n.signal(t, syscall.SIGTERM)
			require.Zero(t, n.wait(t), "exit status")
			w.count("restarts")
			w.again(t, n)
		}
		w.more(t, "answers", 200)
		close(changing)
		changes.Wait()
		again := loads() - before
		report(t, "%d of %d resident keys were loaded again (%.1f %%) by restarting all nodes", again, len(resident), 100*float64(again)/float64(len(resident)))
		assert.LessOrEqual(t, again, len(resident)/20)
		w.finish(t, stop, slices.Concat(resident[:50], written), "restarts", "confirmed removes", "confirmed sets", "inherited", "batches")
	})
}

// TestOneOfSixIsKilledAndNobodyWaitsForIt kills one of six nodes while clients
// ask the others.
func TestOneOfSixIsKilledAndNobodyWaitsForIt(t *testing.T) {
	overEach(t, func(t *testing.T, f fabric) {
		t.Helper()
		w := newWorld(t, f, 6, forDeath())
		const clients = 8 // each may have a request under way
		keys, written := someKeys("r", 100), someKeys("k", 6)
		stop := w.start(t, traffic{clients: clients, keys: keys, written: written, changes: 5})
		w.more(t, "answers", 600)
		slowest := func() time.Duration {
			w.mu.Lock()
			defer w.mu.Unlock()
			ms := w.met["slowest answer in ms"]
			w.met["slowest answer in ms"] = 0
			return time.Duration(ms) * time.Millisecond
		}
		before := slowest()
		victim := w.nodes[rand.IntN(len(w.nodes))]
		w.kill(t, victim)
		w.more(t, "answers", 600)
		during := slowest()
		report(t, "slowest answer with all six nodes: %v, without %s: %v; the peer timeout is %v", before, victim.id, during, w.settings.peerTimeout)
		// All have found out, and no read asks it again.
		asked := func() (n uint64) {
			for _, other := range w.nodes.others(victim) {
				seen := other.stats(t).peer(victim.id)
				assert.True(t, seen.Down || seen.ID == "" && f.discovers(), "%s does not know that %s is down", other.id, victim.id)
				n += seen.Requests
			}
			return n
		}
		until := asked()
		w.more(t, "answers", 300)
		assert.LessOrEqual(t, asked(), until+clients, "%s is asked again and again", victim.id)
		w.again(t, victim)
		w.heal(t)
		w.finish(t, stop, slices.Concat(keys[:20], written), "kills", "failovers")
	})
}
