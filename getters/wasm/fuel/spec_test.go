package fuel_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/getters/wasm/fuel"
)

// specDir returns the folder with the webassembly test suite that wazero
// carries.
func specDir(tb testing.TB) string {
	tb.Helper()
	dir, err := exec.CommandContext(tb.Context(), "go", "list", "-m", "-f", "{{.Dir}}",
		"github.com/tetratelabs/wazero").Output()
	require.NoError(tb, err)
	return filepath.Join(strings.TrimSpace(string(dir)), "internal", "integration_test", "spectest")
}

// specModules calls visit with every module of the test suite, under the name
// of the proposal it tests.
func specModules(tb testing.TB, visit func(suite, name string, module []byte)) {
	tb.Helper()
	root := specDir(tb)
	require.NoError(tb, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".wasm" {
			return err
		}
		module, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		suite, _, _ := strings.Cut(name, string(filepath.Separator))
		visit(suite, name, module)
		return nil
	}))
}

// TestSpecModules injects fuel into the official test suite: what the engine
// accepts must be accepted and stay acceptable, and what it refuses must not
// become acceptable. Only modules of proposals that are not supported may be
// refused although the engine accepts them.
func TestSpecModules(t *testing.T) {
	r := newRuntime(t, func() int64 { return 0 })
	compile := func(module []byte) error {
		c, err := r.CompileModule(t.Context(), module)
		if err != nil {
			return err
		}
		return c.Close(t.Context())
	}
	valid, invalid := map[string]int{}, map[string]int{}
	specModules(t, func(suite, name string, module []byte) {
		out, _, err := fuel.Inject(module, fuel.Options{})
		plain := compile(module)
		switch {
		case plain != nil && err != nil:
			invalid[suite]++
		case plain != nil:
			require.Error(t, compile(out), "%s was refused before: %v", name, plain)
			invalid[suite]++
		case errors.Is(err, fuel.ErrRefused):
			require.Contains(t, []string{"typed-function-references", "exception-handling", "threads"}, suite, "%s: %v", name, err)
		default:
			require.NoError(t, err, name)
			require.NoError(t, compile(out), name)
			valid[suite]++
		}
	})
	for _, suite := range []string{"v1", "v2", "tail-call", "extended-const"} {
		require.Positive(t, valid[suite], suite)
		require.Positive(t, invalid[suite], suite)
	}
}
