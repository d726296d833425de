package fuel_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
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
