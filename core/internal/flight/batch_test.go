package flight_test

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gcnode/gcnode/core/internal/flight"
)

type batch = flight.Batch[string]

var counter atomic.Int32 // of runs that nobody counts, or of one test

func batchPlan(b *batch, key string) plan {
	return plan{Role: flight.Load, Key: key, Batch: b}
}

// wait waits for a seat in a goroutine.
func wait(ctx context.Context, seat flight.Seat[string]) <-chan result {
	ch := make(chan result, 1)
	begun := time.Now()
	go func() {
		v, joined, err := seat.Wait(ctx)
		ch <- result{v, joined, err, time.Since(begun)}
	}()
	return ch
}

func noReport(error) {}

func TestABatchAnswersEachCallWhenItCan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlights()
		other := start(t.Context(), f, func() plan {
			p := loadPlan(nil)
			p.Key, p.Run = "1", func(context.Context, *call) (string, error) { time.Sleep(time.Minute / 2); return "other", nil }
			return p
		}())
		b := flight.NewBatch[string](t.Context(), time.Minute)
		var waiting []<-chan result
		for i := range 4 {
			waiting = append(waiting, wait(t.Context(), f.Board(t.Context(), batchPlan(b, strconv.Itoa(i)))))
		}
		if keys := b.Keys(); len(keys) != 3 || keys[0] != "0" || keys[1] != "2" || keys[2] != "3" {
			t.Errorf("the batch has %v", keys)
		}
		kept := 0
		b.Run(func(context.Context) error {
			time.Sleep(time.Second)
			b.Answer(1, "two", nil, func() { kept++ })
			time.Sleep(time.Second)
			b.Answer(1, "again", nil, func() { t.Error("the second answer was kept") })
			b.Answer(0, "zero", nil, nil)
			return nil
		}, noReport)
		joined := start(t.Context(), f, batchPlan(nil, "3"))
		want(t, waiting[0], "zero", nil, 2*time.Second)
		want(t, waiting[1], "other", nil, time.Minute/2)
		want(t, waiting[2], "two", nil, time.Second)
		want(t, waiting[3], "", flight.ErrUnanswered, 2*time.Second)
		want(t, joined, "", flight.ErrUnanswered, 2*time.Second)
		want(t, other, "other", nil, time.Minute/2)
		if kept != 1 {
			t.Errorf("%d answers were kept", kept)
		}
	})
}

func TestABatchThatFailsFailsWhatItHasNotAnswered(t *testing.T) {
	failure := errors.New("failure")
	for name, test := range map[string]struct {
		end  func() error
		want func(error) bool
	}{
		"error": {func() error { return failure }, func(err error) bool { return errors.Is(err, failure) }},
		"panic": {func() error { panic("boom") }, func(err error) bool {
			p, ok := errors.AsType[*flight.PanicError](err)
			return ok && p.Value == "boom"
		}},
		"exit": {func() error { runtime.Goexit(); return nil }, func(err error) bool { return errors.Is(err, flight.ErrExited) }},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFlights()
			b := flight.NewBatch[string](t.Context(), time.Minute)
			first, second := wait(t.Context(), f.Board(t.Context(), batchPlan(b, "a"))), wait(t.Context(), f.Board(t.Context(), batchPlan(b, "b")))
			reported := 0
			b.Run(func(context.Context) error {
				b.Answer(0, "v", nil, nil)
				return test.end()
			}, func(error) { reported++ })
			want(t, first, "v", nil, 0)
			if r := <-second; !test.want(r.err) {
				t.Errorf("%s: %v", name, r.err)
			}
			if (name != "error") != (reported == 1) {
				t.Errorf("%s: %d reports", name, reported)
			}
		})
	}
}

func TestABatchEndsWithTheLastWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlights()
		b := flight.NewBatch[string](t.Context(), time.Minute)
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		long, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		a, c := wait(short, f.Board(t.Context(), batchPlan(b, "a"))), wait(long, f.Board(t.Context(), batchPlan(b, "c")))
		begun := time.Now()
		ended := make(chan time.Duration, 1)
		b.Run(func(ctx context.Context) error {
			<-ctx.Done()
			ended <- time.Since(begun)
			b.Answer(0, "late", nil, func() { t.Error("kept, though nobody waited") })
			return nil
		}, noReport)
		want(t, a, "", context.DeadlineExceeded, time.Second)
		fresh := start(t.Context(), f, func() plan { p := loadPlan(nil); p.Key = "a"; p.Run = slow(0, "new", &counter); return p }())
		want(t, fresh, "new", nil, 0) // what was given up is not joined
		want(t, c, "", context.DeadlineExceeded, 2*time.Second)
		if d := <-ended; d != 2*time.Second {
			t.Errorf("it ended after %v", d)
		}
	})
}

func TestABatchHasADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlights()
		b := flight.NewBatch[string](t.Context(), time.Minute)
		a := wait(t.Context(), f.Board(t.Context(), batchPlan(b, "a")))
		b.Run(func(context.Context) error { time.Sleep(time.Hour); return nil }, noReport)
		want(t, a, "", flight.ErrDeadline, time.Minute)
		time.Sleep(time.Hour) // it ends, and disturbs nobody
	})
}

func TestARemovalDetachesTheCallsOfABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlights()
		b := flight.NewBatch[string](t.Context(), time.Minute)
		a, c := wait(t.Context(), f.Board(t.Context(), batchPlan(b, "a"))), wait(t.Context(), f.Board(t.Context(), batchPlan(b, "c")))
		kept := ""
		b.Run(func(context.Context) error {
			time.Sleep(time.Second)
			b.Answer(0, "old", nil, func() { kept += "a" })
			b.Answer(1, "v", nil, func() { kept += "c" })
			return nil
		}, noReport)
		f.Apply("a", func() bool { return true })
		want(t, a, "old", nil, time.Second)
		want(t, c, "v", nil, time.Second)
		if kept != "c" {
			t.Errorf("kept %q", kept)
		}
	})
}

func TestACallThatNobodyAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlights()
		counter.Store(0)
		p := loadPlan(slow(time.Second, "v", &counter))
		if !f.Start(t.Context(), p) || f.Start(t.Context(), p) {
			t.Error("one call, and one only, was to be started")
		}
		// Those who join it and leave do not end it.
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		hasty, patient := start(ctx, f, p), start(t.Context(), f, p)
		want(t, hasty, "", context.DeadlineExceeded, time.Millisecond)
		want(t, patient, "v", nil, time.Second)
		if counter.Load() != 1 {
			t.Errorf("%d runs", counter.Load())
		}
		p.Look = func() (string, bool) { return "", true }
		if f.Start(t.Context(), p) {
			t.Error("started without a reason")
		}
		p.Look = nil
		if f := flight.New(rules{Alone: always, Look: nothing}); f.Start(t.Context(), p) {
			t.Error("started, though its answer would not be kept")
		}
	})
}

func TestApplyAllDetachesEveryCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlights()
		var all []<-chan result
		for i := range 100 {
			p := loadPlan(func(_ context.Context, c *call) (string, error) {
				time.Sleep(time.Second)
				c.Keep(func() { t.Error("a detached call kept its answer") })
				return "old", nil
			})
			p.Key = strconv.Itoa(i)
			all = append(all, start(t.Context(), f, p))
		}
		f.ApplyAll(func() bool { return false })
		f.ApplyAll(func() bool { return true })
		counter.Store(0)
		p := loadPlan(slow(2*time.Second, "new", &counter))
		p.Key = "7"
		fresh := start(t.Context(), f, p)
		for _, ch := range all {
			want(t, ch, "old", nil, time.Second)
		}
		want(t, fresh, "new", nil, 2*time.Second)
	})
}
