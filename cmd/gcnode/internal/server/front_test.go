package server

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// pipes is a listener of connections in memory, for tests with a clock of their
// own.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

// dial is a connection to the server of p.
func (p *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return ours
}

// TestSlowClientsAreGivenUp has many that send a byte each second, or nothing
// after an answer: each listener closes their connections within the time for
// it, and serves others meanwhile.
func TestSlowClientsAreGivenUp(t *testing.T) {
	const each = 100
	post := "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
	for name, client := range map[string]struct {
		once, slowly string // what comes at once, and what byte by byte
		within       time.Duration
	}{
		"header":                {"", post, headerTimeout},
		"field of the header":   {"GET / HTTP/1.1\r\nX-Slow: ", strings.Repeat("x", 1000), headerTimeout},
		"body":                  {post, strings.Repeat("b", 1000), readTimeout},
		"nothing":               {"", "", headerTimeout},
		"nothing after a while": {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "", idleTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opened, err := openFronts(t.Context(), []frontSpec{{
					name: frontAPI, address: "127.0.0.1:0", write: time.Hour, headerBytes: smallHeaderBytes,
					handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }),
				}}, slog.New(slog.DiscardHandler))
				require.NoError(t, err)
				f := opened[0]
				require.NoError(t, f.listener.Close())
				conns := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
				f.listener = conns
				failed := opened.serve()

				begun := time.Now()
				closed := make(chan time.Duration, each)
				for range each {
					conn := conns.dial()
					go func() {
						_, _ = io.Copy(io.Discard, conn) // until it is closed
						closed <- time.Since(begun)
						_ = conn.Close()
					}()
					go func() {
						_, err := io.WriteString(conn, client.once)
						for i := 0; err == nil && i < len(client.slowly); i++ {
							time.Sleep(time.Second)
							_, err = io.WriteString(conn, client.slowly[i:i+1])
						}
					}()
				}
				for range 5 {
					time.Sleep(time.Second)
					conn := conns.dial()
					_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
					require.NoError(t, err)
					resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
					require.NoError(t, err)
					require.NoError(t, resp.Body.Close())
					require.Equal(t, http.StatusOK, resp.StatusCode)
					require.NoError(t, conn.Close())
				}
				for range each {
					require.LessOrEqual(t, <-closed, client.within+2*time.Second)
				}
				require.NoError(t, opened.shutdown(t.Context(), frontAPI))
				require.Empty(t, failed)
				time.Sleep(time.Minute) // who is slow wakes, and the server has lingered
			})
		})
	}
}
