package discovery

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/fsnotify/fsnotify"
)

const (
	// maxLinks is how many symbolic links may be on the way to a file.
	maxLinks = 40
	// maxRoutes is how often the way is looked at again because it has changed
	// meanwhile.
	maxRoutes = 10
)

// follower watches the directories on the way to a file whose entries decide
// what the path leads to: the one that the file is in, and those of all
// symbolic links on the way. Directories are watched instead of files, because
// a file that is replaced takes its watch with it.
type follower struct {
	watcher *fsnotify.Watcher
	working bool
	path    string // absolute

	watched map[string]bool // directories
	names   map[string]bool // whose events matter
	failed  string          // what could not be watched, as it was last told
}

// follow sets the watches anew. Its error says which directory cannot be
// watched, once as long as that stays the same.
func (w *follower) follow() error {
	if !w.working {
		return nil
	}
	var err error
	for range maxRoutes {
		dirs, names := route(w.path)
		err = w.watch(dirs)
		w.names = names
		// What was changed before the watches were set has caused no event.
		if again, _ := route(w.path); maps.Equal(dirs, again) {
			break
		}
	}
	switch {
	case err == nil:
		w.failed = ""
	case err.Error() == w.failed:
		return nil
	default:
		w.failed = err.Error()
	}
	return err
}

// watch watches these directories and no others.
func (w *follower) watch(dirs map[string]bool) error {
	for dir := range w.watched {
		if !dirs[dir] {
			_ = w.watcher.Remove(dir) // it may be gone
		}
	}
	w.watched = dirs
	var errs []error
	for dir := range dirs {
		// Also those that were watched before: another directory may have come
		// in the place of one.
		if err := w.watcher.Add(dir); err != nil {
			errs = append(errs, &fs.PathError{Op: "watch", Path: dir, Err: err})
		}
	}
	return errors.Join(errs...)
}

// concerns reports whether the path may lead to something else now.
func (w *follower) concerns(event fsnotify.Event) bool {
	return w.names[filepath.Clean(event.Name)]
}

// route walks to an absolute path. What decides where it leads are the entries
// in names, and these are in the directories dirs.
func route(path string) (dirs, names map[string]bool) {
	dirs, names = map[string]bool{}, map[string]bool{}
	volume := filepath.VolumeName(path)
	root := volume + string(filepath.Separator)
	at, rest := root, strings.TrimPrefix(path[len(volume):], string(filepath.Separator))
	decides := func(name string) {
		names[name] = true
		// The directory itself may be renamed or removed.
		names[at], dirs[at] = true, true
	}
	for links := 0; rest != ""; {
		part, after, _ := strings.Cut(rest, string(filepath.Separator))
		rest = strings.TrimLeft(after, string(filepath.Separator))
		switch part {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at)
			continue
		}
		name := filepath.Join(at, part)
		info, err := os.Lstat(name)
		if err != nil {
			decides(name)
			return dirs, names
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			if rest == "" {
				decides(name)
			}
			at = name
			continue
		}
		decides(name)
		target, err := os.Readlink(name)
		if links++; err != nil || links > maxLinks {
			return dirs, names
		}
		if filepath.IsAbs(target) {
			at, target = root, strings.TrimPrefix(target[len(filepath.VolumeName(target)):], string(filepath.Separator))
		}
		// Not cleaned: what a .. leads to depends on the links before it.
		rest = target + string(filepath.Separator) + rest
	}
	return dirs, names
}
