package httptransport_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	httptransport "github.com/gcnode/gcnode/transport/http"
	"github.com/gcnode/gcnode/transport/wire"
)

// The rules of docs/protocol.md for members of other versions, over sockets.

// unknown is a field that no version has yet.
const unknown = "\x9a\x3f\x06future"

// newerRequest is a fetch with fields that are not known here.
func newerRequest(t *testing.T, keys ...string) []byte {
	t.Helper()
	request, err := wire.AppendRequest(nil, &gcnode.Request{Op: gcnode.OpFetch, Keys: keys})
	require.NoError(t, err)
	return append(append([]byte(unknown), request...), unknown...)
}

// delimited is a message after its length.
func delimited(message []byte) []byte {
	var b bytes.Buffer
	for n := len(message); ; n >>= 7 {
		if n < 0x80 {
			b.WriteByte(byte(n))
			break
		}
		b.WriteByte(byte(n) | 0x80)
	}
	b.Write(message)
	return b.Bytes()
}

// postOn sends a body over a connection that stays open, and reads the answer.
func postOn(t *testing.T, conn net.Conn, in *bufio.Reader, contentType string, body []byte) (status int, answer string) {
	t.Helper()
	_, err := fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", contentType, len(body), body)
	require.NoError(t, err)
	resp, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode, string(text)
}

// TestUnknownOperationLeavesTheConnection refuses it, with all pieces of its
// value, and answers what comes next.
func TestUnknownOperationLeavesTheConnection(t *testing.T) {
	server := serve(t, handlerFunc(echo), httptransport.HandlerOptions{})
	conn := dial(t, server.Listener.Addr())
	in := bufio.NewReader(conn)
	large := []byte(encode(t, &gcnode.Request{Op: gcnode.OpSet, Keys: []string{"k"}, Value: gcnode.StringValue(strings.Repeat("v", 2<<20))}))
	at := bytes.Index(large, []byte{0x08, byte(gcnode.OpSet)})
	large[at+1] = 99
	for range 2 {
		status, answer := postOn(t, conn, in, contentType, large)
		require.Equal(t, http.StatusOK, status)
		_, err := wire.NewReader(strings.NewReader(answer)).ReadReply()
		require.ErrorIs(t, err, gcnode.ErrUnsupported)
		status, answer = postOn(t, conn, in, contentType, delimited(newerRequest(t, "k")))
		require.Equal(t, http.StatusOK, status)
		r, err := wire.NewReader(strings.NewReader(answer)).ReadReply()
		require.NoError(t, err)
		require.Equal(t, "k", r.Value.String())
	}
}

func TestUnknownOperationLeavesTheStream(t *testing.T) {
	server := serve(t, handlerFunc(echo), httptransport.HandlerOptions{})
	conn, in := openStream(t, server)
	returns := wire.NewMessageReader(in, wire.MaxReturnBytes)
	for id := uint64(1); id < 6; id += 2 {
		calls := wire.AppendCallRequest(nil, id, []byte("\x08\x63"+unknown))
		_, err := conn.Write(wire.AppendCallRequest(calls, id+1, newerRequest(t, "k")))
		require.NoError(t, err)
		answers := map[uint64]*wire.Collector{id: {}, id + 1: {}}
		for len(answers) > 0 {
			r := nextReturn(t, returns)
			reply, complete, err := answers[r.Exchange].Add(r.Frame)
			switch {
			case r.Exchange == id:
				require.ErrorIs(t, err, gcnode.ErrUnsupported)
				delete(answers, id)
			case complete:
				require.Equal(t, "k", reply.Value.String())
			default:
				require.ErrorIs(t, err, io.EOF)
				delete(answers, id+1)
			}
		}
	}
}

// TestAnswerOfNewerMember has one that sends frames and fields that are not
// known here, and says more with its content type.
func TestAnswerOfNewerMember(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			http.Error(w, "no streams", http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Type", contentType+"; minor=7")
		reply := "\x0a" + string(delimited([]byte(unknown+"\x7a\x01v"))) + unknown
		_, _ = w.Write(delimited([]byte(unknown)))
		_, _ = w.Write(delimited([]byte(reply)))
		_, _ = w.Write(delimited(nil))
		_, _ = w.Write(delimited([]byte("\x22" + string(delimited([]byte(unknown))))))
	}))
	defer server.Close()
	got, err := fetch(t.Context(), newClient(t, httptransport.ClientOptions{}), server.URL, "k")
	require.NoError(t, err)
	require.Equal(t, []gcnode.Reply{{Value: gcnode.StringValue("v")}}, got)
}

// TestContentTypesOfOtherVersions are refused in both directions; what they
// have beside is not looked at.
func TestContentTypesOfOtherVersions(t *testing.T) {
	const v2 = "application/vnd.gcnode.peer.v2"
	member := serve(t, handlerFunc(echo), httptransport.HandlerOptions{})
	conn := dial(t, member.Listener.Addr())
	in := bufio.NewReader(conn)
	body := delimited(newerRequest(t, "k"))
	for with, want := range map[string]int{
		contentType + "; minor=7": http.StatusOK, v2: http.StatusUnsupportedMediaType, contentType + "x": http.StatusUnsupportedMediaType,
	} {
		status, text := postOn(t, conn, in, with, body)
		require.Equal(t, want, status, "%s: %s", with, text)
	}
	newer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Content-Type") != v2 {
			http.Error(w, "only v2", http.StatusUnsupportedMediaType)
			return
		}
		t.Error("a request of v2 was sent")
	}))
	defer newer.Close()
	answersV2 := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", v2)
		_ = wire.NewWriter(w).WriteEnd(nil)
	}))
	defer answersV2.Close()
	for url, says := range map[string]string{newer.URL: "only v2", answersV2.URL: v2} {
		_, err := fetch(t.Context(), newClient(t, httptransport.ClientOptions{}), url, "k")
		require.ErrorIs(t, err, gcnode.ErrUnreachable)
		require.ErrorContains(t, err, says)
	}
}

// TestUpgradesOfOtherVersions are left alone, unless ours is offered beside.
func TestUpgradesOfOtherVersions(t *testing.T) {
	server := serve(t, handlerFunc(echo), httptransport.HandlerOptions{})
	ask := func(conn net.Conn, in *bufio.Reader, header string) (status int, protocol string) {
		_, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", header)
		require.NoError(t, err)
		resp, err := http.ReadResponse(in, nil)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode, resp.Header.Get("Upgrade")
	}
	conn := dial(t, server.Listener.Addr())
	in := bufio.NewReader(conn)
	for _, header := range []string{
		"Connection: Upgrade\r\nUpgrade: gcnode.peer.v2", "Connection: Upgrade\r\nUpgrade: websocket, h2c",
		"Upgrade: gcnode.peer.v1", "Connection: Upgrade", "Connection: Upgrade\r\nUpgrade: gcnode.peer.v1x",
	} {
		status, _ := ask(conn, in, header)
		require.Equal(t, http.StatusMethodNotAllowed, status, header)
	}
	status, _ := postOn(t, conn, in, contentType, delimited(newerRequest(t, "k")))
	require.Equal(t, http.StatusOK, status, "the connection is as it was")
	for _, header := range []string{
		"Connection: keep-alive, upgrade\r\nUpgrade: gcnode.peer.v2, gcnode.peer.v1", "Connection: Upgrade\r\nUpgrade: x\r\nUpgrade: GCNODE.PEER.V1",
	} {
		conn := dial(t, server.Listener.Addr())
		status, protocol := ask(conn, bufio.NewReader(conn), header)
		require.Equal(t, http.StatusSwitchingProtocols, status, header)
		require.Equal(t, "gcnode.peer.v1", protocol)
	}
}

// TestAnUpgradeIsOfHTTP11AndHasNoBody refuses what would be understood differently
// on the way: HTTP/1.0 has no Upgrade, and what follows it is the stream.
func TestAnUpgradeIsOfHTTP11AndHasNoBody(t *testing.T) {
	server := serve(t, handlerFunc(echo), httptransport.HandlerOptions{})
	for name, request := range map[string]string{
		"HTTP/1.0": strings.Replace(upgrade, "HTTP/1.1", "HTTP/1.0", 1),
		"a body":   strings.Replace(upgrade, "Host: x\r\n", "Host: x\r\nContent-Length: 4\r\n", 1) + "body",
		"chunks":   strings.Replace(upgrade, "Host: x\r\n", "Host: x\r\nTransfer-Encoding: chunked\r\n", 1) + "0\r\n\r\n",
	} {
		conn := dial(t, server.Listener.Addr())
		_, err := io.WriteString(conn, request)
		require.NoError(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		_ = resp.Body.Close()
		require.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode, name)
	}
}

// TestClientFallsBackFromOtherVersions has members that answer an Upgrade with
// another protocol, or ask for one.
func TestClientFallsBackFromOtherVersions(t *testing.T) {
	member := newHandler(t, handlerFunc(echo), httptransport.HandlerOptions{})
	for status, says := range map[int]string{
		http.StatusSwitchingProtocols: "not upgraded to gcnode.peer.v1", http.StatusUpgradeRequired: "426", http.StatusOK: "200",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				member.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", "gcnode.peer.v2")
			w.WriteHeader(status)
		}))
		client := newClient(t, httptransport.ClientOptions{})
		got, err := fetch(t.Context(), client, server.URL, "k")
		require.NoError(t, err)
		require.Equal(t, "k", got[0].Value.String())
		require.Contains(t, statsOf(t, client).Problem, says)
		client.Close()
		server.Close()
	}
}

// TestViolationEndsItsExchangeOnly has a member that breaks the rules in the
// answer to one of two calls on a stream.
func TestViolationEndsItsExchangeOnly(t *testing.T) {
	reply := func(exchange uint64, key int) string {
		out, err := wire.AppendReply(nil, exchange, &gcnode.Reply{Key: key, Value: gcnode.StringValue("v")})
		require.NoError(t, err)
		return string(out.Head) + out.Data
	}
	frame := func(b string) string { // of exchange 1
		return string(delimited([]byte("\x08\x01\x12" + string(delimited([]byte(b))))))
	}
	for name, violation := range map[string]string{
		"no frame":           frame("\xff"),
		"two kinds":          frame("\x0a\x00\x22\x00"),
		"a weight too large": frame("\x0a\x0a\x3a\x08\x12\x06\x18\x80\x80\x80\x80\x01"),
		"another key":        reply(1, 1),
		"a second reply":     reply(1, 0) + reply(1, 0),
		"a stray piece":      string(wire.AppendPiece(nil, 1, "v").Head) + "v",
	} {
		t.Run(name, func(t *testing.T) {
			begun := make(chan struct{}, 2)
			addr := badPeer(t, func(conn net.Conn, calls *wire.MessageReader) error {
				for range 2 {
					if _, err := calls.Next(); err != nil {
						return err
					}
					begun <- struct{}{}
				}
				if _, err := io.WriteString(conn, violation); err != nil {
					return err
				}
				b, err := calls.Next()
				if err != nil {
					return err
				}
				if call, err := wire.DecodeCall(b); err != nil || call.Exchange != 1 || !call.Cancel {
					return fmt.Errorf("got %+v and %w instead of a cancel", call, err)
				}
				_, err = conn.Write(wire.AppendEnd([]byte(reply(2, 0)), 2, nil))
				return err
			})
			client := newClient(t, httptransport.ClientOptions{})
			var first sync.WaitGroup
			first.Go(func() {
				_, err := fetch(t.Context(), client, addr, "k")
				assert.ErrorIs(t, err, gcnode.ErrUnreachable)
				assert.ErrorIs(t, err, wire.ErrMalformed)
			})
			<-begun
			got, err := fetch(t.Context(), client, addr, "k")
			require.NoError(t, err)
			require.Equal(t, "v", got[0].Value.String())
			first.Wait()
			require.EqualValues(t, 1, statsOf(t, client).Streams)
		})
	}
}

// TestEndNeedsNoCredit has a handler that has used up the window and then
// fails.
func TestEndNeedsNoCredit(t *testing.T) {
	server := serve(t, handlerFunc(func(_ context.Context, _ *gcnode.Request, w gcnode.ReplyWriter) error {
		value := gcnode.StringValue(strings.Repeat("v", wire.PieceBytes))
		for key := range wire.Window / wire.PieceBytes {
			if err := w.WriteReply(gcnode.Reply{Key: key, Value: value}); err != nil {
				return err
			}
		}
		return errors.New("no more")
	}), httptransport.HandlerOptions{})
	conn, in := openStream(t, server)
	_, err := conn.Write(callFor(t, 1, &gcnode.Request{Op: gcnode.OpFetch, Keys: make([]string, 100)}))
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	returns := wire.NewMessageReader(in, wire.MaxReturnBytes)
	var replies wire.Collector
	for err == nil {
		_, _, err = replies.Add(nextReturn(t, returns).Frame)
	}
	require.ErrorContains(t, err, "no more")
}
