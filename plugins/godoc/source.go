package main

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/build"
	"go/doc"
	"go/parser"
	"go/token"
	"io"
	"path"

	getter "github.com/gcnode/gcnode/plugins/sdk/go"
)

// A goPackage is the documentation of a package.
type goPackage struct {
	*doc.Package

	files *token.FileSet
}

// A loader gets packages from an origin.
type loader struct {
	origin origin
	build  build.Context
}

// load fetches the files that the toolchain would compile, one after the other,
// and keeps of each only what documentation needs. A file that its name
// excludes (package_windows.go) is not fetched.
func (l *loader) load(ctx context.Context, importPath string, names []string) (*goPackage, error) {
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		file, err := l.loadFile(ctx, fset, importPath, name)
		if err != nil {
			return nil, err
		}
		if file == nil {
			continue
		}
		if len(files) > 0 && files[0].Name.Name != file.Name.Name {
			return nil, fmt.Errorf("%w: %s contains the packages %s and %s", getter.ErrPermanent, importPath, files[0].Name.Name, file.Name.Name)
		}
		files = append(files, file)
	}
	if len(files) == 0 {
		return nil, noGoFiles(importPath)
	}
	pkg, err := doc.NewFromFiles(fset, files, importPath)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", getter.ErrPermanent, importPath, err)
	}
	return &goPackage{Package: pkg, files: fset}, nil
}

// loadFile returns nil if the file is not part of the package.
func (l *loader) loadFile(ctx context.Context, fset *token.FileSet, importPath, name string) (*ast.File, error) {
	var source []byte
	var fetchErr error
	rules := l.build
	rules.OpenFile = func(string) (io.ReadCloser, error) {
		source, fetchErr = l.origin.read(ctx, importPath, name)
		return io.NopCloser(bytes.NewReader(source)), fetchErr
	}
	match, err := rules.MatchFile(importPath, name)
	switch {
	case fetchErr != nil:
		return nil, fetchErr
	case err != nil:
		return nil, fmt.Errorf("%w: %s: %w", getter.ErrPermanent, importPath, err)
	case !match:
		return nil, nil
	}
	file, err := parse(fset, path.Join(importPath, name), source)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", getter.ErrPermanent, err)
	}
	if file.Name.Name == "documentation" || !l.build.CgoEnabled && importsC(file) {
		return nil, nil // as the toolchain does, after its look at the constraints
	}
	trim(file)
	return file, nil
}

func parse(fset *token.FileSet, name string, source []byte) (*ast.File, error) {
	return parser.ParseFile(fset, name, withoutBodies(source), parser.ParseComments|parser.SkipObjectResolution)
}

func importsC(file *ast.File) bool {
	for _, spec := range file.Imports {
		if spec.Path.Value == `"C"` {
			return true
		}
	}
	return false
}
