package httptransport_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
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
		"another key's work":  {reply(1, gcnode.Reply{Key: 1, Pending: true}) + one + end, "key 1, which was not asked for"},
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
			// The client may have given up a connection on which it heard nothing.
			_, _ = conn.Write(wire.AppendEnd(append(out.Head, out.Data...), call.Exchange, nil))
		}
	})
	client := newClient(t, httptransport.ClientOptions{DialTimeout: patience})
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
	begun := time.Now()
	time.AfterFunc(200*time.Millisecond, cancel)
	leave.Wait()
	require.Less(t, time.Since(begun), 20*time.Second, "callers wait for the connection")
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
