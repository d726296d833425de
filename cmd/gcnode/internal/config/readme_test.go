package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/config"
	"github.com/gcnode/gcnode/transport/http/certs/certstest"
)

// writeSecrets writes the certificates and secrets that the documents name.
func writeSecrets(t *testing.T, dir string) {
	t.Helper()
	authority, err := certstest.New(dir)
	require.NoError(t, err)
	require.NoError(t, authority.Give("api"))
	require.NoError(t, authority.Give("node"))
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "members.crt"), ca, 0o600))
	require.NoError(t, os.Rename(filepath.Join(dir, "ca.crt"), filepath.Join(dir, "clients.crt")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "shop.token"), []byte("0123456789abcdef\n"), 0o600))
	t.Setenv("PEER_SECRET", "a-secret-in-a-variable-of-the-environment")
	for _, name := range []string{"peers.k2", "nodes.secret", "shop.secret"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("a-secret-of-the-file-with-the-name-"+name+"\n"), 0o600))
	}
}

// What the documents show as a configuration is one, but for the files that it
// names.
func TestTheConfigurationsInTheDocumentsAreRight(t *testing.T) {
	root := filepath.Join("..", "..", "..", "..")
	for _, name := range []string{"README.md", filepath.Join("docs", "operations.md")} {
		text, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		blocks := strings.Split(string(text), "```yaml\n")[1:]
		require.NotEmpty(t, blocks, "%s shows no configuration", name)
		for _, block := range blocks {
			shown, _, ok := strings.Cut(block, "```")
			require.True(t, ok, "the configuration in %s does not end", name)
			flags := config.Flags{}
			if !strings.HasPrefix(shown, "id:") {
				flags.ID = "cache-0.cache.web.svc.cluster.local:7001" // from the command line beside it
			}
			path := writeFiles(t, strings.ReplaceAll(shown, "godoc.wasm", "m.wasm"))
			writeSecrets(t, filepath.Dir(path))
			_, err = config.Load(path, flags)
			assert.NoError(t, err, name)
		}
	}
}
