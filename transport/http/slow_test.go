package httptransport_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	httptransport "github.com/gcnode/gcnode/transport/http"
)

// TestSlowPeersAreGivenUp has many peers that send a byte each second, in each
// of the places where something is to come: their connections are closed within
// the time for it, and others are served meanwhile.
func TestSlowPeersAreGivenUp(t *testing.T) {
	const each, headerTime = 100, 10 * time.Second
	body := encode(t, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{strings.Repeat("k", 1000)}})
	header := fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", contentType, len(body))
	message := string(callFor(t, 1, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{strings.Repeat("k", 1000)}}))
	for name, peer := range map[string]struct {
		once, slowly string // what comes at once, and what byte by byte
		within       time.Duration
	}{
		"header":                  {"", header + body, headerTime},
		"field of the header":     {"POST / HTTP/1.1\r\nX-Slow: ", strings.Repeat("x", 1000), headerTime},
		"header of an Upgrade":    {"", upgrade, headerTime},
		"body":                    {header, body, httptransport.DefaultBodyTimeout},
		"chunks of a body":        {strings.Replace(header, "Content-Length: ", "Transfer-Encoding: chunked\r\nX: ", 1), strings.Repeat("1\r\nk\r\n", 1000), httptransport.DefaultBodyTimeout},
		"message on a stream":     {upgrade, message, httptransport.DefaultBodyTimeout},
		"message after a message": {upgrade + "\x00\x00", message, httptransport.DefaultBodyTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				handler, err := httptransport.NewHandler(handlerFunc(echo), httptransport.HandlerOptions{})
				require.NoError(t, err)
				conns := newPipes()
				server := &http.Server{Handler: handler, ReadHeaderTimeout: headerTime}
				served := make(chan error, 1)
				go func() { served <- server.Serve(conns) }()
				transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return conns.dial(), nil }}
				honest, err := httptransport.NewClient(httptransport.ClientOptions{HTTPClient: &http.Client{Transport: transport}})
				require.NoError(t, err)

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
						_, err := io.WriteString(conn, peer.once)
						for i := 0; err == nil && i < len(peer.slowly); i++ {
							time.Sleep(time.Second)
							_, err = io.WriteString(conn, peer.slowly[i:i+1])
						}
					}()
				}
				for range 5 {
					time.Sleep(time.Second)
					_, err := fetch(t.Context(), honest, "http://peer/", "k")
					require.NoError(t, err)
				}
				for range each {
					require.LessOrEqual(t, <-closed, peer.within+2*time.Second)
				}
				honest.Close()
				require.NoError(t, server.Close())
				handler.Close()
				require.ErrorIs(t, <-served, http.ErrServerClosed)
				time.Sleep(time.Minute) // who is slow wakes, and the server has lingered
			})
		})
	}
}
