package httptransport_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	httptransport "github.com/gcnode/gcnode/transport/http"
)

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

// TestClientBehindTimeoutHandler finds out that there are no streams, and that no
// reply can be sent before others: keys are asked for one by one then, so that a
// slow one holds up nobody.
func TestClientBehindTimeoutHandler(t *testing.T) {
	l := newLibrary()
	server := httptest.NewServer(http.TimeoutHandler(newHandler(t, l, httptransport.HandlerOptions{}), patience, "late"))
	defer server.Close()
	client := newClient(t, httptransport.ClientOptions{})
	for range 2 {
		order := make(chan int, 5)
		done := make(chan error, 1)
		go func() {
			req := &gcnode.Request{Op: gcnode.OpFetch, Group: "g", Keys: []string{"a", "slow", "b", "none", "c"}, Heartbeat: 1}
			done <- client.RoundTrip(t.Context(), gcnode.Peer{ID: "server", Addr: server.URL}, req, writeFunc(func(r gcnode.Reply) error {
				if r.Err == nil && r.Value.String() != req.Keys[r.Key] {
					return errEnough
				}
				order <- r.Key
				return nil
			}))
		}()
		var first []int
		for range 4 {
			first = append(first, <-order)
		}
		require.ElementsMatch(t, []int{0, 2, 3, 4}, first)
		require.Equal(t, "slow", <-l.begun)
		require.Empty(t, done)
		l.release <- struct{}{}
		require.Equal(t, 1, <-order)
		require.NoError(t, <-done)
	}
	require.Contains(t, statsOf(t, client).Problem, "501 Not Implemented")

	// One that fails ends the others, and so does a caller that leaves.
	failing := make(chan error, 1)
	go func() {
		failing <- client.RoundTrip(t.Context(), gcnode.Peer{ID: "server", Addr: server.URL}, fetchOf("slow", "a"),
			writeFunc(func(gcnode.Reply) error { return errEnough }))
	}()
	require.Equal(t, errEnough, <-failing)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for key := range l.begun {
			if key == "slow last" {
				cancel()
				return
			}
		}
	}()
	_, err := fetch(ctx, client, server.URL, "slow last", "a")
	require.ErrorIs(t, err, context.Canceled)
	_, err = fetch(t.Context(), client, server.URL, strings.Repeat("k", gcnode.MaxKeyBytes+1), "a")
	require.ErrorIs(t, err, gcnode.ErrTooLarge)
}

// TestNoSignOfLifeBehindTimeoutHandler has an answer that arrives as a whole.
func TestNoSignOfLifeBehindTimeoutHandler(t *testing.T) {
	member := handlerFunc(func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
		if err := w.WriteReply(gcnode.Reply{Pending: true}); err != nil {
			return err
		}
		return echo(ctx, req, w)
	})
	server := httptest.NewServer(http.TimeoutHandler(newHandler(t, member, httptransport.HandlerOptions{}), patience, "late"))
	defer server.Close()
	got, err := fetch(t.Context(), newClient(t, httptransport.ClientOptions{}), server.URL, "k")
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, "k", got[0].Value.String())
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
