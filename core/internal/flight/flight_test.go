package flight_test

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gcnode/gcnode/core/internal/clock"
	"github.com/gcnode/gcnode/core/internal/flight"
)

type (
	flights = flight.Flights[string]
	call    = flight.Call[string]
	plan    = flight.Plan[string]
	rules   = flight.Rules[string]
)

func nothing(string) (string, bool) { return "", false }

func always(flight.Role, string) bool { return true }

func newFlights() *flights {
	return flight.New(rules{Look: nothing, Report: func(string, error) {}})
}

func loadPlan(run func(context.Context, *call) (string, error)) plan {
	return plan{Role: flight.Load, Key: "k", Timeout: time.Minute, Run: run}
}

// do waits for the call under way for the key, or else for a new one.
func do(ctx context.Context, f *flights, p plan) (value string, joined bool, err error) {
	return f.Board(ctx, p).Wait(ctx)
}

// result is what one Do returned, and when.
type result struct {
	value  string
	joined bool
	err    error
	after  time.Duration
}

// start calls Do in a goroutine.
func start(ctx context.Context, f *flights, p plan) <-chan result {
	ch := make(chan result, 1)
	begun := time.Now()
	go func() {
		v, joined, err := do(ctx, f, p)
		ch <- result{v, joined, err, time.Since(begun)}
	}()
	synctest.Wait()
	return ch
}

func want(t *testing.T, ch <-chan result, value string, err error, after time.Duration) {
	t.Helper()
	r := <-ch
	if r.value != value || !errors.Is(r.err, err) || r.after != after {
		t.Errorf("got %q, %v after %v; want %q, %v after %v", r.value, r.err, r.after, value, err, after)
	}
}

// slow answers after d, whatever happens to its context.
func slow(d time.Duration, value string, runs *atomic.Int32) func(context.Context, *call) (string, error) {
	return func(context.Context, *call) (string, error) {
		runs.Add(1)
		time.Sleep(d)
		return value, nil
	}
}

func TestOneCallAnswersAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, runs := newFlights(), &atomic.Int32{}
		var all []<-chan result
		for range 1000 {
			all = append(all, start(t.Context(), f, loadPlan(slow(time.Second, "v", runs))))
		}
		for _, ch := range all {
			want(t, ch, "v", nil, time.Second)
		}
		if runs.Load() != 1 {
			t.Errorf("%d runs", runs.Load())
		}
	})
}

func TestAnAnswerThatCameMeanwhileSparesTheCall(t *testing.T) {
	f := flight.New(rules{Look: func(string) (string, bool) { return "stored", true }})
	p := loadPlan(func(context.Context, *call) (string, error) { return "", errors.New("called") })
	if v, joined, err := do(t.Context(), f, p); v != "stored" || !joined || err != nil {
		t.Errorf("got %q, %v, %v", v, joined, err)
	}
}

func TestACallBelongsToNoCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, runs := newFlights(), &atomic.Int32{}
		first, cancel := context.WithCancel(t.Context())
		a := start(first, f, loadPlan(slow(time.Second, "v", runs)))
		b := start(t.Context(), f, loadPlan(slow(time.Second, "v", runs)))
		cancel()
		want(t, a, "", context.Canceled, 0)
		want(t, b, "v", nil, time.Second)
		if runs.Load() != 1 {
			t.Errorf("%d runs", runs.Load())
		}
	})
}

func TestTheContextHasTheFirstCallersValuesAndNoDeadlineOfIts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		f := newFlights()
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "mine"), time.Hour)
		defer cancel()
		begun := time.Now()
		_, _, err := do(ctx, f, loadPlan(func(ctx context.Context, _ *call) (string, error) {
			if ctx.Value(key{}) != "mine" {
				t.Error("the caller's value is missing")
			}
			if d, ok := ctx.Deadline(); !ok || d.Sub(begun) != time.Minute {
				t.Errorf("deadline %v after the start, %v", d.Sub(begun), ok)
			}
			return "", nil
		}))
		if err != nil {
			t.Error(err)
		}
	})
}

func TestEveryWaiterReturnsAtItsOwnDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, runs := newFlights(), &atomic.Int32{}
		patient := start(t.Context(), f, loadPlan(slow(time.Second, "v", runs)))
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		hasty := start(ctx, f, loadPlan(slow(time.Second, "v", runs)))
		want(t, hasty, "", context.DeadlineExceeded, 50*time.Millisecond)
		want(t, patient, "v", nil, time.Second)
	})
}

func TestACallEndsWithItsLastWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, runs := newFlights(), &atomic.Int32{}
		ended := make(chan bool, 1)
		ctx, cancel := context.WithCancel(t.Context())
		a := start(ctx, f, loadPlan(func(ctx context.Context, c *call) (string, error) {
			<-ctx.Done()
			ended <- c.Keep(func() { t.Error("an abandoned call kept its answer") })
			return "", ctx.Err()
		}))
		cancel()
		want(t, a, "", context.Canceled, 0)
		// A newcomer must not join what is being cancelled.
		b := start(t.Context(), f, loadPlan(slow(time.Second, "new", runs)))
		if kept := <-ended; kept {
			t.Error("an abandoned call could keep")
		}
		want(t, b, "new", nil, time.Second)
	})
}

func TestAFunctionThatIgnoresItsContextHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, runs := newFlights(), &atomic.Int32{}
		a := start(t.Context(), f, loadPlan(slow(time.Hour, "late", runs)))
		want(t, a, "", flight.ErrDeadline, time.Minute)
		b := start(t.Context(), f, loadPlan(slow(time.Second, "next", runs)))
		want(t, b, "next", nil, time.Second)
		time.Sleep(time.Hour) // the first one ends, and disturbs nobody
	})
}

func TestDetachedCallsAnswerTheirWaitersAndNobodyElse(t *testing.T) {
	for _, role := range []flight.Role{flight.Ask, flight.Load} {
		synctest.Test(t, func(t *testing.T) {
			f, runs := newFlights(), &atomic.Int32{}
			var kept atomic.Bool
			p := loadPlan(func(context.Context, *call) (string, error) { return "", nil })
			p.Role = role
			p.Run = func(_ context.Context, c *call) (string, error) {
				time.Sleep(time.Second)
				kept.Store(c.Keep(func() {}))
				return "old", nil
			}
			old := start(t.Context(), f, p)
			f.Apply("k", func() bool { return true })
			p.Run = slow(2*time.Second, "new", runs)
			fresh := start(t.Context(), f, p)
			want(t, old, "old", nil, time.Second)
			want(t, fresh, "new", nil, 2*time.Second)
			if kept.Load() {
				t.Error("a detached call kept its answer")
			}
		})
	}
}

func TestApplyThatChangesNothingDetachesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, runs := newFlights(), &atomic.Int32{}
		a := start(t.Context(), f, loadPlan(slow(time.Second, "v", runs)))
		f.Apply("k", func() bool { return false })
		b := start(t.Context(), f, loadPlan(slow(time.Second, "v", runs)))
		want(t, a, "v", nil, time.Second)
		want(t, b, "v", nil, time.Second)
		if runs.Load() != 1 {
			t.Errorf("%d runs", runs.Load())
		}
	})
}

func TestRolesDoNotJoinEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, runs := newFlights(), &atomic.Int32{}
		ask := loadPlan(slow(time.Second, "asked", runs))
		ask.Role = flight.Ask
		a := start(t.Context(), f, ask)
		b := start(t.Context(), f, loadPlan(slow(time.Second, "loaded", runs)))
		want(t, a, "asked", nil, time.Second)
		want(t, b, "loaded", nil, time.Second)
	})
}

func TestAloneMeansAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, runs := flight.New(rules{Alone: always, Look: func(string) (string, bool) { return "stored", true }}), &atomic.Int32{}
		p := loadPlan(func(_ context.Context, c *call) (string, error) {
			if c.Keep(func() {}) {
				t.Error("a lone call kept its answer")
			}
			return slow(time.Second, "v", runs)(t.Context(), c)
		})
		a, b := start(t.Context(), f, p), start(t.Context(), f, p)
		want(t, a, "v", nil, time.Second)
		want(t, b, "v", nil, time.Second)
		if runs.Load() != 2 {
			t.Errorf("%d runs", runs.Load())
		}
	})
}

func TestAPanicReachesEveryWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reports atomic.Int32
		f := flight.New(rules{Look: nothing, Report: func(key string, err error) {
			if _, ok := errors.AsType[*flight.PanicError](err); ok && key == "k" {
				reports.Add(1)
			}
		}})
		p := loadPlan(func(context.Context, *call) (string, error) {
			time.Sleep(time.Second)
			panic("boom")
		})
		for _, ch := range []<-chan result{start(t.Context(), f, p), start(t.Context(), f, p)} {
			r := <-ch
			pe, ok := errors.AsType[*flight.PanicError](r.err)
			if !ok || pe.Value != "boom" || len(pe.Stack) == 0 {
				t.Errorf("got %v", r.err)
			}
		}
		if v, _, err := do(t.Context(), f, loadPlan(func(context.Context, *call) (string, error) { return "ok", nil })); v != "ok" || err != nil {
			t.Errorf("after the panic: %q, %v", v, err)
		}
		// One whose waiters have all left is reported as well.
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		<-start(ctx, f, p)
		time.Sleep(time.Second)
		if reports.Load() != 2 {
			t.Errorf("%d reports of 2 panics", reports.Load())
		}
	})
}

func TestGoexitReachesEveryWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlights()
		p := loadPlan(func(context.Context, *call) (string, error) {
			time.Sleep(time.Second)
			runtime.Goexit()
			return "", nil
		})
		a, b := start(t.Context(), f, p), start(t.Context(), f, p)
		want(t, a, "", flight.ErrExited, time.Second)
		want(t, b, "", flight.ErrExited, time.Second)
	})
}

// Readers, cancellations and removals at once: every answer belongs to its
// key and is not older than the last removal before its Do, and nothing is
// kept that a removal has overtaken.
func TestHammerFlights(t *testing.T) {
	f := newFlights()
	const keys, workers, rounds = 8, 16, 500
	var version, floor [keys]atomic.Int64 // of the origin; of the last removal
	var stored [keys]struct {
		sync.Mutex
		v int64
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range rounds {
				k := (w + i) % keys
				key := strconv.Itoa(k)
				if w == 0 || w == 1 {
					v := version[k].Add(1)
					f.Apply(key, func() bool {
						stored[k].Lock()
						stored[k].v = 0
						stored[k].Unlock()
						return true
					})
					for old := floor[k].Load(); old < v && !floor[k].CompareAndSwap(old, v); old = floor[k].Load() {
					}
					continue
				}
				ctx, cancel := context.WithCancel(t.Context())
				if i%7 == 0 {
					cancel()
				}
				least := floor[k].Load()
				v, _, err := do(ctx, f, plan{
					Role: flight.Load, Key: key, Timeout: time.Minute,
					Run: func(_ context.Context, c *call) (string, error) {
						got := version[k].Load()
						runtime.Gosched()
						c.Keep(func() {
							stored[k].Lock()
							stored[k].v = got
							stored[k].Unlock()
						})
						return strconv.FormatInt(got, 10), nil
					},
				})
				cancel()
				if err != nil {
					if !errors.Is(err, context.Canceled) {
						t.Errorf("key %d: %v", k, err)
					}
					continue
				}
				if got, _ := strconv.ParseInt(v, 10, 64); got < least {
					t.Errorf("key %d: version %d after the removal of %d", k, got, least)
				}
			}
		})
	}
	wg.Wait()
	f.Settle()
	for k := range keys {
		if v := stored[k].v; v != 0 && v < floor[k].Load() {
			t.Errorf("key %d: version %d kept after the removal of %d", k, v, floor[k].Load())
		}
	}
}

// The deadline holds for those who have joined, also when the one who began
// the call, and looked after its deadline, has left.
func TestTheDeadlineHoldsWhoeverLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, runs := newFlights(), &atomic.Int32{}
		ctx, cancel := context.WithCancel(t.Context())
		a := start(ctx, f, loadPlan(slow(time.Hour, "late", runs)))
		b := start(t.Context(), f, loadPlan(slow(time.Hour, "late", runs)))
		cancel()
		want(t, a, "", context.Canceled, 0)
		want(t, b, "", flight.ErrDeadline, time.Minute)

		// A call that nobody asked for has no one to look after it at first.
		p := loadPlan(slow(time.Hour, "late", runs))
		if !f.Start(t.Context(), p) {
			t.Fatal("not started")
		}
		c := start(t.Context(), f, p)
		d := start(t.Context(), f, p)
		want(t, c, "", flight.ErrDeadline, time.Minute)
		want(t, d, "", flight.ErrDeadline, time.Minute)
		if n := runs.Load(); n != 2 {
			t.Errorf("%d runs", n)
		}
		time.Sleep(time.Hour)
	})
}

// A call whose function needs as much of the stack as a load that is kept.
func BenchmarkCall(b *testing.B) {
	f := flight.New(rules{Look: nothing, Run: func(context.Context, *call) (string, error) {
		deep(8)
		return "", nil
	}})
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := do(ctx, f, plan{Role: flight.Load, Key: "k", Timeout: time.Minute}); err != nil {
			b.Fatal(err)
		}
	}
}

// deep has n frames of 256 bytes on the stack.
//
//go:noinline
func deep(n int) byte {
	var frame [256]byte
	if n > 0 {
		frame[n] = deep(n - 1)
	}
	return frame[n]
}

// What a call says to somebody who has left is not heard by who begins the next
// one.
func TestALateAnswerWakesNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlights()
		ctx, cancel := context.WithCancel(t.Context())
		hasty := start(ctx, f, loadPlan(slow(time.Second, "first", &counter)))
		patient := start(t.Context(), f, loadPlan(nil))
		cancel()
		want(t, hasty, "", context.Canceled, 0)
		other := loadPlan(slow(time.Minute/2, "second", &counter))
		other.Key = "other"
		next := start(t.Context(), f, other)
		want(t, patient, "first", nil, time.Second)
		want(t, next, "second", nil, time.Minute/2)
		again := start(t.Context(), f, loadPlan(slow(time.Second, "third", &counter)))
		want(t, again, "third", nil, time.Second)
	})
}

// A call counts its time from when its plan says that it was wanted.
func TestAPlanThatKnowsTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.New(0)
		f := flight.New(rules{Clock: c, Look: nothing})
		p := loadPlan(slow(2*time.Minute, "v", &counter))
		time.Sleep(time.Second)
		p.Start = c.Exact()
		time.Sleep(time.Second)
		want(t, start(t.Context(), f, p), "", flight.ErrDeadline, time.Minute-time.Second)
		time.Sleep(2 * time.Minute) // its function ends
	})
}
