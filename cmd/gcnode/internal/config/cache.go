package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
)

// checkCache accepts a directory that belongs to its owner alone, and a path
// where one can be made.
func checkCache(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return pathError(err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%s must be a directory", path)
	}
	// On Windows the mode does not say who has access.
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return fmt.Errorf("%s has the mode %04o: others could plant code in it, set 0700", path, mode)
	}
	return nil
}
