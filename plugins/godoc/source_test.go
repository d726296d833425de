package main

import (
	"go/ast"
	"go/build"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func writeTree(t *testing.T, dir string, tree map[string]string) {
	t.Helper()
	for name, source := range tree {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(source), 0o644))
	}
}

func TestTrimmingOfNastyDeclarations(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeTree(t, dir, map[string]string{"p.go": `// Package p is nasty.
package p

import "io"

// BUG(me): outside.

type hidden struct{ deeper }

// Promoted comes from an unexported type.
func (hidden) Promoted() {}

type deeper struct{}

// Deep comes from further down.
func (*deeper) Deep() {
	// BUG(you): inside of a body.
}

// Shown embeds.
type Shown struct {
	hidden
	io.Reader
	// F is a field.
	F, g int
}

const (
	first Kind = iota
	second
	// Third has an implicit value and type.
	Third
	fourth, Fifth = iota, iota
	_, _
)

const (
	lone = 1
	none = 2
)

// A Kind is a kind.
type Kind int

type error interface{ Shadowed() }

// E embeds what is predeclared elsewhere.
type E interface{ error }

var (
	a, B = 1, 2
	c    = func() int { return 3 }()
	// D has a value.
	D = func() int { return 4 }
)

// New makes an unexported thing.
func New() hidden { return hidden{} }

func unexported() {}

type (
	x int
	// Y is in a group.
	Y[T any] struct{ t T }
)

// Get is generic.
func (y Y[T]) Get() T { return y.t }
`})
	names := []string{filepath.Join(dir, "p.go")}
	whole := renderWhole(t, "p", names)
	assert.Equal(t, whole, renderTrimmed(t, "p", names))
	for _, part := range []string{"Promoted", "Third", "Fifth", "func (y Y[T]) Get() T", "BUG: outside.", "BUG: inside of a body."} {
		assert.Contains(t, whole, part)
	}
}

// renderWhole renders what go/doc says about files that were only parsed.
func renderWhole(t *testing.T, importPath string, names []string) string {
	t.Helper()
	return render(t, importPath, names, func(fset *token.FileSet, name string, source []byte) (*ast.File, error) {
		return parser.ParseFile(fset, name, source, parser.ParseComments|parser.SkipObjectResolution)
	})
}

// renderTrimmed renders files as the getter does.
func renderTrimmed(t *testing.T, importPath string, names []string) string {
	t.Helper()
	return render(t, importPath, names, func(fset *token.FileSet, name string, source []byte) (*ast.File, error) {
		file, err := parse(fset, name, source)
		if err == nil {
			trim(file)
		}
		return file, err
	})
}

func render(t *testing.T, importPath string, names []string, parse func(*token.FileSet, string, []byte) (*ast.File, error)) string {
	t.Helper()
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		source, err := os.ReadFile(name)
		require.NoError(t, err)
		file, err := parse(fset, name, source)
		require.NoError(t, err)
		files = append(files, file)
	}
	documented, err := doc.NewFromFiles(fset, files, importPath)
	require.NoError(t, err)
	pkg := &goPackage{Package: documented, files: fset}
	all, err := pkg.lookUp("")
	require.NoError(t, err)
	text, err := renderText(pkg, all)
	require.NoError(t, err)
	return string(text)
}

func TestBodiesAreEmptied(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"package p\nfunc F() { return }\n":                             "package p\nfunc F() {}\n",
		"package p; func F() { if x { } }; func G() {}":                "package p; func F() {}; func G() {}",
		"package p\nfunc F() interface{ M() } { g() }":                 "package p\nfunc F() interface{ M() } {}",
		"package p\nfunc F(x struct{ A int }) struct{ B int } { g() }": "package p\nfunc F(x struct{ A int }) struct{ B int } {}",
		"package p\nfunc (r *T[K]) F[_ interface{ ~int }]() { g() }":   "package p\nfunc (r *T[K]) F[_ interface{ ~int }]() {}",
		"package p\nfunc F() [len(T{1})]int { g() }":                   "package p\nfunc F() [len(T{1})]int {}",
		"package p\nfunc F()\nvar x = T{1}\nfunc G() { `}` }":          "package p\nfunc F()\nvar x = T{}\nfunc G() {}",
		"package p\nvar f = func() { g() }\n":                          "package p\nvar f = func() {}\n",
		"package p\ntype T struct{ f func() }\nfunc F() { '}' }":       "package p\ntype T struct{ f func() }\nfunc F() {}",
		"package p\nfunc F() { /* } */ g() } // after":                 "package p\nfunc F() {} // after",
		"package p\nfunc F() {\n// BUG(me): x\n}\nfunc G() { g() }":    "package p\nfunc F() {\n// BUG(me): x\n}\nfunc G() {}",
		"package p\nfunc F() { g(":                                     "package p\nfunc F() { g(",
		"package p\nfunc F() { \"unterminated\n }":                     "package p\nfunc F() { \"unterminated\n }",
		"}}} func F() { ((( }":                                         "}}} func F() { ((( }",
		"package p\nvar x, y = T{1}, T{2}\nvar X = T{1}":               "package p\nvar x, y = T{1}, T{2}\nvar X = T{1}",
		"package p\nvar x, Y = T{1}, T{2}":                             "package p\nvar x, Y = T{1}, T{2}",
		"package p\nvar x = struct{ A int }{f(1, T{2})} // after":      "package p\nvar x = struct{}{} // after",
		"package p\nvar x map[string]T\nvar Y = T{1}":                  "package p\nvar x map[string]T\nvar Y = T{1}",
		"package p\nvar (\n\tx = T{1}\n\tY = T{1}\n)":                  "package p\nvar (\n\tx = T{1}\n\tY = T{1}\n)",
		"package p\nvar x = T{\n\t1, // BUG(me): x\n}":                 "package p\nvar x = T{\n\t1, // BUG(me): x\n}",
		"": "",
	} {
		assert.Equal(t, want, string(withoutBodies([]byte(source))))
	}
}

// The rules for a platform are those the toolchain has for its own.
func TestToolTagsOfThisMachine(t *testing.T) {
	t.Parallel()
	want := slices.Sorted(slices.Values(build.Default.ToolTags))
	got := slices.Sorted(slices.Values(toolTags(build.Default.ToolTags, runtime.GOARCH)))
	assert.Equal(t, want, got)
}
