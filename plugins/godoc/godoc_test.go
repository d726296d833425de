package main

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/plugins/godoc/godoctest"
	getter "github.com/gcnode/gcnode/plugins/sdk/go"
	"github.com/gcnode/gcnode/plugins/sdk/go/sdktest"
)

// A recorder is an origin that remembers what was asked of it.
type recorder struct {
	*httptest.Server

	mu    sync.Mutex
	paths []string
}

func newOriginServer(t *testing.T, handler http.Handler) *recorder {
	t.Helper()
	r := &recorder{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.mu.Lock()
		r.paths = append(r.paths, request.Method+" "+request.URL.EscapedPath())
		r.mu.Unlock()
		handler.ServeHTTP(w, request)
	}))
	t.Cleanup(r.Close)
	return r
}

// asked returns what was asked since the last call.
func (r *recorder) asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	paths := r.paths
	r.paths = nil
	return paths
}

// goroot serves the source of the standard library.
func goroot(t *testing.T) *recorder {
	t.Helper()
	root, err := godoctest.Toolchain{}.GOROOT(t.Context())
	require.NoError(t, err)
	return newOriginServer(t, http.FileServer(http.Dir(filepath.Join(root, "src"))))
}

// files serves a tree of files by their paths.
func files(t *testing.T, tree map[string]string) *recorder {
	t.Helper()
	dir := t.TempDir()
	writeTree(t, dir, tree)
	return newOriginServer(t, http.FileServer(http.Dir(dir)))
}

// start opens the getter with settings given as name, value, name, value.
func start(t *testing.T, origin *recorder, settings ...string) *sdktest.Instance {
	t.Helper()
	config := getter.Config{"origin": origin.URL}
	for pair := range slices.Chunk(settings, 2) {
		config[pair[0]] = pair[1]
	}
	instance, err := sdktest.Start(open, sdktest.Options{Config: config, Transport: origin.Client().Transport})
	require.NoError(t, err)
	return instance
}

func value(t *testing.T, instance *sdktest.Instance, key string) string {
	t.Helper()
	answer := instance.Get(t.Context(), key)
	require.Equal(t, getter.StatusOK, answer.Status, "%s: %s %s", key, answer.Message, answer.Stack)
	return string(answer.Value)
}

func TestStandardLibraryAsGoDocPrintsIt(t *testing.T) {
	t.Parallel()
	toolchain := godoctest.Toolchain{}
	origin := goroot(t)
	text, page := start(t, origin, "format", "text"), start(t, origin)
	packages, err := toolchain.StdPackages(t.Context())
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(packages), 150)
	for _, importPath := range packages {
		t.Run(importPath, func(t *testing.T) {
			t.Parallel()
			printed, err := toolchain.Doc(t.Context(), importPath)
			require.NoError(t, err)
			want, err := godoctest.ExportedNames(printed)
			require.NoError(t, err)

			got, err := godoctest.ExportedNames(value(t, text, importPath))
			require.NoError(t, err)
			require.NoError(t, godoctest.Compare(want, got), "text")

			html := value(t, page, importPath)
			require.NoError(t, godoctest.Compare(want, godoctest.HTMLNames(html)), "html")
			requireWellFormed(t, html)
		})
	}
}

func TestOtherPlatforms(t *testing.T) {
	t.Parallel()
	origin := goroot(t)
	for _, toolchain := range []godoctest.Toolchain{
		{GOOS: "windows", GOARCH: "arm64"},
		{GOOS: "darwin", GOARCH: "arm64"},
		{GOOS: "wasip1", GOARCH: "wasm"},
		{GOOS: "linux", GOARCH: "386"},
	} {
		instance := start(t, origin, "format", "text", "goos", toolchain.GOOS, "goarch", toolchain.GOARCH)
		for _, importPath := range []string{"syscall", "os", "net", "runtime", "internal/goarch"} {
			t.Run(toolchain.GOOS+"/"+importPath, func(t *testing.T) {
				t.Parallel()
				requireSameNames(t, toolchain, instance, importPath)
			})
		}
	}
}

func TestCgo(t *testing.T) {
	t.Parallel()
	origin := goroot(t)
	without := start(t, origin, "format", "text", "cgo", "false")
	with := start(t, origin, "format", "text", "cgo", "true")
	for _, importPath := range []string{"runtime/cgo", "os/user", "net"} {
		requireSameNames(t, godoctest.Toolchain{}, without, importPath)
		requireSameNames(t, godoctest.Toolchain{Cgo: true}, with, importPath)
	}
}

func requireSameNames(t *testing.T, toolchain godoctest.Toolchain, instance *sdktest.Instance, importPath string) {
	t.Helper()
	printed, err := toolchain.Doc(t.Context(), importPath)
	require.NoError(t, err)
	want, err := godoctest.ExportedNames(printed)
	require.NoError(t, err)
	got, err := godoctest.ExportedNames(value(t, instance, importPath))
	require.NoError(t, err)
	require.NoError(t, godoctest.Compare(want, got), importPath)
}

func TestSymbols(t *testing.T) {
	t.Parallel()
	origin := goroot(t)
	text, page := start(t, origin, "format", "text"), start(t, origin)
	for key, want := range map[string]string{
		"net/http.Client":          "type Client struct {",
		"net/http.Client.Do":       "func (c *Client) Do(req *Request) (*Response, error)",
		"net/http.Get":             "func Get(url string) (resp *Response, err error)",
		"net/http.NewRequest":      "func NewRequest(method, url string, body io.Reader) (*Request, error)",
		"net/http.StatusTeapot":    "StatusTeapot",
		"net/http.ErrHandlerType":  "",
		"net/http.DefaultClient":   "var DefaultClient = &Client{}",
		"net/http.Client.Timeout":  "Timeout time.Duration",
		"net/http.StateNew":        "StateNew ConnState = iota",
		"io.Reader.Read":           "Read(p []byte) (n int, err error)",
		"encoding/json.Marshal":    "func Marshal(v any) ([]byte, error)",
		"time.Sunday":              "Sunday Weekday = iota",
		"sync/atomic.Pointer.Load": "func (x *Pointer[T]) Load() *T",
		"container/list.List":      "type List struct {",
	} {
		if want == "" {
			assert.Equal(t, getter.StatusNotFound, text.Get(t.Context(), key).Status, key)
			continue
		}
		got := value(t, text, key)
		assert.Contains(t, got, want, key)
		assert.Less(t, len(got), 20_000, "%s: only what belongs to the symbol", key)
		html := value(t, page, key)
		requireWellFormed(t, html)
		assert.Contains(t, html, "<title>"+key+"</title>")
	}
	assert.NotContains(t, value(t, text, "net/http.Client.Timeout"), "CheckRedirect")
	assert.NotContains(t, value(t, text, "net/http.Client.Do"), "type Client")
	names, err := godoctest.ExportedNames(value(t, text, "net/http.Cookie"))
	require.NoError(t, err)
	assert.Equal(t, []string{"Cookie", "Cookie.String", "Cookie.Valid", "ParseCookie", "ParseSetCookie"}, slices.Sorted(maps.Keys(names)))
}

func TestOneListingAndOnlyNeededFiles(t *testing.T) {
	t.Parallel()
	origin := files(t, map[string]string{
		"a/pkg/pkg.go":          "package pkg\nfunc F() {}",
		"a/pkg/pkg_test.go":     "package pkg\nfunc TestF() {}",
		"a/pkg/os_windows.go":   "package pkg\nfunc Windows() {}",
		"a/pkg/os_linux.go":     "package pkg\nfunc Linux() {}",
		"a/pkg/arch_arm64.go":   "package pkg\nfunc Arm() {}",
		"a/pkg/tagged.go":       "//go:build special\n\npackage pkg\nfunc Tagged() {}",
		"a/pkg/c.go":            "package pkg\nimport \"C\"\nfunc WithC() {}",
		"a/pkg/_hidden.go":      "broken",
		"a/pkg/.hidden.go":      "broken",
		"a/pkg/doc.txt":         "text",
		"a/pkg/sub/sub.go":      "package sub",
		"a/pkg/ignored.go":      "//go:build ignore\n\npackage main",
		"a/pkg/documenting.go":  "// Package documentation is not part of it.\npackage documentation",
		"a/pkg/odd name+%41.go": "package pkg\nfunc Odd() {}",
	})
	text := value(t, start(t, origin, "format", "text"), "a/pkg")
	names, err := godoctest.ExportedNames(text)
	require.NoError(t, err)
	assert.Equal(t, map[string]bool{"F": true, "Linux": true, "Odd": true}, names)
	assert.Equal(t, []string{
		"GET /a/pkg/",
		"GET /a/pkg/c.go",
		"GET /a/pkg/documenting.go",
		"GET /a/pkg/ignored.go",
		"GET /a/pkg/odd%20name+%2541.go",
		"GET /a/pkg/os_linux.go",
		"GET /a/pkg/pkg.go",
		"GET /a/pkg/tagged.go",
	}, origin.asked())

	instance := start(t, origin, "format", "text", "tags", "special,other", "cgo", "true")
	names, err = godoctest.ExportedNames(value(t, instance, "a/pkg"))
	require.NoError(t, err)
	assert.Equal(t, map[string]bool{"F": true, "Linux": true, "Odd": true, "Tagged": true, "WithC": true}, names)
}

func TestKeysWithDots(t *testing.T) {
	t.Parallel()
	origin := files(t, map[string]string{
		"gopkg.in/yaml.v3/yaml.go":          "package yaml\ntype Node struct{}\nfunc (Node) Encode() {}",
		"example.com/x/net/html/a.go":       "package html\ntype Node struct{}",
		"example.com/Odd.Name/Pkg.Sub/a.go": "package sub\nfunc F() {}",
	})
	instance := start(t, origin, "format", "text")
	for key, want := range map[string]struct {
		contains string
		listings []string
	}{
		"gopkg.in/yaml.v3":               {"package yaml //", []string{"GET /gopkg.in/yaml.v3/"}},
		"gopkg.in/yaml.v3.Node":          {"type Node", []string{"GET /gopkg.in/yaml.v3/"}},
		"gopkg.in/yaml.v3.Node.Encode":   {"func (Node) Encode()", []string{"GET /gopkg.in/yaml.v3/"}},
		"example.com/x/net/html.Node":    {"type Node", []string{"GET /example.com/x/net/html/"}},
		"example.com/Odd.Name/Pkg.Sub":   {"package sub //", []string{"GET /example.com/Odd.Name/Pkg/", "GET /example.com/Odd.Name/Pkg.Sub/"}},
		"example.com/Odd.Name/Pkg.Sub.F": {"func F()", []string{"GET /example.com/Odd.Name/Pkg/", "GET /example.com/Odd.Name/Pkg.Sub/"}},
	} {
		assert.Contains(t, value(t, instance, key), want.contains, key)
		listings := slices.DeleteFunc(origin.asked(), func(p string) bool { return !strings.HasSuffix(p, "/") })
		assert.Equal(t, want.listings, listings, key)
	}
}

func TestNotFound(t *testing.T) {
	t.Parallel()
	origin := files(t, map[string]string{
		"p/p.go":          "package p\nfunc F() {}\ntype T struct{ F int; g int }\nfunc (T) M() {}\nfunc h() {}",
		"empty/readme.md": "nothing here",
		"tests/a_test.go": "package tests",
		"other/a.go":      "//go:build windows\n\npackage other",
	})
	instance := start(t, origin, "negative_ttl", "7s")
	for _, key := range []string{
		"nosuch", "no/such/package", "nosuch.Symbol", "empty", "tests", "other", "p/p.go", "p/p.go.X",
		"p.G", "p.T.N", "p.T.g", "p.F.M", "p.h", "p.G.M", "p.T.M.X",
	} {
		answer := instance.Get(t.Context(), key)
		assert.Equal(t, getter.StatusNotFound, answer.Status, "%s: %s", key, answer.Message)
		assert.Equal(t, 7*time.Second, answer.TTL, key)
		assert.NotEmpty(t, answer.Message, key)
	}
}

func TestOneListingTellsThatAPackageIsUnknown(t *testing.T) {
	t.Parallel()
	origin := files(t, map[string]string{"yaml.v3/yaml.go": "package yaml\ntype Node struct{}"})
	instance := start(t, origin, "format", "text")
	for key, listings := range map[string][]string{
		"nosuch":             {"GET /nosuch/"},
		"nosuch.Symbol":      {"GET /nosuch/"},
		"nosuch.Type.Method": {"GET /nosuch/"},
		"no/such.Symbol":     {"GET /no/such/"},
		"nosuch.v2.Symbol":   {"GET /nosuch.v2/"},
		// Such a directory could exist.
		"example.com/nosuch.Symbol": {"GET /example.com/nosuch/", "GET /example.com/nosuch.Symbol/"},
	} {
		assert.Equal(t, getter.StatusNotFound, instance.Get(t.Context(), key).Status, key)
		assert.Equal(t, listings, origin.asked(), key)
	}
	assert.Contains(t, value(t, instance, "yaml.v3.Node"), "type Node")
}

func TestMalformedKeysAreNotFoundWithoutAFetch(t *testing.T) {
	t.Parallel()
	instance := start(t, files(t, nil))
	for _, key := range []string{
		"", ".", "..", "...", "../x", "a/..", "a/../b", "a/./b", "./a", "/", "/etc", "//a", "a//b", "a/", "a/.", "net/..Client",
		`a\b`, `..\a`, "a\x00", "a\xff\xfe", "a b", "a\nb", "a\u00a0b", "a\u200bb", "%2e%2e/a", "a%2Fb", "a?b", "a#b",
		"a:b", "http://a", "a*", "<script>", `"`, "a\uFFFD", strings.Repeat("a", maxKeyBytes+1),
		strings.Repeat("\xff", 65<<10),
	} {
		answer := instance.Get(t.Context(), key)
		assert.Equal(t, getter.StatusNotFound, answer.Status, "%.100q: %s", key, answer.Message)
		assert.Equal(t, 30*time.Second, answer.TTL)
		assert.Contains(t, answer.Message, "malformed key")
		assert.Less(t, len(answer.Message), 600)
	}
	assert.Empty(t, instance.Fetched())
}

func TestFailuresOfTheOrigin(t *testing.T) {
	t.Parallel()
	listing := `<a href="a.go">a.go</a>`
	for name, c := range map[string]struct {
		listing, file int
		want          getter.Status
	}{
		"listing 500":         {500, 200, getter.StatusTransient},
		"listing 503":         {503, 200, getter.StatusTransient},
		"listing 410":         {410, 200, getter.StatusNotFound},
		"listing 403":         {403, 200, getter.StatusDenied},
		"listing 429":         {429, 200, getter.StatusOverloaded},
		"listing 400":         {400, 200, getter.StatusPermanent},
		"listing no content":  {204, 200, getter.StatusPermanent},
		"file 500":            {200, 500, getter.StatusTransient},
		"file gone meanwhile": {200, 404, getter.StatusTransient},
		"all well":            {200, 200, getter.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			origin := newOriginServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/") {
					w.WriteHeader(c.listing)
					if c.listing != http.StatusNoContent {
						_, _ = w.Write([]byte(listing))
					}
					return
				}
				w.WriteHeader(c.file)
				_, _ = w.Write([]byte("package p"))
			}))
			answer := start(t, origin).Get(t.Context(), "p")
			assert.Equal(t, c.want, answer.Status, answer.Message)
		})
	}
	gone := files(t, nil)
	gone.Close()
	answer := start(t, gone).Get(t.Context(), "p")
	assert.Equal(t, getter.StatusTransient, answer.Status, answer.Message)
}

func TestSourceThatIsNotGo(t *testing.T) {
	t.Parallel()
	origin := files(t, map[string]string{
		"broken/a.go":    "package broken\nfunc {",
		"openbody/a.go":  "package openbody\nfunc F() { g(",
		"two/a.go":       "package one",
		"two/b.go":       "package two",
		"binary/a.go":    "\x00\x01\x02",
		"nopackage/a.go": "",
		"huge/a.go":      "package huge\n//" + strings.Repeat("x", maxFileBytes),
	})
	instance := start(t, origin)
	for key, want := range map[string]string{
		"broken": "a.go", "openbody": "a.go", "two": "one and two", "binary": "a.go", "nopackage": "a.go", "huge": "too large",
	} {
		answer := instance.Get(t.Context(), key)
		assert.Equal(t, getter.StatusPermanent, answer.Status, "%s: %s", key, answer.Message)
		assert.Contains(t, answer.Message, want)
	}
}

func TestLifetimes(t *testing.T) {
	t.Parallel()
	origin := files(t, map[string]string{"p/p.go": "package p"})
	get := func(key string, settings ...string) time.Duration {
		return start(t, origin, settings...).Get(t.Context(), key).TTL
	}
	assert.Equal(t, time.Hour, get("p"))
	assert.Equal(t, 5*time.Minute, get("p", "ttl", "5m"))
	assert.Equal(t, getter.NoStore, get("p", "ttl", "0s"))
	assert.Equal(t, 30*time.Second, get("q"))
	assert.Equal(t, getter.NoStore, get("q", "negative_ttl", "0s"))
}

func TestWrongSettingsAreAllNamed(t *testing.T) {
	t.Parallel()
	_, err := sdktest.Start(open, sdktest.Options{Config: getter.Config{
		"origin": "ftp://x", "format": "pdf", "goos": "", "goarch": "amd/64", "cgo": "maybe",
		"ttl": "forever", "negative_ttl": "-1s", "colour": "y",
	}})
	for _, part := range []string{
		"setting origin", "setting format", "setting goos", "setting goarch", "setting cgo", "setting ttl",
		"setting negative_ttl", `"colour"`,
	} {
		require.ErrorContains(t, err, part)
	}
	_, err = sdktest.Start(open, sdktest.Options{})
	require.ErrorContains(t, err, "setting origin: is required")
}
