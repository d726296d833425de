package gcnode_test

import (
	"bytes"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"testing"
)

// modulePath is what the import paths of this module's packages begin with.
const modulePath = "github.com/gcnode/gcnode/core"

func TestModuleRequiresNothing(t *testing.T) {
	gomod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(gomod) {
		fields := strings.Fields(string(line))
		if len(fields) == 0 || strings.HasPrefix(fields[0], "//") {
			continue
		}
		if fields[0] != "module" && fields[0] != "go" {
			t.Errorf("go.mod has the line %q; this module needs nothing but the standard library", bytes.TrimSpace(line))
		}
	}
	if _, err := os.Stat("go.sum"); err == nil {
		t.Error("go.sum exists; this module needs nothing but the standard library")
	}
}

// TestImportsOnlyTheStandardLibrary reads the source, so that it covers all
// platforms and build tags, and also runs where no process can be started.
func TestImportsOnlyTheStandardLibrary(t *testing.T) {
	seen := map[string]bool{}
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path.Ext(name) != ".go" {
			return err
		}
		seen[name] = true
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if !standard(imported) && imported != modulePath && !strings.HasPrefix(imported, modulePath+"/") {
				t.Errorf("%s imports %s; only the standard library and this module may be imported", name, imported)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"doc.go", "deps_test.go"} {
		if !seen[name] {
			t.Errorf("%s was not read: the test does not run in the module's directory", name)
		}
	}
}

// standard reports whether a package belongs to the standard library: the
// first element of every other import path is a domain, with a dot. cgo is
// left out as well, since it needs a C compiler.
func standard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".") && imported != "C"
}
