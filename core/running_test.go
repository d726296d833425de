package gcnode

import (
	"sync"
	"sync/atomic"
	"testing"
)

func TestWhatIsRunningIsWaitedFor(t *testing.T) {
	r := newRunning()
	idle := func() bool {
		select {
		case <-r.idle:
			return true
		default:
			return false
		}
	}
	if !r.begin() {
		t.Fatal("not begun")
	}
	r.end()
	if !r.begin() || idle() {
		t.Fatal("it was idle before it was closed")
	}
	r.close()
	r.end()
	if r.begin() {
		t.Error("begun on what is closed")
	}
	if idle() {
		t.Error("idle while the last piece runs")
	}
	r.beginMore()
	r.end()
	if idle() {
		t.Error("idle while what it has begun runs")
	}
	r.end()
	if !idle() {
		t.Error("not idle when all has ended")
	}
	if r.begin() || !idle() {
		t.Error("begun on what is idle")
	}
}

// Nothing that was begun is under way any more when it is idle.
func TestHammerRunning(t *testing.T) {
	for range 1000 {
		r := newRunning()
		var underWay atomic.Int32
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for r.begin() {
					underWay.Add(1)
					r.beginMore()
					r.end()
					underWay.Add(-1)
					r.end()
				}
			})
		}
		r.close()
		r.end()
		<-r.idle
		if n := underWay.Load(); n != 0 {
			t.Fatalf("%d are under way", n)
		}
		wg.Wait()
	}
}
