//go:build !race

// These tests compile and run large modules: with the race detector, which watches
// the host in its own package, that takes ten times as long.

package wasmtest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/getters/wasm"
	"github.com/gcnode/gcnode/getters/wasm/wasmtest"
)

// goProbe is the probe in Go, built once.
var goProbe = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "gcnode-probe-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // it is temporary anyway
	out := filepath.Join(dir, "go.wasm")
	cmd := exec.CommandContext(context.Background(), "go", "build", "-buildmode=c-shared", "-o", out, ".")
	cmd.Dir = root + "/plugins/testdata/probe/go"
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOWORK=off", "GOFLAGS=")
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, text)
	}
	return os.ReadFile(out)
})

func TestGo(t *testing.T) {
	t.Parallel()
	module, err := goProbe()
	require.NoError(t, err)
	wasmtest.Test(t, module)
}

// The SDK changes goroutines by iter.Pull, which does not get in the way of getters
// that do so as well: not when they block there, and not when they end there.
func TestGoGetterThatPulls(t *testing.T) {
	t.Parallel()
	module, err := goProbe()
	require.NoError(t, err)
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(r.URL.Path))
	}))
	t.Cleanup(origin.Close)
	p, err := wasm.Load(t.Context(), module, wasm.Options{
		AllowFetch: []string{origin.URL}, Instances: 1, StoreBytes: 1 << 20, Timeout: 20 * time.Second,
	})
	require.NoError(t, err)
	defer func() { assert.NoError(t, p.Close(context.Background())) }()
	var callers sync.WaitGroup
	for n := range 8 {
		callers.Go(func() {
			for i := range 20 {
				path := fmt.Sprintf("/%d.%d", n, i)
				item, err := p.GetItem(t.Context(), "pull:"+origin.URL+path)
				assert.NoError(t, err)
				assert.Equal(t, path+path+path, item.Value.String())
				_, err = p.GetItem(t.Context(), "pull:panic")
				assert.ErrorContains(t, err, "getter panicked: pulled")
				_, err = p.GetItem(t.Context(), "pull:goexit")
				assert.ErrorContains(t, err, "the getter ended its goroutine with runtime.Goexit")
			}
		})
	}
	callers.Wait()
	assert.Zero(t, p.Stats().Instances.Discarded)
}

// A getter in Go that computes lets the others of its instance go on: one that is
// pending is resumed with the answer to its fetch, and further keys are answered.
func TestGoYields(t *testing.T) {
	t.Parallel()
	module, err := goProbe()
	require.NoError(t, err)
	release, arrived := make(chan struct{}), make(chan struct{}, 1)
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		select {
		case <-release:
			_, _ = w.Write([]byte("fetched"))
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(origin.Close)
	p, err := wasm.Load(t.Context(), module, wasm.Options{
		AllowFetch: []string{origin.URL}, Instances: 1, StoreBytes: 1 << 20, Timeout: 20 * time.Second,
	})
	require.NoError(t, err)
	defer func() { assert.NoError(t, p.Close(context.Background())) }()
	ask := func(key string) <-chan string {
		answered := make(chan string, 1)
		go func() {
			item, err := p.GetItem(context.Background(), key)
			answered <- fmt.Sprintf("%s, %v", item.Value, err)
		}()
		return answered
	}
	fetching := ask("fetch:" + origin.URL)
	<-arrived
	computing := ask("until:it is stored")
	alike := []<-chan string{ask("until:it is stored"), ask("until:it is stored")}
	require.Eventually(t, func() bool { return p.Stats().Instances.Pending == 4 }, 20*time.Second, time.Millisecond)
	for range 10 {
		assert.Equal(t, "echo, <nil>", <-ask("echo:echo"), "though one of those that compute has always come back")
	}
	close(release)
	assert.Equal(t, " fetched, <nil>", <-fetching)
	assert.Equal(t, "stored, <nil>", <-ask("set:-1:it is stored:x"))
	for _, answered := range append(alike, computing) {
		assert.Equal(t, "x, <nil>", <-answered)
	}
	assert.Zero(t, p.Stats().Instances.Discarded)

	ctx, cancel := context.WithCancel(t.Context())
	givenUp := make(chan error, 1)
	go func() {
		_, err := p.GetItem(ctx, "until:never")
		givenUp <- err
	}()
	require.Eventually(t, func() bool { return p.Stats().Instances.Pending == 1 }, 20*time.Second, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-givenUp, context.Canceled)
	assert.Equal(t, "echo, <nil>", <-ask("echo:echo"), "also if it was stopped while it computed")
}
