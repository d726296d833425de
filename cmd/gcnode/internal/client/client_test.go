package client_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
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
		Node: node, Logger: slog.New(slog.DiscardHandler), MaxBodyBytes: api.MinBodyBytes,
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
	c, err := client.New(address, client.Options{})
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
		for _, change := range []struct {
			what, value string
			do          func() error
		}{
			{"removed", group + ": a b", func() error { return c.Remove(t.Context(), group, "a b") }},
			{"set", "\xff", func() error { return c.Set(t.Context(), group, "a b", []byte("\xff"), 0) }},
			{"removed with others", group + ": a b", func() error { return c.Remove(t.Context(), group, nastyNames()...) }},
			{"set for a minute", "", func() error { return c.Set(t.Context(), group, "a b", nil, gcnode.For(time.Minute)) }},
			{"cleared", group + ": a b", func() error { return c.Clear(t.Context(), group) }},
		} {
			require.NoError(t, change.do(), "%s in %q", change.what, group)
			answer, err := c.Get(t.Context(), group, "a b")
			require.NoError(t, err)
			require.Equal(t, change.value, string(answer.Value), "%s in %q", change.what, group)
			if change.what == "set for a minute" {
				require.Regexp(t, "^max-age=5[0-9]$", answer.CacheControl)
			}
		}
		seen := map[int]bool{}
		require.NoError(t, c.GetMany(t.Context(), group, nastyNames(), func(r client.Result) error {
			require.NoError(t, r.Err)
			require.Equal(t, group+": "+nastyNames()[r.Index], string(r.Value))
			seen[r.Index] = true
			return nil
		}))
		require.Len(t, seen, len(nastyNames()))
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
	assert.EqualError(t, c.Set(t.Context(), "g", strings.Repeat("k", 65<<10), nil, 0), "the key has 66560 bytes; at most 65536 are allowed")
	assert.EqualError(t, c.Set(t.Context(), "g", "k", make([]byte, gcnode.MaxValueBytes+1), 0), "the value has 67108865 bytes; at most 67108864 are allowed")
	assert.EqualError(t, c.Clear(t.Context(), strings.Repeat("g", 257)), "the name of the group has 257 bytes; at most 256 are allowed")
	assert.EqualError(t, c.Remove(t.Context(), "g", "k", strings.Repeat("k", 65<<10)), "the key has 66560 bytes; at most 65536 are allowed")
	assert.ErrorContains(t, c.Remove(t.Context(), "g", make([]string, gcnode.MaxBatchKeys+1)...), "more than 10000 keys")
	assert.ErrorContains(t, c.Set(t.Context(), "nobody", "k", nil, 0), "no such group")
	assert.ErrorContains(t, c.Clear(t.Context(), "nobody"), "no such group")
	assert.ErrorContains(t, c.GetMany(t.Context(), "nobody", []string{"k"}, nil), "no such group")
	require.NoError(t, c.GetMany(t.Context(), "g", []string{"missing"}, func(r client.Result) error {
		assert.True(t, client.NotFound(r.Err))
		assert.Equal(t, `get "missing" in group "g": not found`, r.Err.Error())
		assert.Regexp(t, "^max-age=5[0-9]$", r.CacheControl)
		return nil
	}))
	enough := errors.New("enough")
	assert.Equal(t, enough, c.GetMany(t.Context(), "g", []string{"a", "b"}, func(client.Result) error { return enough }))
	stats, err := c.Stats(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "{}", string(stats))
}

func TestKeysAreCutIntoListsThatANodeTakes(t *testing.T) {
	short, long := make([]string, 2*gcnode.MaxBatchKeys+1), slices.Repeat([]string{strings.Repeat("k", gcnode.MaxKeyBytes)}, 17)
	assert.Equal(t, [][]string{short[:gcnode.MaxBatchKeys], short[:gcnode.MaxBatchKeys], short[:1]}, client.Pieces(short))
	assert.Equal(t, [][]string{long[:16], long[:1]}, client.Pieces(long))
	assert.Equal(t, [][]string{{"a", "b"}}, client.Pieces([]string{"a", "b"}))
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
		require.ErrorIs(t, c.Set(t.Context(), "g", "k", nil, 0), client.ErrNotGcnode)
		require.ErrorIs(t, c.Clear(t.Context(), "g"), client.ErrNotGcnode)
		require.ErrorIs(t, c.GetMany(t.Context(), "g", []string{"k"}, nil), client.ErrNotGcnode)
	}
}

func TestAnswersThatBreakOffOrSayNothing(t *testing.T) {
	server := httptest.NewServer(api.Named("n1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.Contains(r.URL.Path, "short"):
			w.Header().Set("Content-Length", "100")
			_, _ = fmt.Fprint(w, "half")
			return
		case strings.HasSuffix(r.URL.Path, "/values"):
			_, _ = fmt.Fprint(w, strings.TrimPrefix(strings.TrimSuffix(r.URL.Path, "/values"), "/v1/groups/"))
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
	for answer, want := range map[string]string{
		`{"index":1,"value":"a"}`:                         "the answer broke off after 1 of 2 values: unexpected EOF",
		`{"index":1,"value":"a`:                           "the answer broke off after 0 of 2 values: unexpected EOF",
		`{"index":1,"value":"a"} {"index":1,"value":"a"}`: "the node answered a key with the index 1, which it was not asked for, or twice",
		`{"index":2,"value":"a"}`:                         "the node answered a key with the index 2, which it was not asked for, or twice",
		`{"index":-1,"value":"a"}`:                        "the node answered a key with the index -1, which it was not asked for, or twice",
	} {
		err := c.GetMany(t.Context(), answer, []string{"a", "b"}, func(client.Result) error { return nil })
		assert.EqualError(t, err, want)
	}

	server.Close()
	_, err = c.Get(t.Context(), "g", strings.Repeat("k", 1000))
	assert.ErrorContains(t, err, "cannot reach the node at "+server.URL)
	assert.Less(t, len(err.Error()), 200, "the message shows the whole key")
}

func TestAddresses(t *testing.T) {
	for _, address := range []string{"", "localhost", "127.0.0.1:8080", "ftp://h", "http://", "http://h?x", "http://h#x", "http://%zz"} {
		_, err := client.New(address, client.Options{})
		assert.ErrorContains(t, err, "must be the URL of a node, such as http://127.0.0.1:8080", address)
	}
}
