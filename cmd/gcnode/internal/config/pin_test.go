package config_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/config"
)

func TestPinChangesNothingButTheHash(t *testing.T) {
	t.Parallel()
	other := strings.Repeat("a", 64)
	for _, c := range [][2]string{
		{"module: m.wasm\n", "module: m.wasm\nsha256: " + hash + "\n"},
		{"# top\nmodule: m.wasm # here\nconfig:\n  sha256: x\n", "# top\nmodule: m.wasm # here\nsha256: " + hash + "\nconfig:\n  sha256: x\n"},
		{"name: x\nmodule: m.wasm", "name: x\nmodule: m.wasm\nsha256: " + hash + "\n"},
		{"sha256: " + other + " # old\nmodule: m.wasm\n", "sha256: " + hash + "\nmodule: m.wasm\n"},
		{"module: m.wasm\nsha256: " + other, "module: m.wasm\nsha256: " + hash + "\n"},
	} {
		_, path := writeManifest(t, "", c[0])
		require.NoError(t, os.Chmod(path, 0o640))
		require.NoError(t, config.Pin(path, hash))
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, c[1], string(text))
		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.EqualValues(t, 0o640, info.Mode().Perm())
	}
}

// What is not written one setting a line is left as it is.
func TestPinLeavesAloneWhatItDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"{module: m.wasm}\n", "{module: m.wasm, name: x}\n", "module:\n  m.wasm\n", "module: >-\n  m.wasm\n",
		"{\nmodule: m.wasm,\nsha256: " + strings.Repeat("a", 64) + ", name: x\n}\n", // the name would be lost
		"sha256:\n  " + strings.Repeat("a", 64) + "\nmodule: m.wasm\n",
	} {
		_, path := writeManifest(t, "", text)
		require.ErrorContains(t, config.Pin(path, hash), "write it there yourself: sha256: "+hash, text)
		left, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, text, string(left))
	}
}
