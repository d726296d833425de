//go:build !race

// These tests compile and run large modules: with the race detector, which watches
// the host in its own package, that takes ten times as long.

package wasmtest_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/getters/wasm"
	"github.com/gcnode/gcnode/getters/wasm/wasmtest"
)

const root = "../../.."

// installed tells whether everything is there that guests in other languages
// than Go are built with, and that tools/plugins.sh has built them just now.
func installed() bool { return os.Getenv("GCNODE_SDKS") == "installed" }

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
	assert.Equal(t, "echo, <nil>", <-ask("echo:echo"))
	close(release)
	assert.Equal(t, " fetched, <nil>", <-fetching)
	assert.Equal(t, "stored, <nil>", <-ask("set:-1:it is stored:x"))
	assert.Equal(t, "x, <nil>", <-computing)
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

func TestC(t *testing.T) { testProbe(t, "c") }

func TestCPlusPlus(t *testing.T) { testProbe(t, "cpp") }

func TestRust(t *testing.T) { testProbe(t, "rust") }

func TestAssemblyScript(t *testing.T) { testProbe(t, "assemblyscript") }

// The probe in JavaScript is not kept: most of it is QuickJS. Where SDKs are
// tested it is built.
func TestJavaScript(t *testing.T) {
	if installed() {
		testProbe(t, "javascript")
	}
}

// testProbe runs the suite against a probe that was built just now, or against
// the one that is kept for machines that cannot build it.
func testProbe(t *testing.T, language string) {
	t.Helper()
	t.Parallel()
	path := "testdata/" + language + ".wasm"
	if installed() {
		path = root + "/bin/plugins/probe-" + language + ".wasm"
	}
	module, err := os.ReadFile(path)
	require.NoError(t, err)
	wasmtest.Test(t, module)
}

// The probes that are kept are those of the SDKs as they are.
func TestKeptProbesAreUpToDate(t *testing.T) {
	t.Parallel()
	list, err := os.Open("testdata/sources.sha256")
	require.NoError(t, err)
	defer list.Close()
	listed := map[string]bool{}
	for lines := bufio.NewScanner(list); lines.Scan(); {
		hash, path, _ := strings.Cut(lines.Text(), "  ")
		listed[path] = true
		source, err := os.ReadFile(filepath.Join(root, path))
		require.NoError(t, err)
		assert.Equal(t, hash, fmt.Sprintf("%x", sha256.Sum256(source)), "%s has changed: run make probes", path)
	}
	for _, pattern := range []string{
		"plugins/sdk/c/*.h", "plugins/sdk/rust/src/*.rs", "plugins/sdk/assemblyscript/assembly/*.ts",
		"plugins/testdata/probe/c*/*", "plugins/testdata/probe/rust/*", "plugins/testdata/probe/rust/src/*",
		"plugins/testdata/probe/assemblyscript/*", "plugins/testdata/extism/*/*",
		"plugins/pointer/Cargo.*", "plugins/pointer/src/*", "plugins/table/*.c", "plugins/feed/*.cc", "plugins/feed/*.h", "plugins/robots/*.ts", "plugins/internal/document/*",
	} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		require.NotEmpty(t, paths, pattern)
		for _, path := range paths {
			info, err := os.Stat(path)
			require.NoError(t, err)
			path, err := filepath.Rel(root, path)
			require.NoError(t, err)
			assert.True(t, info.IsDir() || listed[filepath.ToSlash(path)], "%s is new: run make probes", path)
		}
	}
}
