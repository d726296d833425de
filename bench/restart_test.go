package bench_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkRestart restarts six nodes one after the other while four clients
// each ask about a thousand times a second, and counts what is loaded again.
func BenchmarkRestart(b *testing.B) {
	const nodes, clients = 6, 4
	clusterRun(b, func(b *testing.B) {
		c := newCluster(b, nodes, 0)
		distinct := amount(20_000)
		c.fill(b, distinct)
		keys := zipfKeys(distinct)
		resident, before := c.resident(), c.loads.Load()

		ctx, stop := context.WithCancel(b.Context())
		var mu sync.RWMutex // written when a member leaves or has come
		serving := slices.Clone(c.nodes)
		var gets atomic.Int64
		var running sync.WaitGroup
		for client := range clients {
			running.Go(func() {
				tick := time.NewTicker(time.Millisecond)
				defer tick.Stop()
				for i := client * draws / clients; ctx.Err() == nil; i++ {
					mu.RLock()
					look(b, serving[i%len(serving)].get, keys[i%draws])
					mu.RUnlock()
					gets.Add(1)
					select {
					case <-tick.C:
					case <-ctx.Done():
					}
				}
			})
		}
		some := func() { // gets between two steps
			for until := gets.Load() + int64(amount(1000)); gets.Load() < until; {
				<-time.After(time.Millisecond)
			}
		}
		took := measure(func() {
			for i, m := range c.nodes {
				some()
				mu.Lock()
				serving = slices.DeleteFunc(slices.Clone(serving), func(s *member) bool { return s == m })
				mu.Unlock()
				m.close(b)
				some()
				c.start(b, i)
				c.joined(b, i)
				mu.Lock()
				serving = append(slices.Clone(serving), m)
				mu.Unlock()
			}
			some()
		})
		stop()
		running.Wait()
		again := float64(c.loads.Load() - before)
		b.ReportMetric(again, "loads")
		b.ReportMetric(float64(resident), "resident")
		b.ReportMetric(100*again/float64(resident), "loads-%")
		b.ReportMetric(float64(gets.Load()), "gets")
		b.ReportMetric(took.Seconds(), "s")
	}, "nodes=6")
}
