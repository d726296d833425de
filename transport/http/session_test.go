package httptransport_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	httptransport "github.com/gcnode/gcnode/transport/http"
	"github.com/gcnode/gcnode/transport/wire"
)

const upgrade = "GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: gcnode.peer.v1\r\n\r\n"

// accepted reads the answer to an Upgrade, and returns what follows.
func accepted(t *testing.T, conn net.Conn) *bufio.Reader {
	t.Helper()
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
	require.Equal(t, "gcnode.peer.v1", resp.Header.Get("Upgrade"))
	return in
}

// openStream is a stream of a bare connection.
func openStream(t *testing.T, m *member) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn := dial(t, m.Listener.Addr())
	_, err := io.WriteString(conn, upgrade)
	require.NoError(t, err)
	return conn, accepted(t, conn)
}

// callFor is the message that begins an exchange.
func callFor(t *testing.T, id uint64, req *gcnode.Request) []byte {
	t.Helper()
	request, err := wire.AppendRequest(nil, req)
	require.NoError(t, err)
	return wire.AppendCallRequest(nil, id, request)
}

// nextReturn reads a message of the member.
func nextReturn(t *testing.T, in *wire.MessageReader) wire.Return {
	t.Helper()
	b, err := in.Next()
	require.NoError(t, err)
	r, err := wire.DecodeReturn(b)
	require.NoError(t, err)
	return r
}

// TestHandlerTakesEarlyMessages sends requests before the Upgrade is accepted,
// and several at once.
func TestHandlerTakesEarlyMessages(t *testing.T) {
	server := serve(t, handlerFunc(echo), httptransport.HandlerOptions{})
	conn := dial(t, server.Listener.Addr())
	fetch := &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"k"}}
	early := append([]byte(upgrade), callFor(t, 1, fetch)...)
	early = append(early, 0, 3, 0x9a, 0x3f, 0) // what is unknown
	early = wire.AppendCallCancel(early, 99)
	early = wire.AppendCallCredit(early, 99, 1<<63)
	_, err := conn.Write(append(early, callFor(t, 7, fetch)...))
	require.NoError(t, err)
	in := wire.NewMessageReader(accepted(t, conn), wire.MaxReturnBytes)
	ends := map[uint64]int{}
	for range 4 {
		ends[nextReturn(t, in).Exchange]++
	}
	require.Equal(t, map[uint64]int{1: 2, 7: 2}, ends)
}

// TestHandlerSurvivesGarbageOnStream breaks streams, while others go on.
func TestHandlerSurvivesGarbageOnStream(t *testing.T) {
	server := serve(t, handlerFunc(echo), httptransport.HandlerOptions{})
	client := newClient(t, httptransport.ClientOptions{})
	_, err := fetch(t.Context(), client, server.URL, "k")
	require.NoError(t, err)
	fetchOne := callFor(t, 1, &gcnode.Request{Op: gcnode.OpFetch})
	request, err := wire.AppendRequest(nil, &gcnode.Request{Op: gcnode.OpSet})
	require.NoError(t, err)
	inPieces := append(request, 0x78, 0x05) // value_bytes
	for name, garbage := range map[string]string{
		"no protobuf":    "\x05hello",
		"HTTP":           "GET / HTTP/1.1\r\nHost: x\r\n\r\n" + strings.Repeat("x", 100),
		"too large":      "\xff\xff\xff\x7f",
		"no request":     string(wire.AppendCallRequest(nil, 1, []byte("\x05hello"))),
		"same number":    string(fetchOne) + string(fetchOne),
		"no number":      string(wire.AppendCallRequest(nil, 0, request)),
		"value in parts": string(wire.AppendCallRequest(nil, 1, inPieces)),
	} {
		t.Run(name, func(t *testing.T) {
			conn, in := openStream(t, server)
			_, err := io.WriteString(conn, garbage)
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, in)
			if err != nil { // the member had not read all of it
				require.ErrorContains(t, err, "reset")
			}
		})
	}
	_, err = fetch(t.Context(), client, server.URL, "k")
	require.NoError(t, err)
	require.EqualValues(t, 1, statsOf(t, client).Streams)
}

// TestHandlerRefusesOnStream answers what it does not begin.
func TestHandlerRefusesOnStream(t *testing.T) {
	server := serve(t, handlerFunc(echo), httptransport.HandlerOptions{})
	conn, in := openStream(t, server)
	unknown := wire.AppendCallRequest(nil, 1, []byte("\x08\x63"))
	large := wire.AppendCallRequest(unknown, 2, []byte("\x08\x01"+strings.Repeat("\x2a\x00", 15_000)))
	_, err := conn.Write(large)
	require.NoError(t, err)
	returns := wire.NewMessageReader(in, wire.MaxReturnBytes)
	for _, want := range []error{gcnode.ErrUnsupported, gcnode.ErrTooLarge} {
		var replies wire.Collector
		_, _, err := replies.Add(nextReturn(t, returns).Frame)
		require.ErrorIs(t, err, want)
		require.ErrorContains(t, err, "refused")
	}
}

// TestHandlerGivesUpSlowMessage sends the beginning of a message and no more.
func TestHandlerGivesUpSlowMessage(t *testing.T) {
	server := serve(t, handlerFunc(echo), httptransport.HandlerOptions{BodyTimeout: 50 * time.Millisecond})
	conn, in := openStream(t, server)
	whole := callFor(t, 1, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"k"}})
	_, err := conn.Write(append(whole, 0x63))
	require.NoError(t, err)
	data, err := io.ReadAll(in)
	require.NoError(t, err)
	require.NotEmpty(t, data, "the message before it was answered")
}

// TestHandlerGivesUpSlowReaderOfStream has a peer that asks, gives credit, and
// reads nothing.
func TestHandlerGivesUpSlowReaderOfStream(t *testing.T) {
	failed := make(chan error, 1)
	server := serve(t, handlerFunc(func(_ context.Context, _ *gcnode.Request, w gcnode.ReplyWriter) error {
		err := w.WriteReply(gcnode.Reply{Value: gcnode.StringValue(strings.Repeat("x", gcnode.MaxValueBytes))})
		failed <- err
		return err
	}), httptransport.HandlerOptions{WriteTimeout: 50 * time.Millisecond})
	conn, _ := openStream(t, server)
	call := callFor(t, 1, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"k"}})
	_, err := conn.Write(wire.AppendCallCredit(call, 1, 1<<30))
	require.NoError(t, err)
	select {
	case err := <-failed:
		require.Error(t, err)
	case <-time.After(patience):
		t.Fatal("the handler is still writing")
	}
}

// TestHandlerStopsWithoutCredit has a peer that reads, but gives no credit.
func TestHandlerStopsWithoutCredit(t *testing.T) {
	server := serve(t, handlerFunc(func(_ context.Context, _ *gcnode.Request, w gcnode.ReplyWriter) error {
		return w.WriteReply(gcnode.Reply{Value: gcnode.StringValue(strings.Repeat("x", 4<<20))})
	}), httptransport.HandlerOptions{})
	conn, in := openStream(t, server)
	_, err := conn.Write(callFor(t, 1, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"k"}}))
	require.NoError(t, err)
	returns := wire.NewMessageReader(in, wire.MaxReturnBytes)
	var replies wire.Collector
	pieces := 0
	read := func() (complete bool) {
		r := nextReturn(t, returns)
		_, complete, err := replies.Add(r.Frame)
		require.NoError(t, err)
		pieces++
		return complete
	}
	for range wire.Window / wire.PieceBytes {
		require.False(t, read())
	}
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
	_, err = returns.Next()
	require.ErrorContains(t, err, "timeout")
	require.NoError(t, conn.SetReadDeadline(time.Time{}))
	_, err = conn.Write(wire.AppendCallCredit(nil, 1, 4<<20))
	require.NoError(t, err)
	for !read() {
	}
	require.Equal(t, 16, pieces)
}

// TestHandlerGivesUpAnswersWithoutCredit has a peer that reads, and gives no credit
// for as long as it may take to receive something: its request ends, and leaves its
// place to others.
func TestHandlerGivesUpAnswersWithoutCredit(t *testing.T) {
	failed := make(chan error, 1)
	server := serve(t, handlerFunc(func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
		if req.Keys[0] != "large" {
			return echo(ctx, req, w)
		}
		err := w.WriteReply(gcnode.Reply{Value: gcnode.StringValue(strings.Repeat("x", 4<<20))})
		failed <- err
		return err
	}), httptransport.HandlerOptions{MaxConcurrent: 1, WriteTimeout: 100 * time.Millisecond})
	conn, in := openStream(t, server)
	_, err := conn.Write(callFor(t, 1, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"large"}}))
	require.NoError(t, err)
	returns := wire.NewMessageReader(in, wire.MaxReturnBytes)
	var replies wire.Collector
	for err == nil {
		_, _, err = replies.Add(nextReturn(t, returns).Frame)
	}
	var said *wire.EndError
	require.ErrorAs(t, err, &said)
	require.False(t, said.Refused)
	require.ErrorIs(t, err, gcnode.ErrTimeout)
	require.ErrorContains(t, err, "took nothing more of the answer for 100ms")
	require.ErrorIs(t, <-failed, gcnode.ErrTimeout)

	_, err = conn.Write(callFor(t, 2, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"k"}}))
	require.NoError(t, err)
	r, _, err := new(wire.Collector).Add(nextReturn(t, returns).Frame)
	require.NoError(t, err)
	require.Equal(t, "k", r.Value.String())
}

// TestHandlerServesNobodyWhoDoesNotRead sends requests for ever and takes no
// answer: the member stops reading them, and then gives the stream up.
func TestHandlerServesNobodyWhoDoesNotRead(t *testing.T) {
	var served atomic.Int64
	server := serve(t, handlerFunc(func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
		served.Add(1)
		return echo(ctx, req, w)
	}), httptransport.HandlerOptions{WriteTimeout: time.Second})
	conn, _ := openStream(t, server)
	key := strings.Repeat("k", 10_000)
	var err error
	for id := uint64(1); err == nil; id++ {
		_, err = conn.Write(callFor(t, id, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{key}}))
	}
	require.Less(t, served.Load(), int64(3000), "answers are collected that nobody takes")
}

// TestHandlerClosesIdleStream needs no help of the client's, and the deadlines
// of the server are not those of the stream.
func TestHandlerClosesIdleStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, err := httptransport.NewHandler(handlerFunc(echo), httptransport.HandlerOptions{})
		require.NoError(t, err)
		conns := newPipes()
		server := &http.Server{Handler: handler, ReadTimeout: time.Minute, WriteTimeout: time.Minute}
		served := make(chan error, 1)
		go func() { served <- server.Serve(conns) }()
		conn := conns.dial()
		_, err = io.WriteString(conn, upgrade)
		require.NoError(t, err)
		in := wire.NewMessageReader(accepted(t, conn), wire.MaxReturnBytes)
		for id := range uint64(5) {
			time.Sleep(2 * time.Minute)
			_, err = conn.Write(callFor(t, id+1, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"k"}}))
			require.NoError(t, err)
			nextReturn(t, in)
			nextReturn(t, in)
		}
		begun := time.Now()
		_, err = in.Next()
		require.ErrorIs(t, err, io.EOF)
		require.InDelta(t, 5, time.Since(begun).Minutes(), 2)
		require.NoError(t, server.Close())
		handler.Close()
		require.ErrorIs(t, <-served, http.ErrServerClosed)
	})
}

// TestHandlerShutdown finishes what is under way, and closes what is idle.
func TestHandlerShutdown(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	server := serve(t, handlerFunc(func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
		if req.Keys[0] == "slow" {
			close(started)
			<-release
		}
		return echo(ctx, req, w)
	}), httptransport.HandlerOptions{})
	idle, busy := newClient(t, httptransport.ClientOptions{}), newClient(t, httptransport.ClientOptions{})
	_, err := fetch(t.Context(), idle, server.URL, "k")
	require.NoError(t, err)
	_, idleConn := openStream(t, server)
	answered := make(chan error, 1)
	go func() {
		_, err := fetch(t.Context(), busy, server.URL, "slow")
		answered <- err
	}()
	<-started
	var down atomic.Bool
	shut := make(chan error, 1)
	go func() {
		err := server.handler.Shutdown(t.Context())
		down.Store(true)
		shut <- err
	}()
	require.True(t, nextReturn(t, wire.NewMessageReader(idleConn, wire.MaxReturnBytes)).GoAway)
	_, err = idleConn.ReadByte()
	require.ErrorIs(t, err, io.EOF, "the stream is idle")
	require.Eventually(t, func() bool { return !statsOf(t, busy).Stream }, patience, time.Millisecond)
	require.False(t, down.Load(), "a request is still running")
	require.Eventually(t, func() bool {
		_, err = fetch(t.Context(), idle, server.URL, "k")
		require.NoError(t, err, "what is no stream is still answered")
		return strings.Contains(statsOf(t, idle).Problem, "shutting down")
	}, patience, time.Millisecond)
	close(release)
	require.NoError(t, <-answered)
	require.NoError(t, <-shut)
	require.NoError(t, server.handler.Shutdown(t.Context()))
}

// TestHandlerShutdownGivesUp has a request that does not end.
func TestHandlerShutdownGivesUp(t *testing.T) {
	started := make(chan struct{})
	server := serve(t, handlerFunc(func(ctx context.Context, _ *gcnode.Request, _ gcnode.ReplyWriter) error {
		close(started)
		<-ctx.Done()
		return ctx.Err()
	}), httptransport.HandlerOptions{})
	answered := make(chan error, 1)
	client := newClient(t, httptransport.ClientOptions{})
	go func() {
		_, err := fetch(t.Context(), client, server.URL, "k")
		answered <- err
	}()
	<-started
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err := server.handler.Shutdown(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "1 requests were still running")
	require.Error(t, <-answered)
}

// TestHandlerSharesWrites counts them: one for a reply and the end, and few for
// many answers that become ready while one is being written.
func TestHandlerSharesWrites(t *testing.T) {
	const calls = 100
	var writes, waiting atomic.Int32
	var slow atomic.Bool
	release := make(chan struct{})
	handler := newHandler(t, handlerFunc(func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
		if req.Keys[0] == "wait" {
			waiting.Add(1)
			<-release
		}
		return echo(ctx, req, w)
	}), httptransport.HandlerOptions{})
	l := listen(t, "127.0.0.1:0")
	server := &http.Server{Handler: handler, ReadHeaderTimeout: patience}
	done := make(chan error, 1)
	go func() { done <- server.Serve(counting{l, &writes, &slow}) }()
	client, addr := newClient(t, httptransport.ClientOptions{}), "http://"+l.Addr().String()
	for i := range int32(10) {
		_, err := fetch(t.Context(), client, addr, "k")
		require.NoError(t, err)
		require.Equal(t, 1+i+1, writes.Load(), "the Upgrade, and one for each answer")
	}
	answered := make(chan error, calls)
	for range calls {
		go func() {
			_, err := fetch(t.Context(), client, addr, "wait")
			answered <- err
		}()
	}
	require.Eventually(t, func() bool { return waiting.Load() == calls }, patience, time.Millisecond)
	before := writes.Load()
	slow.Store(true)
	close(release)
	for range calls {
		require.NoError(t, <-answered)
	}
	require.Less(t, writes.Load()-before, int32(calls/2))
	require.NoError(t, server.Close())
	require.ErrorIs(t, <-done, http.ErrServerClosed)
}

// counting is a listener whose connections count their writes, and take a while
// for each if they are slow.
type counting struct {
	net.Listener

	writes *atomic.Int32
	slow   *atomic.Bool
}

func (c counting) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, fmt.Errorf("accept: %w", err)
	}
	return countingConn{conn, c.writes, c.slow}, nil
}

type countingConn struct {
	net.Conn

	writes *atomic.Int32
	slow   *atomic.Bool
}

func (c countingConn) Write(b []byte) (int, error) {
	c.writes.Add(1)
	if c.slow.Load() {
		time.Sleep(10 * time.Millisecond)
	}
	return c.Conn.Write(b)
}
