package httptransport_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	httptransport "github.com/gcnode/gcnode/transport/http"
)

// pipes is a listener of connections in memory, for tests with a clock of
// their own.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

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

// dial is a connection to the server of p, or a closed one if that is.
func (p *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
	case <-p.closed:
		_ = theirs.Close()
	}
	return ours
}

// TestHandlerTakesLargeSetSlowly sends the largest value over a network that
// needs longer for it than a small request may take.
func TestHandlerTakesLargeSetSlowly(t *testing.T) {
	value := strings.Repeat("0123456789abcdef", gcnode.MaxValueBytes/16)
	body := encode(t, &gcnode.Request{Op: gcnode.OpSet, Keys: []string{"k"}, Value: gcnode.StringValue(value)})
	for name, test := range map[string]struct {
		pause  time.Duration // after each 4 MiB
		status int
	}{
		"slow":     {httptransport.DefaultBodyTimeout * 9 / 10, http.StatusOK},
		"too slow": {httptransport.DefaultBodyTimeout * 11 / 10, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				arrived := make(chan gcnode.Value, 1)
				conns := newPipes()
				server := &http.Server{Handler: newHandler(t, handlerFunc(func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
					// The deadline is for the body only.
					select {
					case <-ctx.Done():
						return ctx.Err()
					case <-time.After(time.Hour):
					}
					arrived <- req.Value
					return w.WriteReply(gcnode.Reply{Ack: &gcnode.Ack{}})
				}), httptransport.HandlerOptions{})}
				served := make(chan error, 1)
				go func() { served <- server.Serve(conns) }()
				conn := conns.dial()
				go func() {
					_, _ = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", contentType, len(body))
					for rest := body; len(rest) > 0; {
						n := min(len(rest), 4<<20)
						if _, err := io.WriteString(conn, rest[:n]); err != nil {
							return // it was given up
						}
						rest = rest[n:]
						time.Sleep(test.pause)
					}
				}()
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				require.NoError(t, err)
				_, err = io.ReadAll(resp.Body)
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
				require.Equal(t, test.status, resp.StatusCode)
				if test.status == http.StatusOK {
					got := <-arrived
					require.True(t, got.String() == value, "the value has changed")
				}
				require.NoError(t, conn.Close())
				require.NoError(t, server.Close())
				require.ErrorIs(t, <-served, http.ErrServerClosed)
				time.Sleep(time.Minute) // the sender wakes, and the server has lingered
			})
		})
	}
}
