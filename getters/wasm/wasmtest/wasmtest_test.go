package wasmtest_test

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/getters/wasm/wasmtest"
)

const root = "../../.."

// installed tells whether everything is there that guests in other languages
// than Go are built with, and that tools/plugins.sh has built them just now.
func installed() bool { return os.Getenv("GCNODE_SDKS") == "installed" }

// onlyBuilt is for modules that are not kept: their tests run where they were
// built.
func onlyBuilt(t *testing.T) {
	t.Helper()
	if !installed() {
		t.Skip("what is made with QuickJS is tested where it was built: make test-plugins")
	}
}

func TestC(t *testing.T) { testProbe(t, "c") }

func TestCPlusPlus(t *testing.T) { testProbe(t, "cpp") }

func TestRust(t *testing.T) { testProbe(t, "rust") }

func TestAssemblyScript(t *testing.T) { testProbe(t, "assemblyscript") }

// The probe in JavaScript is not kept: most of it is QuickJS. Where SDKs are
// tested it is built.
func TestJavaScript(t *testing.T) {
	onlyBuilt(t)
	testProbe(t, "javascript")
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
