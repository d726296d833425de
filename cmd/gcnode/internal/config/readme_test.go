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
		_, shown, ok := strings.Cut(string(text), "```yaml\n")
		require.True(t, ok, "%s shows no configuration", name)
		shown, _, ok = strings.Cut(shown, "```")
		require.True(t, ok, "the configuration in %s does not end", name)
		_, err = config.Load(writeFiles(t, strings.ReplaceAll(shown, "godoc.wasm", "m.wasm")), config.Flags{})
		assert.NoError(t, err, name)
	}
}
