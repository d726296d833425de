package httptransport_test

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	httptransport "github.com/gcnode/gcnode/transport/http"
)

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
		require.NoError(t, server.Close())
		p.handler.Close()
		require.ErrorIs(t, <-served, http.ErrServerClosed)
		synctest.Wait() // for connections that nobody needed in the end
		transport.CloseIdleConnections()
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
	synctest.Test(t, func(t *testing.T) {
		var silent atomic.Bool
		peer := newPiped(t, handlerFunc(func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
			if silent.CompareAndSwap(true, false) {
				<-ctx.Done()
				return ctx.Err()
			}
			return echo(ctx, req, w)
		}), unchanged)
		_, err := fetch(t.Context(), peer.client, peer.url, "k")
		require.NoError(t, err)
		for _, wait := range []time.Duration{10 * time.Millisecond, 300 * time.Millisecond} {
			silent.Store(true)
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			_, err = fetch(ctx, peer.client, peer.url, "k")
			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, wait < 100*time.Millisecond, statsOf(t, peer.client).Stream, "after %v", wait)
		}
		_, err = fetch(t.Context(), peer.client, peer.url, "k")
		require.NoError(t, err)
		require.EqualValues(t, 2, statsOf(t, peer.client).Streams)
		peer.stop()
	})
}

// TestClientForgetsPeers has members that come and go: what was not asked for
// long is forgotten when a new one comes, unless there is still a stream.
func TestClientForgetsPeers(t *testing.T) {
	const gone, asked, busy = "http://gone/", "http://asked/", "http://busy/"
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		peer := newPiped(t, handlerFunc(func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
			if req.Keys[0] == "busy" {
				<-release
			}
			return echo(ctx, req, w)
		}), unchanged)
		ask := func(addr, key string) {
			_, err := fetch(t.Context(), peer.client, addr, key)
			require.NoError(t, err)
		}
		known := func() []string {
			var addrs []string
			for _, p := range peer.client.Stats().Peers {
				addrs = append(addrs, p.Addr)
			}
			return addrs
		}
		ask(gone, "k")
		ask(asked, "k")
		answered := make(chan error, 1)
		go func() {
			_, err := fetch(t.Context(), peer.client, busy, "busy")
			answered <- err
		}()
		time.Sleep(4 * time.Minute) // idle streams are closed
		ask("http://new/1", "k")
		require.Equal(t, []string{asked, busy, gone, "http://new/1"}, known(), "it is the first time that they are looked for")
		time.Sleep(time.Minute)
		ask(asked, "k")
		time.Sleep(4 * time.Minute)
		require.Len(t, known(), 4, "nobody new has come")
		ask("http://new/2", "k")
		require.Equal(t, []string{asked, busy, "http://new/1", "http://new/2"}, known())
		time.Sleep(time.Second)
		ask("http://new/3", "k")
		require.Len(t, known(), 5, "they were looked for a moment ago")
		ask(gone, "k")
		require.Len(t, known(), 6, "what was forgotten can be asked again")
		close(release)
		require.NoError(t, <-answered)
		peer.stop()
	})
}
