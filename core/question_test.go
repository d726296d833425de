package gcnode_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// The end of the last caller reaches the member that was asked, and says
// nothing about it: it is not down, and nobody else is asked.
func TestTheEndOfTheLastCallerReachesTheMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(1, 2)
		begun, ended := make(chan struct{}), make(chan struct{})
		c.net.Attach("n1", serverFunc(func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
			if req.Op != gcnode.OpFetch { // the others still ask which keys it has
				return c.nodes[1].ServePeer(ctx, req, w)
			}
			close(begun)
			<-ctx.Done()
			close(ended)
			return ctx.Err()
		}))
		defer c.net.Attach("n1", c.nodes[1])
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan error, 1)
		go func() {
			_, err := c.groups[0].Get(ctx, key)
			got <- err
		}()
		<-begun
		cancel()
		if err := <-got; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		select {
		case <-ended:
		case <-time.After(time.Second):
			t.Fatal("the member was not told")
		}
		synctest.Wait()
		if n := c.net.Sent("n0", "n2", gcnode.OpFetch); n != 0 {
			t.Errorf("the next in line was asked %d times", n)
		}
		for _, p := range c.nodes[0].Stats().Peers {
			if p.Down || p.Errors != 0 {
				t.Errorf("it counts against the member: %+v", p)
			}
		}
	})
}

// serverFunc is a function that is a Handler.
type serverFunc func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error

func (f serverFunc) ServePeer(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
	return f(ctx, req, w)
}

// A hook is not called by whoever brings the answers of a peer: those of other
// keys do not wait for it.
func TestAFetchWithAHookHasAGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		begun := false
		c.config = func(cfg *gcnode.Config) {
			cfg.Hooks.Fetched = func(gcnode.FetchEvent) {}
			cfg.Transport = beginless{cfg.Transport.(gcnode.Beginner), &begun}
		}
		c.start("n2", defaultOptions)
		c.setPeers(c.nodes[2], 2) // as a client of the others
		if _, err := c.groups[2].Get(t.Context(), "k"); err != nil || begun {
			t.Errorf("%v, begun: %v", err, begun)
		}
	})
}

// beginless notes that a request was begun.
type beginless struct {
	gcnode.Beginner

	begun *bool
}

func (b beginless) Begin(context.Context, gcnode.Peer, *gcnode.Request, gcnode.Exchange) (gcnode.Ticket, bool) {
	*b.begun = true
	return gcnode.Ticket{}, false
}

// A request that is not wanted any more when it has begun is abandoned then.
func TestAFetchWhoseTimeIsOverBeforeItHasBegunIsAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		b := &slowToBegin{}
		c.config = func(cfg *gcnode.Config) {
			b.Beginner = cfg.Transport.(gcnode.Beginner)
			cfg.Transport = b
		}
		c.start("n2", defaultOptions)
		c.setPeers(c.nodes[2], 2) // as a client of the others
		_, err := c.groups[2].Get(t.Context(), "k")
		if gcnode.KindOf(err) != gcnode.KindTimeout {
			t.Error(err)
		}
		if b.abandoned != 1 {
			t.Errorf("abandoned %d times", b.abandoned)
		}
	})
}

// slowToBegin takes an hour to begin a request, which nobody answers.
type slowToBegin struct {
	gcnode.Beginner

	x         gcnode.Exchange
	abandoned int
}

func (b *slowToBegin) Begin(_ context.Context, _ gcnode.Peer, _ *gcnode.Request, x gcnode.Exchange) (gcnode.Ticket, bool) {
	time.Sleep(time.Hour)
	b.x = x
	return gcnode.Ticket{Of: b}, true
}

func (b *slowToBegin) CancelRequest(uint64) {
	b.abandoned++
	b.x.End(context.Canceled)
}
