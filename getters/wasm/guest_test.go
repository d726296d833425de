package wasm

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
)

// patience is how long tests wait for what happens at once: it only catches
// hangs.
const patience = 2 * time.Minute

// verbs is the Go guest of testdata/guests/verbs, built once.
var verbs = sync.OnceValues(func() ([]byte, error) { return buildGuest("testdata/guests/verbs") })

// probe is the probe of the Go SDK, built once.
var probe = sync.OnceValues(func() ([]byte, error) { return buildGuest("../../plugins/testdata/probe/go") })

func buildGuest(dir string) ([]byte, error) {
	scratch, err := os.MkdirTemp("", "gcnode-guest-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(scratch)
	out := filepath.Join(scratch, "guest.wasm")
	cmd := exec.CommandContext(context.Background(), "go", "build", "-buildmode=c-shared", "-o", out, ".")
	cmd.Dir = filepath.FromSlash(dir)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOWORK=off", "GOFLAGS=")
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, text)
	}
	return os.ReadFile(out)
}

// verbsModule is the Go guest.
func verbsModule(tb testing.TB) []byte {
	tb.Helper()
	module, err := verbs()
	require.NoError(tb, err)
	return module
}

// somewhere is an allow-list for guests that import fetch and do not use it.
var somewhere = []string{"http://origin.invalid"}

// loadVerbs loads the Go guest.
func loadVerbs(tb testing.TB, opts Options) *Plugin {
	tb.Helper()
	if opts.AllowFetch == nil {
		opts.AllowFetch = somewhere
	}
	return loadModule(tb, verbsModule(tb), opts)
}

// sharedPlugin is the Go guest with nothing special about it, for tests that
// only look at answers: loading it takes long under the race detector.
var sharedPlugin = sync.OnceValues(func() (*Plugin, error) {
	module, err := verbs()
	if err != nil {
		return nil, err
	}
	return Load(context.Background(), module, Options{AllowFetch: somewhere, CacheDir: compiled, Timeout: patience})
})

func sharedVerbs(tb testing.TB) *Plugin {
	tb.Helper()
	p, err := sharedPlugin()
	require.NoError(tb, err)
	return p
}

// loadModule loads a module for the duration of a test.
func loadModule(tb testing.TB, module []byte, opts Options) *Plugin {
	tb.Helper()
	opts.CacheDir = compiled
	if opts.Timeout == 0 {
		opts.Timeout = patience
	}
	p, err := Load(tb.Context(), module, opts)
	require.NoError(tb, err)
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		assert.NoError(tb, p.Close(ctx))
		assert.Zero(tb, p.Stats().Instances.Live, "every instance is closed")
	})
	return p
}

// get is a call that has to succeed.
func get(tb testing.TB, p *Plugin, key string) string {
	tb.Helper()
	item, err := p.GetItem(tb.Context(), key)
	require.NoError(tb, err)
	return item.Value.String()
}

// getError is a call that has to fail with an error of the given kind.
func getError(tb testing.TB, p *Plugin, key string, kind gcnode.Kind) *gcnode.Error {
	tb.Helper()
	item, err := p.GetItem(tb.Context(), key)
	require.Error(tb, err, "got %q", item.Value)
	return wantKind(tb, err, kind)
}

// getWithin is a call that has to fail with an error of the given kind when
// its caller waits no longer than limit.
func getWithin(tb testing.TB, p *Plugin, limit time.Duration, key string, kind gcnode.Kind) *gcnode.Error {
	tb.Helper()
	begin := time.Now() // before the deadline is set: the time until it is the limit, and more
	ctx, cancel := context.WithTimeout(tb.Context(), limit)
	defer cancel()
	_, err := p.GetItem(ctx, key)
	took := time.Since(begin)
	assert.GreaterOrEqual(tb, took, limit)
	assert.Less(tb, took, limit+patience)
	return wantKind(tb, err, kind)
}

func wantKind(tb testing.TB, err error, kind gcnode.Kind) *gcnode.Error {
	tb.Helper()
	var e *gcnode.Error
	require.ErrorAs(tb, err, &e)
	require.Equal(tb, kind, e.Kind, "%v", err)
	return e
}
