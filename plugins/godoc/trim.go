package main

import (
	"go/ast"
	"go/doc"
	"go/token"
	"slices"
)

// trim removes from a file what go/doc does not look at, and what it would
// remove itself once it has seen all files, so that the files of a large
// package need not be in memory as a whole. What go/doc reports stays the same:
//
//   - Bodies of functions, and functions and methods that are not exported.
//     Exported methods stay even if their type is not exported, because an
//     exported type may embed it.
//   - Types that are not exported, unless they shadow a predeclared name.
//   - Declarations of constants in which no name is exported. A group with an
//     exported name stays whole: values may be implicit, and types carried over.
//   - Variables that are not exported.
//   - Comments, except for the documentation of what stays, and notes such as
//     BUG(who), which may be anywhere.
func trim(file *ast.File) {
	file.Decls = slices.DeleteFunc(file.Decls, func(decl ast.Decl) bool { return !trimDecl(decl) })
	notes := noteStart()
	file.Comments = slices.DeleteFunc(file.Comments, func(group *ast.CommentGroup) bool {
		return !slices.ContainsFunc(group.List, func(c *ast.Comment) bool { return notes.MatchString(c.Text) })
	})
	file.Unresolved = nil
}

// trimDecl reports whether something of the declaration is left.
func trimDecl(decl ast.Decl) bool {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		d.Body = nil
		return d.Name.IsExported()
	case *ast.GenDecl:
		if d.Tok == token.CONST {
			return slices.ContainsFunc(d.Specs, keepSpec)
		}
		d.Specs = slices.DeleteFunc(d.Specs, func(spec ast.Spec) bool { return !keepSpec(spec) })
		return len(d.Specs) > 0
	default:
		return false
	}
}

func keepSpec(spec ast.Spec) bool {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		return s.Name.IsExported() || doc.IsPredeclared(s.Name.Name)
	case *ast.ValueSpec:
		return slices.ContainsFunc(s.Names, (*ast.Ident).IsExported)
	default:
		return true // an import: links in comments depend on it
	}
}
