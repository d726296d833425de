package client_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/api"
	"github.com/gcnode/gcnode/cmd/gcnode/internal/client"
	gcnode "github.com/gcnode/gcnode/core"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// nastyNames are names that tools like to change on their way.
func nastyNames() []string {
	return []string{
		" ", "+", "a b", "/", "//", ".", "..", "...", "../x", "x/..", "%2F", "%", "a;b", "a&b=c", "a?b#c",
		"\x00", "\xff\xfe", "é", "\r\n", "value", "/value", strings.Repeat("\xff", gcnode.MaxIDBytes),
	}
}

// newClient makes a client of a node whose groups have the names given, and
// answer with "group: key".
func newClient(t *testing.T, groups ...string) *client.Client {
	t.Helper()
	node, err := gcnode.NewNode(gcnode.Config{})
	require.NoError(t, err)
	for _, name := range groups {
		get := func(_ context.Context, key string) (gcnode.Item[gcnode.Value], error) {
			if key == "missing" {
				return gcnode.Item[gcnode.Value]{Keep: gcnode.For(time.Minute)}, gcnode.ErrNotFound
			}
			return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(name + ": " + key)}, nil
		}
		_, err = node.Group(name, gcnode.GetterFunc[gcnode.Value](get), gcnode.GroupOptions{MaxBytes: 1 << 20})
		require.NoError(t, err)
	}
	handler, err := api.NewHandler(api.Options{
		Node: node, Logger: slog.New(slog.DiscardHandler),
		Stats: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "{}") }),
	})
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(api.Named(node.Self().ID, handler))
	server.Config.MaxHeaderBytes = 256 << 10
	server.Start()
	t.Cleanup(func() {
		server.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		assert.NoError(t, node.Close(ctx))
	})
	return clientOf(t, server.URL)
}

func clientOf(t *testing.T, address string) *client.Client {
	t.Helper()
	c, err := client.New(address)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func TestGroupsAndKeysOfAnyBytesArriveUnchanged(t *testing.T) {
	c := newClient(t, nastyNames()...)
	for _, group := range nastyNames() {
		for _, key := range append(nastyNames(), "") {
			answer, err := c.Get(t.Context(), group, key)
			require.NoError(t, err, "%q %q", group, key)
			require.Equal(t, group+": "+key, string(answer.Value))
			require.Equal(t, "loaded", answer.Source)
		}
		require.NoError(t, c.Remove(t.Context(), group, "a b"))
		answer, err := c.Get(t.Context(), group, "a b")
		require.NoError(t, err)
		require.Equal(t, "loaded", answer.Source, "the removal missed %q", group)
	}
	long := strings.Repeat("\xff", gcnode.MaxKeyBytes)
	answer, err := c.Get(t.Context(), "é", long)
	require.NoError(t, err)
	assert.Equal(t, "é: "+long, string(answer.Value))
}

func TestAddressesOfValuesSurviveToolsThatCleanPaths(t *testing.T) {
	c := clientOf(t, "http://h/")
	assert.Equal(t, "http://h/v1/groups/%2E%2E/value?key=..", c.ValueURL("..", ".."))
	assert.Equal(t, "http://h/v1/groups/%2E/value?key=", c.ValueURL(".", ""))
	assert.Equal(t, "http://h/v1/groups/a%2Fb%20c/value?key=a%2Bb", c.ValueURL("a/b c", "a+b"))
}

func TestWhatANodeRefuses(t *testing.T) {
	c := newClient(t, "g")
	answer, err := c.Get(t.Context(), "g", "missing")
	assert.True(t, client.NotFound(err))
	assert.Equal(t, `get "missing" in group "g": not found`, err.Error())
	assert.Regexp(t, "^max-age=5[0-9]$", answer.CacheControl)
	answer.CacheControl = ""
	assert.Equal(t, client.Answer{Source: "loaded", Owner: "local", Node: "local", ContentType: "application/json"}, answer)

	_, err = c.Get(t.Context(), "nobody", "k")
	assert.False(t, client.NotFound(err), "an unknown group is not a missing key")
	assert.ErrorContains(t, err, "no such group")
	assert.ErrorContains(t, c.Remove(t.Context(), "nobody", "k"), "no such group")
	_, err = c.Get(t.Context(), "g", strings.Repeat("k", 65<<10))
	assert.EqualError(t, err, "the key has 66560 bytes; at most 65536 are allowed")
	_, err = c.Get(t.Context(), "g", strings.Repeat("\xff", 100<<10))
	assert.EqualError(t, err, "the key has 102400 bytes; at most 65536 are allowed", "no header has room for it")
	assert.EqualError(t, c.Remove(t.Context(), strings.Repeat("g", 300<<10), "k"), "the name of the group has 307200 bytes; at most 256 are allowed")
	stats, err := c.Stats(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "{}", string(stats))
}

func TestSomethingElseThanANode(t *testing.T) {
	for _, status := range []int{http.StatusOK, http.StatusNoContent, http.StatusNotFound, http.StatusTeapot} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			if status != http.StatusNoContent {
				_, _ = fmt.Fprint(w, `{"error":{"kind":"not_found"}}`)
			}
		}))
		defer server.Close()
		c := clientOf(t, server.URL+"/")
		_, err := c.Get(t.Context(), "g", "k")
		require.ErrorIs(t, err, client.ErrNotGcnode)
		assert.EqualError(t, err, fmt.Sprintf("%s is not the API of a gcnode: it answered with status %d and without the header Gcnode-Node; "+
			"use the address that the node has as listen.api, http://127.0.0.1:8080 by default", server.URL, status))
		assert.False(t, client.NotFound(err))
		require.ErrorIs(t, c.Remove(t.Context(), "g", "k"), client.ErrNotGcnode)
		_, err = c.Stats(t.Context())
		require.ErrorIs(t, err, client.ErrNotGcnode)
	}
}

func TestAnswersThatBreakOffOrSayNothing(t *testing.T) {
	server := httptest.NewServer(api.Named("n1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "short") {
			w.Header().Set("Content-Length", "100")
			_, _ = fmt.Fprint(w, "half")
			return
		}
		http.Error(w, "<html>", http.StatusTeapot)
	})))
	defer server.Close()
	c := clientOf(t, server.URL+"/")
	_, err := c.Get(t.Context(), "g", "k")
	assert.EqualError(t, err, "the node answered with status 418")
	_, err = c.Get(t.Context(), "short", "k")
	assert.ErrorContains(t, err, "the answer broke off after 4 bytes")

	server.Close()
	_, err = c.Get(t.Context(), "g", strings.Repeat("k", 1000))
	assert.ErrorContains(t, err, "cannot reach the node at "+server.URL)
	assert.Less(t, len(err.Error()), 200, "the message shows the whole key")
}

func TestAddresses(t *testing.T) {
	for _, address := range []string{"", "localhost", "127.0.0.1:8080", "ftp://h", "http://", "http://h?x", "http://h#x", "http://%zz"} {
		_, err := client.New(address)
		assert.ErrorContains(t, err, "must be the URL of a node, such as http://127.0.0.1:8080", address)
	}
}
