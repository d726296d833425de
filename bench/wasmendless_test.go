package bench_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/gcnode/gcnode/bench/guesttest"
	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/getters/wasm"
)

// BenchmarkWasmEndless asks guests that never return, one and eight at once,
// and measures how long after their deadline the callers have an answer, and
// the longest time between two ticks of a ticker of 1 ms in the same process,
// whose garbage is collected again and again meanwhile. The worst of all turns
// counts.
func BenchmarkWasmEndless(b *testing.B) {
	for _, callers := range []int{1, 8} {
		for _, g := range guesttest.Probes(b) {
			p := g.Load(b, wasm.Options{Instances: callers})
			runOnce(b, g.Name, func(b *testing.B) {
				var late, gap time.Duration
				for range amount(20) {
					turn := worstGap(func() { late = max(late, spin(b, p, callers)) })
					gap = max(gap, turn)
				}
				b.ReportMetric(float64(late)/float64(time.Millisecond), "late-ms")
				b.ReportMetric(float64(gap)/float64(time.Millisecond), "gap-ms")
			}, fmt.Sprintf("guests=%d", callers))
		}
	}
	runOnce(b, "no-guest", func(b *testing.B) {
		gap := worstGap(func() { <-time.After(spinTime) })
		b.ReportMetric(float64(gap)/float64(time.Millisecond), "gap-ms")
	}, "guests=0")
}

// spinTime is how long a guest may take.
const spinTime = 100 * time.Millisecond

// spin has so many guests compute until their deadline, and returns how late
// the last answer is.
func spin(b *testing.B, p *wasm.Plugin, callers int) (late time.Duration) {
	ctx, cancel := context.WithTimeout(b.Context(), spinTime)
	defer cancel()
	deadline, _ := ctx.Deadline()
	var guests sync.WaitGroup
	after := make([]time.Duration, callers)
	for i := range callers {
		guests.Go(func() {
			_, err := p.GetItem(ctx, "spin:")
			after[i] = time.Since(deadline)
			assert.ErrorIs(b, err, gcnode.ErrTimeout)
		})
	}
	guests.Wait()
	for _, d := range after {
		late = max(late, d)
	}
	return late
}

// worstGap is the longest time between two ticks of a ticker of 1 ms while f
// runs and the garbage collector with it.
func worstGap(f func()) (worst time.Duration) {
	over, ticking := make(chan struct{}), make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() {
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		<-ticker.C
		close(ticking)
		for last := time.Now(); ; {
			select {
			case <-ticker.C:
			case <-over:
				return
			}
			now := time.Now()
			worst, last = max(worst, now.Sub(last)), now
		}
	})
	others.Go(func() {
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for {
			runtime.GC()
			select {
			case <-ticker.C:
			case <-over:
				return
			}
		}
	})
	<-ticking
	f()
	close(over)
	others.Wait()
	return worst
}
