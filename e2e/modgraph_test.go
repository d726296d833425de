package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// prefix is what the paths of our modules begin with; the rest of a path is
// the module's directory.
const prefix = "github.com/gcnode/gcnode/"

// thirdParty stands for every module that is not ours.
const thirdParty = "third parties"

// knows says which modules each of our modules may depend on, with its tests.
func knows() map[string][]string {
	libraries := []string{"codec/proto", "core", "discovery", "getters/wasm", "tracing", "transport/http", "transport/nats", "transport/wire", thirdParty}
	return map[string][]string{
		"core":                {},
		"codec/proto":         {"core", thirdParty},
		"compat/mailgun":      {"core", "transport/http", "transport/wire", thirdParty},
		"discovery":           {"core", thirdParty},
		"tracing":             {"core", "transport/http", "transport/wire", thirdParty}, // its tests know transports
		"transport/wire":      {"core", thirdParty},
		"transport/http":      {"core", "transport/wire", thirdParty},
		"transport/nats":      {"core", "transport/wire", thirdParty},
		"transport/nats/test": {"core", "discovery", "e2e", "transport/nats", "transport/wire", thirdParty}, // its histories are judged as those of e2e
		"getters/wasm":        {"core", thirdParty},
		"plugins":             {"plugins/sdk/go", thirdParty},
		"plugins/sdk/go":      {},
		"cmd/gcnode":          append(slices.Clone(libraries), "plugins"), // copies the SDKs into projects
		"examples":            append([]string{"compat/mailgun"}, libraries...),
		"e2e":                 libraries,
	}
}

func TestModulesImportOnlyWhatTheyMayKnow(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	workspace := "GOWORK=" + filepath.Join(root, "go.work")
	allowed := knows()
	modules := strings.Fields(goList(t, root, []string{workspace}, "-m", "-f", "{{.Path}}"))
	require.Len(t, modules, len(allowed), "go.work and this test name different modules: %v", modules)

	for _, module := range modules {
		name := strings.TrimPrefix(module, prefix)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Contains(t, allowed, name, "the test does not say what the module may import")
			may := append([]string{name}, allowed[name]...)
			dir := filepath.Join(root, filepath.FromSlash(name))
			platforms := [][]string{{workspace}}
			if strings.HasPrefix(name, "plugins") {
				platforms = append(platforms, []string{workspace, "GOOS=wasip1", "GOARCH=wasm"})
			}
			for _, env := range platforms {
				for _, d := range dependencies(t, dir, env) {
					assert.Contains(t, may, d.module, "%s depends on %s", name, d.pkg)
				}
			}
		})
	}
}

// dependency is a package that a module is built from, and its module without
// the prefix, or thirdParty.
type dependency struct{ pkg, module string }

// dependencies lists all packages that the module in a directory and its tests
// are built from, but for the standard library.
func dependencies(t *testing.T, dir string, env []string) []dependency {
	t.Helper()
	var deps []dependency
	out := goList(t, dir, env, "-deps", "-test", "-f", "{{with .Module}}{{$.ImportPath}}\t{{.Path}}{{end}}", "./...")
	for line := range strings.Lines(out) {
		pkg, module, ok := strings.Cut(strings.TrimSpace(line), "\t")
		require.True(t, ok, "go list printed %q", line)
		name, ours := strings.CutPrefix(module, prefix)
		if !ours {
			name = thirdParty
		}
		deps = append(deps, dependency{pkg, name})
	}
	return deps
}

// goList runs go list in a directory, with more in its environment.
func goList(t *testing.T, dir string, env []string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "go list %v in %s: %s", args, dir, stderr.String())
	return string(out)
}
