package transporttest

import (
	"context"
	"sync"
	"testing"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// patience is how long a case waits for what should happen at once.
const patience = 30 * time.Second

// Endpoint is a served handler and the way to it.
type Endpoint struct {
	Transport gcnode.Transport
	// Peer is the member that the handler serves.
	Peer gcnode.Peer
	// Absent is a member that nobody serves, whose address is in order.
	Absent gcnode.Peer
}

// Factory serves h. What it starts is to be gone after the cleanup of t.
type Factory func(t *testing.T, h gcnode.Handler) Endpoint

// Run tests a transport and its server side against the contracts of
// [gcnode.Transport], [gcnode.ReplyWriter] and [gcnode.Handler]. Each case is a
// subtest with an endpoint of its own.
//
// Beyond what these say, it expects of errors that RoundTrip returns
//
//   - the error of the context in the chain when that has ended;
//   - [gcnode.ErrUnreachable] and the ID of the peer when it did not answer;
//   - kind, time to wait and text of an error with which the handler failed.
//
// Of an error in a reply it expects kind, time to wait and the text of the
// cause; what it is about is known to the receiver.
func Run(t *testing.T, serve Factory) {
	t.Helper()
	k := kit{serve}
	t.Run("Keys", k.testKeys)
	t.Run("Groups", k.testGroups)
	t.Run("RequestFields", k.testRequestFields)
	t.Run("ReplyFields", k.testReplyFields)
	t.Run("Values", k.testValues)
	t.Run("SetValues", k.testSetValues)
	t.Run("SeveralReplies", k.testSeveralReplies)
	t.Run("Limits", k.testLimits)
	t.Run("Errors", k.testErrors)
	t.Run("UnknownOp", k.testUnknownOp)
	t.Run("NoReply", k.testNoReply)
	t.Run("RepliesWhenReady", k.testRepliesWhenReady)
	t.Run("Pending", k.testPending)
	t.Run("Cancel", k.testCancel)
	t.Run("Deadline", k.testDeadline)
	t.Run("EndedBefore", k.testEndedBefore)
	t.Run("ManyAtOnce", k.testManyAtOnce)
	t.Run("HandlerFails", k.testHandlerFails)
	t.Run("HandlerPanics", k.testHandlerPanics)
	t.Run("Absent", k.testAbsent)
	t.Run("ReceiverStops", k.testReceiverStops)
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
