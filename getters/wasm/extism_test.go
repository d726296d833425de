package wasm

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
)

// extismModule is the Go guest of testdata/guests/extism, built once. It is
// also compiled once, so that tests that run side by side find it in the cache.
var extismModule = sync.OnceValues(func() ([]byte, error) {
	module, err := buildGuest("testdata/guests/extism")
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	p, err := Load(ctx, module, Options{CacheDir: compiled, Timeout: patience})
	if err != nil {
		return nil, err
	}
	return module, p.Close(ctx)
})

// loadExtism loads the Go guest that is an Extism module.
func loadExtism(tb testing.TB, opts Options) *Plugin {
	tb.Helper()
	module, err := extismModule()
	require.NoError(tb, err)
	return loadModule(tb, module, opts)
}

func TestExtismModuleIsAGetter(t *testing.T) {
	t.Parallel()
	p := loadExtism(t, Options{
		Instances: 1,
		Config:    map[string]string{"greeting": "hello", "empty": ""},
		Env:       map[string]string{"PLACE": "here"},
	})
	for key, want := range map[string]string{
		"echo:value":       "value",
		"echo:":            "",
		"echo:\x00\xff/..": "\x00\xff/..",
		"config:greeting":  "hello",
		"config:empty":     "",
		"config:nothing":   "",
		"started":          "hello",
		"env:PLACE":        "here",
		"level":            "2147483647",
	} {
		assert.Equal(t, want, get(t, p, key), "%q", key)
	}
	for _, size := range []int{1, 7, 8, 9, 1000, gcnode.MaxKeyBytes - len("echo:")} {
		value := strings.Repeat("v", size)
		assert.Equal(t, value, get(t, p, "echo:"+value))
	}
	millis, err := strconv.ParseInt(get(t, p, "now"), 10, 64)
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now(), time.UnixMilli(millis), patience)

	e := getError(t, p, "fail:the disk", gcnode.KindTransient)
	assert.EqualError(t, e.Err, "it is broken: the disk")
	assert.EqualValues(t, 1, p.Stats().Instances.Created, "an error is no reason to discard an instance")

	e = getError(t, p, "exit", gcnode.KindPermanent)
	assert.ErrorContains(t, e, "exited with code 3")
	assert.Equal(t, "still here", get(t, p, "echo:still here"))
	assert.Equal(t, DiscardStats{Exit: 1}, p.Stats().Instances.Discarded)
}

func TestExtismFunctionIsChosen(t *testing.T) {
	t.Parallel()
	p := loadExtism(t, Options{Function: "shout", Instances: 1})
	assert.Equal(t, "LOUD", get(t, p, "loud"))
	assert.Empty(t, get(t, p, ""))
}

func TestExtismTTLAndNotFound(t *testing.T) {
	t.Parallel()
	p := loadExtism(t, Options{Instances: 1})
	for key, keep := range map[string]gcnode.Lifetime{
		"ttl:1500":                gcnode.For(1500 * time.Millisecond),
		"ttl:0":                   gcnode.NoStore,
		"ttl:-1":                  0,
		"ttl:9223372036854775807": gcnode.Forever,
		"echo:x":                  0,
	} {
		item, err := p.GetItem(t.Context(), key)
		require.NoError(t, err)
		assert.Equal(t, keep, item.Keep, "%q", key)
	}
	for key, keep := range map[string]gcnode.Lifetime{"none": 0, "none:2000": gcnode.For(2 * time.Second)} {
		item, err := p.GetItem(t.Context(), key)
		wantKind(t, err, gcnode.KindNotFound)
		assert.Equal(t, keep, item.Keep, "%q", key)
		assert.Zero(t, item.Value.Len(), "%q", key)
	}
	e := getError(t, p, "ttl:-2", gcnode.KindPermanent)
	assert.ErrorContains(t, e, "gcnode_ttl was called with -2")
	assert.Equal(t, DiscardStats{Contract: 1}, p.Stats().Instances.Discarded)
}

func TestNothingOfAnExtismCallIsSeenInTheNext(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Answer", "secret")
	}))
	defer server.Close()
	p := loadExtism(t, Options{Instances: 1, AllowFetch: []string{server.URL}})
	for _, before := range []string{"echo:secret", "ttl:1500", "none:1500", "fail:secret", "fetch:" + server.URL} {
		_, _ = p.GetItem(t.Context(), before)
		item, err := p.GetItem(t.Context(), "echo:")
		require.NoError(t, err, "after %q", before)
		assert.Zero(t, item.Value.Len(), "after %q", before)
		assert.Zero(t, item.Keep, "after %q", before)
		_, _ = p.GetItem(t.Context(), before)
		assert.Equal(t, "0", get(t, p, "status"), "after %q", before)
	}
	assert.EqualValues(t, 1, p.Stats().Instances.Created, "all were answered by the same instance")
}

func TestExtismVariablesLiveAsLongAsTheInstance(t *testing.T) {
	t.Parallel()
	p := loadExtism(t, Options{Instances: 1})
	assert.Equal(t, "1", get(t, p, "count:a"))
	assert.Equal(t, "2", get(t, p, "count:a"))
	assert.Equal(t, "1", get(t, p, "count:b"))
	assert.Empty(t, get(t, p, "uncount:a"))
	assert.Equal(t, "1", get(t, p, "count:a"))
	getError(t, p, "exit", gcnode.KindPermanent)
	assert.Equal(t, "1", get(t, p, "count:b"), "the instance is another one")
}

func TestExtismVariablesAreBounded(t *testing.T) {
	t.Parallel()
	v := variables{values: map[string][]byte{}}
	value := bytes.Repeat([]byte("v"), 1000)
	n := 0
	for v.set([]byte(strconv.Itoa(n)), value) {
		n++
	}
	assert.InDelta(t, maxVariableBytes/1130, n, 5)
	assert.True(t, v.set([]byte("0"), value[1:]), "in place of one that is there")
	v.remove([]byte("1"))
	assert.True(t, v.set([]byte("one"), value))
	assert.False(t, v.set([]byte("another"), value))
	for name := range v.values {
		v.remove([]byte(name))
	}
	v.remove([]byte("nothing"))
	assert.Zero(t, v.bytes)
}

func TestExtismHTTP(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/slow" {
			<-r.Context().Done()
		}
		w.Header().Add("X-Answer", r.Method)
		w.Header().Add("X-Answer", r.Header.Get("X-Asked"))
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write(append([]byte("got "), body...))
	}))
	defer server.Close()
	p := loadExtism(t, Options{Instances: 1, AllowFetch: []string{server.URL}})
	assert.Equal(t, "418 POST,yes got body", get(t, p, "fetch:"+server.URL))

	e := getError(t, p, "fetch:http://elsewhere.invalid/", gcnode.KindDenied)
	assert.ErrorContains(t, e, "http://elsewhere.invalid:80 is not on the allow-list")
	e = getError(t, p, "fetch:not a URL", gcnode.KindPermanent)
	assert.ErrorContains(t, e, "HTTP request failed")
	get(t, p, "echo:x") // for the instance is a new one
	getWithin(t, p, 500*time.Millisecond, "fetch:"+server.URL+"/slow", gcnode.KindTimeout)
	assert.EqualValues(t, 1, p.Stats().Fetches.Denied)
	assert.Equal(t, DiscardStats{Trap: 2, Timeout: 1}, p.Stats().Instances.Discarded)

	server.Close()
	e = getError(t, p, "fetch:"+server.URL, gcnode.KindTransient)
	assert.ErrorContains(t, e, "HTTP request failed")
}

func TestExtismModuleWithoutOriginsIsLoaded(t *testing.T) {
	t.Parallel()
	// Some PDKs import everything, whether it is used or not.
	p := loadExtism(t, Options{Instances: 1})
	e := getError(t, p, "fetch:http://127.0.0.1/", gcnode.KindDenied)
	assert.ErrorContains(t, e, "is not on the allow-list")
	assert.Equal(t, "fine", get(t, p, "echo:fine"))
}

func TestExtismLog(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelInfo}))
	p := loadExtism(t, Options{Instances: 1, Logger: logger})
	assert.Equal(t, "2", get(t, p, "level"), "the number of info")
	get(t, p, "log:a line")
	assert.Contains(t, text.String(), `level=INFO msg="guest log" plugin=plugin from=log line="info a line"`)
	assert.Contains(t, text.String(), `level=ERROR msg="guest log" plugin=plugin from=log line="error a line"`)
	assert.NotContains(t, text.String(), "trace")
}

func TestExtismGetAllocatesNothingButTheValue(t *testing.T) {
	p := loadModule(t, echoExtism().bytes(), Options{Instances: 1})
	ctx := t.Context()
	allocs := testing.AllocsPerRun(1000, func() {
		_, err := p.GetItem(ctx, "key")
		require.NoError(t, err)
	})
	require.LessOrEqual(t, allocs, 1.0)
}

// TestHammerExtism asks few instances for many keys at once: each caller gets
// the value of its own key.
func TestHammerExtism(t *testing.T) {
	t.Parallel()
	p := loadModule(t, echoExtism().bytes(), Options{Instances: 3})
	var callers sync.WaitGroup
	for c := range 16 {
		callers.Go(func() {
			for i := range 500 {
				key := strings.Repeat(strconv.Itoa(c)+"/", i%50) + strconv.Itoa(i)
				item, err := p.GetItem(t.Context(), key)
				if !assert.NoError(t, err) || !assert.Equal(t, key, item.Value.String()) {
					return
				}
			}
		})
	}
	callers.Wait()
	assert.LessOrEqual(t, p.Stats().Instances.Created, uint64(3))
}
