package transporttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
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

// testOrder answers a large batch from its end to its beginning.
func (k kit) testOrder(t *testing.T) {
	e := k.serve(t, handlerFunc(func(_ context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
		for i, key := range slices.Backward(req.Keys) {
			if err := w.WriteReply(gcnode.Reply{Key: i, Value: gcnode.StringValue(key)}); err != nil {
				return err
			}
		}
		return nil
	}))
	keys := make([]string, 2000)
	for i := range keys {
		keys[i] = strconv.Itoa(i)
	}
	got := e.mustCall(t, &gcnode.Request{Op: gcnode.OpFetch, Keys: keys})
	if len(got) != len(keys) {
		t.Fatalf("%d replies to %d keys", len(got), len(keys))
	}
	for i, r := range got {
		if want := len(keys) - 1 - i; r.Key != want || r.Value.String() != keys[want] {
			t.Fatalf("reply %d is to key %d with %q, want key %d", i, r.Key, r.Value.String(), want)
		}
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

// testCancelBeforeReply has a handler that has sent nothing, and a caller that
// uses the request for something else when RoundTrip has returned.
func (k kit) testCancelBeforeReply(t *testing.T) {
	started, reused, ended := newSignal(), newSignal(), newSignal()
	var key string
	e := k.serve(t, handlerFunc(func(ctx context.Context, req *gcnode.Request, _ gcnode.ReplyWriter) error {
		defer ended.set()
		started.set()
		<-ctx.Done()
		reused.wait()
		key = req.Keys[0]
		return ctx.Err()
	}))
	ctx, cancel := context.WithCancel(patient(t))
	defer cancel()
	go func() {
		started.wait()
		cancel()
	}()
	req := &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"k"}}
	got, err := e.call(ctx, req)
	if !errors.Is(err, context.Canceled) || len(got) != 0 {
		t.Errorf("got %+v and %v, want only the context's error", got, err)
	}
	req.Keys[0] = "another"
	reused.set()
	ended.mustWait(t, "the handler's context ends when the caller's does")
	if key != "k" {
		t.Errorf("the handler's request has changed: the key is %q", key)
	}
}

// testCancelOne cancels one of two calls.
func (k kit) testCancelOne(t *testing.T) {
	started, ended, release := map[string]*signal{}, map[string]*signal{}, newSignal()
	for _, group := range []string{"stays", "leaves"} {
		started[group], ended[group] = newSignal(), newSignal()
	}
	e := k.serve(t, handlerFunc(func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
		defer ended[req.Group].set()
		started[req.Group].set()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-release.c:
			return echo(ctx, req, w)
		}
	}))
	stays := make(chan error, 1)
	go func() {
		_, err := e.call(patient(t), &gcnode.Request{Op: gcnode.OpFetch, Group: "stays", Keys: []string{"k"}})
		stays <- err
	}()
	started["stays"].mustWait(t, "the call begins")
	ctx, cancel := context.WithCancel(patient(t))
	defer cancel()
	go func() {
		started["leaves"].wait()
		cancel()
	}()
	if _, err := e.call(ctx, &gcnode.Request{Op: gcnode.OpFetch, Group: "leaves", Keys: []string{"k"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want that of the context", err)
	}
	ended["leaves"].mustWait(t, "the handler's context ends when the caller's does")
	release.set()
	if err := <-stays; err != nil {
		t.Errorf("the call that was not cancelled: %v", err)
	}
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
	for range 100 { // an answer may be there as soon as the end is looked at
		got, err := e.call(ctx, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"k"}})
		if !errors.Is(err, context.Canceled) || len(got) != 0 {
			t.Fatalf("got %+v and %v, want only the context's error", got, err)
		}
	}
}

// testHandlerFails expects that an error of the handler arrives with its kind,
// and that what came before it is valid.
func (k kit) testHandlerFails(t *testing.T) {
	type failing struct {
		name string
		err  error
		want gcnode.Error
	}
	tests := []failing{
		{
			"typed",
			&gcnode.Error{Kind: gcnode.KindDraining, RetryAfter: time.Second, Err: errors.New("bye")},
			gcnode.Error{Kind: gcnode.KindDraining, RetryAfter: time.Second},
		},
		{"sentinel", fmt.Errorf("no room: %w", gcnode.ErrOverloaded), gcnode.Error{Kind: gcnode.KindOverloaded}},
		{"other", errors.New("disk on fire"), gcnode.Error{Kind: gcnode.KindTransient}},
	}
	for kind := gcnode.KindInternal; kind <= gcnode.KindDraining; kind++ {
		tests = append(tests, failing{
			kind.String(), &gcnode.Error{Kind: kind, Err: errors.New("because")}, gcnode.Error{Kind: kind},
		})
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
	checkUnreachable(t, err, e.Absent)
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
