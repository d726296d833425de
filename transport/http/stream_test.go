package httptransport_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
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

// TestClientFallsBack has members that know nothing of streams, or sit behind
// something that does not.
func TestClientFallsBack(t *testing.T) {
	member := newHandler(t, handlerFunc(echo), httptransport.HandlerOptions{})
	tests := map[string]struct {
		handler http.Handler
		problem string
	}{
		"older member": {http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPost {
				http.Error(w, "POST only", http.StatusMethodNotAllowed)
				return
			}
			member.ServeHTTP(w, r)
		}), `the answer to the Upgrade is 405 Method Not Allowed: "POST only"`},
		"proxy that drops the header": {http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("Upgrade")
			member.ServeHTTP(w, r)
		}), "405"},
		"another protocol": {http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				member.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", "websocket")
			w.WriteHeader(http.StatusSwitchingProtocols)
		}), "not upgraded to gcnode.peer.v1"},
		"cut": {http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				member.ServeHTTP(w, r)
				return
			}
			panic(http.ErrAbortHandler)
		}), "EOF"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(test.handler)
			defer server.Close()
			client := newClient(t, httptransport.ClientOptions{})
			for range 3 {
				got, err := fetch(t.Context(), client, server.URL, "k")
				require.NoError(t, err)
				require.Len(t, got, 1)
			}
			stats := statsOf(t, client)
			require.Contains(t, stats.Problem, test.problem)
			stats.Problem = ""
			require.Equal(t, httptransport.PeerStats{Addr: server.URL, Fallbacks: 1, Posts: 3}, stats)
		})
	}
}

// TestClientBehindTimeoutHandler finds out that there are no streams. A plain
// answer cannot be sent as it becomes ready either, which the peer says.
func TestClientBehindTimeoutHandler(t *testing.T) {
	member := newHandler(t, handlerFunc(echo), httptransport.HandlerOptions{})
	server := httptest.NewServer(http.TimeoutHandler(member, patience, "late"))
	defer server.Close()
	client := newClient(t, httptransport.ClientOptions{})
	_, err := fetch(t.Context(), client, server.URL, "k")
	require.ErrorContains(t, err, "feature not supported")
	require.Contains(t, statsOf(t, client).Problem, "501 Not Implemented")
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

// TestClientAsksAgainForStream has a peer that allows streams after a while.
func TestClientAsksAgainForStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var allowed atomic.Bool
		peer := newPiped(t, handlerFunc(echo), func(member http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet && !allowed.Load() {
					http.Error(w, "not yet", http.StatusForbidden)
					return
				}
				member.ServeHTTP(w, r)
			})
		})
		ask := func() httptransport.PeerStats {
			_, err := fetch(t.Context(), peer.client, peer.url, "k")
			require.NoError(t, err)
			synctest.Wait()
			return statsOf(t, peer.client)
		}
		require.False(t, ask().Stream)
		allowed.Store(true)
		require.False(t, ask().Stream)
		time.Sleep(time.Minute)
		got := ask()
		require.EqualValues(t, 3, got.Posts, "a request does not wait for a second attempt")
		require.True(t, got.Stream)
		require.Empty(t, got.Problem)
		require.EqualValues(t, 3, ask().Posts)
		peer.stop()
	})
}

// piped is a member and a client that reach each other in memory, for tests
// with a clock of their own.
type piped struct {
	client  *httptransport.Client
	handler *httptransport.Handler
	url     string
	open    atomic.Int32 // connections at the client
	stop    func()
}

func newPiped(t *testing.T, h gcnode.Handler, wrap func(http.Handler) http.Handler) *piped {
	t.Helper()
	p := &piped{url: "http://peer/"}
	var err error
	p.handler, err = httptransport.NewHandler(h, httptransport.HandlerOptions{})
	require.NoError(t, err)
	conns := newPipes()
	server := &http.Server{Handler: wrap(p.handler)}
	served := make(chan error, 1)
	go func() { served <- server.Serve(conns) }()
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		p.open.Add(1)
		return &closing{Conn: conns.dial(), closed: func() { p.open.Add(-1) }}, nil
	}}
	p.client, err = httptransport.NewClient(httptransport.ClientOptions{HTTPClient: &http.Client{Transport: transport}})
	require.NoError(t, err)
	p.stop = func() {
		p.client.Close()
		transport.CloseIdleConnections()
		require.NoError(t, server.Close())
		p.handler.Close()
		require.ErrorIs(t, <-served, http.ErrServerClosed)
	}
	return p
}

// closing is a connection that tells when it is closed.
type closing struct {
	net.Conn

	once   sync.Once
	closed func()
}

func (c *closing) Close() error {
	c.once.Do(c.closed)
	return c.Conn.Close()
}

func unchanged(h http.Handler) http.Handler { return h }

func TestClientClosesIdleStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := newPiped(t, handlerFunc(echo), unchanged)
		for range 2 {
			for range 5 { // it is in use
				_, err := fetch(t.Context(), peer.client, peer.url, "k")
				require.NoError(t, err)
				time.Sleep(time.Minute)
				synctest.Wait()
				require.EqualValues(t, 1, peer.open.Load())
			}
			time.Sleep(3 * time.Minute)
			synctest.Wait()
			require.Zero(t, peer.open.Load())
			require.False(t, statsOf(t, peer.client).Stream)
		}
		require.EqualValues(t, 2, statsOf(t, peer.client).Streams)
		peer.stop()
	})
}

// TestClientKeepsBusyStream has an answer that takes long.
func TestClientKeepsBusyStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := newPiped(t, handlerFunc(func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
			select {
			case <-time.After(time.Hour):
				return echo(ctx, req, w)
			case <-ctx.Done():
				return ctx.Err()
			}
		}), unchanged)
		got, err := fetch(t.Context(), peer.client, peer.url, "k")
		require.NoError(t, err)
		require.Len(t, got, 1)
		require.Zero(t, statsOf(t, peer.client).Posts)
		peer.stop()
	})
}

// TestClientLeavesSilentStream has a connection on which nothing arrives any
// more, though it is not broken.
func TestClientLeavesSilentStream(t *testing.T) {
	var dead atomic.Bool
	server := serve(t, handlerFunc(func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
		if dead.CompareAndSwap(true, false) {
			<-ctx.Done()
			return ctx.Err()
		}
		return echo(ctx, req, w)
	}), httptransport.HandlerOptions{})
	client := newClient(t, httptransport.ClientOptions{})
	_, err := fetch(t.Context(), client, server.URL, "k")
	require.NoError(t, err)
	for _, wait := range []time.Duration{10 * time.Millisecond, 300 * time.Millisecond} {
		dead.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		_, err = fetch(ctx, client, server.URL, "k")
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, wait < 100*time.Millisecond, statsOf(t, client).Stream, "after %v", wait)
	}
	_, err = fetch(t.Context(), client, server.URL, "k")
	require.NoError(t, err)
	require.EqualValues(t, 2, statsOf(t, client).Streams)
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

// badPeer accepts streams and does what the test says.
func badPeer(t *testing.T, behave func(conn net.Conn, calls *wire.MessageReader) error) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			http.Error(w, "no plain requests", http.StatusBadRequest)
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("hijack: %v", err)
			return
		}
		defer conn.Close()
		_, err = fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: gcnode.peer.v1\r\n\r\n")
		if err == nil {
			err = behave(conn, wire.NewMessageReader(conn, wire.MaxCallBytes))
		}
		if err != nil {
			t.Errorf("the bad peer: %v", err)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestClientRefusesReturns has peers that break the rules of streams.
func TestClientRefusesReturns(t *testing.T) {
	reply := func(exchange uint64, r gcnode.Reply) string {
		out, err := wire.AppendReply(nil, exchange, &r)
		require.NoError(t, err)
		return string(out.Head) + out.Data
	}
	one := reply(1, gcnode.Reply{Value: gcnode.StringValue("v")})
	end := string(wire.AppendEnd(nil, 1, nil))
	tests := map[string]struct{ answer, says string }{
		"garbage":             {"\x05hello", "malformed"},
		"HTTP":                {"HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n", "malformed"},
		"too large":           {"\xff\xff\xff\x7f", "a message of"},
		"end of connection":   {"", "EOF"},
		"half a message":      {one[:len(one)-1], "unexpected EOF"},
		"a second reply":      {one + one + end, "a second reply to key 0"},
		"another key":         {reply(1, gcnode.Reply{Key: 1}) + end, "key 1, which was not asked for"},
		"a piece of nothing":  {string(wire.AppendPiece(nil, 1, "v").Head) + "v" + end, "without its beginning"},
		"an answer of others": {reply(2, gcnode.Reply{}) + string(wire.AppendEnd(nil, 3, nil)), "EOF"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			addr := badPeer(t, func(conn net.Conn, calls *wire.MessageReader) error {
				_, err := calls.Next()
				if err == nil {
					_, err = fmt.Fprint(conn, test.answer)
				}
				if err == nil && !strings.Contains(test.says, "EOF") {
					for err == nil { // until the client is done
						_, err = calls.Next()
					}
					err = nil
				}
				return err
			})
			_, err := fetch(t.Context(), newClient(t, httptransport.ClientOptions{}), addr, "k")
			require.ErrorIs(t, err, gcnode.ErrUnreachable)
			require.ErrorContains(t, err, test.says)
		})
	}
}

// TestClientStopsPeerThatSendsTooMuch has one that goes on without credit while
// another call lets the connection be read.
func TestClientStopsPeerThatSendsTooMuch(t *testing.T) {
	cancelled, begun := make(chan struct{}), make(chan struct{}, 2)
	addr := badPeer(t, func(conn net.Conn, calls *wire.MessageReader) error {
		for range 2 {
			if _, err := calls.Next(); err != nil {
				return err
			}
			begun <- struct{}{}
		}
		out, err := wire.AppendReply(nil, 1, &gcnode.Reply{Pending: true})
		if err != nil {
			return err
		}
		if _, err := conn.Write([]byte(strings.Repeat(string(out.Head), wire.Window/wire.Cost(0)+2))); err != nil {
			return err
		}
		b, err := calls.Next()
		if err != nil {
			return err
		}
		call, err := wire.DecodeCall(b)
		if err != nil || call.Exchange != 1 || !call.Cancel {
			return fmt.Errorf("got %+v and %w instead of a cancel", call, err)
		}
		close(cancelled)
		_, err = conn.Write(wire.AppendEnd(nil, 2, nil))
		return err
	})
	client := newClient(t, httptransport.ClientOptions{})
	var wg sync.WaitGroup
	wg.Go(func() {
		<-begun
		_, err := fetch(t.Context(), client, addr, "k")
		assert.NoError(t, err, "the stream is broken for others")
	})
	err := client.RoundTrip(t.Context(), gcnode.Peer{ID: "server", Addr: addr},
		&gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"k"}}, writeFunc(func(gcnode.Reply) error {
			<-cancelled
			return nil
		}))
	require.ErrorIs(t, err, gcnode.ErrUnreachable)
	require.ErrorContains(t, err, "more of an answer than it may")
	wg.Wait()
}

// TestClientIgnoresTheUnknown has a peer of a newer version.
func TestClientIgnoresTheUnknown(t *testing.T) {
	addr := badPeer(t, func(conn net.Conn, calls *wire.MessageReader) error {
		for {
			b, err := calls.Next()
			if err != nil {
				return nil //nolint:nilerr // the client is done
			}
			call, err := wire.DecodeCall(b)
			if err != nil {
				return err
			}
			if call.Request == nil {
				continue
			}
			answer := []byte("\x00\x03\x9a\x3f\x00\x05\x08\x01\x9a\x3f\x00")
			answer = wire.AppendEnd(answer, 1_000_000, nil)
			out, err := wire.AppendReply(answer, call.Exchange, &gcnode.Reply{Value: gcnode.StringValue("v")})
			if err != nil {
				return err
			}
			answer = wire.AppendEnd(append(out.Head, out.Data...), call.Exchange, nil)
			if _, err := conn.Write(answer); err != nil {
				return err
			}
		}
	})
	client := newClient(t, httptransport.ClientOptions{})
	for range 3 {
		got, err := fetch(t.Context(), client, addr, "k")
		require.NoError(t, err)
		require.Equal(t, "v", got[0].Value.String())
	}
	require.EqualValues(t, 1, statsOf(t, client).Streams)
}

// TestPeerThatDoesNotReadYet has requests stuck on their way: callers may leave
// nevertheless, and what is left arrives unharmed.
func TestPeerThatDoesNotReadYet(t *testing.T) {
	const calls = 100
	release := make(chan struct{})
	addr := badPeer(t, func(conn net.Conn, calls *wire.MessageReader) error {
		<-release
		for {
			b, err := calls.Next()
			if err != nil {
				return nil //nolint:nilerr // the client is done
			}
			call, err := wire.DecodeCall(b)
			if err != nil {
				return err
			}
			if call.Request == nil {
				continue
			}
			req, err := wire.DecodeRequest(call.Request)
			if err != nil {
				return err
			}
			out, err := wire.AppendReply(nil, call.Exchange, &gcnode.Reply{Value: gcnode.StringValue(req.Group)})
			if err != nil {
				return err
			}
			if _, err := conn.Write(wire.AppendEnd(append(out.Head, out.Data...), call.Exchange, nil)); err != nil {
				return err
			}
		}
	})
	client := newClient(t, httptransport.ClientOptions{})
	ask := func(ctx context.Context, group string) (string, error) {
		var got collect
		err := client.RoundTrip(ctx, gcnode.Peer{ID: "server", Addr: addr},
			&gcnode.Request{Op: gcnode.OpFetch, Group: group, Keys: slices.Repeat([]string{strings.Repeat(group, 10_000)}, 8)}, &got)
		if len(got.replies) == 0 {
			return "", err
		}
		return got.replies[0].Value.String(), err
	}
	var stay, leave sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for range calls { // more than the connection holds
		leave.Go(func() {
			_, err := ask(ctx, "bye")
			assert.ErrorIs(t, err, context.Canceled)
		})
	}
	time.AfterFunc(200*time.Millisecond, cancel)
	leave.Wait()
	for i := range calls {
		stay.Go(func() {
			group := fmt.Sprintf("%03d", i)
			got, err := ask(t.Context(), group)
			assert.NoError(t, err)
			assert.Equal(t, group, got)
		})
	}
	close(release)
	stay.Wait()
	require.EqualValues(t, 1, statsOf(t, client).Streams)
}

// TestClientGoesAway is told to begin nothing more, and finishes what it has.
func TestClientGoesAway(t *testing.T) {
	var streams atomic.Int32
	release := make(chan struct{})
	addr := badPeer(t, func(conn net.Conn, calls *wire.MessageReader) error {
		first := streams.Add(1) == 1
		for {
			b, err := calls.Next()
			if err != nil {
				return nil //nolint:nilerr // the client has closed the stream
			}
			call, err := wire.DecodeCall(b)
			if err != nil {
				return err
			}
			if first {
				if _, err := conn.Write(wire.AppendGoAway(nil)); err != nil {
					return err
				}
				<-release
			}
			if _, err := conn.Write(wire.AppendEnd(nil, call.Exchange, nil)); err != nil {
				return err
			}
		}
	})
	client := newClient(t, httptransport.ClientOptions{})
	done := make(chan error, 1)
	go func() {
		_, err := fetch(t.Context(), client, addr, "k")
		done <- err
	}()
	require.Eventually(t, func() bool {
		stats := client.Stats()
		return len(stats.Peers) == 1 && stats.Peers[0].Streams == 1 && !stats.Peers[0].Stream
	}, patience, time.Millisecond)
	_, err := fetch(t.Context(), client, addr, "k")
	require.NoError(t, err)
	close(release)
	require.NoError(t, <-done)
	require.EqualValues(t, 2, streams.Load())
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
