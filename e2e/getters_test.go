package e2e_test

import (
	"bytes"
	"image"
	"image/jpeg"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// exampleOfGetters is examples/getters/node.yaml with modules that were built
// from source, and another origin.
func exampleOfGetters(t *testing.T, origin string) string {
	t.Helper()
	text, err := os.ReadFile("../examples/getters/node.yaml")
	require.NoError(t, err)
	dir := t.TempDir()
	var builds sync.WaitGroup
	for _, name := range []string{"origin", "thumbnail", "markdown"} {
		builds.Go(func() {
			assert.NoError(t, buildOne(t.Context(), "../plugins/"+name, filepath.Join(dir, name+".wasm"),
				[]string{"-buildmode=c-shared", "-ldflags=-s -w"}, []string{"GOOS=wasip1", "GOARCH=wasm"}))
		})
	}
	builds.Wait()
	return strings.NewReplacer("../../bin/plugins", filepath.ToSlash(dir), "http://127.0.0.1:9000", origin).Replace(string(text))
}

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
	config := exampleOfGetters(t, startTree(t, files).URL)
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
