//go:build !race

// These tests compile and run large modules: with the race detector, which watches
// the host in its own package, that takes ten times as long.

package wasmtest_test

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/getters/wasm"
	"github.com/gcnode/gcnode/getters/wasm/conformance"
)

// readyMade is the path of a ready-made getter that was built just now, or of
// the one that is kept for machines that cannot build it.
func readyMade(name string) string {
	if installed() {
		return root + "/bin/plugins/" + name + ".wasm"
	}
	return "testdata/" + name + ".wasm"
}

// documents are what an origin has, by path.
type documents map[string]string

// ServeHTTP implements [http.Handler].
func (d documents) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch text, found := d[r.URL.EscapedPath()]; {
	case found:
		_, _ = w.Write([]byte(text))
	case strings.HasPrefix(path.Base(r.URL.Path), "busy"):
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		http.NotFound(w, r)
	}
}

// roomy gives a getter in JavaScript the memory that it takes.
func roomy(opts wasm.Options) wasm.Options {
	opts.MaxMemoryBytes = 64 << 20
	return opts
}

// refused adds documents that a getter has to refuse, each for a reason, and
// returns what to ask for: the key of the document and what is behind it.
func (d documents) refused(rest string, reasons map[string]string) []readyCase {
	var cases []readyCase
	for text, want := range reasons {
		key := strconv.Itoa(len(cases))
		d["/"+key] = text
		cases = append(cases, readyCase{key: key + rest, kind: gcnode.KindPermanent, want: want, about: text})
	}
	return cases
}

// options are how a getter runs whose documents these are, where ORIGIN in a
// setting stands for their origin.
func (d documents) options(t *testing.T, config ...map[string]string) wasm.Options {
	t.Helper()
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	opts := wasm.Options{Config: map[string]string{}, AllowFetch: []string{server.URL}, Instances: 1, MaxMemoryBytes: 16 << 20, CacheDir: filepath.Join(t.TempDir(), "compiled")}
	for _, settings := range config {
		maps.Copy(opts.Config, settings)
	}
	for name, value := range opts.Config {
		opts.Config[name] = strings.ReplaceAll(value, "ORIGIN", server.URL)
	}
	return opts
}

// readyCase is a key and what comes of it.
type readyCase struct {
	key  string
	want string      // the value, or a part of the error
	kind gcnode.Kind // 0: a value
	keep gcnode.Lifetime

	about string // what is shown if the key does not say what is asked for
}

// testReadyMade asks a getter for keys. No key, and nothing that the origin
// answers, may end the instance.
func testReadyMade(t *testing.T, name string, opts wasm.Options, cases []readyCase) {
	t.Helper()
	p, err := wasm.LoadFile(t.Context(), readyMade(name), opts)
	require.NoError(t, err)
	defer func() { assert.NoError(t, p.Close(context.Background())) }()
	for _, c := range cases {
		item, err := p.GetItem(t.Context(), c.key)
		if c.kind == 0 {
			if assert.NoError(t, err, "%.100q %.100s", c.key, c.about) {
				assert.Equal(t, c.want, item.Value.String(), "%.100q %.100s", c.key, c.about)
			}
		} else {
			assert.Equal(t, c.kind, gcnode.KindOf(err), "%.100q %.100s: %v", c.key, c.about, err)
			assert.ErrorContains(t, err, c.want, "%.100q %.100s", c.key, c.about)
		}
		assert.Equal(t, c.keep, item.Keep, "%.100q %.100s", c.key, c.about)
	}
	assert.Equal(t, wasm.DiscardStats{}, p.Stats().Instances.Discarded)
}

// testRefused loads a getter with settings that it has to refuse, each for a
// reason that it names.
func testRefused(t *testing.T, name string, right wasm.Options, wrong []map[string]string, reasons []string) {
	t.Helper()
	require.Len(t, reasons, len(wrong))
	for i, settings := range wrong {
		opts := right
		opts.Config = maps.Clone(right.Config)
		maps.Copy(opts.Config, settings)
		p, err := wasm.LoadFile(t.Context(), readyMade(name), opts)
		if assert.Error(t, err, "%v", settings) {
			assert.ErrorContains(t, err, reasons[i], "%v", settings)
			continue
		}
		assert.NoError(t, p.Close(context.Background()))
	}
}

// testPending asks one instance for as many keys as it takes at the same time,
// all of which are as long as keys can be, while the origin has not answered. What
// they ask for of their document consists of part.
func testPending(t *testing.T, name string, opts wasm.Options, part string) {
	t.Helper()
	const pending = 64
	var arrived atomic.Int32
	all := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if arrived.Add(1) == pending {
			close(all)
		}
		select {
		case <-all:
			w.WriteHeader(http.StatusGone)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	opts.Config = maps.Clone(opts.Config)
	opts.Config["url"], opts.AllowFetch, opts.Pending = server.URL+"/{+key}", []string{server.URL}, pending
	p, err := wasm.LoadFile(t.Context(), readyMade(name), opts)
	require.NoError(t, err)
	defer func() { assert.NoError(t, p.Close(context.Background())) }()
	key := strings.Repeat("/", 4096) // that of a document
	if part != "" {
		key += "#" + strings.Repeat(part, (gcnode.MaxKeyBytes-len(key)-2)/len(part))
	}
	var callers sync.WaitGroup
	for range pending {
		callers.Go(func() {
			_, err := p.GetItem(t.Context(), key)
			assert.ErrorIs(t, err, gcnode.ErrNotFound)
		})
	}
	callers.Wait()
	_, err = p.GetItem(t.Context(), "/"+key)
	require.ErrorContains(t, err, "the key of the document is too long")
	assert.Equal(t, wasm.DiscardStats{}, p.Stats().Instances.Discarded)
	assert.EqualValues(t, pending, arrived.Load())
}

// testConforms runs the suite for getters of any kind.
func testConforms(t *testing.T, name string, opts wasm.Options, keys ...string) {
	t.Helper()
	module, err := os.ReadFile(readyMade(name))
	require.NoError(t, err)
	suite, err := conformance.Getter(module, conformance.GetterOptions{Wasm: opts, Keys: keys})
	require.NoError(t, err)
	t.Cleanup(suite.Close)
	for _, check := range suite.Checks() {
		t.Run(check.Name, func(t *testing.T) { check.Run(t) })
	}
}

const negativeTTL = gcnode.Lifetime(30 * time.Second) // of all of them by default

// wrongTemplates are settings that getters with a template refuse, and why.
func wrongTemplates() (wrong []map[string]string, reasons []string) {
	for _, c := range [][2]string{
		{"", "the setting url is required"},
		{"ftp://o/{key}", "http:// or https://"},
		{"/users/{key}", "http:// or https://"},
		{"http://o/users", "want {key} in it"},
		{"http://{key}/users", "a slash between the host and the key"},
		{"http://o{+key}", "a slash between the host and the key"},
		{"http:///{key}", "want a host"},
		{"http://a:b@o/{key}", "want a host, and no user"},
		{"http://o/{key}/{id}", "no other places"},
		{"http://o/{key}#top", "without a fragment"},
		{"http://o/ {key}", "want a URL"},
	} {
		wrong = append(wrong, map[string]string{"url": c[0]})
		reasons = append(reasons, c[1])
	}
	for _, c := range [][2]string{
		{"ttl", "soon"},
		{"ttl", "-1s"},
		{"ttl", "5"},
		{"negative_ttl", "1d"},
		{"max_bytes", "0"},
		{"max_bytes", "1M"},
		{"max_bytes", "-5"},
		{"max_bytes", "268435457"},
		{"max_bytes", "99999999999999999999"},
	} {
		wrong = append(wrong, map[string]string{c[0]: c[1]})
		reasons = append(reasons, "the setting "+c[0]+" is")
	}
	for _, name := range []string{"tll", "URL", "ttl ", "max", ""} {
		wrong = append(wrong, map[string]string{name: "1h"})
		reasons = append(reasons, `unknown setting "`+name+`": known are url, `)
	}
	return wrong, reasons
}

// The manifests that the documentation shows are those in the folders.
func TestManifestsAreDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(root + "/plugins/README.md")
	require.NoError(t, err)
	for _, name := range []string{"pointer", "table", "reshape", "feed", "robots"} {
		manifest, err := os.ReadFile(root + "/plugins/" + name + "/getter.yaml")
		require.NoError(t, err)
		assert.Contains(t, string(text), "```yaml\n"+string(manifest)+"```\n", name)
	}
}
