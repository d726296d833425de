package transporttest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// checkUnreachable expects an error that says that the peer did not answer.
func checkUnreachable(t *testing.T, err error, peer gcnode.Peer) {
	t.Helper()
	if !errors.Is(err, gcnode.ErrUnreachable) || !strings.Contains(err.Error(), strconv.Quote(peer.ID)) {
		t.Errorf("error is %v, want one that says that %q is unreachable", err, peer.ID)
	}
}

// testSilent expects that a peer that says nothing costs as long as the caller
// wants to wait, and that another one is asked meanwhile.
func (k kit) testSilent(t *testing.T) {
	e := k.serve(t, handlerFunc(echo))
	ctx, cancel := context.WithCancel(patient(t))
	defer cancel()
	waiting := make(chan error, 1)
	go func() {
		waiting <- e.Transport.RoundTrip(ctx, e.Silent, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"k"}},
			replyFunc(func(gcnode.Reply) error { return errors.New("a reply came") }))
	}()
	for range 100 {
		e.mustCall(t, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"k"}})
	}
	short, stop := context.WithTimeout(patient(t), 50*time.Millisecond)
	defer stop()
	err := e.Transport.RoundTrip(short, e.Silent, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"k"}},
		replyFunc(func(gcnode.Reply) error { return errors.New("a reply came") }))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v, want that of the deadline", err)
	}
	cancel()
	if err := <-waiting; !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want that of the context", err)
	}
}

// testCut expects that a reply is valid that came before the peer died, and
// that its handler learns of the end as well.
func (k kit) testCut(t *testing.T) {
	ended := newSignal()
	e := k.serve(t, handlerFunc(func(ctx context.Context, _ *gcnode.Request, w gcnode.ReplyWriter) error {
		defer ended.set()
		if err := w.WriteReply(gcnode.Reply{Key: 1, Value: gcnode.StringValue("v")}); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	}))
	var got []gcnode.Reply
	err := e.Transport.RoundTrip(patient(t), e.Peer, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"a", "b"}},
		replyFunc(func(r gcnode.Reply) error {
			got = append(got, r)
			e.Cut()
			return nil
		}))
	checkUnreachable(t, err, e.Peer)
	if len(got) != 1 || got[0].Key != 1 || got[0].Value.String() != "v" {
		t.Errorf("the reply before the end arrived as %+v", got)
	}
	ended.mustWait(t, "the handler's context ends with the connection")
}

// testCutWhileSending expects that no part of a value arrives in place of it.
func (k kit) testCutWhileSending(t *testing.T) {
	const replies = 20
	value := gcnode.StringValue(strings.Repeat("0123456789abcdef", gcnode.MaxValueBytes/16))
	ended := newSignal()
	e := k.serve(t, handlerFunc(func(_ context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
		defer ended.set()
		for i := range req.Keys {
			if err := w.WriteReply(gcnode.Reply{Key: i, Value: value}); err != nil {
				return err
			}
		}
		return nil
	}))
	count := 0
	err := e.Transport.RoundTrip(patient(t), e.Peer, &gcnode.Request{Op: gcnode.OpFetch, Keys: make([]string, replies)},
		replyFunc(func(r gcnode.Reply) error {
			if count++; r.Value != value {
				t.Errorf("a value of %d bytes arrived with %d", value.Len(), r.Value.Len())
			}
			e.Cut()
			return nil
		}))
	checkUnreachable(t, err, e.Peer)
	if count == replies {
		t.Error("everything arrived though the connection was cut")
	}
	ended.mustWait(t, "the handler's WriteReply fails when the connection is cut")
}

// testGarbage sends garbage while a call is under way, of which the handler
// learns nothing, and which harms nobody.
func (k kit) testGarbage(t *testing.T) {
	started, release := newSignal(), newSignal()
	e := k.serve(t, handlerFunc(func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
		switch req.Group {
		case "waits":
			started.set()
			release.wait()
		case "after":
		default:
			t.Errorf("the handler got the request %+v", req)
		}
		return echo(ctx, req, w)
	}))
	waiting := make(chan error, 1)
	go func() {
		_, err := e.call(patient(t), &gcnode.Request{Op: gcnode.OpFetch, Group: "waits", Keys: []string{"k"}})
		waiting <- err
	}()
	started.mustWait(t, "the call begins")
	for _, name := range slices.Sorted(maps.Keys(e.Garbage)) {
		t.Run(name, e.Garbage[name])
		got := e.mustCall(t, &gcnode.Request{Op: gcnode.OpFetch, Group: "after", Keys: []string{"k"}})
		if len(got) != 1 || got[0].Value.String() != "k" {
			t.Errorf("after %s the replies %+v", name, got)
		}
	}
	release.set()
	if err := <-waiting; err != nil {
		t.Errorf("the call beside the garbage: %v", err)
	}
}

// testImpostors asks what is no peer. What it says must not be taken for an
// answer to what was not asked, or for a second one.
func (k kit) testImpostors(t *testing.T) {
	e := k.serve(t, handlerFunc(echo))
	for _, name := range slices.Sorted(maps.Keys(e.Impostors)) {
		t.Run(name, func(t *testing.T) {
			peer := e.Impostors[name]
			for range 2 { // the second time it may be known
				answered := map[int]bool{}
				err := e.Transport.RoundTrip(patient(t), peer, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"a", "b"}},
					replyFunc(func(r gcnode.Reply) error {
						if r.Key < 0 || r.Key > 1 || answered[r.Key] {
							t.Errorf("a reply to key %d", r.Key)
						}
						answered[r.Key] = !r.Pending
						return nil
					}))
				checkUnreachable(t, err, peer)
			}
		})
	}
	e.mustCall(t, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"k"}})
}
