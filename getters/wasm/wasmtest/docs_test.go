//go:build !race

// These tests compile and run large modules: with the race detector, which watches
// the host in its own package, that takes ten times as long.

package wasmtest_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/getters/wasm"
)

// section is what docs/writing-getters.md shows for a language.
type section struct {
	files    map[string]string // by name
	commands string
	yaml     []string
}

// sectionOf reads a section. A file is a block of code after its name, and the
// commands are the blocks of sh but for what installs packages, which is what
// tools/plugins.sh does.
func sectionOf(t *testing.T, heading string) section {
	t.Helper()
	text, err := os.ReadFile(root + "/docs/writing-getters.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(text), "\n## "+heading+"\n")
	require.True(t, found)
	rest, _, _ = strings.Cut(rest, "\n## ")
	s := section{files: map[string]string{}}
	for _, m := range regexp.MustCompile("(?s)\n`([^`\n]+)`:\n\n```[a-z]+\n(.*?)```\n").FindAllStringSubmatch(rest, -1) {
		s.files[m[1]] = m[2]
	}
	for _, m := range regexp.MustCompile("(?s)\n```sh\n(.*?)```\n").FindAllStringSubmatch(rest, -1) {
		for line := range strings.Lines(m[1]) {
			if !strings.HasPrefix(line, "apt-get install ") {
				s.commands += line
			}
		}
	}
	for _, m := range regexp.MustCompile("(?s)\n```yaml\n(.*?)```\n").FindAllStringSubmatch(rest, -1) {
		s.yaml = append(s.yaml, m[1])
	}
	require.NotEmpty(t, s.commands)
	return s
}

// program builds gcnode and returns the folder that it is in.
var program = sync.OnceValues(func() (string, error) {
	dir, err := filepath.Abs(filepath.Join(root, "bin", "docs-test"))
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(context.Background(), "go", "build", "-o", dir+string(filepath.Separator), ".")
	cmd.Dir = filepath.Join(root, "cmd", "gcnode")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, text)
	}
	return dir, nil
})

// follow runs the commands in a folder with nothing but the files, and returns
// the folder.
func (s section) follow(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range s.files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	run(t, dir, s.commands)
	return dir
}

// run runs commands in a folder.
func run(t *testing.T, dir, commands string) string {
	t.Helper()
	clone, err := filepath.Abs(root)
	require.NoError(t, err)
	gcnode, err := program()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), "sh", "-euc", commands)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GCNODE="+clone, "GOWORK=off", "GOFLAGS=-mod=mod", "PATH="+gcnode+":/usr/bin:/bin:"+os.Getenv("PATH"))
	text, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s\n%s", commands, text)
	return string(text)
}

// What the documentation shows for each language can be followed to the letter,
// and is what is in the folder of its SDK.
func TestDocumentedGetters(t *testing.T) {
	t.Parallel()
	for heading, example := range map[string]map[string]string{
		"C":              {"greet.c": "c/example/greet.c"},
		"C++":            {"greet.cc": "c/example/greet.cc"},
		"Rust":           {"src/lib.rs": "rust/example/src/lib.rs", ".cargo/config.toml": "rust/example/.cargo/config.toml"},
		"AssemblyScript": {"greet.ts": "assemblyscript/example/greet.ts"},
		"JavaScript":     {"greet.js": "javascript/example/greet.js"},
	} {
		t.Run(heading, func(t *testing.T) {
			t.Parallel()
			s := sectionOf(t, heading)
			for name, path := range example {
				text, err := os.ReadFile(root + "/plugins/sdk/" + path)
				require.NoError(t, err)
				require.Equal(t, string(text), s.files[name])
			}
			if installed() {
				dir := s.follow(t)
				testGreeter(t, filepath.Join(dir, "greet.wasm"))
				testGreeter(t, filepath.Join(dir, "greet", "greet.wasm"))
			}
		})
	}
}

func TestDocumentedGetterInGo(t *testing.T) {
	t.Parallel()
	s := sectionOf(t, "Go")
	source, err := os.ReadFile(root + "/plugins/hello/main.go")
	require.NoError(t, err)
	s.files["main.go"] = string(source)
	origin := newNames(t)
	p := load(t, filepath.Join(s.follow(t), "hello.wasm"), origin, nil)
	item, err := p.GetItem(t.Context(), "ann/ä")
	require.NoError(t, err)
	assert.Equal(t, "Ann", item.Value.String())
}

// A project leads to a node as it is shown.
func TestDocumentedWayToANode(t *testing.T) {
	t.Parallel()
	s := sectionOf(t, "From nothing to a node")
	dir := s.follow(t)
	for _, name := range []string{"main.go", "getter.yaml", "getter_test.yaml", "go.mod"} {
		require.FileExists(t, filepath.Join(dir, "users", name))
	}
	require.Len(t, s.yaml, 2)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "users", "getter_test.yaml"), []byte(s.yaml[0]), 0o600))
	assert.Equal(t, 3, strings.Count(run(t, dir, "gcnode plugin test users"), "ok    "))
	run(t, dir, "gcnode plugin inspect users; gcnode plugin pin users; gcnode plugin build users")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "node.yaml"), []byte(s.yaml[1]), 0o600))
	assert.Contains(t, run(t, dir, "gcnode check --config node.yaml"), "node.yaml is right")
}

// newNames is an origin with one name.
func newNames(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.EscapedPath() {
		case "/names/ann%2F%C3%A4", "/users/ann%2F%C3%A4":
			_, _ = w.Write([]byte("Ann"))
		case "/names/busy":
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func load(t *testing.T, path, origin string, config map[string]string) *wasm.Plugin {
	t.Helper()
	p, err := tryLoad(t, path, origin, config)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, p.Close(context.Background())) })
	return p
}

func tryLoad(t *testing.T, path, origin string, config map[string]string) (*wasm.Plugin, error) {
	t.Helper()
	settings := map[string]string{"origin": origin}
	maps.Copy(settings, config)
	return wasm.LoadFile(t.Context(), path, wasm.Options{Config: settings, AllowFetch: []string{origin}})
}

// testGreeter tests the getter that the examples in other languages than Go
// are.
func testGreeter(t *testing.T, path string) {
	t.Helper()
	origin := newNames(t)
	p := load(t, path, origin, map[string]string{"ttl": "90s"})
	item, err := p.GetItem(t.Context(), "ann/ä")
	require.NoError(t, err)
	assert.Equal(t, "Hello, Ann!\n", item.Value.String())
	assert.Equal(t, gcnode.For(90*time.Second), item.Keep)

	for key, want := range map[string]struct {
		kind gcnode.Kind
		keep gcnode.Lifetime
	}{
		"":     {gcnode.KindNotFound, gcnode.For(time.Hour)},
		"bob":  {gcnode.KindNotFound, gcnode.For(time.Minute)},
		"busy": {gcnode.KindOverloaded, 0},
	} {
		item, err := p.GetItem(t.Context(), key)
		assert.Equal(t, want.kind, gcnode.KindOf(err), "%q: %v", key, err)
		assert.Equal(t, want.keep, item.Keep, key)
	}
	_, err = tryLoad(t, path, origin, map[string]string{"ttl": "soon"})
	require.ErrorContains(t, err, "the setting ttl is")
}
