package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// writeFile writes a file for one test.
func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestEveryWrongSettingIsReported(t *testing.T) {
	t.Parallel()
	n := startNode(t, groups())
	path := writeFile(t, "node.yaml", fmt.Sprintf(`
id: not one word
listen: {api: %q, admin: nowhere}
peer_timeout: soon
groups:
  echo:
    max_bytes: plenty
    colour: blue
    plugin: {module: missing.wasm, memory: 64 megs}
`, n.api))
	log := runProcess(t, 2, "serve", "--config", path, "--log-level", "loud")
	for _, want := range []string{
		"8 settings are wrong", "not one word", "nowhere", "soon", "plenty", "colour", "missing.wasm", "64 megs", "loud",
	} {
		assert.Contains(t, log, want)
	}
	assert.Contains(t, log, path+":2: id: ")
	n.requireAlive(t)
}

func TestPortsInUseAreNamed(t *testing.T) {
	t.Parallel()
	n := startNode(t, groups())
	log := runProcess(t, 1, "serve", "--config", n.config)
	for setting, address := range map[string]string{"peers": n.peers, "api": n.api, "admin": n.admin} {
		if address == "" {
			continue
		}
		assert.Contains(t, log, "gcnode: listen."+setting+": cannot listen on "+address+": address already in use")
	}
	n.requireAlive(t)
}

func TestWhatIsNoModuleIsRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, module, want string
		status             int
	}{
		{"text", "this is no module", "is not a WebAssembly module", 2},
		{"empty", "", "is not a WebAssembly module", 2},
		{"cut off", "\x00asm", "the module ends too early", 1},
		{"another version", "\x00asm\x02\x00\x00\x00", "the unknown version 02000000", 1},
		{"garbage", "\x00asm\x01\x00\x00\x00\xff\xff\xff\xff", "the module ends too early", 1},
		{"no getter", "\x00asm\x01\x00\x00\x00", "does not export gcnode_abi_1", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			module := writeFile(t, "getter.wasm", tc.module)
			config := writeFile(t, "node.yaml", fmt.Sprintf(
				"listen: {api: %q, admin: %q}\ngroups:\n  odd: {plugin: {module: %q}}\n", ports.address(t), ports.address(t), module))
			log := runProcess(t, tc.status, "serve", "--config", config)
			assert.Contains(t, log, tc.want)
			assert.Contains(t, log, "odd", "the group is named")
		})
	}
}
