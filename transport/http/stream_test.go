package httptransport_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	httptransport "github.com/gcnode/gcnode/transport/http"
	"github.com/gcnode/gcnode/transport/wire"
)

// statsOf are the figures of a client that has asked one peer.
func statsOf(t *testing.T, c *httptransport.Client) httptransport.PeerStats {
	t.Helper()
	stats := c.Stats()
	require.Len(t, stats.Peers, 1)
	return stats.Peers[0]
}

func TestClientCountsStreams(t *testing.T) {
	server := serve(t, handlerFunc(echo), httptransport.HandlerOptions{})
	client := newClient(t, httptransport.ClientOptions{})
	require.Empty(t, client.Stats().Peers)
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			key := strconv.Itoa(i)
			got, err := fetch(t.Context(), client, server.URL, key)
			if err != nil || len(got) != 1 || got[0].Value.String() != key {
				t.Errorf("call %d got %+v and %v", i, got, err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, httptransport.PeerStats{Addr: server.URL, Stream: true, Streams: 1}, statsOf(t, client))
	large := strings.Repeat("k", gcnode.MaxKeyBytes)
	_, err := fetch(t.Context(), client, server.URL, large, large, large, large, large)
	require.NoError(t, err)
	require.EqualValues(t, 1, statsOf(t, client).Posts, "a large request goes apart")
}

// TestLargeValueBesideSmallOnes asks for small values while a large one is
// under way.
func TestLargeValueBesideSmallOnes(t *testing.T) {
	large := gcnode.StringValue(strings.Repeat("0123456789abcdef", gcnode.MaxValueBytes/16))
	server := serve(t, handlerFunc(func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
		if req.Keys[0] == "large" {
			return w.WriteReply(gcnode.Reply{Value: large})
		}
		return echo(ctx, req, w)
	}), httptransport.HandlerOptions{})
	client := newClient(t, httptransport.ClientOptions{})
	_, err := fetch(t.Context(), client, server.URL, "k")
	require.NoError(t, err)
	var wg sync.WaitGroup
	var over atomic.Bool
	wg.Go(func() {
		defer over.Store(true)
		got, err := fetch(t.Context(), client, server.URL, "large")
		if assert.NoError(t, err) && assert.Len(t, got, 1) {
			assert.True(t, got[0].Value == large, "the value has changed")
		}
	})
	during := 0
	for !over.Load() {
		got, err := fetch(t.Context(), client, server.URL, "small")
		require.NoError(t, err)
		require.Equal(t, "small", got[0].Value.String())
		during++
	}
	wg.Wait()
	require.Greater(t, during, 3, "small answers waited for the large one")
	require.EqualValues(t, 1, statsOf(t, client).Streams)
}

// TestSlowReplyWriter has a caller that takes nothing of a large answer: the
// peer stops sending it, and others get theirs.
func TestSlowReplyWriter(t *testing.T) {
	const replies, each = 1000, 64 << 10
	var written atomic.Int64
	value := gcnode.StringValue(strings.Repeat("v", each))
	server := serve(t, handlerFunc(func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
		if len(req.Keys) == 1 {
			return echo(ctx, req, w)
		}
		for i := range req.Keys {
			if err := w.WriteReply(gcnode.Reply{Key: i, Value: value}); err != nil {
				return err
			}
			written.Add(1)
		}
		return nil
	}), httptransport.HandlerOptions{})
	client := newClient(t, httptransport.ClientOptions{})
	release := make(chan struct{})
	done := make(chan error, 1)
	taken := 0
	go func() {
		done <- client.RoundTrip(t.Context(), gcnode.Peer{ID: "server", Addr: server.URL},
			&gcnode.Request{Op: gcnode.OpFetch, Keys: make([]string, replies)}, writeFunc(func(gcnode.Reply) error {
				<-release
				taken++
				return nil
			}))
	}()
	require.Eventually(t, func() bool { return written.Load() >= wire.Window/each/2 }, patience, time.Millisecond)
	for range 2000 {
		_, err := fetch(t.Context(), client, server.URL, "k")
		require.NoError(t, err)
	}
	require.LessOrEqual(t, written.Load(), int64(2*wire.Window/each), "the peer goes on sending what nobody takes")
	close(release)
	require.NoError(t, <-done)
	require.Equal(t, replies, taken)
}

// TestCancelReachesPeer cancels one of two calls on a stream.
func TestCancelReachesPeer(t *testing.T) {
	started, ended := make(chan string, 2), make(chan string, 2)
	release := make(chan struct{})
	server := serve(t, handlerFunc(func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
		started <- req.Keys[0]
		select {
		case <-ctx.Done():
			ended <- req.Keys[0]
			return ctx.Err()
		case <-release:
			return echo(ctx, req, w)
		}
	}), httptransport.HandlerOptions{})
	client := newClient(t, httptransport.ClientOptions{})
	kept := make(chan error, 1)
	go func() {
		_, err := fetch(t.Context(), client, server.URL, "kept")
		kept <- err
	}()
	<-started
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-started
		cancel()
	}()
	_, err := fetch(ctx, client, server.URL, "dropped")
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, "dropped", <-ended)
	close(release)
	require.NoError(t, <-kept)
	require.EqualValues(t, 1, statsOf(t, client).Streams)
}

// TestAbandonedAnswersAreRead abandons an answer of which the peer is writing
// more than fits into the buffers of the connection.
func TestAbandonedAnswersAreRead(t *testing.T) {
	ended := make(chan error, 1)
	handler := newHandler(t, handlerFunc(func(_ context.Context, _ *gcnode.Request, w gcnode.ReplyWriter) error {
		err := w.WriteReply(gcnode.Reply{Pending: true})
		if err == nil {
			err = w.WriteReply(gcnode.Reply{Value: gcnode.StringValue(strings.Repeat("v", 16<<20))})
		}
		ended <- err
		return err
	}), httptransport.HandlerOptions{WriteTimeout: time.Hour})
	l := listen(t, "127.0.0.1:0")
	blocked := make(chan struct{}, 100)
	server := &http.Server{Handler: handler, ReadHeaderTimeout: patience}
	served := make(chan error, 1)
	go func() { served <- server.Serve(smallBuffers{l, blocked}) }()
	transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if tcp, ok := conn.(*net.TCPConn); ok {
			err = errors.Join(err, tcp.SetReadBuffer(smallBuffer))
		}
		return conn, err
	}}
	client := newClient(t, httptransport.ClientOptions{HTTPClient: &http.Client{Transport: transport}})
	enough := errors.New("enough")
	err := client.RoundTrip(t.Context(), gcnode.Peer{ID: "server", Addr: "http://" + l.Addr().String()},
		&gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"k"}}, writeFunc(func(gcnode.Reply) error {
			<-blocked
			return enough
		}))
	require.ErrorIs(t, err, enough)
	select {
	case err := <-ended:
		require.ErrorContains(t, err, "the peer is gone")
	case <-time.After(patience):
		t.Fatal("the handler is still writing what nobody reads")
	}
	require.NoError(t, server.Close())
	require.ErrorIs(t, <-served, http.ErrServerClosed)
}

const smallBuffer = 8 << 10

// smallBuffers is a listener whose connections hold little of what is written,
// and tell of writes that do not fit.
type smallBuffers struct {
	net.Listener

	blocked chan struct{}
}

func (l smallBuffers) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); ok {
		err = errors.Join(err, tcp.SetWriteBuffer(smallBuffer))
	}
	return smallBuffered{conn, l.blocked}, err
}

type smallBuffered struct {
	net.Conn

	blocked chan struct{}
}

func (c smallBuffered) Write(b []byte) (int, error) {
	if len(b) > 10*smallBuffer {
		c.blocked <- struct{}{}
	}
	return c.Conn.Write(b)
}

// TestRestartBetweenCalls has a peer whose streams end in every way: no call
// fails.
func TestRestartBetweenCalls(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	addr := l.Addr().String()
	client := newClient(t, httptransport.ClientOptions{})
	const lives = 6
	for life := range lives {
		handler := newHandler(t, handlerFunc(echo), httptransport.HandlerOptions{})
		server := &http.Server{Handler: handler, ReadHeaderTimeout: patience}
		done := make(chan error, 1)
		go func() { done <- server.Serve(l) }()
		for range 3 {
			_, err := fetch(t.Context(), client, "http://"+addr, "k")
			require.NoError(t, err, "life %d", life)
		}
		if life%2 == 0 {
			require.NoError(t, server.Shutdown(t.Context()))
			require.NoError(t, handler.Shutdown(t.Context()))
		} else {
			require.NoError(t, server.Close())
			handler.Close()
		}
		require.ErrorIs(t, <-done, http.ErrServerClosed)
		l = listen(t, addr)
	}
	require.NoError(t, l.Close())
	require.EqualValues(t, lives, statsOf(t, client).Streams)
}

// TestFirstCallIsNotRepeated has a peer that dies of a request.
func TestFirstCallIsNotRepeated(t *testing.T) {
	var requests atomic.Int32
	var server *member
	server = serve(t, handlerFunc(func(ctx context.Context, _ *gcnode.Request, _ gcnode.ReplyWriter) error {
		requests.Add(1)
		go server.drop()
		<-ctx.Done()
		return ctx.Err()
	}), httptransport.HandlerOptions{})
	_, err := fetch(t.Context(), newClient(t, httptransport.ClientOptions{}), server.URL, "k")
	require.ErrorIs(t, err, gcnode.ErrUnreachable)
	require.EqualValues(t, 1, requests.Load())
}

func TestClientCloseWaitsForCalls(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	server := serve(t, handlerFunc(func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
		close(started)
		<-release
		return echo(ctx, req, w)
	}), httptransport.HandlerOptions{})
	client := newClient(t, httptransport.ClientOptions{})
	done := make(chan error, 1)
	go func() {
		_, err := fetch(t.Context(), client, server.URL, "k")
		done <- err
	}()
	<-started
	client.Close()
	_, err := fetch(t.Context(), client, server.URL, "k")
	require.ErrorContains(t, err, "the client is closed")
	close(release)
	require.NoError(t, <-done)
	require.Eventually(t, func() bool { return server.handler.Shutdown(t.Context()) == nil }, patience, time.Millisecond)
}

// TestReplyWriterPanics leaves nothing behind on the stream.
func TestReplyWriterPanics(t *testing.T) {
	gone := make(chan struct{})
	server := serve(t, handlerFunc(func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
		if len(req.Keys) == 1 {
			return echo(ctx, req, w)
		}
		err := w.WriteReply(gcnode.Reply{})
		<-ctx.Done()
		close(gone)
		return err
	}), httptransport.HandlerOptions{})
	client := newClient(t, httptransport.ClientOptions{})
	require.Panics(t, func() {
		_ = client.RoundTrip(t.Context(), gcnode.Peer{ID: "server", Addr: server.URL},
			&gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"a", "b"}}, writeFunc(func(gcnode.Reply) error { panic("no") }))
	})
	<-gone
	_, err := fetch(t.Context(), client, server.URL, "k")
	require.NoError(t, err)
	require.EqualValues(t, 1, statsOf(t, client).Streams)
}

// TestStreamMemory abandons many calls in mid-answer: nothing of them stays.
func TestStreamMemory(t *testing.T) {
	value := gcnode.StringValue(strings.Repeat("v", 1<<20))
	server := serve(t, handlerFunc(func(_ context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
		for i := range req.Keys {
			if err := w.WriteReply(gcnode.Reply{Key: i, Value: value}); err != nil {
				return err
			}
		}
		return nil
	}), httptransport.HandlerOptions{})
	client := newClient(t, httptransport.ClientOptions{})
	enough := errors.New("enough")
	abandon := func(n int) {
		for range n {
			err := client.RoundTrip(t.Context(), gcnode.Peer{ID: "server", Addr: server.URL},
				&gcnode.Request{Op: gcnode.OpFetch, Keys: make([]string, 4)}, writeFunc(func(gcnode.Reply) error { return enough }))
			require.ErrorIs(t, err, enough)
		}
	}
	live := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	abandon(5)
	before := live()
	abandon(50)
	require.Less(t, live(), before+16<<20)
	require.EqualValues(t, 1, statsOf(t, client).Streams)
}
