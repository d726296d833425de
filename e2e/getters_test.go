package e2e_test

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReadyMadeGettersNeedOnlyTheirConfiguration(t *testing.T) {
	t.Parallel()
	var photo bytes.Buffer
	require.NoError(t, jpeg.Encode(&photo, image.NewGray(image.Rect(0, 0, 1600, 900)), nil))
	files := t.TempDir()
	for name, content := range map[string]string{
		"users/ann.json": `{"name":"Ann"}`, "photos/cats/1.jpg": photo.String(), "docs/guide/intro.md": "# Hello\n",
	} {
		path := filepath.Join(files, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	}
	config, err := built.exampleOfGetters(startTree(t, files).URL)
	require.NoError(t, err)
	runProcess(t, 0, "check", "--config", writeFile(t, "node.yaml", config))

	_, ofGroups, found := strings.Cut(config, "groups:\n")
	require.True(t, found)
	n := startNode(t, groups(ofGroups))
	user := n.value(t, "users", "ann")
	assert.JSONEq(t, `{"name":"Ann"}`, user.body)
	assert.Equal(t, "application/json", user.contentType)
	assert.Equal(t, http.StatusNotFound, n.get(t, "users", "bob").status)

	small, _, err := image.DecodeConfig(strings.NewReader(n.value(t, "thumbnails", "320x240/cats/1.jpg").body))
	require.NoError(t, err)
	assert.Equal(t, image.Pt(320, 240), image.Pt(small.Width, small.Height))
	assert.Equal(t, http.StatusNotFound, n.get(t, "thumbnails", "321x240/cats/1.jpg").status)

	assert.Contains(t, n.value(t, "pages", "guide/intro").body, `<h1 id="hello">Hello</h1>`)
}

// The getters in other languages than Go are those that are kept for tests, with
// their manifests as they are, but for the module and the origin.
func TestReadyMadeGettersNeedOnlyTheirManifest(t *testing.T) {
	t.Parallel()
	files := t.TempDir()
	for name, content := range map[string]string{
		"users/ann.json": `{"name":"Ann"}`, "tables/countries.csv": "name,code\nGermany,DE\n",
		"feeds/news.xml": "<rss><channel><title>News</title></channel></rss>", "robots.txt": "user-agent: *\ndisallow: /private\n",
	} {
		path := filepath.Join(files, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	}
	origin := startTree(t, files).URL
	var config strings.Builder
	folder, err := filepath.Abs("..")
	require.NoError(t, err)
	for name, url := range map[string]string{
		"pointer": "/users/{+key}.json", "table": "/tables/{key}.csv", "feed": "/feeds/{key}.xml", "robots": "/robots.txt",
	} {
		fmt.Fprintf(&config, "  %s: {plugin: {manifest: %q, module: %q, allow_fetch: [%q], config: {url: %q}}}\n", name,
			filepath.Join(folder, "plugins", name, "getter.yaml"),
			filepath.Join(folder, "getters", "wasm", "wasmtest", "testdata", name+".wasm"), origin, origin+url)
	}
	n := startNode(t, groups(config.String()))
	assert.Equal(t, `"Ann"`, n.value(t, "pointer", "ann#/name").body)
	assert.JSONEq(t, `{"name":"Germany","code":"DE"}`, n.value(t, "table", "countries#DE").body)
	assert.JSONEq(t, `{"title":"News","entries":[]}`, n.value(t, "feed", "news").body)
	assert.Equal(t, "disallow", n.value(t, "robots", "/private/x").body)
	assert.Equal(t, http.StatusNotFound, n.get(t, "table", "countries#FR").status)
}
