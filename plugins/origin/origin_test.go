package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/plugins/internal/guesttest"
	"github.com/gcnode/gcnode/plugins/internal/httporigin"
	getter "github.com/gcnode/gcnode/plugins/sdk/go"
	"github.com/gcnode/gcnode/plugins/sdk/go/sdktest"
)

// memoryPages is the 64 MiB that a node gives an instance.
const memoryPages = 1024

// A library is an origin with a book.
type library struct {
	full int // answers with a body
}

func (l *library) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.EscapedPath() != "/books/a%2Fb" || r.Header.Get("Accept") != "text/plain" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("ETag", `"1"`)
	w.Header().Set("Cache-Control", "max-age=60")
	if r.Header.Get("If-None-Match") == `"1"` {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	l.full++
	_, _ = io.WriteString(w, "a book")
}

func serve(t *testing.T, l *library) (config map[string]string) {
	t.Helper()
	server := httptest.NewServer(l)
	t.Cleanup(server.Close)
	return map[string]string{"url": server.URL + "/books/{key}", "header.Accept": "text/plain", "negative_ttl": "5s"}
}

func TestInTheSandbox(t *testing.T) {
	l := &library{}
	config := serve(t, l)
	wasm, err := guesttest.Build(t.Context(), ".")
	require.NoError(t, err)
	module, err := guesttest.Compile(t.Context(), wasm, guesttest.Options{
		Config: config, Transport: http.DefaultTransport, MemoryPages: memoryPages,
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, module.Close(t.Context())) })
	assert.Equal(t, []string{"fetch_start", "input_read", "kv_get", "kv_set", "log", "respond"}, module.Imports())
	for range 2 {
		instance, err := module.Instantiate(t.Context())
		require.NoError(t, err)
		for range 2 {
			answer, err := instance.Get(t.Context(), "a/b")
			require.NoError(t, err)
			assert.Equal(t, guesttest.Answer{TTLMillis: 60_000, Bytes: "a book"}, answer)
		}
		missing, err := instance.Get(t.Context(), "c")
		require.NoError(t, err)
		assert.EqualValues(t, 1, missing.Status)
		assert.EqualValues(t, 5_000, missing.TTLMillis)
	}
	assert.Equal(t, 1, l.full, "instances share what they revalidate")
}

func TestWithoutRevalidation(t *testing.T) {
	l := &library{}
	config := serve(t, l)
	config["revalidate_for"] = "0s"
	origin, err := sdktest.Start(open, sdktest.Options{Config: config, Transport: http.DefaultTransport, StoreBytes: 1 << 20})
	require.NoError(t, err)
	for range 2 {
		assert.Equal(t, "a book", string(origin.Get(t.Context(), "a/b").Value))
	}
	assert.Equal(t, 2, l.full)
}

func TestWrongSettings(t *testing.T) {
	_, err := sdktest.Start(open, sdktest.Options{Config: getter.Config{"revalidate_for": "-1s", "colour": "red"}})
	for _, want := range []string{"setting url", "setting revalidate_for", `unknown setting "colour"`} {
		require.ErrorContains(t, err, want)
	}
}

// Entries of the store are what they were, whatever is in them.
func TestEntries(t *testing.T) {
	var v validators
	_, err := sdktest.Start(func(env *getter.Env) (getter.Func, error) {
		v = validators{env.Store(), time.Hour}
		return open(env)
	}, sdktest.Options{Config: getter.Config{"url": "http://o/{key}"}, StoreBytes: 1 << 20})
	require.NoError(t, err)
	for _, want := range []httporigin.Validator{
		{ETag: `"1"`, Body: []byte("body")},
		{LastModified: "Fri, 02 Jan 2026 03:04:05 GMT", Body: []byte{}},
		{ETag: "e", LastModified: "m", Body: []byte("\x00\xff")},
	} {
		v.Set("url", want)
		got, found := v.Get("url")
		assert.True(t, found)
		assert.Equal(t, want, got)
	}
	v.store.Set("url", []byte("\xff\xff\x00\x00abc"), 0)
	_, found := v.Get("url")
	assert.False(t, found, "an entry of something else")
}
