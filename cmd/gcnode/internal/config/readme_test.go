package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/config"
)

// What the documents show as a configuration is one, but for the module that
// it names.
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
			_, err = config.Load(writeFiles(t, strings.ReplaceAll(shown, "godoc.wasm", "m.wasm")), flags)
			assert.NoError(t, err, name)
		}
	}
}
