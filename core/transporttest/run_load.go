package transporttest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	gcnode "github.com/gcnode/gcnode/core"
)

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

const (
	// slowReplies, of slowBytes each, are what is sent to a receiver that takes
	// nothing; slowLimit of these bytes may be on their way.
	slowReplies = 1024
	slowBytes   = 64 << 10
	slowLimit   = 32 << 20
)

// sendAll answers the keys of the group "all" with large values, of which sent
// is the number, and echoes others.
func sendAll(sent *atomic.Int64, done func(error)) gcnode.Handler {
	value := gcnode.StringValue(strings.Repeat("v", slowBytes))
	return handlerFunc(func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) (err error) {
		if req.Group != "all" {
			return echo(ctx, req, w)
		}
		defer func() { done(err) }()
		for i := range req.Keys {
			if err := w.WriteReply(gcnode.Reply{Key: i, Value: value}); err != nil {
				return err
			}
			sent.Add(1)
		}
		return nil
	})
}

// testSlowReceiver has a caller that takes nothing until others have been
// served.
func (k kit) testSlowReceiver(t *testing.T) {
	var sent atomic.Int64
	e := k.serve(t, sendAll(&sent, func(error) {}))
	begun, release := newSignal(), newSignal()
	taken := 0
	slow := make(chan error, 1)
	go func() {
		slow <- e.Transport.RoundTrip(patient(t), e.Peer, &gcnode.Request{Op: gcnode.OpFetch, Group: "all", Keys: make([]string, slowReplies)},
			replyFunc(func(gcnode.Reply) error {
				begun.set()
				if !release.wait() {
					return errors.New("others are not served")
				}
				taken++
				return nil
			}))
	}()
	begun.mustWait(t, "a reply arrives")
	for i := range 1000 {
		key := strconv.Itoa(i)
		if got := e.mustCall(t, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{key}}); len(got) != 1 || got[0].Value.String() != key {
			t.Fatalf("another caller got the replies %+v", got)
		}
	}
	if n := sent.Load() * slowBytes; n > slowLimit {
		t.Errorf("the handler has sent %d bytes that nobody takes", n)
	}
	release.set()
	if err := <-slow; err != nil {
		t.Fatal(err)
	}
	if taken != slowReplies {
		t.Errorf("%d replies arrived, want %d", taken, slowReplies)
	}
}

// testCancelWhileSending leaves while the handler waits for its replies to be
// taken.
func (k kit) testCancelWhileSending(t *testing.T) {
	var sent atomic.Int64
	failed := make(chan error, 1)
	e := k.serve(t, sendAll(&sent, func(err error) { failed <- err }))
	ctx, cancel := context.WithCancel(patient(t))
	defer cancel()
	err := e.Transport.RoundTrip(ctx, e.Peer, &gcnode.Request{Op: gcnode.OpFetch, Group: "all", Keys: make([]string, slowReplies)},
		replyFunc(func(gcnode.Reply) error {
			cancel()
			return nil
		}))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want that of the context", err)
	}
	if err := <-failed; err == nil {
		t.Error("the handler has sent everything to a caller that left at the first reply")
	}
	if got := e.mustCall(t, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"k"}}); len(got) != 1 {
		t.Errorf("the next call got the replies %+v", got)
	}
}

// testLargeBesideSmall has values of the largest size on their way while small
// ones are asked for, of which one arrives before the large ones are all taken.
func (k kit) testLargeBesideSmall(t *testing.T) {
	large := gcnode.StringValue(strings.Repeat("0123456789abcdef", gcnode.MaxValueBytes/16))
	e := k.serve(t, handlerFunc(func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
		if req.Group != "large" {
			return echo(ctx, req, w)
		}
		for i := range req.Keys {
			if err := w.WriteReply(gcnode.Reply{Key: i, Value: large}); err != nil {
				return err
			}
		}
		return nil
	}))
	begun, during := newSignal(), newSignal()
	done := make(chan error, 1)
	go func() {
		done <- e.Transport.RoundTrip(patient(t), e.Peer, &gcnode.Request{Op: gcnode.OpFetch, Group: "large", Keys: make([]string, 2)},
			replyFunc(func(r gcnode.Reply) error {
				begun.set()
				if r.Value != large {
					return fmt.Errorf("a value arrived changed, with %d bytes", r.Value.Len())
				}
				if !during.wait() {
					return errors.New("no small value arrives beside the large ones")
				}
				return nil
			}))
	}()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
		}
		got := e.mustCall(t, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"small"}})
		if len(got) != 1 || got[0].Value.String() != "small" {
			t.Fatalf("the replies %+v", got)
		}
		select {
		case <-begun.c:
			during.set()
		default:
		}
	}
}
