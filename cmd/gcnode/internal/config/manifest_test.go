package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/config"
	"github.com/gcnode/gcnode/getters/wasm"
)

// writeManifest writes a configuration, and a manifest beside a module in a
// directory below it.
func writeManifest(t *testing.T, configuration, manifest string) (node, getter string) {
	t.Helper()
	node = writeFiles(t, configuration)
	dir := filepath.Join(filepath.Dir(node), "users")
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "users.wasm"), []byte("\x00asm\x01\x00\x00\x00"), 0o600))
	getter = filepath.Join(dir, config.ManifestName)
	require.NoError(t, os.WriteFile(getter, []byte(manifest), 0o600))
	return node, getter
}

const hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

const users = "name: users\nversion: 1.2.0\ndescription: users by name\nmodule: users.wasm\nsha256: " + hash + `
memory: 16MiB
allow_fetch: [https://users.example.com]
config: {origin: https://users.example.com, ttl: 10m}
env: {TZ: UTC}
`

func TestAManifestIsHowAPluginIsRun(t *testing.T) {
	t.Parallel()
	node, manifest := writeManifest(t, "groups: {users: {plugin: {manifest: users/getter.yaml}}}\n", users)
	cfg, err := config.Load(node, config.Flags{})
	require.NoError(t, err)
	got := cfg.Groups[0].Plugin
	assert.Equal(t, filepath.Join(filepath.Dir(manifest), "users.wasm"), got.Module)
	assert.Equal(t, hash, got.SHA256)
	assert.EqualValues(t, 16<<20, got.MaxMemoryBytes)
	assert.Equal(t, config.DefaultTimeout, got.Timeout)
	assert.Equal(t, []string{"https://users.example.com"}, got.AllowFetch)
	assert.Equal(t, map[string]string{"origin": "https://users.example.com", "ttl": "10m"}, got.Config)

	m, err := config.LoadManifest(manifest)
	require.NoError(t, err)
	assert.Equal(t, &config.Manifest{Name: "users", Version: "1.2.0", Description: "users by name", Plugin: got}, m)
}

func TestWhatTheConfigurationSaysIsOnTopOfTheManifest(t *testing.T) {
	t.Parallel()
	node, _ := writeManifest(t, `groups:
  users:
    plugin:
      manifest: users/getter.yaml
      timeout: 3s
      allow_fetch: [http://10.0.0.9]
      config: {origin: http://10.0.0.9}
      env: {LANG: C}
`, users)
	cfg, err := config.Load(node, config.Flags{})
	require.NoError(t, err)
	got := cfg.Groups[0].Plugin
	assert.Equal(t, 3*time.Second, got.Timeout)
	assert.EqualValues(t, 16<<20, got.MaxMemoryBytes)
	assert.Equal(t, []string{"http://10.0.0.9"}, got.AllowFetch, "what is granted is not added to")
	assert.Equal(t, map[string]string{"origin": "http://10.0.0.9", "ttl": "10m"}, got.Config)
	assert.Equal(t, map[string]string{"TZ": "UTC", "LANG": "C"}, got.Env)
}

func TestTheModuleOfAManifestNeedNotBeThereIfAnotherTakesItsPlace(t *testing.T) {
	t.Parallel()
	node, manifest := writeManifest(t, "groups: {g: {plugin: {manifest: users/getter.yaml, module: users/users.wasm}}}\n",
		"name: x\nmodule: nowhere.wasm\n")
	cfg, err := config.Load(node, config.Flags{})
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(filepath.Dir(manifest), "users.wasm"), cfg.Groups[0].Plugin.Module)
}

func TestWhatIsWrongInAManifestIsToldWithItsFileAndLine(t *testing.T) {
	t.Parallel()
	node, manifest := writeManifest(t, "groups: {g: {plugin: {manifest: users/getter.yaml, sha256: abc}}, h: {plugin: {manifest: users}}}\n",
		"name: x\nmodule: nowhere.wasm\nmemory: lots\nttl: 5m\n")
	_, err := config.Load(node, config.Flags{})
	require.Error(t, err)
	text := strings.ReplaceAll(err.Error(), filepath.Dir(node)+string(filepath.Separator), "")
	for _, want := range []string{
		"users/getter.yaml:2: module: ", "nowhere.wasm: no such file or directory",
		`users/getter.yaml:3: memory: "lots" must be a size`,
		"users/getter.yaml:4: ttl: there is no such setting",
		`node.yaml:1: groups.g.plugin.sha256: "abc" must be the SHA-256 of the module, 64 hexadecimal digits`,
		"node.yaml:1: groups.h.plugin.manifest: users must be a regular file",
	} {
		assert.Contains(t, text, want)
	}

	_, err = config.LoadManifest(manifest)
	require.ErrorContains(t, err, `memory: "lots" must be a size`)
	assert.NotContains(t, err.Error(), "nowhere.wasm", "the module may have to be built first")
	require.NoError(t, os.WriteFile(manifest, []byte("name: x\n"), 0o600))
	_, err = config.LoadManifest(manifest)
	require.ErrorContains(t, err, "module: is missing")
	require.NoError(t, os.WriteFile(manifest, []byte("{"), 0o600))
	_, err = config.LoadManifest(manifest)
	require.ErrorContains(t, err, "not as YAML should be")
	_, err = config.LoadManifest(manifest + ".not")
	require.ErrorContains(t, err, "manifest: ")
	require.ErrorContains(t, err, "no such file")
}

// A manifest comes with the module, which would weaken its own sandbox.
func TestAManifestDoesNotChooseItsInterruption(t *testing.T) {
	t.Parallel()
	node, manifest := writeManifest(t, "groups: {users: {plugin: {manifest: users/getter.yaml, interruption: engine}}}\n", users)
	cfg, err := config.Load(node, config.Flags{})
	require.NoError(t, err)
	assert.Equal(t, wasm.InterruptByEngine, cfg.Groups[0].Plugin.Options().Interruption)

	require.NoError(t, os.WriteFile(manifest, []byte(users+"interruption: engine\n"), 0o600))
	_, err = config.Load(node, config.Flags{})
	require.ErrorContains(t, err, "interruption: there is no such setting")
	_, err = config.LoadManifest(manifest)
	require.ErrorContains(t, err, "interruption: there is no such setting")
}

func TestInterruptionIsByFuelOrEngine(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]wasm.Interruption{"fuel": wasm.InterruptByFuel, "engine": wasm.InterruptByEngine} {
		cfg, err := config.Load(writeFiles(t, "groups: {g: {plugin: {module: m.wasm, interruption: "+word+"}}}\n"), config.Flags{})
		require.NoError(t, err)
		assert.Equal(t, want, cfg.Groups[0].Plugin.Interruption)
	}
	_, err := config.Load(writeFiles(t, "groups: {g: {plugin: {module: m.wasm, interruption: none}}}\n"), config.Flags{})
	require.ErrorContains(t, err, `groups.g.plugin.interruption: "none" must be fuel or engine`)
}

// Secrets are those of the node: whoever writes a manifest cannot have one sent.
func TestAManifestHasNoCredentials(t *testing.T) {
	t.Parallel()
	node, _ := writeManifest(t, "groups: {users: {plugin: {manifest: users/getter.yaml}}}\n",
		users+"credentials: {\"https://users.example.com\": {env: HOME}}\n")
	_, err := config.Load(node, config.Flags{})
	require.ErrorContains(t, err, "credentials: there is no such setting")
}

func TestCredentialsThatAreWrong(t *testing.T) {
	t.Setenv("GCNODE_TEST_HEADER", "s3cret")
	assert.Equal(t, []string{
		`node.yaml:6: groups.g.plugin.credentials."https://a.example".file: nosuch.header: no such file or directory`,
		`node.yaml:7: groups.g.plugin.credentials."https://b.example".env: each line of it must be a header field, such as Authorization: Bearer …`,
		`node.yaml:8: groups.g.plugin.credentials."https://c.example".env: there is no header field in it`,
		`node.yaml:9: groups.g.plugin.credentials."https://d.example".file: is missing: an origin needs a file with its secret, or env with the name of a variable that has it`,
	}, problems(t, `groups:
  g:
    plugin:
      module: m.wasm
      credentials:
        https://a.example: {file: nosuch.header}
        https://b.example: {env: GCNODE_TEST_HEADER}
        https://c.example: {env: GCNODE_TEST_NOTHING}
        https://d.example: {}
`, config.Flags{}))
}
