package httptransport_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

// halfCloser is a connection that can be closed in one direction.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// garbage is what can be sent to a server of the carrier.
func (c carrier) garbage(server *httptest.Server) map[string]func(t *testing.T) {
	header := "POST " + c.path + "/ HTTP/1.1\r\nHost: x\r\nContent-Type: " + contentType + "\r\n"
	upgraded := strings.Replace(upgrade, "/", c.path+"/", 1)
	all := map[string]func(t *testing.T){}
	for name, data := range map[string]string{
		"no HTTP":             "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and so on\r\n\r\n",
		"half a header":       header,
		"header bomb":         header + strings.Repeat("X-Bomb: "+strings.Repeat("b", 1000)+"\r\n", 2000) + "\r\n",
		"no request":          header + "Content-Length: 6\r\n\r\n\x05hello",
		"half a request":      header + "Content-Length: 100\r\n\r\n\x63\x08\x01",
		"bad chunks":          header + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
		"HTTP2 frames":        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\x00\x00\x00\x00\x00\x01garbage",
		"garbage on a stream": upgraded + "\x05hello",
		"half a message":      upgraded + "\x63\x08\x01",
		"a huge message":      upgraded + "\xff\xff\xff\x7f",
		"no message":          upgraded,
	} {
		all[name] = func(t *testing.T) {
			t.Helper()
			conn := halfCloser(dialTCP(t, server.Listener.Addr()))
			if c.tls != nil {
				conn = tls.Client(conn, c.tls(server))
			}
			sendGarbage(conn, data)
		}
	}
	all["no TLS"] = func(t *testing.T) {
		t.Helper()
		sendGarbage(dialTCP(t, server.Listener.Addr()), "\x05hello")
	}
	return all
}

// dialTCP is a bare connection to a server.
func dialTCP(t *testing.T, addr net.Addr) *net.TCPConn {
	t.Helper()
	conn, ok := dial(t, addr).(*net.TCPConn)
	require.True(t, ok)
	return conn
}

// sendGarbage sends what the server may refuse at any time, and waits for the
// end of what it has to say.
func sendGarbage(conn halfCloser, data string) {
	_, _ = io.WriteString(conn, data)
	_ = conn.CloseWrite()
	_, _ = io.Copy(io.Discard, conn)
	_ = conn.Close()
}

// answer is what an impostor says, over both ways.
type answer struct {
	status              int
	contentType         string
	plainBody, messages string
}

// impostorAnswers are by the path at which they are given.
func impostorAnswers(t *testing.T) map[string]answer {
	t.Helper()
	frames := func(write func(w *wire.Writer) error) string {
		var b strings.Builder
		require.NoError(t, write(wire.NewWriter(&b)))
		return b.String()
	}
	frame := func(r gcnode.Reply) string { return frames(func(w *wire.Writer) error { return w.WriteReply(r) }) }
	message := func(r gcnode.Reply) string {
		out, err := wire.AppendReply(nil, 1, &r)
		require.NoError(t, err)
		return string(out.Head) + out.Data
	}
	end := frames(func(w *wire.Writer) error { return w.WriteEnd(nil) })
	lastMessage := string(wire.AppendEnd(nil, 1, nil))
	value := gcnode.Reply{Value: gcnode.StringValue("v")}
	large := gcnode.Reply{Value: gcnode.StringValue(strings.Repeat("v", 2*wire.PieceBytes))}
	half := func(s string) string { return s[:len(s)/2] }
	good := func(plain, messages string) answer { return answer{http.StatusOK, contentType, plain, messages} }
	return map[string]answer{
		"another-server":    {http.StatusOK, "text/html", "<html>", ""},
		"broken-server":     {http.StatusInternalServerError, "text/plain", "broken", ""},
		"nothing":           good("", ""),
		"garbage":           good("\x05hello", "\x05hello"),
		"huge-frame":        good("\xff\xff\xff\x7f", "\xff\xff\xff\x7f"),
		"no-end":            good(frame(value), message(value)),
		"half-a-reply":      good(half(frame(value)), half(message(value))),
		"half-a-value":      good(half(frame(large)), half(message(large))),
		"half-a-value-only": good(frame(large)[:wire.PieceBytes+20]+end, message(large)+lastMessage),
		"second-reply":      good(frame(value)+frame(value)+end, message(value)+message(value)+lastMessage),
		"another-key":       good(frame(gcnode.Reply{Key: 2})+end, message(gcnode.Reply{Key: 2})+lastMessage),
	}
}

// impostors is a server of the carrier that is no peer.
func (c carrier) impostors(t *testing.T) map[string]gcnode.Peer {
	t.Helper()
	answers := impostorAnswers(t)
	server := c.server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		says := answers[r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]]
		if r.Method == http.MethodGet && says.status == http.StatusOK && says.contentType == contentType {
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				sayOnStream(conn, says.messages)
				return
			}
		}
		w.Header().Set("Content-Type", says.contentType)
		w.WriteHeader(says.status)
		_, _ = io.WriteString(w, says.plainBody)
	}))
	peers := map[string]gcnode.Peer{}
	for name := range maps.Keys(answers) {
		peers[name] = gcnode.Peer{ID: "impostor " + name, Addr: server.URL + c.path + "/" + name}
	}
	return peers
}

// sayOnStream answers the first request of a stream, and closes it.
func sayOnStream(conn net.Conn, messages string) {
	defer conn.Close()
	_, err := fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: gcnode.peer.v1\r\n\r\n")
	if err != nil {
		return
	}
	calls := wire.NewMessageReader(conn, wire.MaxCallBytes)
	if _, err := calls.Next(); err != nil {
		return
	}
	_, _ = io.WriteString(conn, messages)
	if half, ok := conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_, _ = io.Copy(io.Discard, conn) // until the client is done
	}
}
