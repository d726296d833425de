package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
	xmodule "golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// prefix is what the paths of all our modules begin with; the rest of a path
// is the module's directory.
const prefix = "github.com/gcnode/gcnode/"

// unpublished are the modules that nobody outside of the repository needs.
func unpublished() []string {
	return []string{prefix + "e2e", prefix + "examples", prefix + "transport/nats/test"}
}

// module is one of our modules as it will be published.
type module struct {
	path  string
	dir   string // slash-separated, relative to the root
	gomod []byte // rewritten for the release
}

// program reports whether the module is installed rather than imported.
func (m module) program() bool { return strings.HasPrefix(m.path, prefix+"cmd/") }

// guest reports whether the module holds programs for GOOS=wasip1.
func (m module) guest() bool {
	return m.path == prefix+"plugins" || strings.HasPrefix(m.path, prefix+"plugins/")
}

// copyTracked copies the files that git tracks, as they are in the working
// tree, from root to dst.
func copyTracked(ctx context.Context, root, dst string) error {
	list, err := output(ctx, root, "git", "ls-files", "-z")
	if err != nil {
		return err
	}
	src, err := os.OpenRoot(root)
	if err != nil {
		return fmt.Errorf("open the repository: %w", err)
	}
	defer src.Close()
	for name := range strings.SplitSeq(strings.TrimSuffix(list, "\x00"), "\x00") {
		if err := copyFile(src, name, filepath.Join(dst, filepath.FromSlash(name))); err != nil {
			return fmt.Errorf("copy the tracked file %s: %w", name, err)
		}
	}
	return nil
}

// copyFile copies one regular file; what is not one is left out, as it is in
// a module's archive.
func copyFile(src *os.Root, name, dst string) error {
	info, err := src.Lstat(name)
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	data, err := src.ReadFile(name)
	if err != nil {
		return err
	}
	return writeFile(dst, data)
}

// readModules reads the published modules of the go.work in root.
func readModules(root string) ([]module, error) {
	data, err := os.ReadFile(filepath.Join(root, "go.work"))
	if err != nil {
		return nil, fmt.Errorf("read the list of modules: %w", err)
	}
	work, err := modfile.ParseWork("go.work", data, nil)
	if err != nil {
		return nil, fmt.Errorf("read the list of modules: %w", err)
	}
	var modules []module
	for _, use := range work.Use {
		m, err := readModule(root, strings.TrimPrefix(use.Path, "./"))
		if err != nil {
			return nil, err
		}
		if !slices.Contains(unpublished(), m.path) {
			modules = append(modules, m)
		}
	}
	return modules, nil
}

// readModule reads the module in a directory of root.
func readModule(root, dir string) (module, error) {
	name := dir + "/go.mod"
	data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		return module{}, fmt.Errorf("read a module of go.work: %w", err)
	}
	m := module{path: modfile.ModulePath(data), dir: dir}
	if m.path != prefix+dir {
		return module{}, fmt.Errorf("%s: the module path is %q, but go get looks here for %q", name, m.path, prefix+dir)
	}
	if m.gomod, err = releaseGoMod(name, data); err != nil {
		return module{}, err
	}
	return m, nil
}

// releaseGoMod returns a go.mod without replace lines, that requires our
// modules at the version of the check.
func releaseGoMod(name string, data []byte) ([]byte, error) {
	file, err := modfile.Parse(name, data, nil)
	if err != nil {
		return nil, fmt.Errorf("read a module of go.work: %w", err)
	}
	for _, r := range slices.Clone(file.Replace) {
		if err := file.DropReplace(r.Old.Path, r.Old.Version); err != nil {
			return nil, fmt.Errorf("%s: drop a replace line: %w", name, err)
		}
	}
	for _, r := range file.Require {
		path := r.Mod.Path
		if slices.Contains(unpublished(), path) && !slices.Contains(unpublished(), file.Module.Mod.Path) {
			return nil, fmt.Errorf("%s requires %s, which is not published", name, path)
		}
		if !strings.HasPrefix(path, prefix) {
			continue
		}
		if err := file.AddRequire(path, version); err != nil {
			return nil, fmt.Errorf("%s: require %s: %w", name, path, err)
		}
	}
	file.Cleanup()
	out, err := file.Format()
	if err != nil {
		return nil, fmt.Errorf("%s: write it anew: %w", name, err)
	}
	return out, nil
}

// publish writes the module, with the files in root, into the module proxy
// that is the directory tree proxy.
func (m module) publish(root, proxy string) error {
	dir := filepath.Join(root, filepath.FromSlash(m.dir))
	if err := writeFile(filepath.Join(dir, "go.mod"), m.gomod); err != nil {
		return err
	}
	// The go command puts the repository's licence into a module without one.
	licence, err := os.ReadFile(filepath.Join(root, "LICENSE"))
	if err != nil {
		return fmt.Errorf("read the licence: %w", err)
	}
	if err := writeFile(filepath.Join(dir, "LICENSE"), licence); err != nil {
		return err
	}

	escaped, err := xmodule.EscapePath(m.path)
	if err != nil {
		return fmt.Errorf("the module path is not valid: %w", err)
	}
	info, err := json.Marshal(struct {
		Version string
		Time    time.Time
	}{version, time.Now().UTC()})
	if err != nil {
		return fmt.Errorf("describe the version: %w", err)
	}
	base := filepath.Join(proxy, filepath.FromSlash(escaped), "@v")
	for name, data := range map[string][]byte{
		"list":            []byte(version + "\n"),
		version + ".info": info,
		version + ".mod":  m.gomod,
	} {
		if err := writeFile(filepath.Join(base, name), data); err != nil {
			return err
		}
	}
	archive, err := os.Create(filepath.Join(base, version+".zip"))
	if err != nil {
		return fmt.Errorf("make the archive: %w", err)
	}
	return writeArchive(archive, xmodule.Version{Path: m.path, Version: version}, dir)
}

// writeArchive writes the archive of a module and closes it. Directories with
// a go.mod of their own are not part of it.
func writeArchive(w io.WriteCloser, m xmodule.Version, dir string) error {
	err := zip.CreateFromDir(w, m, dir)
	if closeErr := w.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("make the archive: %w", err)
	}
	return nil
}

// writeFile writes a file and makes the directories that it lies in.
func writeFile(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("write a file: %w", err)
	}
	if err := os.WriteFile(name, data, 0o644); err != nil {
		return fmt.Errorf("write a file: %w", err)
	}
	return nil
}
