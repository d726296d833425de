package flight_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gcnode/gcnode/core/internal/clock"
	"github.com/gcnode/gcnode/core/internal/flight"
)

// errand notes what it is told, and when.
type errand struct {
	begun time.Time
	due   time.Duration

	clock *clock.Clock

	begins chan struct{} // Begin waits for it; nil: it does not

	mu       sync.Mutex
	call     *call
	given    time.Duration // 0: not given up
	canceled time.Duration // 0: not cancelled
	recycled time.Duration // 0: not recycled
}

func (e *errand) Begin() bool {
	if e.begins != nil {
		<-e.begins
	}
	return true
}

func (e *errand) Due() int64 { return e.clock.At(e.begun.Add(e.due)) }

func (e *errand) GiveUp() { e.note(&e.given) }

func (e *errand) Cancel() { e.note(&e.canceled) }

func (e *errand) Recycle() { e.note(&e.recycled) }

func (e *errand) note(at *time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	*at = time.Since(e.begun)
}

func (e *errand) want(t *testing.T, given, canceled time.Duration) {
	t.Helper()
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.given != given || e.canceled != canceled {
		t.Errorf("given up after %v and cancelled after %v; want %v and %v", e.given, e.canceled, given, canceled)
	}
}

// sent are flights whose calls are entrusted to e, with a patience of a second.
func sent(e *errand) (*flights, plan) {
	e.begun, e.clock = time.Now(), clock.New(0)
	return flight.New(rules{
		Clock: e.clock, Patience: time.Second, Look: nothing, Report: func(string, error) {},
		Errand: func() (*call, flight.Errand) {
			e.call = new(call)
			return e.call, e
		},
	}), plan{Role: flight.Ask, Key: "k", Timeout: time.Minute, Errand: true}
}

func TestAnErrandReturnsTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &errand{due: time.Second}
		f, p := sent(e)
		a, b := start(t.Context(), f, p), start(t.Context(), f, p)
		time.Sleep(time.Millisecond)
		e.call.Return("v", nil, nil)
		want(t, a, "v", nil, time.Millisecond)
		want(t, b, "v", nil, time.Millisecond)
		time.Sleep(2 * time.Minute)
		e.want(t, 0, 0)
	})
}

// An errand that hears something is due later, and one that was given up still
// has to return.
func TestAnErrandIsGivenUpWhenItIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &errand{due: 2500 * time.Millisecond}
		f, p := sent(e)
		a := start(t.Context(), f, p)
		time.Sleep(2 * time.Second)
		e.want(t, 0, 0)
		time.Sleep(600 * time.Millisecond)
		e.want(t, 2500*time.Millisecond, 0)
		e.call.Return("late", nil, nil)
		want(t, a, "late", nil, 2600*time.Millisecond)
	})
}

func TestAnErrandEndsWithTheLastWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &errand{due: time.Hour}
		f, p := sent(e)
		ctx, cancel := context.WithCancel(t.Context())
		a, b := start(ctx, f, p), start(ctx, f, p)
		time.Sleep(time.Millisecond)
		cancel()
		want(t, a, "", context.Canceled, time.Millisecond)
		want(t, b, "", context.Canceled, time.Millisecond)
		e.want(t, 0, time.Millisecond)
	})
}

func TestAnErrandEndsAtTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &errand{due: time.Hour}
		f, p := sent(e)
		want(t, start(t.Context(), f, p), "", flight.ErrDeadline, time.Minute)
		e.want(t, 0, time.Minute)
	})
}

func TestAnErrandIsCancelledWhileItBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &errand{due: time.Second, begins: make(chan struct{})}
		f, p := sent(e)
		first := start(t.Context(), f, p)
		joined := start(t.Context(), f, p)
		want(t, joined, "", flight.ErrDeadline, time.Minute)
		e.want(t, 59*time.Second, time.Minute)
		time.Sleep(time.Second)
		close(e.begins)
		want(t, first, "", flight.ErrDeadline, time.Minute+time.Second)
	})
}

func TestWhatAnErrandCannotDoIsContinued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &errand{due: time.Hour}
		f, p := sent(e)
		a := start(t.Context(), f, p)
		e.call.Continue(func(context.Context, *call) (string, error) {
			time.Sleep(time.Second)
			return "v", nil
		})
		want(t, a, "v", nil, time.Second)
		e.want(t, 0, 0)
	})
}

func TestWhatAnErrandReturnsIsKeptUnlessItsCallWasDetached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, removed := range []bool{false, true} {
			e := &errand{due: time.Hour}
			f, p := sent(e)
			a := start(t.Context(), f, p)
			f.Apply("k", func() bool { return removed })
			kept := 0
			e.call.Return("v", nil, func() { kept++ })
			want(t, a, "v", nil, 0)
			if kept == 1 == removed {
				t.Errorf("kept %d times; removed meanwhile: %v", kept, removed)
			}
			e.want(t, 0, 0)
		}
	})
}

// Who has begun a call and got its answer gives the memory back, unless somebody
// else may still refer to it.
func TestAnErrandIsUsedAgainWhenNobodyRefersToIt(t *testing.T) {
	answer := func(e *errand) { e.call.Return("v", nil, nil) }
	for name, tt := range map[string]struct {
		due     time.Duration
		joined  bool
		happens func(*errand)
		again   bool
	}{
		"answered": {time.Hour, false, answer, true},
		"failed":   {time.Hour, false, func(e *errand) { e.call.Return("", errors.New("failed"), nil) }, true},
		"shared":   {time.Hour, true, answer, false},
		"given up": {time.Second, false, func(e *errand) {
			time.Sleep(2 * time.Second)
			answer(e)
		}, false},
		"late": {time.Hour, false, func(*errand) {}, false},
		"continued": {time.Hour, false, func(e *errand) {
			e.call.Continue(func(context.Context, *call) (string, error) { return "v", nil })
		}, false},
		"with a context": {time.Hour, false, func(e *errand) {
			e.call.Context().Done()
			answer(e)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := &errand{due: tt.due}
				f, p := sent(e)
				seats := []<-chan result{start(t.Context(), f, p)}
				if tt.joined {
					seats = append(seats, start(t.Context(), f, p))
				}
				time.Sleep(time.Millisecond)
				tt.happens(e)
				for _, seat := range seats {
					<-seat
				}
				synctest.Wait()
				e.mu.Lock()
				defer e.mu.Unlock()
				if again := e.recycled > 0; again != tt.again {
					t.Errorf("used again: %v", again)
				}
				if tt.again && e.call.Key() != "" {
					t.Errorf("the call is still that of %q", e.call.Key())
				}
			})
		})
	}
}
