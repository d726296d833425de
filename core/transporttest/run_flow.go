package transporttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// errNotHeard is what a handler of a case returns when the other side did not
// get what it was sent.
var errNotHeard = errors.New("the reply has not arrived while the handler was at work")

// testRepliesWhenReady has a handler that answers its slowest key only once
// the others have arrived.
func (k kit) testRepliesWhenReady(t *testing.T) {
	arrived := newSignal()
	e := k.serve(t, handlerFunc(func(_ context.Context, _ *gcnode.Request, w gcnode.ReplyWriter) error {
		for _, key := range []int{2, 0} {
			if err := w.WriteReply(gcnode.Reply{Key: key, Value: gcnode.StringValue(strconv.Itoa(key))}); err != nil {
				return err
			}
		}
		if !arrived.wait() {
			return errNotHeard
		}
		return w.WriteReply(gcnode.Reply{Key: 1, Value: gcnode.StringValue("1")})
	}))
	var order []int
	err := e.Transport.RoundTrip(patient(t), e.Peer, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"a", "b", "c"}},
		replyFunc(func(r gcnode.Reply) error {
			order = append(order, r.Key)
			if len(order) == 2 {
				arrived.set()
			}
			return nil
		}))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(order, []int{2, 0, 1}) {
		t.Errorf("the replies arrived in the order %v, want [2 0 1]", order)
	}
}

func (k kit) testPending(t *testing.T) {
	const beats = 3
	heard := make(chan struct{})
	e := k.serve(t, handlerFunc(func(ctx context.Context, _ *gcnode.Request, w gcnode.ReplyWriter) error {
		for range beats {
			if err := w.WriteReply(gcnode.Reply{Pending: true}); err != nil {
				return err
			}
			select {
			case <-heard:
			case <-ctx.Done():
				return errNotHeard
			}
		}
		return w.WriteReply(gcnode.Reply{Value: gcnode.StringValue("v")})
	}))
	count := 0
	err := e.Transport.RoundTrip(patient(t), e.Peer, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"k"}, Heartbeat: 1},
		replyFunc(func(r gcnode.Reply) error {
			if r.Pending {
				count++
				heard <- struct{}{}
			}
			return nil
		}))
	if err != nil {
		t.Fatal(err)
	}
	if count != beats {
		t.Errorf("%d pending replies arrived, want %d", count, beats)
	}
}

// untilGone is a handler that gives a sign of life and then waits until the
// peer is gone.
func untilGone(started, ended *signal) gcnode.Handler {
	return handlerFunc(func(ctx context.Context, _ *gcnode.Request, w gcnode.ReplyWriter) error {
		defer ended.set()
		err := w.WriteReply(gcnode.Reply{Pending: true})
		started.set()
		if err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	})
}

func (k kit) testCancel(t *testing.T) {
	started, ended := newSignal(), newSignal()
	e := k.serve(t, untilGone(started, ended))
	cause := errors.New("nobody wants it any more")
	ctx, cancel := context.WithCancelCause(patient(t))
	go func() {
		started.wait()
		cancel(cause)
	}()
	_, err := e.call(ctx, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"k"}})
	if !errors.Is(err, context.Canceled) || !errors.Is(err, cause) {
		t.Errorf("error is %v, want that of the context and its cause", err)
	}
	ended.mustWait(t, "the handler's context ends when the caller's does")
}

func (k kit) testDeadline(t *testing.T) {
	started, ended := newSignal(), newSignal()
	e := k.serve(t, untilGone(started, ended))
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := e.call(ctx, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"k"}})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v, want that of the deadline", err)
	}
	if started.wait() {
		ended.mustWait(t, "the handler's context ends at the caller's deadline")
	}
}

func (k kit) testEndedBefore(t *testing.T) {
	e := k.serve(t, handlerFunc(echo))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got, err := e.call(ctx, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"k"}})
	if !errors.Is(err, context.Canceled) || len(got) != 0 {
		t.Errorf("got %+v and %v, want only the context's error", got, err)
	}
}

func (k kit) testManyAtOnce(t *testing.T) {
	const calls = 1000
	e := k.serve(t, handlerFunc(echo))
	ctx := patient(t)
	failures := make(chan error, calls)
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			keys := []string{strconv.Itoa(i), strings.Repeat("x", i)}
			got, err := e.call(ctx, &gcnode.Request{Op: gcnode.OpFetch, Keys: keys})
			switch {
			case err != nil:
				failures <- err
			case len(got) != 2 || got[0].Value.String() != keys[0] || got[1].Value.String() != keys[1]:
				failures <- fmt.Errorf("call %d got the replies %+v", i, got)
			}
		})
	}
	wg.Wait()
	close(failures)
	for err := range failures {
		t.Fatalf("one of %d calls, of which %d failed: %v", calls, len(failures)+1, err)
	}
}

// testHandlerFails expects that an error of the handler arrives with its kind,
// and that what came before it is valid.
func (k kit) testHandlerFails(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want gcnode.Error
	}{
		{
			"typed",
			&gcnode.Error{Kind: gcnode.KindDraining, RetryAfter: time.Second, Err: errors.New("bye")},
			gcnode.Error{Kind: gcnode.KindDraining, RetryAfter: time.Second},
		},
		{"sentinel", fmt.Errorf("no room: %w", gcnode.ErrOverloaded), gcnode.Error{Kind: gcnode.KindOverloaded}},
		{"other", errors.New("disk on fire"), gcnode.Error{Kind: gcnode.KindTransient}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := k.serve(t, handlerFunc(func(_ context.Context, _ *gcnode.Request, w gcnode.ReplyWriter) error {
				if err := w.WriteReply(gcnode.Reply{Key: 1, Value: gcnode.StringValue("v")}); err != nil {
					return err
				}
				return test.err
			}))
			got, err := e.call(patient(t), &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"a", "b"}})
			failure, ok := errors.AsType[*gcnode.Error](err)
			if !ok {
				t.Fatalf("error is %v, want a *gcnode.Error", err)
			}
			if failure.Kind != test.want.Kind || failure.RetryAfter != test.want.RetryAfter || failure.Peer != e.Peer.ID {
				t.Errorf("error is %+v, want kind %v, RetryAfter %v and the peer", failure, test.want.Kind, test.want.RetryAfter)
			}
			cause, _ := errors.AsType[*gcnode.Error](test.err)
			text := test.err.Error()
			if cause != nil {
				text = cause.Err.Error()
			}
			if !strings.Contains(err.Error(), text) {
				t.Errorf("error is %q, want the text %q in it", err, text)
			}
			if len(got) != 1 || got[0].Value.String() != "v" {
				t.Errorf("the reply before the error arrived as %+v", got)
			}
		})
	}
}

func (k kit) testHandlerPanics(t *testing.T) {
	e := k.serve(t, handlerFunc(func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
		if req.Group == "panic" {
			return fmt.Errorf("there is no key %q", req.Keys[len(req.Keys)])
		}
		return echo(ctx, req, w)
	}))
	_, err := e.call(patient(t), &gcnode.Request{Op: gcnode.OpFetch, Group: "panic", Keys: []string{"k"}})
	if !errors.Is(err, gcnode.ErrInternal) {
		t.Errorf("error is %v, want an internal one", err)
	}
	if got := e.mustCall(t, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"k"}}); len(got) != 1 {
		t.Errorf("%d replies after the panic, want 1", len(got))
	}
}

func (k kit) testAbsent(t *testing.T) {
	e := k.serve(t, handlerFunc(echo))
	err := e.Transport.RoundTrip(patient(t), e.Absent, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"k"}},
		replyFunc(func(gcnode.Reply) error { return nil }))
	if !errors.Is(err, gcnode.ErrUnreachable) || !strings.Contains(err.Error(), strconv.Quote(e.Absent.ID)) {
		t.Errorf("error is %v, want one that says that %q is unreachable", err, e.Absent.ID)
	}
}

// testReceiverStops expects that an error of WriteReply ends the exchange on
// both sides and is returned.
func (k kit) testReceiverStops(t *testing.T) {
	started, ended := newSignal(), newSignal()
	e := k.serve(t, untilGone(started, ended))
	enough := errors.New("enough")
	err := e.Transport.RoundTrip(patient(t), e.Peer, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"k"}},
		replyFunc(func(gcnode.Reply) error { return enough }))
	if !errors.Is(err, enough) {
		t.Errorf("error is %v, want that of WriteReply", err)
	}
	ended.mustWait(t, "the handler's context ends when the receiver stops")
}
