package bench_test

import (
	"sync"
	"testing"
	"time"
)

// BenchmarkCold asks 10,000 times at once for a key that nobody has, through
// twelve nodes, and counts how often the getter runs, which takes 50 ms. The
// worst of ten keys counts.
func BenchmarkCold(b *testing.B) {
	const nodes, keys = 12, 10
	clusterRun(b, func(b *testing.B) {
		callers := amount(10_000)
		c := newCluster(b, nodes, 50*time.Millisecond)
		runs, slowest := int64(0), time.Duration(0)
		for _, key := range newKeys(0, keys) {
			before := c.loads.Load()
			start := make(chan struct{})
			var calls sync.WaitGroup
			for i := range callers {
				calls.Go(func() {
					<-start
					look(b, c.nodes[i%nodes].get, key)
				})
			}
			slowest = max(slowest, measure(func() {
				close(start)
				calls.Wait()
			}))
			runs = max(runs, c.loads.Load()-before)
		}
		b.ReportMetric(float64(runs), "runs")
		b.ReportMetric(us(slowest)/1000, "slowest-ms")
	}, "nodes=12", "callers=10000")
}
