package transporttest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
)

// handlerFunc is a function that is a handler.
type handlerFunc func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error

func (f handlerFunc) ServePeer(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
	return f(ctx, req, w)
}

// replies collects replies.
type replies struct {
	got  []gcnode.Reply
	fail error
}

func (r *replies) WriteReply(reply gcnode.Reply) error {
	r.got = append(r.got, reply)
	return r.fail
}

// echo answers each key with itself.
func echo(_ context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
	for i, key := range req.Keys {
		if err := w.WriteReply(gcnode.Reply{Key: i, Value: gcnode.StringValue(key), Source: gcnode.SourceHit}); err != nil {
			return err
		}
	}
	return nil
}

// stuck waits for the end of its context.
func stuck(ctx context.Context, _ *gcnode.Request, _ gcnode.ReplyWriter) error {
	<-ctx.Done()
	return ctx.Err()
}

func fetch(ctx context.Context, n *transporttest.Network, from, to string, keys ...string) ([]gcnode.Reply, error) {
	var r replies
	err := n.Transport(from).RoundTrip(ctx, gcnode.Peer{ID: to}, &gcnode.Request{Op: gcnode.OpFetch, Keys: keys}, &r)
	return r.got, err
}

func TestNetworkDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transporttest.NewNetwork()
		n.Attach("b", handlerFunc(echo))
		got, err := fetch(t.Context(), n, "a", "b", "x", "y")
		if err != nil || len(got) != 2 || got[1].Value.String() != "y" {
			t.Fatalf("got %v, %v", got, err)
		}
		if sent := n.Sent("a", transporttest.Any, gcnode.OpFetch); sent != 1 {
			t.Errorf("Sent is %d, want 1", sent)
		}
		if sent := n.Sent("b", "a", gcnode.OpFetch); sent != 0 {
			t.Errorf("Sent of the other direction is %d, want 0", sent)
		}
		if n.Running() != 0 {
			t.Errorf("%d exchanges are still running", n.Running())
		}
	})
}

func TestNetworkFaults(t *testing.T) {
	const patience = time.Minute
	tests := []struct {
		name  string
		set   func(n *transporttest.Network)
		want  error
		after time.Duration
		met   transporttest.Faults
	}{
		{"not attached", func(n *transporttest.Network) { n.Detach("b") }, gcnode.ErrUnreachable, 0, transporttest.Faults{}},
		{"drop", func(n *transporttest.Network) {
			n.SetFault("a", "b", transporttest.Fault{Drop: true})
		}, gcnode.ErrUnreachable, 0, transporttest.Faults{Dropped: 1}},
		{"hang", func(n *transporttest.Network) {
			n.SetFault("a", transporttest.Any, transporttest.Fault{Hang: true})
		}, context.DeadlineExceeded, patience, transporttest.Faults{Hung: 1}},
		{"replies lost", func(n *transporttest.Network) {
			n.SetFault("b", "a", transporttest.Fault{Hang: true})
		}, context.DeadlineExceeded, patience, transporttest.Faults{Hung: 2}},
		{"partition", func(n *transporttest.Network) {
			n.Partition([]string{"a", "c"}, []string{"b"})
		}, context.DeadlineExceeded, patience, transporttest.Faults{Hung: 1}},
		{"isolated", func(n *transporttest.Network) { n.Isolate("b") }, context.DeadlineExceeded, patience, transporttest.Faults{Hung: 1}},
		{"delay both ways", func(n *transporttest.Network) {
			n.SetFault(transporttest.Any, transporttest.Any, transporttest.Fault{Delay: time.Second})
		}, nil, 2 * time.Second, transporttest.Faults{Delayed: 3}},
		{"healed", func(n *transporttest.Network) { n.Isolate("b"); n.Heal() }, nil, 0, transporttest.Faults{}},
		{"other direction", func(n *transporttest.Network) {
			n.SetFault("b", "c", transporttest.Fault{Drop: true})
		}, nil, 0, transporttest.Faults{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := transporttest.NewNetwork()
				n.Attach("b", handlerFunc(echo))
				test.set(n)
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				start := time.Now()
				_, err := fetch(ctx, n, "a", "b", "x")
				if !errors.Is(err, test.want) {
					t.Errorf("error is %v, want %v", err, test.want)
				}
				if took := time.Since(start); took != test.after {
					t.Errorf("took %v, want %v", took, test.after)
				}
				synctest.Wait()
				if met := n.Met(); met != test.met {
					t.Errorf("met %+v, want %+v", met, test.met)
				}
			})
		})
	}
}

func TestNetworkIntercept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transporttest.NewNetwork()
		n.Attach("b", handlerFunc(echo))
		release := make(chan struct{})
		n.Intercept(func(m transporttest.Message) transporttest.Fault {
			if m.Reply != nil && m.Reply.Key == 1 {
				return transporttest.Fault{Until: release}
			}
			return transporttest.Fault{}
		})
		var r replies
		done := make(chan error, 1)
		go func() {
			done <- n.Transport("a").RoundTrip(t.Context(), gcnode.Peer{ID: "b"},
				&gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"x", "y", "z"}}, &r)
		}()
		synctest.Wait()
		if len(r.got) != 1 {
			t.Fatalf("%d replies have arrived, want the one before the held", len(r.got))
		}
		close(release)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		order := []int{}
		for _, reply := range r.got {
			order = append(order, reply.Key)
		}
		if !slices.Equal(order, []int{0, 1, 2}) {
			t.Errorf("replies arrived as %v", order)
		}
		if met := n.Met(); met.Held != 1 {
			t.Errorf("met %+v", met)
		}
	})
}

func TestNetworkCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transporttest.NewNetwork()
		ended := make(chan string, 2)
		for _, id := range []string{"a", "b"} {
			n.Attach(id, handlerFunc(func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
				defer func() { ended <- id }()
				return stuck(ctx, req, w)
			}))
		}
		old := n.Transport("b")
		done := make(chan error, 2)
		go func() {
			_, err := fetch(t.Context(), n, "a", "b", "x")
			done <- err
		}()
		go func() {
			done <- old.RoundTrip(t.Context(), gcnode.Peer{ID: "a"}, &gcnode.Request{Op: gcnode.OpFetch}, &replies{})
		}()
		synctest.Wait()
		n.Crash("b")
		for range 2 {
			if err := <-done; !errors.Is(err, gcnode.ErrUnreachable) {
				t.Errorf("error is %v, want unreachable", err)
			}
			<-ended
		}
		n.Attach("a", handlerFunc(echo))
		if err := old.RoundTrip(t.Context(), gcnode.Peer{ID: "a"}, &gcnode.Request{}, &replies{}); !errors.Is(err, gcnode.ErrUnreachable) {
			t.Errorf("a transport of an earlier life sends: %v", err)
		}
		if _, err := fetch(t.Context(), n, "b", "a", "x"); err != nil {
			t.Errorf("the next life: %v", err)
		}
	})
}

func TestNetworkBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transporttest.NewNetwork()
		written := 0
		n.Attach("b", handlerFunc(func(_ context.Context, _ *gcnode.Request, w gcnode.ReplyWriter) error {
			for {
				if err := w.WriteReply(gcnode.Reply{Pending: true}); err != nil {
					return fmt.Errorf("after %d: %w", written, err)
				}
				written++
			}
		}))
		ctx, cancel := context.WithCancel(t.Context())
		release := make(chan struct{})
		n.SetFault("b", "a", transporttest.Fault{Until: release})
		done := make(chan error, 1)
		go func() {
			_, err := fetch(ctx, n, "a", "b", "x")
			done <- err
		}()
		synctest.Wait()
		if written < 1 || written > 100 {
			t.Errorf("%d replies were taken while nobody reads", written)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v, want canceled", err)
		}
	})
}
