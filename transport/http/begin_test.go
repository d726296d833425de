package httptransport_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
	httptransport "github.com/gcnode/gcnode/transport/http"
)

// beginning is a client whose requests begin with Begin where that is possible.
type beginning struct {
	*httptransport.Client

	begun *atomic.Int32
}

// RoundTrip implements [gcnode.Transport].
func (b *beginning) RoundTrip(ctx context.Context, to gcnode.Peer, req *gcnode.Request, w gcnode.ReplyWriter) error {
	if ctx.Err() != nil { // Begin does not look
		return b.Client.RoundTrip(ctx, to, req, w)
	}
	x := &queue{news: make(chan struct{}, 1)}
	ticket, ok := b.Begin(ctx, to, req, x)
	if !ok {
		return b.Client.RoundTrip(ctx, to, req, w)
	}
	b.begun.Add(1)
	for {
		replies, ended, err := x.take()
		_, repeat := errors.AsType[*gcnode.RepeatError](err)
		for _, r := range replies {
			if err := w.WriteReply(r); err != nil {
				ticket.Cancel()
				return err
			}
		}
		switch {
		case ended && repeat:
			return b.Client.RoundTrip(ctx, to, req, w)
		case ended:
			return err
		}
		select {
		case <-x.news:
		case <-ctx.Done():
			ticket.Cancel()
			return fmt.Errorf("%w: %w", ctx.Err(), context.Cause(ctx))
		}
	}
}

// queue is an exchange whose replies wait.
type queue struct {
	news chan struct{} // holds one element when something has come

	mu      sync.Mutex
	replies []gcnode.Reply
	ended   bool
	err     error
}

func (x *queue) take() (replies []gcnode.Reply, ended bool, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	replies, x.replies = x.replies, nil
	return replies, x.ended, x.err
}

func (x *queue) WriteReply(r gcnode.Reply) error {
	x.change(func() { x.replies = append(x.replies, r) })
	return nil
}

func (x *queue) End(err error) {
	x.change(func() {
		if x.ended {
			panic("a second end")
		}
		x.ended, x.err = true, err
	})
}

func (x *queue) change(change func()) {
	x.mu.Lock()
	change()
	x.mu.Unlock()
	select {
	case x.news <- struct{}{}:
	default:
	}
}

// wait is the end.
func (x *queue) wait(t *testing.T) error {
	t.Helper()
	for {
		if _, ended, err := x.take(); ended {
			return err
		}
		select {
		case <-x.news:
		case <-time.After(patience):
			t.Fatal("the exchange does not end")
		}
	}
}

func TestConformanceOfBegunRequests(t *testing.T) {
	var begun atomic.Int32
	overStream := carrier{name: "stream", stream: true, server: overTCP, client: own}
	transporttest.Run(t, func(t *testing.T, h gcnode.Handler) transporttest.Endpoint {
		t.Helper()
		const first = "that there is a stream"
		e := overStream.endpoint(t, handlerFunc(func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
			if len(req.Keys) == 1 && req.Keys[0] == first {
				return echo(ctx, req, w)
			}
			return h.ServePeer(ctx, req, w)
		}))
		client, ok := e.Transport.(*httptransport.Client)
		require.True(t, ok)
		_, err := fetch(t.Context(), client, e.Peer.Addr, first)
		require.NoError(t, err)
		e.Transport = &beginning{Client: client, begun: &begun}
		return e
	})
	require.Greater(t, begun.Load(), int32(500))
}

// begin begins a fetch on a client that has a stream.
func begin(t *testing.T, c *httptransport.Client, addr, key string) (*queue, gcnode.Ticket) {
	t.Helper()
	x := &queue{news: make(chan struct{}, 1)}
	req := &gcnode.Request{Op: gcnode.OpFetch, Group: "g", Keys: []string{key}}
	ticket, ok := c.Begin(t.Context(), gcnode.Peer{ID: "server", Addr: addr}, req, x)
	require.True(t, ok)
	return x, ticket
}

// held is a server that answers "k", and tells of other keys and their ends.
func held(t *testing.T) (m *member, begun, ended chan string) {
	t.Helper()
	begun, ended = make(chan string, 10), make(chan string, 10)
	return serve(t, handlerFunc(func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
		if req.Keys[0] == "k" {
			return echo(ctx, req, w)
		}
		begun <- req.Keys[0]
		<-ctx.Done()
		ended <- req.Keys[0]
		return ctx.Err()
	}), httptransport.HandlerOptions{}), begun, ended
}

func TestATicketCancelsItsRequest(t *testing.T) {
	server, begun, ended := held(t)
	client := newClient(t, httptransport.ClientOptions{})
	_, err := fetch(t.Context(), client, server.URL, "k")
	require.NoError(t, err)
	a, first := begin(t, client, server.URL, "first")
	require.Equal(t, "first", <-begun)
	b, second := begin(t, client, server.URL, "second")
	require.Equal(t, "second", <-begun)
	first.Cancel()
	require.Equal(t, "first", <-ended)
	err = a.wait(t)
	require.Error(t, err)
	require.NotErrorAs(t, err, new(*gcnode.RepeatError))
	first.Cancel() // once more, and for what has ended
	_, over, _ := b.take()
	require.False(t, over)
	second.Cancel()
	require.Error(t, b.wait(t))
	_, err = fetch(t.Context(), client, server.URL, "k")
	require.NoError(t, err)
	require.EqualValues(t, 1, statsOf(t, client).Streams)
}

func TestBegunRequestsEndWithTheirStream(t *testing.T) {
	server, begun, _ := held(t)
	client := newClient(t, httptransport.ClientOptions{})
	_, err := fetch(t.Context(), client, server.URL, "k")
	require.NoError(t, err)
	x, ticket := begin(t, client, server.URL, "lost")
	require.Equal(t, "lost", <-begun)
	server.drop()
	err = x.wait(t)
	require.ErrorIs(t, err, gcnode.ErrUnreachable)
	require.ErrorAs(t, err, new(*gcnode.RepeatError), "the connection had been in use")
	ticket.Cancel()
}

// A stream that nobody uses is read nevertheless, so that a request does not
// begin on one that the peer has closed.
func TestAClosedStreamIsNoticedBeforeTheNextRequest(t *testing.T) {
	server, _, _ := held(t)
	client := newClient(t, httptransport.ClientOptions{})
	_, err := fetch(t.Context(), client, server.URL, "k")
	require.NoError(t, err)
	x, _ := begin(t, client, server.URL, "k")
	require.NoError(t, x.wait(t))
	server.drop()
	require.Eventually(t, func() bool { return !statsOf(t, client).Stream }, patience, time.Millisecond)
}

func TestWhatCannotBeginIsLeftToRoundTrip(t *testing.T) {
	server, _, _ := held(t)
	large := strings.Repeat("k", gcnode.MaxKeyBytes)
	for name, test := range map[string]struct {
		opts  httptransport.ClientOptions
		asked bool
		req   gcnode.Request
	}{
		"no stream yet": {req: gcnode.Request{Keys: []string{"k"}}},
		"plain with removals": {
			opts: httptransport.ClientOptions{Plain: true}, req: gcnode.Request{Keys: []string{"k"}, Removals: make([]gcnode.Removal, 1)},
		},
		"plain and traced": {
			opts: httptransport.ClientOptions{Plain: true}, req: gcnode.Request{Keys: []string{"k"}, Trace: gcnode.Trace{Parent: "p"}},
		},
		"plain and long": {opts: httptransport.ClientOptions{Plain: true}, req: gcnode.Request{Keys: []string{large}}},
		"large":          {asked: true, req: gcnode.Request{Keys: []string{large, large, large, large, large}}},
		"over a limit":   {asked: true, req: gcnode.Request{Keys: []string{large + "k"}}},
		"with a value":   {asked: true, req: gcnode.Request{Keys: []string{"k"}, Value: gcnode.StringValue("v")}},
	} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, test.opts)
			if test.asked {
				_, err := fetch(t.Context(), client, server.URL, "k")
				require.NoError(t, err)
			}
			test.req.Op = gcnode.OpFetch
			_, ok := client.Begin(t.Context(), gcnode.Peer{Addr: server.URL}, &test.req, &queue{})
			require.False(t, ok)
		})
	}
}
