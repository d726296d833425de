package httptransport_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

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
