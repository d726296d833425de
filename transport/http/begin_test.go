package httptransport_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
	httptransport "github.com/gcnode/gcnode/transport/http"
	"github.com/gcnode/gcnode/transport/wire"
)

func TestConformanceOfBegunRequests(t *testing.T) {
	var begun int64
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
		b := &transporttest.Beginning{Beginner: client}
		t.Cleanup(func() { begun += b.Begun() })
		e.Transport = b
		return e
	})
	require.Greater(t, begun, int64(500))
}

// begin begins a fetch on a client that has a stream.
func begin(t *testing.T, c *httptransport.Client, addr, key string) (*transporttest.Queue, gcnode.Ticket) {
	t.Helper()
	x := transporttest.NewQueue()
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
	_, err = a.Wait(t)
	require.Error(t, err)
	require.NotErrorAs(t, err, new(*gcnode.RepeatError))
	first.Cancel() // once more, and for what has ended
	require.False(t, b.Ended())
	second.Cancel()
	_, err = b.Wait(t)
	require.Error(t, err)
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
	_, err = beside.Wait(t)
	require.NoError(t, err) // so that the half that follows is read as well, or soon
	ticket.Cancel()
	replies, err := large.Wait(t)
	require.Error(t, err)
	require.Empty(t, replies)
	close(cancelled)
	after, _ := begin(t, client, addr, "after")
	replies, err = after.Wait(t)
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
	_, err = x.Wait(t)
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
	_, err = x.Wait(t)
	require.NoError(t, err)
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
			_, ok := client.Begin(t.Context(), gcnode.Peer{Addr: server.URL}, &test.req, transporttest.NewQueue())
			require.False(t, ok)
		})
	}
}
