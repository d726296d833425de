package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Pin writes the hash of a module into its manifest, and leaves everything else
// there as it is, comments included.
func Pin(path, hash string) error {
	data, err := readFile(path)
	if err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	root, err := documentRoot(data)
	if err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	in := newSection(path, "", root, &problems{})
	lines := strings.SplitAfter(string(data), "\n")
	setting := "sha256: " + hash + "\n"
	if pinned := in.find("sha256"); pinned != nil {
		lines[pinned.line-1] = setting
	} else if module := in.find("module"); module != nil {
		if before := lines[module.line-1]; !strings.HasSuffix(before, "\n") {
			lines[module.line-1] = before + "\n"
		}
		lines = slices.Insert(lines, module.line, setting)
	}
	text := strings.Join(lines, "")
	if err := sameBut(path, text, hash); err != nil {
		return fmt.Errorf("%s is not written one setting a line, so write it there yourself: sha256: %s", path, hash)
	}
	return replaceFile(path, text)
}

// sameBut reports whether a manifest with that text says what it said before,
// and pins hash.
func sameBut(path, text, hash string) error {
	before, err := LoadManifest(path)
	if err != nil {
		return err
	}
	found := &problems{}
	r := reader{problems: found, modulesMayLack: true}
	after := r.manifestOf([]byte(text), path, defaultPlugin())
	before.Plugin.SHA256 = hash
	if fmt.Sprint(before) != fmt.Sprint(after) {
		return errors.New("the change is not what was meant")
	}
	return found.err()
}

// replaceFile puts a file with a text in the place of another one, all at once.
func replaceFile(path, text string) error {
	info, err := os.Stat(path)
	if err != nil {
		return pathError(err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return pathError(err)
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(info.Mode().Perm()), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
