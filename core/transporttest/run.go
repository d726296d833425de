package transporttest

import (
	"context"
	"sync"
	"testing"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// patience is how long a case waits for what should happen at once.
const patience = 2 * time.Minute

// Endpoint is a served handler and the way to it.
type Endpoint struct {
	Transport gcnode.Transport
	// Peer is the member that the handler serves.
	Peer gcnode.Peer
	// Absent is a member that nobody serves, whose address is in order.
	Absent gcnode.Peer
	// Silent is a member that can be reached and answers nothing, as when its
	// process was stopped.
	Silent gcnode.Peer
	// Cut breaks the connections to Peer, those in use too, as the death of its
	// process does. The endpoint is not used after it.
	Cut func()
	// Garbage sends to the port of Peer what no transport sends: something
	// else, too much, the beginning of a request. Each function returns when
	// the server side is done with it, for example because it has closed the
	// connection. nil: nothing but requests can get there, as in memory.
	Garbage map[string]func(t *testing.T)
	// Impostors are members that answer what no peer answers: something else,
	// too much, the beginning of an answer. Each of them ends what it says or
	// closes the connection. nil, as in Garbage: that cannot be.
	Impostors map[string]gcnode.Peer
}

// Factory serves h. What it starts is to be gone after the cleanup of t.
type Factory func(t *testing.T, h gcnode.Handler) Endpoint

// Run tests a transport and its server side against the contracts of
// [gcnode.Transport], [gcnode.ReplyWriter] and [gcnode.Handler]. Each case is a
// subtest with an endpoint of its own, after which none of its goroutines may
// be left; so nothing else may run at the same time, no parallel test either.
// A transport with several carriers, such as connections with and without TLS,
// is tested with a Run for each:
//
//	func TestConformance(t *testing.T) {
//		transporttest.Run(t, func(t *testing.T, h gcnode.Handler) transporttest.Endpoint {
//			server := serve(t, h) // closes it with t.Cleanup
//			return transporttest.Endpoint{
//				Transport: newTransport(t),
//				Peer:      gcnode.Peer{ID: "server", Addr: server.Addr()},
//				…
//			}
//		})
//	}
//
// Beyond what the contracts say, it expects of errors that RoundTrip returns
//
//   - the error of the context in the chain when that has ended;
//   - [gcnode.ErrUnreachable] and the ID of the peer when it did not answer;
//   - [gcnode.ErrTooLarge] for a request that is over a limit of package
//     gcnode, of which the handler learns nothing;
//   - kind, time to wait and text of an error with which the handler failed.
//
// Of an error in a reply it expects kind, time to wait and the text of the
// cause; what it is about is known to the receiver. A reply that is over a
// limit arrives as one of [gcnode.KindTooLarge] to the same key.
//
// A receiver that takes its replies slowly holds up its own handler, before
// that has sent tens of megabytes, and nobody else.
func Run(t *testing.T, serve Factory) {
	t.Helper()
	k := kit{func(t *testing.T, h gcnode.Handler) Endpoint {
		t.Helper()
		e := serve(t, h)
		if e.Transport == nil || e.Cut == nil || e.Peer.ID == "" || e.Absent.ID == "" || e.Silent.ID == "" {
			t.Fatal("an Endpoint needs Transport, Peer, Absent, Silent and Cut")
		}
		return e
	}}
	for _, c := range []struct {
		name string
		test func(t *testing.T)
	}{
		{"Keys", k.testKeys},
		{"Groups", k.testGroups},
		{"RequestFields", k.testRequestFields},
		{"ReplyFields", k.testReplyFields},
		{"Values", k.testValues},
		{"SetValues", k.testSetValues},
		{"SeveralReplies", k.testSeveralReplies},
		{"RepliesStay", k.testRepliesStay},
		{"Limits", k.testLimits},
		{"RequestsOverLimits", k.testRequestsOverLimits},
		{"RepliesOverLimits", k.testRepliesOverLimits},
		{"Errors", k.testErrors},
		{"UnknownOp", k.testUnknownOp},
		{"NoReply", k.testNoReply},
		{"RepliesWhenReady", k.testRepliesWhenReady},
		{"Order", k.testOrder},
		{"Pending", k.testPending},
		{"Cancel", k.testCancel},
		{"CancelBeforeReply", k.testCancelBeforeReply},
		{"CancelOne", k.testCancelOne},
		{"CancelWhileSending", k.testCancelWhileSending},
		{"Deadline", k.testDeadline},
		{"EndedBefore", k.testEndedBefore},
		{"ManyAtOnce", k.testManyAtOnce},
		{"SlowReceiver", k.testSlowReceiver},
		{"LargeBesideSmall", k.testLargeBesideSmall},
		{"HandlerFails", k.testHandlerFails},
		{"HandlerPanics", k.testHandlerPanics},
		{"ReceiverStops", k.testReceiverStops},
		{"Absent", k.testAbsent},
		{"Silent", k.testSilent},
		{"Cut", k.testCut},
		{"CutWhileSending", k.testCutWhileSending},
		{"Garbage", k.testGarbage},
		{"Impostors", k.testImpostors},
	} {
		before := goroutines()
		t.Run(c.name, c.test)
		checkGoroutines(t, c.name, before)
	}
}

// kit is the cases for one transport.
type kit struct{ serve Factory }

// handlerFunc is a function that is a [gcnode.Handler].
type handlerFunc func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error

// ServePeer calls f.
func (f handlerFunc) ServePeer(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
	return f(ctx, req, w)
}

// replyFunc is a function that is a [gcnode.ReplyWriter].
type replyFunc func(gcnode.Reply) error

// WriteReply calls f.
func (f replyFunc) WriteReply(r gcnode.Reply) error { return f(r) }

// echo answers each key with itself.
func echo(_ context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
	for i, key := range req.Keys {
		if err := w.WriteReply(gcnode.Reply{Key: i, Value: gcnode.StringValue(key), Source: gcnode.SourceHit}); err != nil {
			return err
		}
	}
	return nil
}

// patient is a context for calls that should be answered at once.
func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// call sends a request and collects the replies.
func (e Endpoint) call(ctx context.Context, req *gcnode.Request) ([]gcnode.Reply, error) {
	var got []gcnode.Reply
	err := e.Transport.RoundTrip(ctx, e.Peer, req, replyFunc(func(r gcnode.Reply) error {
		got = append(got, r)
		return nil
	}))
	return got, err
}

// mustCall is call for a request that has to succeed.
func (e Endpoint) mustCall(t *testing.T, req *gcnode.Request) []gcnode.Reply {
	t.Helper()
	got, err := e.call(patient(t), req)
	if err != nil {
		t.Fatalf("RoundTrip: %v", err)
	}
	return got
}

// signal is an event that others wait for.
type signal struct {
	once sync.Once
	c    chan struct{}
}

func newSignal() *signal { return &signal{c: make(chan struct{})} }

// set lets all who wait go on.
func (s *signal) set() { s.once.Do(func() { close(s.c) }) }

// wait is false if the event does not come.
func (s *signal) wait() bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-s.c:
		return true
	case <-timer.C:
		return false
	}
}

// mustWait fails the test if the event does not come.
func (s *signal) mustWait(t *testing.T, what string) {
	t.Helper()
	if !s.wait() {
		t.Fatalf("%s: not within %v", what, patience)
	}
}
