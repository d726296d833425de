package main

import (
	"archive/zip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// repository makes a git repository whose tracked and untracked files are given
// as texts by name.
func repository(t *testing.T, tracked, untracked map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	git := func(args ...string) {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "git %v: %s", args, out)
	}
	git("init", "-q")
	for name, text := range tracked {
		require.NoError(t, writeFile(filepath.Join(dir, name), []byte(text)))
	}
	git("add", "--all")
	for name, text := range untracked {
		require.NoError(t, writeFile(filepath.Join(dir, name), []byte(text)))
	}
	return dir
}

func TestArchivesHoldTrackedFilesAndNoNestedModule(t *testing.T) {
	root := repository(t, map[string]string{
		"LICENSE":      "licence",
		"go.work":      "go 1.26.0\n\nuse (\n\t./core\n\t./core/nested\n\t./e2e\n)\n",
		"core/go.mod":  "module github.com/gcnode/gcnode/core\n\ngo 1.26.0\n",
		"core/core.go": "package gcnode\n",
		"core/nested/go.mod": "module github.com/gcnode/gcnode/core/nested\n\ngo 1.26.0\n\n" +
			"require github.com/gcnode/gcnode/core v0.0.0\n\nreplace github.com/gcnode/gcnode/core => ../\n",
		"core/nested/nested.go": "package nested\n",
		"e2e/go.mod":            "module github.com/gcnode/gcnode/e2e\n\ngo 1.26.0\n",
	}, map[string]string{"core/forgotten.go": "package gcnode\n"})
	source, proxy := t.TempDir(), t.TempDir()
	require.NoError(t, copyTracked(t.Context(), root, source))
	modules, err := readModules(source)
	require.NoError(t, err)
	require.Len(t, modules, 2, "core and nested; e2e is not published")
	for _, m := range modules {
		require.NoError(t, m.publish(source, proxy))
	}

	base := filepath.Join(proxy, "github.com", "gcnode", "gcnode", "core")
	assert.ElementsMatch(t, []string{
		"github.com/gcnode/gcnode/core@v0.1.0-check/LICENSE",
		"github.com/gcnode/gcnode/core@v0.1.0-check/go.mod",
		"github.com/gcnode/gcnode/core@v0.1.0-check/core.go",
	}, archived(t, filepath.Join(base, "@v", "v0.1.0-check.zip")))
	assert.ElementsMatch(t, []string{
		"github.com/gcnode/gcnode/core/nested@v0.1.0-check/LICENSE",
		"github.com/gcnode/gcnode/core/nested@v0.1.0-check/go.mod",
		"github.com/gcnode/gcnode/core/nested@v0.1.0-check/nested.go",
	}, archived(t, filepath.Join(base, "nested", "@v", "v0.1.0-check.zip")))
	gomod, err := os.ReadFile(filepath.Join(base, "nested", "@v", "v0.1.0-check.mod"))
	require.NoError(t, err)
	assert.Equal(t, "module github.com/gcnode/gcnode/core/nested\n\ngo 1.26.0\n\n"+
		"require github.com/gcnode/gcnode/core v0.1.0-check\n", string(gomod))
}

// archived lists the files of a module's archive.
func archived(t *testing.T, name string) []string {
	t.Helper()
	r, err := zip.OpenReader(name)
	require.NoError(t, err)
	defer r.Close()
	var names []string
	for _, f := range r.File {
		names = append(names, f.Name)
	}
	return names
}

func TestTrackedFileThatIsGoneIsNamed(t *testing.T) {
	root := repository(t, map[string]string{"core/core.go": "package gcnode\n"}, nil)
	require.NoError(t, os.Remove(filepath.Join(root, "core", "core.go")))
	assert.ErrorContains(t, copyTracked(t.Context(), root, t.TempDir()), "core/core.go")
}

func TestReleaseGoModKeepsOtherRequirements(t *testing.T) {
	got, err := releaseGoMod("transport/http/go.mod", []byte(`module github.com/gcnode/gcnode/transport/http

go 1.26.0

require (
	github.com/gcnode/gcnode/core v0.0.0
	github.com/gcnode/gcnode/transport/wire v0.0.0
)

require go.uber.org/goleak v1.3.0 // indirect

replace (
	github.com/gcnode/gcnode/core => ../../core
	github.com/gcnode/gcnode/transport/wire => ../wire
)
`))
	require.NoError(t, err)
	assert.Equal(t, `module github.com/gcnode/gcnode/transport/http

go 1.26.0

require (
	github.com/gcnode/gcnode/core v0.1.0-check
	github.com/gcnode/gcnode/transport/wire v0.1.0-check
)

require go.uber.org/goleak v1.3.0 // indirect
`, string(got))
}

func TestWrongModulesAreRefused(t *testing.T) {
	for name, test := range map[string]struct{ gomod, want string }{
		"not in its directory": {"module github.com/gcnode/gcnode/cor\n", `go get looks here for "github.com/gcnode/gcnode/core"`},
		"not a go.mod":         {"module github.com/gcnode/gcnode/core\n\nrequires x\n", "core/go.mod:3"},
		"requires what is not published": {
			"module github.com/gcnode/gcnode/core\n\nrequire github.com/gcnode/gcnode/e2e v0.0.0\n",
			"requires github.com/gcnode/gcnode/e2e, which is not published",
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			require.NoError(t, writeFile(filepath.Join(root, "core", "go.mod"), []byte(test.gomod)))
			_, err := readModule(root, "core")
			assert.ErrorContains(t, err, test.want)
		})
	}
	_, err := readModule(t.TempDir(), "core")
	assert.ErrorIs(t, err, os.ErrNotExist)
}
