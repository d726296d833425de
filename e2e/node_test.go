package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// node is one gcnode with its own process.
type node struct {
	*process

	id                string
	peers, api, admin string   // addresses that it listens on
	config            string   // path of its configuration
	inside            []string // the command that runs the node's in another network namespace
}

// listenPeers is the setting of the address for other nodes; empty: it has none.
func (n *node) listenPeers() string {
	if n.peers == "" {
		return ""
	}
	return fmt.Sprintf("peers: %q,", n.peers)
}

// stop makes the node stand still until SIGCONT.
func (n *node) stop(t *testing.T) {
	t.Helper()
	n.signal(t, syscall.SIGSTOP)
	require.Eventually(t, func() bool { // not all of its threads stop at once
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		_, err := do(ctx, http.MethodGet, "http://"+n.admin+"/healthz")
		return err != nil
	}, patience, pollEvery, "%s does not stand still", n.id)
}

// answer is what a node says about a key.
type answer struct {
	status       int
	body         string
	source       string // hit, hot, owner or loaded
	owner        string
	contentType  string
	cacheControl string
	retryAfter   string
}

// failure is the body of an answer that is an error.
type failure struct {
	Error struct {
		Kind, Message string
		Peers         []struct{ ID, Kind, Message string }
	}
}

// stats are the figures of a node that the tests look at.
type stats struct {
	Node struct {
		Joined           bool
		Silent           []string
		Gaps             uint64
		RetryingRemovals int `json:"retrying_removals"`
	}
	Discovery struct {
		Members, Waiting int
		Changes          uint64
		Error            string
		HeldBack         bool `json:"held_back"`
	}
	Peers  []peerStats
	Groups []groupStats
}

// peerStats are the figures of another node.
type peerStats struct {
	ID               string
	Down             bool
	Requests, Errors uint64
}

// groupStats are the figures of a group.
type groupStats struct {
	Name          string
	Gets, Loads   uint64
	Sets, Hedges  uint64
	HotHits       uint64 `json:"hot_hits"`
	Peeks         uint64
	Inherited     uint64
	Failovers     uint64
	StaleHits     uint64 `json:"stale_hits"`
	StaleOnError  uint64 `json:"stale_on_error"`
	Overloaded    uint64
	Loading       int
	ServedFetches uint64 `json:"served_fetches"`
	Plugin        struct {
		Calls struct {
			OK        uint64
			NotFound  uint64 `json:"not_found"`
			Permanent uint64
			Timeout   uint64
		}
		Instances struct{ Live, Idle int }
	}
}

// client is for all requests of the tests. Every request has a connection of
// its own, so that none waits for a node that is gone.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}

// valueURL is the URL of a key.
func (n *node) valueURL(group, key string) string {
	return "http://" + n.api + "/v1/groups/" + url.PathEscape(group) + "/value?key=" + url.QueryEscape(key)
}

// do sends a request and reads the whole answer.
func do(ctx context.Context, method, url string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		return answer{}, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{
		status:       resp.StatusCode,
		body:         string(body),
		source:       resp.Header.Get("Gcnode-Source"),
		owner:        resp.Header.Get("Gcnode-Owner"),
		contentType:  resp.Header.Get("Content-Type"),
		cacheControl: resp.Header.Get("Cache-Control"),
		retryAfter:   resp.Header.Get("Retry-After"),
	}, err
}

// send is do for the test's own goroutine.
func send(t *testing.T, method, url string) answer {
	t.Helper()
	a, err := do(t.Context(), method, url)
	require.NoError(t, err)
	return a
}

// sendLater is send in the background; what it returns waits for the answer.
func sendLater(t *testing.T, method, url string) (wait func() answer) {
	t.Helper()
	var a answer
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		a, err = do(t.Context(), method, url)
	}()
	t.Cleanup(func() { <-done })
	return func() answer {
		t.Helper()
		<-done
		require.NoError(t, err)
		return a
	}
}

// get asks for a key, whatever comes of it.
func (n *node) get(t *testing.T, group, key string) answer {
	t.Helper()
	return send(t, http.MethodGet, n.valueURL(group, key))
}

// value asks for a key that has a value.
func (n *node) value(t *testing.T, group, key string) answer {
	t.Helper()
	a := n.get(t, group, key)
	require.Equal(t, http.StatusOK, a.status, "%s from %s: %.1000s", key, n.id, a.body)
	return a
}

// values asks for a key, which always has a value, until an answer is as it
// has to be.
func (n *node) values(t *testing.T, group, key string, holds func(answer) bool, what string) {
	t.Helper()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for begun := time.Now(); !holds(n.value(t, group, key)); <-ticker.C {
		require.Less(t, time.Since(begun), patience, "%s from %s: %s", key, n.id, what)
	}
}

// remove removes a key, which all nodes have to confirm.
func (n *node) remove(t *testing.T, group, key string) {
	t.Helper()
	a := send(t, http.MethodDelete, n.valueURL(group, key))
	require.Equal(t, http.StatusNoContent, a.status, "removal of %s through %s: %s", key, n.id, a.body)
}

// failure reads the answer as an error of a kind.
func (a answer) failure(t *testing.T, status int, kind string) failure {
	t.Helper()
	require.Equal(t, status, a.status, "%.1000s", a.body)
	var f failure
	require.NoError(t, json.Unmarshal([]byte(a.body), &f), a.body)
	require.Equal(t, kind, f.Error.Kind, a.body)
	return f
}

// stats asks for the figures.
func (n *node) stats(t *testing.T) stats {
	t.Helper()
	s, err := n.figures(t.Context())
	require.NoError(t, err)
	return s
}

// figures is stats for other goroutines.
func (n *node) figures(ctx context.Context) (s stats, err error) {
	a, err := do(ctx, http.MethodGet, "http://"+n.admin+"/v1/stats")
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal([]byte(a.body), &s)
}

// group finds the figures of a group.
func (s stats) group(name string) groupStats {
	for _, g := range s.Groups {
		if g.Name == name {
			return g
		}
	}
	return groupStats{}
}

// peer finds the figures of another node.
func (s stats) peer(id string) peerStats {
	for _, p := range s.Peers {
		if p.ID == id {
			return p
		}
	}
	return peerStats{}
}

// until waits for something that the node's figures show.
func (n *node) until(t *testing.T, holds func(stats) bool, what string) {
	t.Helper()
	require.Eventually(t, func() bool {
		s, err := n.figures(t.Context())
		return err == nil && holds(s)
	}, patience, pollEvery, "%s: %s", n.id, what)
}

// ready asks whether the node is ready, and why not.
func (n *node) ready(ctx context.Context) (status int, reason string) {
	a, err := do(ctx, http.MethodGet, "http://"+n.admin+"/readyz")
	if err != nil {
		return 0, err.Error()
	}
	return a.status, a.body
}

// requireAlive looks that the node answers as it should after what was done
// to it. It has to have the group echo.
func (n *node) requireAlive(t *testing.T) {
	t.Helper()
	require.True(t, n.running(), "%s is gone", n.id)
	require.Equal(t, hexOf("alive"), n.value(t, "echo", "alive").body)
}

// hexOf is what testdata/echo answers for a key.
func hexOf(key string) string { return fmt.Sprintf("%x", key) }
