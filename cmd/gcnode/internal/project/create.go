package project

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/config"
	"github.com/gcnode/gcnode/plugins"
)

//go:embed template
var templates embed.FS

// Options say what a new project is to be.
type Options struct {
	Language Language
	// Name is what the getter is called; lower-case letters, digits, - and _,
	// beginning with a letter.
	Name string
	// Clone is a clone of this repository, whose SDK for Go is used; empty:
	// Version is.
	Clone string
	// Version is the release of the SDK for Go, such as v1.2.3.
	Version string
}

// Create makes a project in a folder that is empty, or not there yet.
func Create(dir string, opts Options) error {
	if err := checkName(opts.Name); err != nil {
		return err
	}
	if err := checkEmpty(dir); err != nil {
		return err
	}
	files, err := filesOf(opts)
	if err != nil {
		return err
	}
	for name, text := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
			return err
		}
	}
	return nil
}

func checkName(name string) error {
	const letters = "abcdefghijklmnopqrstuvwxyz"
	if name == "" || len(name) > 64 || !strings.Contains(letters, name[:1]) || strings.Trim(name, letters+"0123456789_-") != "" {
		return fmt.Errorf("%q cannot be the name of a getter: it must have lower-case letters, digits, - and _, and begin with a letter", name)
	}
	return nil
}

func checkEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(entries) > 0:
		return fmt.Errorf("%s is not empty: a project gets a folder of its own", dir)
	}
	return nil
}

// filesOf is everything that a new project has, by path.
func filesOf(opts Options) (map[string]string, error) {
	f := files{text: map[string]string{}, replace: strings.NewReplacer("{{name}}", opts.Name)}
	f.template("getter.yaml", config.ManifestName)
	f.template("greet_test.yaml", config.CasesName)
	f.template("gitignore", ".gitignore")
	switch opts.Language {
	case Go:
		f.template("hello_test.yaml", config.CasesName)
		f.template("main_test.go.txt", "main_test.go")
		f.copy("hello/main.go", "main.go")
		f.text["go.mod"] = goModule(opts)
	case C:
		f.copy("sdk/c/example/greet.c", "getter.c")
		f.copy("sdk/c/gcnode.h", "gcnode.h")
	case CPlusPlus:
		f.copy("sdk/c/example/greet.cc", "getter.cc")
		f.copy("sdk/c/gcnode.h", "gcnode.h")
	case Rust:
		f.copy("sdk/rust/example/src/lib.rs", "src/lib.rs")
		f.copy("sdk/rust/Cargo.toml", "sdk/Cargo.toml")
		f.copy("sdk/rust/src", "sdk/src")
		f.copy("sdk/rust/example/Cargo.toml", "Cargo.toml")
		f.text["Cargo.toml"] = strings.NewReplacer(`name = "greet"`, `name = "`+opts.Name+`"`, `path = ".."`, `path = "sdk"`).
			Replace(f.text["Cargo.toml"])
	case AssemblyScript:
		f.copy("sdk/assemblyscript/example/greet.ts", "getter.ts")
		f.copy("sdk/assemblyscript/package.json", "sdk/package.json")
		f.copy("sdk/assemblyscript/assembly", "sdk/assembly")
		f.template("package.json", "package.json")
	case JavaScript:
		f.copy("sdk/javascript/example/greet.js", "getter.js")
		f.copy("sdk/javascript/getter.c", "sdk/getter.c")
		f.copy("sdk/javascript/gcnode.js", "sdk/gcnode.js")
		f.copy("sdk/c/gcnode.h", "sdk/gcnode.h")
		f.template("javascript.json", "package.json")
	default:
		return nil, fmt.Errorf("there is no SDK for the language %q", opts.Language)
	}
	return f.text, f.err
}

// goModule is the go.mod of a project in Go.
func goModule(opts Options) string {
	const sdk = "github.com/gcnode/gcnode/plugins/sdk/go"
	text := "module " + opts.Name + "\n\ngo 1.26.0\n\nrequire " + sdk + " "
	if opts.Clone == "" {
		return text + opts.Version + "\n"
	}
	return text + "v0.0.0\n\nreplace " + sdk + " => " + strconv.Quote(path.Join(filepath.ToSlash(opts.Clone), "plugins/sdk/go")) + "\n"
}

// files collects what a project has.
type files struct {
	text    map[string]string
	replace *strings.Replacer
	err     error
}

// template takes a file that is made for new projects.
func (f *files) template(from, to string) {
	text, err := templates.ReadFile("template/" + from)
	f.err = errors.Join(f.err, err)
	f.text[to] = f.replace.Replace(string(text))
}

// copy takes a file, or those of a folder, of an SDK or example as they are.
func (f *files) copy(from, to string) {
	err := fs.WalkDir(plugins.Files, from, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := plugins.Files.ReadFile(name)
		f.text[to+strings.TrimPrefix(name, from)] = string(text)
		return err
	})
	f.err = errors.Join(f.err, err)
}
