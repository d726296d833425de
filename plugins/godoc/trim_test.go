//go:build !race

// This test parses the whole standard library twice in one goroutine: with the
// race detector, which has nothing to find there, that takes ten times as long.

package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/plugins/godoc/godoctest"
)

// What go/doc reports about trimmed files is what it reports about whole ones,
// for all of the standard library.
func TestTrimmingChangesNothing(t *testing.T) {
	t.Parallel()
	toolchain := godoctest.Toolchain{}
	root, err := toolchain.GOROOT(t.Context())
	require.NoError(t, err)
	packages, err := toolchain.AllStdPackages(t.Context())
	require.NoError(t, err)
	rules := settings{goos: "linux", goarch: "amd64"}.buildContext()
	rules.OpenFile, rules.ReadDir, rules.IsDir = nil, nil, nil
	for _, importPath := range packages {
		dir := filepath.Join(root, "src", filepath.FromSlash(importPath))
		listed, err := rules.ImportDir(dir, 0)
		require.NoError(t, err, importPath)
		names := make([]string, len(listed.GoFiles))
		for i, name := range listed.GoFiles {
			names[i] = filepath.Join(dir, name)
		}
		assert.Equal(t, renderWhole(t, importPath, names), renderTrimmed(t, importPath, names), importPath)
	}
}
