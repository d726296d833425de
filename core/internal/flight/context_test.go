package flight_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gcnode/gcnode/core/internal/flight"
)

// derived are contexts that a function may make of its own, and what they and
// it have come to when all of them have ended.
type derived struct{ own, child, grandchild, after error }

// derive makes them, tells of it, and waits for their ends. Its goroutines are
// counted: contexts that derive from one of the standard library need none.
func derive(t *testing.T, ends chan<- derived) func(context.Context, *call) (string, error) {
	t.Helper()
	return func(ctx context.Context, _ *call) (string, error) {
		before := runtime.NumGoroutine()
		child, cancel := context.WithTimeout(ctx, time.Hour)
		defer cancel()
		type key struct{}
		grandchild, cancel := context.WithCancel(context.WithValue(child, key{}, 1))
		defer cancel()
		after := make(chan error, 1)
		defer context.AfterFunc(ctx, func() { after <- context.Cause(ctx) })()
		if n := runtime.NumGoroutine() - before; n > 0 {
			t.Errorf("%d goroutines more", n)
		}
		<-grandchild.Done()
		ends <- derived{ctx.Err(), child.Err(), grandchild.Err(), <-after}
		return "", ctx.Err()
	}
}

func TestContextsOfAFunctionEndWithItsCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, ends := newFlights(), make(chan derived, 1)
		caller, cancel := context.WithCancelCause(t.Context())
		a := start(caller, f, loadPlan(derive(t, ends)))
		cancel(errors.New("a caller's reason"))
		<-a
		if got, all := <-ends, context.Canceled; got != (derived{all, all, all, all}) {
			t.Errorf("the last waiter has left: %v", got)
		}
		b := start(t.Context(), f, loadPlan(derive(t, ends)))
		want(t, b, "", flight.ErrDeadline, time.Minute)
		if got, all := <-ends, context.DeadlineExceeded; got != (derived{all, all, all, all}) {
			t.Errorf("the deadline has passed: %v", got)
		}
	})
}

func TestAContextThatIsLookedAtLateHasEnded(t *testing.T) {
	for name, test := range map[string]struct {
		patience time.Duration
		want     error
	}{
		"abandoned":         {time.Second, context.Canceled},
		"beyond the time":   {2 * time.Minute, context.DeadlineExceeded},
		"after its own end": {0, context.Canceled},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFlights()
			ends := make(chan error, 1)
			ctx, cancel := context.WithTimeout(t.Context(), max(test.patience, time.Second))
			defer cancel()
			<-start(ctx, f, loadPlan(func(ctx context.Context, _ *call) (string, error) {
				look := func() {
					<-ctx.Done()
					ends <- ctx.Err()
				}
				if test.patience == 0 {
					go func() {
						time.Sleep(time.Second)
						look()
					}()
					return "", nil
				}
				time.Sleep(time.Hour)
				look()
				return "", nil
			}))
			if err := <-ends; !errors.Is(err, test.want) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// Whoever calls with no context at all panics; the function does so as well, and
// that stays its own affair.
func TestACallWithoutAContextEnds(t *testing.T) {
	f := newFlights()
	f.Board(nil, loadPlan(func(ctx context.Context, _ *call) (string, error) { //nolint:staticcheck // the point
		<-ctx.Done()
		return "", nil
	}))
	joined := f.Board(t.Context(), loadPlan(nil))
	_, _, err := joined.Wait(t.Context())
	if _, ok := errors.AsType[*flight.PanicError](err); !ok {
		t.Errorf("%v, want a panic", err)
	}
}

func TestACallThatLooksAtNoContextAllocatesLittle(t *testing.T) {
	f := flight.New(rules{Look: nothing, Run: func(context.Context, *call) (string, error) { return "v", nil }})
	p := plan{Role: flight.Load, Key: "k", Timeout: time.Minute}
	// The call, what is waited for, and the goroutine's start.
	if n := testing.AllocsPerRun(1000, func() {
		if _, _, err := do(t.Context(), f, p); err != nil {
			t.Fatal(err)
		}
	}); n > 3 {
		t.Errorf("%v allocations", n)
	}
}

func TestAskingAContextForItsErrorMakesNone(t *testing.T) {
	f := flight.New(rules{Look: nothing, Run: func(ctx context.Context, _ *call) (string, error) { return "v", ctx.Err() }})
	p := plan{Role: flight.Load, Key: "k", Timeout: time.Minute}
	if n := testing.AllocsPerRun(1000, func() {
		if _, _, err := do(t.Context(), f, p); err != nil {
			t.Fatal(err)
		}
	}); n > 3 {
		t.Errorf("%v allocations", n)
	}
}

func TestTheErrorOfAContextIsFoundWithoutWaiting(t *testing.T) {
	for want, patience := range map[error]time.Duration{
		context.Canceled:         time.Second,
		context.DeadlineExceeded: 2 * time.Minute,
	} {
		synctest.Test(t, func(t *testing.T) {
			f, errs := newFlights(), make(chan error, 3)
			caller, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			<-start(caller, f, loadPlan(func(ctx context.Context, _ *call) (string, error) {
				errs <- ctx.Err()
				time.Sleep(patience + 10*time.Second)
				errs <- ctx.Err()
				<-ctx.Done()
				errs <- ctx.Err()
				return "", nil
			}))
			if first, second, third := <-errs, <-errs, <-errs; first != nil || !errors.Is(second, want) || !errors.Is(third, want) {
				t.Errorf("%v, %v, %v, want none and then %v", first, second, third, want)
			}
		})
	}
}

func TestJoiningAllocatesNothing(t *testing.T) {
	f := newFlights()
	end := make(chan struct{})
	p := loadPlan(func(context.Context, *call) (string, error) {
		<-end
		return "", nil
	})
	first := f.Board(t.Context(), p)
	if n := testing.AllocsPerRun(1000, func() {
		if !f.Board(t.Context(), p).Joined() {
			t.Fatal("not joined")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	close(end)
	if _, _, err := first.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

// Calls with all kinds of deadlines, so that the one timer is set forward and
// back, end at their own; and those that are never waited for as well.
func TestEachCallEndsAtItsOwnDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, runs := newFlights(), &atomic.Int32{}
		for range 2 { // again, when the timer has rung for the last one
			all := map[time.Duration]<-chan result{}
			for _, minutes := range []int{5, 1, 9, 2, 7, 3} {
				p := loadPlan(slow(time.Hour, "late", runs))
				p.Timeout = time.Duration(minutes) * time.Minute
				all[p.Timeout] = start(t.Context(), f, p)
				f.Apply("k", func() bool { return true }) // the next one begins anew
			}
			p := loadPlan(slow(time.Hour, "late", runs))
			p.Timeout = 4 * time.Minute
			if !f.Start(t.Context(), p) || f.Start(t.Context(), p) {
				t.Error("one call, and one only, was to be started")
			}
			for timeout, ch := range all {
				want(t, ch, "", flight.ErrDeadline, timeout)
			}
			if !f.Start(t.Context(), p) {
				t.Error("a call beyond its deadline is still joined")
			}
			time.Sleep(2 * time.Hour)
		}
	})
}

// A call that has ended sets no alarm that keeps its set of flights in memory.
func TestFlightsOfNoMoreUseAreForgotten(t *testing.T) {
	forgotten := make(chan struct{})
	func() {
		large := new([1 << 20]byte)
		f := flight.New(rules{Look: func(string) (string, bool) { return "", large[0] > 0 }})
		if _, _, err := do(t.Context(), f, loadPlan(func(context.Context, *call) (string, error) { return "", nil })); err != nil {
			t.Fatal(err)
		}
		runtime.AddCleanup(large, func(struct{}) { close(forgotten) }, struct{}{})
	}()
	for range 1000 {
		runtime.GC()
		select {
		case <-forgotten:
			return
		default:
			runtime.Gosched()
		}
	}
	t.Error("they are still in memory")
}
