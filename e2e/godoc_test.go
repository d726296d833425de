package e2e_test

import (
	"encoding/json"
	"html"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// documented is a package and the names that it exports.
type documented struct {
	Package string
	Names   []string
}

// startStdlib starts an origin that serves the source of the standard library.
func startStdlib(t *testing.T) *origin {
	t.Helper()
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	require.NoError(t, err)
	return startTree(t, filepath.Join(strings.TrimSpace(string(root)), "src"))
}

// everyPackage calls check with each package of the standard library, several
// at a time, and returns how many there are.
func everyPackage(t *testing.T, check func(documented)) int {
	t.Helper()
	names := exec.CommandContext(t.Context(), built.docnames)
	var stderr strings.Builder
	names.Stderr = &stderr
	out, err := names.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, names.Start())
	packages := make(chan documented)
	var checks sync.WaitGroup
	for range 3 {
		checks.Go(func() {
			for d := range packages {
				check(d)
			}
		})
	}
	count := 0
	for lines := json.NewDecoder(out); ; count++ {
		var d documented
		if err = lines.Decode(&d); err != nil {
			break
		}
		packages <- d
	}
	close(packages)
	checks.Wait()
	assert.ErrorIs(t, err, io.EOF)
	require.NoError(t, names.Wait(), stderr.String())
	return count
}

// documentedNames are the targets of links in a page, which are the names that
// it documents.
func documentedNames(page string) []string {
	var names []string
	for _, match := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		names = append(names, html.UnescapeString(match[1]))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// maxAge is how long an answer may be kept.
func maxAge(t *testing.T, a answer) time.Duration {
	t.Helper()
	text, ok := strings.CutPrefix(a.cacheControl, "max-age=")
	seconds, err := strconv.Atoi(text)
	assert.True(t, ok && err == nil, "Cache-Control is %q", a.cacheControl)
	return time.Duration(seconds) * time.Second
}

func TestGodocAnswersForTheStandardLibraryIn64MiB(t *testing.T) {
	t.Parallel()
	stdlib := startStdlib(t)
	n := startNode(t, groups(documentation(stdlib.URL, "html")))
	count := everyPackage(t, func(want documented) {
		got, err := do(t.Context(), http.MethodGet, n.valueURL("doc", want.Package))
		if !assert.NoError(t, err) || !assert.Equal(t, http.StatusOK, got.status, "%s: %.1000s", want.Package, got.body) {
			return
		}
		assert.Equal(t, want.Names, documentedNames(got.body), want.Package)
		assert.Equal(t, "text/html", got.contentType)
		assert.Equal(t, "loaded", got.source)
		assert.InDelta(t, time.Hour, maxAge(t, got), float64(patience), want.Package)
		assert.Equal(t, 1, stdlib.listings(want.Package), "getter runs for %s", want.Package)
	})
	assert.GreaterOrEqual(t, count, 150)
	assert.EqualValues(t, count, n.stats(t).group("doc").Plugin.Calls.OK)
	t.Logf("%d packages", count)
}

func TestGodocAnswersForSymbols(t *testing.T) {
	t.Parallel()
	n := startNode(t, groups(documentation(startStdlib(t).URL, "html")))
	for key, want := range map[string]string{
		"net/http.Client":       "Client",
		"encoding/json.Marshal": "Marshal",
		"net/http.Client.Do":    "Client.Do",
	} {
		assert.Contains(t, documentedNames(n.value(t, "doc", key).body), want)
	}
}

func TestNotFoundIsCached(t *testing.T) {
	t.Parallel()
	stdlib := startStdlib(t)
	c := startCluster(t, 2, groups(documentation(stdlib.URL, "html")))
	for _, tc := range []struct{ key, listed string }{
		{"no/such/package", "no/such/package"},
		{"container/ring.NoSuchSymbol", "container/ring"},
		{"container/list.List.NoSuchMethod", "container/list"},
	} {
		for i, n := range slices.Concat(c, c) {
			got := n.get(t, "doc", tc.key)
			got.failure(t, http.StatusNotFound, "not_found")
			assert.Equal(t, i == 0, got.source == "loaded", "%s: source %s", tc.key, got.source)
			assert.Positive(t, maxAge(t, got))
		}
		assert.Equal(t, 1, stdlib.listings(tc.listed), "getter runs for %s", tc.key)
	}
}
