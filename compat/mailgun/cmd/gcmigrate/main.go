// Gcmigrate moves Go source from golang/groupcache and mailgun/groupcache v2 to
// the package in compat/mailgun.
//
//	gcmigrate [-n] directory|file|directory/...
//
// It rewrites imports, also under an alias, in tests, and in files for other
// platforms. Then it says, with file and line, what it cannot do: what needs
// somebody who knows the program. With -n it writes nothing. Directories of
// vendored code, testdata and other modules are left alone.
//
// It exits with 0 if nothing is left to do by hand, with 1 if something is, and
// with 2 if it could not do its work.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// The statuses of the program.
const (
	done   = 0
	byHand = 1
	failed = 2
)

func run(args []string, stdout, stderr io.Writer) (status int) {
	flags := flag.NewFlagSet("gcmigrate", flag.ContinueOnError)
	flags.SetOutput(stderr)
	dry := flags.Bool("n", false, "say what would be done, and write nothing")
	flags.Usage = func() {
		_, _ = fmt.Fprintln(stderr, "usage: gcmigrate [-n] directory|file|directory/...")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return done
	} else if err != nil {
		return failed
	}
	m := &migration{dry: *dry, out: stdout}
	err := m.run(flags.Args())
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "gcmigrate:", err)
		return failed
	}
	m.summarize()
	if m.left > 0 {
		return byHand
	}
	return done
}

// migration is one run of the program.
type migration struct {
	dry bool
	out io.Writer

	rewritten int // imports
	files     int // those that they are in
	left      int // what needs somebody
}

func (m *migration) run(patterns []string) error {
	if len(patterns) == 0 {
		return errors.New("name what to change: a directory, a file, or ./... for all directories from here on")
	}
	for _, pattern := range patterns {
		dir, deep := strings.CutSuffix(filepath.ToSlash(pattern), "...")
		if deep && dir != "" && !strings.HasSuffix(dir, "/") {
			return fmt.Errorf("%q: the three dots come after a slash", pattern)
		}
		if dir == "" {
			dir = "."
		}
		info, err := os.Stat(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%q: there is no such directory or file; import paths are not understood", pattern)
		case err != nil:
			return err
		case !info.IsDir() && filepath.Ext(dir) != ".go":
			return fmt.Errorf("%q is no Go file", pattern)
		case !info.IsDir():
			err = m.file(dir)
		default:
			err = m.tree(filepath.Clean(dir), deep)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tree changes the files of a directory, and of those below if it is deep.
func (m *migration) tree(root string, deep bool) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && !deep:
			return fs.SkipDir
		case entry.IsDir() && path != root:
			return m.enter(path)
		case filepath.Base(path) == "go.mod":
			return m.module(path)
		case entry.Type().IsRegular() && filepath.Ext(path) == ".go":
			return m.file(path)
		default:
			return nil
		}
	})
}

// enter skips the directories that the go command does not look into.
func (m *migration) enter(path string) error {
	name := filepath.Base(path)
	if name == "vendor" || name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
		return fs.SkipDir
	}
	if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil {
		_, _ = fmt.Fprintf(m.out, "%s: is a module of its own: run gcmigrate there, too, if it uses groupcache\n", path)
		return fs.SkipDir
	}
	return nil
}

// module points out what a go.mod requires.
func (m *migration) module(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for i, line := range strings.Split(string(content), "\n") {
		for word := range strings.FieldsSeq(line) {
			if from, ok := sourceOf(word); ok && word == from.module {
				m.note(fmt.Sprintf("%s:%d", path, i+1), "requires "+from.module+
					": when nothing imports it any more, run: go get "+target+"@latest && go mod tidy (and go mod vendor, if there is a vendor directory)")
			}
		}
	}
	return nil
}

// file changes one file.
func (m *migration) file(path string) error {
	src, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	f, why := parse(path, src)
	if why != "" {
		m.note(path, "cannot be read as Go, and was left alone: "+why)
		return nil
	}
	changed := f.rewrite()
	for _, c := range f.changes {
		_, _ = fmt.Fprintf(m.out, "%s: import %q becomes %q\n", c.at, c.from, c.to)
	}
	for _, n := range f.notes {
		m.note(n.at, n.text)
	}
	if len(f.changes) == 0 {
		return nil
	}
	m.files++
	m.rewritten += len(f.changes)
	if m.dry {
		return nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, changed, info.Mode().Perm())
}

func (m *migration) note(at, text string) {
	m.left++
	_, _ = fmt.Fprintf(m.out, "%s: TO DO: %s\n", at, text)
}

func (m *migration) summarize() {
	verb := "rewritten"
	if m.dry {
		verb = "to be rewritten (nothing was written)"
	}
	_, _ = fmt.Fprintf(m.out, "%d imports in %d files %s, %d places to look at; see docs/migrating.md\n", m.rewritten, m.files, verb, m.left)
}
