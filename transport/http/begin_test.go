package httptransport_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
	httptransport "github.com/gcnode/gcnode/transport/http"
	"github.com/gcnode/gcnode/transport/wire"
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
	sent := *req
	sent.Keys, sent.Digests = slices.Clone(req.Keys), slices.Clone(req.Digests)
	ticket, ok := b.Begin(ctx, to, &sent, x)
	clear(sent.Keys) // Begin keeps nothing
	clear(sent.Digests)
	sent = gcnode.Request{}
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
	_, err := x.all(t)
	return err
}

// all is the replies that are not taken, once the exchange has ended, and its
// error.
func (x *queue) all(t *testing.T) (replies []gcnode.Reply, _ error) {
	t.Helper()
	for {
		more, ended, err := x.take()
		replies = append(replies, more...)
		if ended {
			return replies, err
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

// TestCancelInTheMiddleOfAPiece has a peer that sends the rest of a piece, which
// is being read to where its value is put together, when nobody wants it any more.
func TestCancelInTheMiddleOfAPiece(t *testing.T) {
	const size = 1 << 20
	cancelled := make(chan struct{})
	addr := badPeer(t, func(conn net.Conn, calls *wire.MessageReader) error {
		var calling []wire.Call
		next := func() error {
			b, err := calls.Next()
			if err != nil {
				return err
			}
			call, err := wire.DecodeCall(b)
			calling = append(calling, call)
			return err
		}
		answer := func(call wire.Call, value string) []byte {
			out, err := wire.AppendReply(nil, call.Exchange, &gcnode.Reply{Value: gcnode.StringValue(value)})
			require.NoError(t, err)
			return wire.AppendEnd(append(out.Head, out.Data...), call.Exchange, nil)
		}
		if err := next(); err != nil { // opens the stream
			return err
		}
		if _, err := conn.Write(answer(calling[0], "v")); err != nil {
			return err
		}
		for range 2 {
			if err := next(); err != nil {
				return err
			}
		}
		first, err := wire.AppendReply(nil, calling[1].Exchange, &gcnode.Reply{Value: gcnode.StringValue(strings.Repeat("x", size))})
		require.NoError(t, err)
		piece := wire.AppendPiece(nil, calling[1].Exchange, first.Rest)
		rest := append(piece.Head, piece.Data...)
		half := len(rest) / 2
		begun := slices.Concat(first.Head, []byte(first.Data), answer(calling[2], "beside"), rest[:half])
		if _, err := conn.Write(begun); err != nil {
			return err
		}
		for !calling[len(calling)-1].Cancel { // the client may give credit before
			if err := next(); err != nil {
				return err
			}
		}
		<-cancelled
		if err := next(); err != nil {
			return err
		}
		_, err = conn.Write(append(rest[half:], answer(calling[len(calling)-1], "after")...))
		for err == nil {
			_, err = calls.Next() // until the client is done
		}
		return nil
	})
	client := newClient(t, httptransport.ClientOptions{})
	_, err := fetch(t.Context(), client, addr, "k")
	require.NoError(t, err)
	large, ticket := begin(t, client, addr, "large")
	beside, _ := begin(t, client, addr, "beside")
	require.NoError(t, beside.wait(t)) // so that the half that follows is read as well, or soon
	ticket.Cancel()
	replies, err := large.all(t)
	require.Error(t, err)
	require.Empty(t, replies)
	close(cancelled)
	after, _ := begin(t, client, addr, "after")
	replies, err = after.all(t)
	require.NoError(t, err)
	require.Equal(t, []gcnode.Reply{{Value: gcnode.StringValue("after")}}, replies)
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
