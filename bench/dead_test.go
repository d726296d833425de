package bench_test

import (
	"testing"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// BenchmarkDeadPeer asks six nodes, and five of them when the sixth is dead: its
// connections break, or it says nothing any more.
func BenchmarkDeadPeer(b *testing.B) {
	for _, how := range []string{"breaks", "hangs"} {
		clusterRun(b, func(b *testing.B) {
			c := newCluster(b, 6, 0)
			distinct := amount(10_000)
			c.fill(b, distinct)
			keys := zipfKeys(distinct)
			at := 0
			ask := func(n int) (took times) {
				for range n {
					m := c.nodes[at%5]
					took = append(took, measure(func() { look(b, m.get, keys[at%draws]) }))
					at++
				}
				return took
			}
			ask(amount(20_000))
			before := ask(amount(20_000))
			dead := c.nodes[5]
			if how == "hangs" {
				dead.hangs.Store(true)
			} else {
				dead.breaks()
			}
			during := ask(amount(20_000)) // each of the five finds out
			after := ask(amount(20_000))
			slow := 0
			for _, took := range during {
				if took >= gcnode.DefaultPeerTimeout {
					slow++
				}
			}
			b.ReportMetric(us(before.quantile(0.5)), "before-p50-us")
			b.ReportMetric(us(before.quantile(0.99)), "before-p99-us")
			b.ReportMetric(us(after.quantile(0.5)), "after-p50-us")
			b.ReportMetric(us(after.quantile(0.99)), "after-p99-us")
			b.ReportMetric(us(after.quantile(0.5))/us(before.quantile(0.5)), "after/before-p50")
			b.ReportMetric(us(after.quantile(0.99))/us(before.quantile(0.99)), "after/before-p99")
			b.ReportMetric(us(during.quantile(1))/1000, "slowest-ms")
			b.ReportMetric(us(during.quantile(1))/us(gcnode.DefaultPeerTimeout), "slowest/timeout")
			b.ReportMetric(float64(slow), "waits")
			b.ReportMetric(us(after.quantile(1))/float64(time.Millisecond/time.Microsecond), "slowest-after-ms")
		}, "nodes=6", "peer="+how)
	}
}
