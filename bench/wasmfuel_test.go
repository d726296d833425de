package bench_test

import (
	"math"
	"testing"
	"time"

	"github.com/gcnode/gcnode/bench/guesttest"
)

// turnTime is about how long a program runs at a time: shorter than the time
// for which the system lets a thread run, so that some turns are not disturbed.
const turnTime = 200 * time.Microsecond

// BenchmarkWasmFuel runs what real modules compute, with the fuel that the host
// injects and without. Both take turns, and the fastest turn of each counts:
// what else the machine does only makes turns slower. The geometric mean over
// all programs is a measurement of its own.
func BenchmarkWasmFuel(b *testing.B) {
	costs := map[string]float64{} // of each program, in the last run
	for _, p := range guesttest.Programs(b) {
		plain, fuelled := p.Start(b), p.WithFuel(b).Start(b)
		runOnce(b, p.Name, func(b *testing.B) {
			n := max(1, int(turnTime/max(measure(plain), time.Microsecond)))
			turn := func(run func()) time.Duration {
				return measure(func() {
					for range n {
						run()
					}
				}) / time.Duration(n)
			}
			best := [2]time.Duration{turn(plain), turn(fuelled)}
			for range amount(2_000) {
				best[0], best[1] = min(best[0], turn(plain)), min(best[1], turn(fuelled))
			}
			cost := us(best[1]) / us(best[0])
			costs[p.Name+" "+p.Work] = cost
			b.ReportMetric(us(best[0]), "plain-us")
			b.ReportMetric(us(best[1]), "fuel-us")
			b.ReportMetric(cost, "fuel/plain")
		}, "work="+p.Work)
	}
	runOnce(b, "gcnode-all", func(b *testing.B) {
		product := 1.0
		for _, cost := range costs {
			product *= cost
		}
		b.ReportMetric(math.Pow(product, 1/float64(len(costs))), "fuel/plain")
	}, "work=all")
}
