package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// place is what an argument names.
type place struct {
	pattern string // as it was given
	path    string
	dir     bool
	deep    bool // the directories below it, too
}

// places are what all arguments name. It is asked before anything is changed: who
// puts -n at the end has meant it.
func places(patterns []string) ([]place, error) {
	if len(patterns) == 0 {
		return nil, errors.New("name what to change: a directory, a file, or ./... for all directories from here on")
	}
	var found []place
	for _, pattern := range patterns {
		p, err := placeOf(pattern)
		if err != nil {
			return nil, err
		}
		found = append(found, p)
	}
	return found, nil
}

func placeOf(pattern string) (place, error) {
	path, deep := strings.CutSuffix(filepath.ToSlash(pattern), "...")
	switch {
	case pattern == "": // a variable that is not set
		return place{}, errors.New(`"" names nothing`)
	case strings.HasPrefix(pattern, "-"):
		return place{}, fmt.Errorf("%q: flags come before directories and files", pattern)
	case deep && path != "" && !strings.HasSuffix(path, "/"):
		return place{}, fmt.Errorf("%q: the three dots come after a slash", pattern)
	case path == "":
		path = "."
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return place{}, fmt.Errorf("%q: there is no such directory or file; import paths are not understood", pattern)
	case err != nil:
		return place{}, err
	case !info.IsDir() && (deep || filepath.Ext(path) != ".go"):
		return place{}, fmt.Errorf("%q is no Go file", pattern)
	}
	// A walk does not go through a link, but for one that somebody has named.
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return place{}, err
	}
	return place{pattern, path, info.IsDir(), deep}, nil
}
