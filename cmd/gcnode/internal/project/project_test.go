package project

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/config"
)

func languages() []Language { return []Language{Go, Rust, C, CPlusPlus, AssemblyScript, JavaScript} }

// What somebody is told to install is what the documentation says.
func TestWhatToInstallIsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../../docs/writing-getters.md")
	require.NoError(t, err)
	for _, command := range []string{installsC, installsCPlusPlus, installsRust, installsAssemblyScript, installsJavaScript} {
		assert.Contains(t, string(text), "\n"+command+"\n")
	}
}

// A new project has a manifest and cases that can be read, and is known as one
// in its language.
func TestNewProjects(t *testing.T) {
	t.Parallel()
	for _, language := range languages() {
		dir := filepath.Join(t.TempDir(), "made", "now")
		require.NoError(t, Create(dir, Options{Language: language, Name: "my-getter_2", Clone: "/a clone/of it"}))
		m, err := config.LoadManifest(filepath.Join(dir, config.ManifestName))
		require.NoError(t, err)
		assert.Equal(t, "my-getter_2", m.Name)
		assert.Equal(t, filepath.Join(dir, "my-getter_2.wasm"), m.Plugin.Module)
		cases, err := config.LoadCases(filepath.Join(dir, config.CasesName))
		require.NoError(t, err)
		assert.Len(t, cases.Cases, 4)
		got, source, err := LanguageOf(dir)
		require.NoError(t, err)
		assert.Equal(t, language, got)
		if source != "" {
			assert.FileExists(t, filepath.Join(dir, source))
		}
		err = filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
			require.NoError(t, err)
			if text, err := os.ReadFile(path); err == nil {
				assert.NotContains(t, string(text), "{{name}}", path)
			}
			return nil
		})
		require.NoError(t, err)
	}
	assert.Contains(t, goModule(Options{Name: "x", Clone: "/a clone"}), `=> "/a clone/plugins/sdk/go"`)
	assert.Contains(t, goModule(Options{Name: "x", Version: "v1.2.3"}), "plugins/sdk/go v1.2.3\n")
}

func TestNamesOfGetters(t *testing.T) {
	t.Parallel()
	for name, ok := range map[string]bool{
		"a": true, "users": true, "a-b_2": true, "": false, "A": false, "2a": false, "-a": false, "a b": false, "../a": false,
		"ä": false, strings.Repeat("a", 65): false,
	} {
		assert.Equal(t, ok, checkName(name) == nil, "%q", name)
	}
}

func TestNothingIsPutIntoAFolderThatIsInUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "mine"), nil, 0o600))
	require.ErrorContains(t, Create(dir, Options{Language: C, Name: "x"}), "is not empty")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 1)
}

// Without its compiler a project cannot be built, and what is missing is named.
func TestAMissingCompilerIsNamed(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for _, language := range languages() {
		dir := t.TempDir()
		require.NoError(t, Create(dir, Options{Language: language, Name: "x", Version: "v1.2.3"}))
		err := Build(context.Background(), dir, filepath.Join(dir, "x.wasm"), os.Stderr)
		missing, ok := errors.AsType[*MissingError](err)
		require.True(t, ok, "%s: %v", language, err)
		assert.Equal(t, language, missing.Language)
		assert.Contains(t, err.Error(), "is not installed: ")
	}
}
