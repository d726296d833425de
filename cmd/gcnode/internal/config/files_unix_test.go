//go:build unix

package config_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/config"
)

func TestAPipeIsRefusedAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	_, err := config.Load(path, config.Flags{})
	assert.EqualError(t, err, "configuration file: "+path+" must be a regular file, not a directory, pipe or device")
}

func TestADirectoryForCompiledModulesThatOthersCanUse(t *testing.T) {
	path := writeFiles(t, minimal+"compilation_cache: shared\n")
	shared := filepath.Join(filepath.Dir(path), "shared")
	require.NoError(t, os.Mkdir(shared, 0o700))
	_, err := config.Load(path, config.Flags{})
	require.NoError(t, err)

	require.NoError(t, os.Chmod(shared, 0o750))
	_, err = config.Load(path, config.Flags{})
	assert.ErrorContains(t, err, "node.yaml:2: compilation_cache: "+shared+" has the mode 0750: others could plant code in it, set 0700")
}
