package limit_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gcnode/gcnode/core/internal/limit"
)

func wantLoad(t *testing.T, l *limit.Limit, running, waiting int) {
	t.Helper()
	if r, w := l.Load(); r != running || w != waiting {
		t.Errorf("%d running and %d waiting; want %d and %d", r, w, running, waiting)
	}
}

func TestThoseWhoWaitGetTheirTurnInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(2, 3)
		var order []int
		for i := range 5 {
			go func() {
				if err := l.Acquire(t.Context()); err != nil {
					t.Error(err)
				}
				order = append(order, i)
			}()
			synctest.Wait()
		}
		wantLoad(t, l, 2, 3)
		begun := time.Now()
		if err := l.Acquire(t.Context()); !errors.Is(err, limit.ErrFull) || time.Since(begun) != 0 {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		if l.TryAcquire() {
			t.Error("a place was free while others waited")
		}
		for range 3 {
			l.Release()
			synctest.Wait()
		}
		wantLoad(t, l, 2, 0)
		for i, who := range order {
			if i != who {
				t.Errorf("the order was %v", order)
				break
			}
		}
		l.Release()
		l.Release()
		wantLoad(t, l, 0, 0)
		if !l.TryAcquire() {
			t.Error("no place is free")
		}
		wantLoad(t, l, 1, 0)
	})
}

func TestWhoeverGivesUpLeavesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(1, 1)
		if err := l.Acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		if err := l.Acquire(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		wantLoad(t, l, 1, 0)
		l.Release()
		wantLoad(t, l, 0, 0)
	})
}

func TestWithoutALimitThereIsRoomForAll(t *testing.T) {
	var l *limit.Limit
	for range 1000 {
		if err := l.Acquire(t.Context()); err != nil || !l.TryAcquire() {
			t.Fatal(err)
		}
		defer l.Release()
		defer l.Release()
	}
	wantLoad(t, l, 0, 0)
}

// Places, turns and those who give up at the same time as they get one.
func TestHammerLimit(t *testing.T) {
	const places, queue = 3, 5
	l := limit.New(places, queue)
	var running atomic.Int32
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := range 2000 {
				ctx, cancel := context.WithCancel(t.Context())
				if (w+i)%3 == 0 {
					go cancel()
				}
				if w == 0 {
					if !l.TryAcquire() {
						cancel()
						runtime.Gosched()
						continue
					}
				} else if err := l.Acquire(ctx); err != nil {
					cancel()
					runtime.Gosched()
					continue
				}
				if n := running.Add(1); n > places {
					t.Errorf("%d are running", n)
				}
				runtime.Gosched()
				running.Add(-1)
				l.Release()
				cancel()
			}
		})
	}
	wg.Wait()
	wantLoad(t, l, 0, 0)
}
