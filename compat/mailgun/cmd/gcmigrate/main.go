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
	all, err := places(flags.Args())
	if err == nil {
		err = m.run(all)
		m.summarize()
	}
	switch {
	case err != nil:
		_, _ = fmt.Fprintln(stderr, "gcmigrate:", err)
		return failed
	case m.left > 0:
		return byHand
	default:
		return done
	}
}

// migration is one run of the program.
type migration struct {
	dry bool
	out io.Writer

	read      int // Go files
	rewritten int // imports
	files     int // those that they are in
	left      int // what needs somebody
}

func (m *migration) run(all []place) error {
	for _, p := range all {
		before := m.read
		var err error
		if p.dir {
			err = m.tree(p.path, p.deep)
		} else {
			err = m.file(p.path)
		}
		switch {
		case err != nil:
			return err
		case m.read == before:
			return fmt.Errorf("%q: there is no Go file to look at", p.pattern)
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
		case filepath.Ext(path) != ".go":
			return nil
		case entry.Type().IsRegular():
			return m.file(path)
		case entry.Type()&fs.ModeSymlink != 0:
			return m.link(path)
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

// file changes one file.
func (m *migration) file(path string) error {
	src, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	m.read++
	if !mentioned(src) {
		return nil
	}
	f, wrong := parse(path, src)
	if wrong != nil {
		m.note(wrong.at, "cannot be read as Go, and was left alone: "+wrong.text)
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

// link points out a file that is somewhere else, where it may not be the program's
// own.
func (m *migration) link(path string) error {
	src, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if mentioned(src) {
		m.note(path, "is a link, and was left alone: change the file that it leads to")
	}
	return nil
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
