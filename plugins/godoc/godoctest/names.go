// Package godoctest compares what the godoc getter answers with what the
// toolchain's own "go doc -all" prints. It is for tests, of the getter itself
// and of the getter behind a node.
package godoctest

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"html"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// ExportedNames returns what a text in the form of "go doc -all" declares and
// exports: the names of constants, variables, functions and types, and methods
// as "Type.Method". Fields of structs and methods of interfaces are not among
// them. The error names the first declaration that is not Go.
func ExportedNames(text string) (map[string]bool, error) {
	names := map[string]bool{}
	rest := declarations(text)
	for rest != "" {
		line, after, _ := strings.Cut(rest, "\n")
		if !startsDeclaration(line) {
			rest = after
			continue
		}
		size := declarationSize(rest)
		if err := addNames(names, rest[:size]); err != nil {
			return nil, err
		}
		rest = rest[size:]
	}
	return names, nil
}

// declarations returns the text from the heading of the first section on. What
// is before it is the comment of the package, which may quote declarations.
func declarations(text string) string {
	first := len(text)
	for _, heading := range []string{"CONSTANTS", "VARIABLES", "FUNCTIONS", "TYPES"} {
		if i := strings.Index(text, "\n\n"+heading+"\n\n"); i >= 0 {
			first = min(first, i)
		}
	}
	return text[first:]
}

// startsDeclaration reports whether a line is the first of a declaration.
// Comments are indented.
func startsDeclaration(line string) bool {
	return slices.ContainsFunc([]string{"const ", "var ", "func ", "type "}, func(keyword string) bool {
		return strings.HasPrefix(line, keyword)
	})
}

// declarationSize returns the length of the declaration at the start of a text
// that goes on after it.
func declarationSize(text string) int {
	var s scanner.Scanner
	file := token.NewFileSet().AddFile("", -1, len(text))
	s.Init(file, []byte(text), func(token.Position, string) {}, 0)
	depth := 0
	for {
		pos, tok, _ := s.Scan()
		switch tok {
		case token.LPAREN, token.LBRACE, token.LBRACK:
			depth++
		case token.RPAREN, token.RBRACE, token.RBRACK:
			depth--
		case token.SEMICOLON:
			if depth <= 0 {
				return file.Offset(pos)
			}
		case token.EOF:
			return len(text)
		default:
		}
	}
}

func addNames(names map[string]bool, declaration string) error {
	file, err := parser.ParseFile(token.NewFileSet(), "", "package p\n"+declaration, parser.SkipObjectResolution)
	if err != nil {
		return fmt.Errorf("declaration %.200q: %w", declaration, err)
	}
	add := func(ident *ast.Ident) {
		if ident.IsExported() {
			names[ident.Name] = true
		}
	}
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				add(d.Name)
			} else if d.Name.IsExported() {
				names[receiver(d.Recv)+"."+d.Name.Name] = true
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					add(s.Name)
				case *ast.ValueSpec:
					for _, ident := range s.Names {
						add(ident)
					}
				}
			}
		}
	}
	return nil
}

func receiver(list *ast.FieldList) string {
	if len(list.List) != 1 {
		return ""
	}
	typ := list.List[0].Type
	for {
		switch t := typ.(type) {
		case *ast.StarExpr:
			typ = t.X
		case *ast.IndexExpr:
			typ = t.X
		case *ast.IndexListExpr:
			typ = t.X
		case *ast.Ident:
			return t.Name
		default:
			return ""
		}
	}
}

// HTMLNames returns the names that a page of the godoc getter documents, in
// the form of ExportedNames: they are the targets of links.
func HTMLNames(page string) map[string]bool {
	names := map[string]bool{}
	for _, match := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		names[html.UnescapeString(match[1])] = true
	}
	return names
}

// ErrDifferent is the error of Compare.
var ErrDifferent = errors.New("exported names differ")

// Compare returns an error that lists every name that only one of the two sets
// has.
func Compare(want, got map[string]bool) error {
	missing, extra := minus(want, got), minus(got, want)
	if len(missing)+len(extra) == 0 {
		return nil
	}
	return fmt.Errorf("%w: missing %v, too many %v", ErrDifferent, missing, extra)
}

func minus(a, b map[string]bool) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(a)), func(name string) bool { return b[name] })
}
