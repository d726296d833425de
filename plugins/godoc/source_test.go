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

	"github.com/gcnode/gcnode/plugins/godoc/godoctest"
)

func writeTree(t *testing.T, dir string, tree map[string]string) {
	t.Helper()
	for name, source := range tree {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(source), 0o644))
	}
}

// What go/doc reports about trimmed files is what it reports about whole ones,
// for all of the standard library.
func TestTrimmingChangesNothing(t *testing.T) {
	t.Parallel()
	toolchain := godoctest.Toolchain{}
	root, err := toolchain.GOROOT(t.Context())
	require.NoError(t, err)
	packages, err := toolchain.AllStdPackages(t.Context())
	require.NoError(t, err)
	rules := settings{goos: "linux", goarch: "amd64"}.buildContext()
	rules.OpenFile, rules.ReadDir, rules.IsDir = nil, nil, nil
	for _, importPath := range packages {
		dir := filepath.Join(root, "src", filepath.FromSlash(importPath))
		listed, err := rules.ImportDir(dir, 0)
		require.NoError(t, err, importPath)
		names := make([]string, len(listed.GoFiles))
		for i, name := range listed.GoFiles {
			names[i] = filepath.Join(dir, name)
		}
		assert.Equal(t, render(t, importPath, names, func(*ast.File) {}), render(t, importPath, names, trim), importPath)
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
	whole := render(t, "p", names, func(*ast.File) {})
	assert.Equal(t, whole, render(t, "p", names, trim))
	for _, part := range []string{"Promoted", "Third", "Fifth", "func (y Y[T]) Get() T", "BUG: outside.", "BUG: inside of a body."} {
		assert.Contains(t, whole, part)
	}
}

func render(t *testing.T, importPath string, names []string, prepare func(*ast.File)) string {
	t.Helper()
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		file, err := parser.ParseFile(fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		require.NoError(t, err)
		prepare(file)
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

// The rules for a platform are those the toolchain has for its own.
func TestToolTagsOfThisMachine(t *testing.T) {
	t.Parallel()
	want := slices.Sorted(slices.Values(build.Default.ToolTags))
	got := slices.Sorted(slices.Values(toolTags(build.Default.ToolTags, runtime.GOARCH)))
	assert.Equal(t, want, got)
}
