package examples_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A program that uses the cache over HTTP, and one that does over NATS, differ in
// their transport.go, and what they print is the same.
func TestTheExamplesOverHTTPAndNATSDifferInTheirTransport(t *testing.T) {
	files := func(dir string) []string {
		found, err := filepath.Glob(filepath.Join(dir, "*.go"))
		require.NoError(t, err)
		for i, path := range found {
			found[i] = filepath.Base(path)
		}
		return found
	}
	require.Equal(t, []string{"main.go", "main_test.go", "transport.go"}, files("http"))
	require.Equal(t, files("http"), files("nats"))
	overHTTP, err := os.ReadFile(filepath.Join("http", "main.go"))
	require.NoError(t, err)
	overNATS, err := os.ReadFile(filepath.Join("nats", "main.go"))
	require.NoError(t, err)
	assert.Equal(t, string(overHTTP), string(overNATS))
}
