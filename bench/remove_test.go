package bench_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkRemove removes keys that three nodes have, one after the other, and
// between two of them asks a peer for a key that it has: that is one round trip.
func BenchmarkRemove(b *testing.B) {
	clusterRun(b, func(b *testing.B) {
		c := newCluster(b, 3, 0)
		rounds := amount(10_000)
		c.fill(b, rounds)
		remover := c.nodes[0]
		var removals, trips times
		for i, key := range newKeys(0, rounds) {
			removals = append(removals, measure(func() {
				require.NoError(b, remover.group.Remove(b.Context(), key))
			}))
			// Nobody has asked for this one through the remover.
			for far := rounds + i; ; far += rounds {
				other := keyOf(far)
				if remover.group.Owner(other).ID == c.peers[0].ID {
					continue
				}
				owner := c.nodes[1]
				if remover.group.Owner(other).ID == c.peers[2].ID {
					owner = c.nodes[2]
				}
				look(b, owner.get, other)
				trips = append(trips, measure(func() { look(b, remover.get, other) }))
				break
			}
		}
		for _, q := range []struct {
			name string
			part float64
		}{{"p50", 0.5}, {"p99", 0.99}} {
			b.ReportMetric(us(removals.quantile(q.part)), "remove-"+q.name+"-us")
			b.ReportMetric(us(trips.quantile(q.part)), "trip-"+q.name+"-us")
		}
		b.ReportMetric(us(removals.quantile(0.99))/us(trips.quantile(0.99)), "p99/trip-p99")
		b.ReportMetric(us(removals.quantile(0.99))/us(trips.quantile(0.5)), "p99/trip-p50")
	}, "nodes=3")
}

// BenchmarkBurst removes 1,000 keys at once, each by a call of its own, and
// counts the messages that this takes.
func BenchmarkBurst(b *testing.B) {
	const keys = 1000
	clusterRun(b, func(b *testing.B) {
		c := newCluster(b, 12, 0)
		before := c.removes.Load()
		var calls sync.WaitGroup
		took := measure(func() {
			for _, key := range newKeys(0, keys) {
				calls.Go(func() {
					if err := c.nodes[0].group.Remove(b.Context(), key); err != nil {
						b.Error(err)
					}
				})
			}
			calls.Wait()
		})
		sent := float64(c.removes.Load() - before)
		b.ReportMetric(sent, "messages")
		b.ReportMetric(sent/(keys*11), "messages/naive")
		b.ReportMetric(us(took)/1000, "burst-ms")
	}, "nodes=12", fmt.Sprintf("removals=%d", keys))
}
