//go:build !race

// These tests compile and run large modules in one goroutine: with the race
// detector, which has nothing to find there, that takes ten times as long.

package guesttest_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"

	"github.com/gcnode/gcnode/plugins/internal/guesttest"
)

// cache keeps what was compiled for one test for the others.
var cache = wazero.NewCompilationCache()

// buildProbe builds the module of most tests once.
var buildProbe = sync.OnceValues(func() ([]byte, error) {
	return guesttest.Build(context.Background(), "testdata/probe")
})

func compileProbe(t *testing.T, options guesttest.Options) *guesttest.Module {
	t.Helper()
	wasm, err := buildProbe()
	require.NoError(t, err)
	return compile(t, wasm, options)
}

func build(t *testing.T, dir string) []byte {
	t.Helper()
	wasm, err := guesttest.Build(t.Context(), dir)
	require.NoError(t, err)
	return wasm
}

func compile(t *testing.T, wasm []byte, options guesttest.Options) *guesttest.Module {
	t.Helper()
	t.Logf("module of %d bytes", len(wasm))
	options.MemoryPages, options.Cache = 1024, cache
	module, err := guesttest.Compile(t.Context(), wasm, options)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, module.Close(t.Context())) })
	return module
}

func instantiate(t *testing.T, module *guesttest.Module) *guesttest.Instance {
	t.Helper()
	instance, err := module.Instantiate(t.Context())
	require.NoError(t, err)
	return instance
}

func get(t *testing.T, instance *guesttest.Instance, key string) guesttest.Answer {
	t.Helper()
	answer, err := instance.Get(t.Context(), key)
	require.NoError(t, err, key)
	return answer
}

func TestAnswersOfAGuest(t *testing.T) {
	module := compileProbe(t, guesttest.Options{
		Config:    map[string]string{"a": "1", "": "empty name", "b": ""},
		Transport: http.DefaultTransport,
	})
	instance := instantiate(t, module)
	nasty := "echo:\x00\xff\n" + strings.Repeat("x", 64<<10)
	const byDefault = -1
	for key, want := range map[string]guesttest.Answer{
		"echo:hi":            {0, byDefault, "hi"},
		"echo:":              {0, byDefault, ""},
		nasty:                {0, byDefault, strings.TrimPrefix(nasty, "echo:")},
		"":                   {0, byDefault, ""},
		"setting:a":          {0, byDefault, "1"},
		"setting:":           {0, byDefault, "empty name"},
		"setting:b":          {0, byDefault, ""},
		"setting:c":          {0, byDefault, "unset"},
		"ttl:90s":            {0, 90_000, ""},
		"ttl:10us":           {0, 0, ""},
		"default ttl":        {0, byDefault, ""},
		"no store":           {0, 0, ""},
		"not found":          {1, 60_000, "not found: told so"},
		"transient":          {2, byDefault, "told so"},
		"permanent":          {3, byDefault, "permanent error"},
		"denied":             {4, byDefault, "denied"},
		"overloaded":         {5, byDefault, "overloaded"},
		"panic:at the disco": {3, byDefault, "getter panicked: at the disco"},
		"nil":                {3, byDefault, "getter panicked: runtime error: invalid memory address or nil pointer dereference"},
		"goroutines":         {0, byDefault, "45"},
		"goexit":             {3, 0, "the getter ended its goroutine with runtime.Goexit"},
	} {
		assert.Equal(t, want, get(t, instance, key), "%.50q", key)
	}
}

func TestStateBelongsToTheInstance(t *testing.T) {
	module := compileProbe(t, guesttest.Options{Transport: http.DefaultTransport})
	first, second := instantiate(t, module), instantiate(t, module)
	assert.Equal(t, "1", get(t, first, "calls").Bytes)
	get(t, first, "panic:x")
	assert.Equal(t, "3", get(t, first, "calls").Bytes, "a panic leaves the instance alive")
	assert.Equal(t, "1", get(t, second, "calls").Bytes)
}

// Nobody waits for what is left of a request that was answered, and the node
// does not resume it.
func TestWhatARequestLeavesBehindEnds(t *testing.T) {
	origin := httptest.NewServer(http.NotFoundHandler())
	defer origin.Close()
	instance := instantiate(t, compileProbe(t, guesttest.Options{Transport: origin.Client().Transport}))
	get(t, instance, "leave:"+origin.URL)
	get(t, instance, "echo:x")
	ended := get(t, instance, "ended").Bytes
	assert.Equal(t, 8, strings.Count(ended, "true "), ended)
	assert.Contains(t, ended, "after ")
}

// A goroutine that can run does so before the node is told, though nobody waits
// for it.
func TestWhatCanRunRuns(t *testing.T) {
	instance := instantiate(t, compileProbe(t, guesttest.Options{Transport: http.DefaultTransport}))
	for n := range 40 {
		get(t, instance, "spawn")
		require.Equal(t, strings.Repeat("ran ", n+1), get(t, instance, "ended").Bytes)
	}
}

// The runtime notices that a timer has ended only when goroutines change by its
// scheduler.
func TestTimerOfAnInstanceThatIsAskedOn(t *testing.T) {
	instance := instantiate(t, compileProbe(t, guesttest.Options{Transport: http.DefaultTransport}))
	get(t, instance, "timer")
	<-time.After(2 * time.Millisecond)
	const keys = 16
	for range keys {
		get(t, instance, "echo:x")
	}
	assert.Equal(t, "rang ", get(t, instance, "ended").Bytes)
}

// A request that waits holds up no other of its batch, and the batch is over
// when nothing can wake it.
func TestBatchWithRequestsThatWait(t *testing.T) {
	instance := instantiate(t, compileProbe(t, guesttest.Options{Transport: http.DefaultTransport}))
	for range 3 {
		answers, err := instance.GetMany(t.Context(), "echo:a", "sleep:2ms", "goexit", "sleep:1ms", "echo:b", "goroutines", "calls")
		require.NoError(t, err)
		var values []string
		for _, a := range answers {
			values = append(values, a.Bytes)
		}
		assert.Equal(t, []string{"a", "2ms", "the getter ended its goroutine with runtime.Goexit", "1ms", "b", "45"}, values[:6])
	}
	_, err := instance.GetMany(t.Context(), "deadlock", "echo:b")
	require.Error(t, err)
}

// Nothing will wake these: the runtime finds out, and the node learns it at
// once instead of at the deadline.
func TestInstanceEndsThatCannotGoOn(t *testing.T) {
	module := compileProbe(t, guesttest.Options{Transport: http.DefaultTransport})
	for _, key := range []string{"deadlock", "stray panic"} {
		_, err := instantiate(t, module).Get(t.Context(), key)
		require.Error(t, err, key)
	}
}

func TestConfigurationThatIsRefused(t *testing.T) {
	for mode, want := range map[string]string{"fail": "told to fail", "panic": "told to panic"} {
		module := compileProbe(t, guesttest.Options{
			Config:    map[string]string{"open": mode},
			Transport: http.DefaultTransport,
		})
		_, err := module.Instantiate(t.Context())
		require.ErrorIs(t, err, guesttest.ErrRefused)
		require.ErrorContains(t, err, want)
	}
}

func TestLogOfAGuest(t *testing.T) {
	module := compileProbe(t, guesttest.Options{Transport: http.DefaultTransport, LogLevel: 1})
	instance := instantiate(t, module)
	get(t, instance, "log:a \"b\"")
	get(t, instance, "panic:x")
	log := instance.Log()
	require.Len(t, log, 3)
	assert.Equal(t, `1msg=opened settings=0`, log[0])
	assert.Equal(t, `2msg="a \"b\"" n=1`, log[1])
	assert.Contains(t, log[2], "3getter panicked: x\n")
	assert.Contains(t, log[2], "main.(*probe).get", "the stack leads to the panic")
}

func TestClockOfAGuest(t *testing.T) {
	instance := instantiate(t, compileProbe(t, guesttest.Options{Transport: http.DefaultTransport}))
	before := time.Now().UnixMilli()
	now, err := strconv.ParseInt(get(t, instance, "now").Bytes, 10, 64)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, now, before)
	assert.LessOrEqual(t, now, time.Now().UnixMilli())
}

func TestFetchOfAGuest(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/gone" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("X-Answer", r.Header.Get("X-Probe"))
		_, _ = io.WriteString(w, strings.Repeat(r.URL.Path, 10_000))
	}))
	defer origin.Close()
	instance := instantiate(t, compileProbe(t, guesttest.Options{Transport: origin.Client().Transport}))
	assert.Equal(t, "yes "+strings.Repeat("/a%2Fb", 10_000), get(t, instance, "fetch:"+origin.URL+"/a%252Fb").Bytes)
	assert.Equal(t, guesttest.Answer{Status: 1, TTLMillis: -1, Bytes: "fetch " + origin.URL + "/gone: status 404"}, get(t, instance, "fetch:"+origin.URL+"/gone"))
	malformed := get(t, instance, "fetch:http://a b")
	assert.EqualValues(t, 3, malformed.Status, "the test's host refuses it with a code")
	origin.Close()
	assert.EqualValues(t, 2, get(t, instance, "fetch:"+origin.URL).Status)
}

func TestOrdinaryClientInAGuest(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, r.URL.RequestURI())
	}))
	defer origin.Close()
	instance := instantiate(t, compile(t, build(t, "testdata/httpprobe"), guesttest.Options{Transport: origin.Client().Transport}))
	assert.Equal(t, guesttest.Answer{TTLMillis: -1, Bytes: "418 I'm a teapot /a?b"}, get(t, instance, origin.URL+"/a?b"))
	origin.Close()
	assert.EqualValues(t, 2, get(t, instance, origin.URL).Status, "unreachable")
}

// A module imports what its code can reach, so that only getters that fetch
// need to be granted it.
func TestImportsAreThoseThatAreUsed(t *testing.T) {
	module := compileProbe(t, guesttest.Options{Transport: http.DefaultTransport})
	assert.Equal(t, []string{"fetch_start", "input_read", "log", "log_level", "respond"}, module.Imports())
	module = compile(t, build(t, "testdata/offline"), guesttest.Options{})
	assert.Equal(t, []string{"input_read", "log", "respond"}, module.Imports())
	assert.Equal(t, "offline k", get(t, instantiate(t, module), "k").Bytes)
}

// The exports of a Go guest return to the host without running the goroutines
// of its garbage collector, which has been seen to let the memory of a guest
// that never yields grow to its limit.
func TestMemoryStaysFlat(t *testing.T) {
	module := compileProbe(t, guesttest.Options{Transport: http.DefaultTransport})
	for _, c := range []struct {
		key   string
		calls int
	}{
		{"echo:x", 6_000},
		{"make:1000", 4_000},
		{"make:65536", 4_000},
		{"make:1000000", 1_000},
		{"echo:" + strings.Repeat("x", 64<<10), 2_000},
		{"panic:x", 1_000},
	} {
		instance := instantiate(t, module)
		for range c.calls / 2 {
			get(t, instance, c.key)
		}
		settled := instance.MemoryBytes()
		for range c.calls / 2 {
			get(t, instance, c.key)
		}
		assert.Less(t, instance.MemoryBytes(), uint32(12<<20), "%.20s", c.key)
		t.Logf("%.20s: %d KiB, then %d KiB", c.key, settled>>10, instance.MemoryBytes()>>10)
		require.NoError(t, instance.Close(t.Context()))
	}
}
