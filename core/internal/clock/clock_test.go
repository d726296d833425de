package clock_test

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gcnode/gcnode/core/internal/clock"
)

func TestTheClockIsBehindByAtMostItsResolution(t *testing.T) {
	if runtime.GOARCH == "wasm" {
		t.Skip("there every clock is exact, which the next test covers")
	}
	const resolution = 5 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		c := clock.New(0)
		if now := c.Now(); now != 0 {
			t.Errorf("%d at the start", now)
		}
		saved := false
		for range 10_000 {
			time.Sleep(time.Millisecond / 7)
			now, exact := c.Now(), c.Exact()
			if now > exact || now < exact-int64(resolution) {
				t.Fatalf("%d when it is %d", now, exact)
			}
			saved = saved || now != exact
		}
		if !saved {
			t.Error("it was read anew each time")
		}
		// Nobody has read it for long.
		time.Sleep(time.Hour)
		if now, exact := c.Now(), c.Exact(); now != exact {
			t.Errorf("%d when it is %d", now, exact)
		}
		time.Sleep(resolution - 1)
		if now, exact := c.Now(), c.Exact(); now != exact-int64(resolution)+1 {
			t.Errorf("%d when it is %d: it was read anew too early", now, exact)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if now, exact := c.Now(), c.Exact(); now != exact {
			t.Errorf("%d when it is %d: it was not read anew", now, exact)
		}
	})
}

func TestAnExactClockIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.New(-1)
		for range 100 {
			if now, exact := c.Now(), c.Exact(); now != exact {
				t.Errorf("%d when it is %d", now, exact)
			}
			time.Sleep(time.Nanosecond)
		}
	})
}

// Real time, with a resolution so fine that the timer fires while a reader is
// at work: a reading that the timer has missed would stay for good.
func TestHammerClock(t *testing.T) {
	if runtime.GOARCH == "wasm" {
		t.Skip("there are no timers in it there")
	}
	for _, resolution := range []time.Duration{1, time.Microsecond, time.Millisecond} {
		c := clock.New(resolution)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				var last int64
				for range 300_000 {
					now := c.Now()
					if now < last {
						t.Errorf("it went back from %d to %d", last, now)
					}
					if exact := c.Exact(); now > exact {
						t.Errorf("%d is ahead of %d", now, exact)
					}
					last = now
				}
			})
		}
		wg.Wait()
		stuck := c.Now()
		for begun := time.Now(); c.Now() == stuck; runtime.Gosched() {
			if time.Since(begun) > 20*time.Second {
				t.Fatalf("a clock with a resolution of %v stands still at %d", resolution, stuck)
			}
		}
	}
}

func TestAReadingAllocatesNothing(t *testing.T) {
	c := clock.New(time.Nanosecond)
	if n := testing.AllocsPerRun(1000, func() { c.Now() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkNow(b *testing.B) {
	for _, bench := range []struct {
		name string
		read func() int64
	}{
		{"clock=coarse", clock.New(0).Now},
		{"clock=exact", clock.New(-1).Now},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bench.read()
			}
		})
		b.Run(bench.name+"/parallel", func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					bench.read()
				}
			})
		})
	}
}
