package main

import (
	"fmt"
	"go/ast"
	"go/doc"
	"slices"
	"strings"

	getter "github.com/gcnode/gcnode/plugins/sdk/go"
)

// A content is what one answer documents: a whole package, or what belongs to
// one symbol.
type content struct {
	doc    string // of the package
	consts []*doc.Value
	vars   []*doc.Value
	funcs  []*doc.Func
	types  []*doc.Type
	bugs   []*doc.Note
}

// targets returns the names that the content documents: those of exported
// constants, variables, functions and types, and methods as "Type.Method".
func (c content) targets() map[string]bool {
	names := map[string]bool{}
	addValues := func(values []*doc.Value) {
		for _, v := range values {
			for _, name := range v.Names {
				if isExported(name) {
					names[name] = true
				}
			}
		}
	}
	addFuncs := func(funcs []*doc.Func) {
		for _, f := range funcs {
			names[funcName(f)] = true
		}
	}
	addValues(c.consts)
	addValues(c.vars)
	addFuncs(c.funcs)
	for _, t := range c.types {
		names[t.Name] = true
		addValues(t.Consts)
		addValues(t.Vars)
		addFuncs(t.Funcs)
		addFuncs(t.Methods)
	}
	return names
}

// funcName returns the name of a function, or "Type.Method".
func funcName(f *doc.Func) string {
	if f.Recv == "" {
		return f.Name
	}
	return receiverType(f.Recv) + "." + f.Name
}

// receiverType returns the name of the type in a receiver such as "*T[K, V]".
func receiverType(recv string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(recv, "*"), "[")
	return name
}

// lookUp returns the documentation of a symbol, or of the whole package if the
// symbol is empty. What is not exported is not found.
func (p *goPackage) lookUp(symbol string) (content, error) {
	if symbol == "" {
		return content{
			doc:    p.Doc,
			consts: p.Consts,
			vars:   p.Vars,
			funcs:  p.Funcs,
			types:  p.Types,
			bugs:   p.Notes["BUG"],
		}, nil
	}
	name, member, isMember := strings.Cut(symbol, ".")
	var c content
	var found bool
	if isMember {
		c, found = p.lookUpMember(name, member)
	} else {
		c, found = p.lookUpName(name)
	}
	if !found {
		return content{}, fmt.Errorf("%w: no symbol %s in package %s", getter.ErrNotFound, symbol, p.ImportPath)
	}
	return c, nil
}

func (p *goPackage) lookUpName(name string) (content, bool) {
	var c content
	named := func(v *doc.Value) bool { return slices.Contains(v.Names, name) }
	look := func(consts, vars []*doc.Value, funcs []*doc.Func) bool {
		if i := slices.IndexFunc(consts, named); i >= 0 {
			c.consts = consts[i : i+1]
			return true
		}
		if i := slices.IndexFunc(vars, named); i >= 0 {
			c.vars = vars[i : i+1]
			return true
		}
		if i := indexFunc(funcs, name); i >= 0 {
			c.funcs = funcs[i : i+1]
			return true
		}
		return false
	}
	if look(p.Consts, p.Vars, p.Funcs) {
		return c, true
	}
	for i, t := range p.Types {
		if t.Name == name {
			c.types = p.Types[i : i+1]
			return c, true
		}
		if look(t.Consts, t.Vars, t.Funcs) {
			return c, true
		}
	}
	return content{}, false
}

func indexFunc(funcs []*doc.Func, name string) int {
	return slices.IndexFunc(funcs, func(f *doc.Func) bool { return f.Name == name })
}

// lookUpMember finds a method, or a field or interface method, of a type.
func (p *goPackage) lookUpMember(typeName, member string) (content, bool) {
	i := slices.IndexFunc(p.Types, func(t *doc.Type) bool { return t.Name == typeName })
	if i < 0 {
		return content{}, false
	}
	t := p.Types[i]
	if m := indexFunc(t.Methods, member); m >= 0 {
		return content{funcs: t.Methods[m : m+1]}, true
	}
	if decl := onlyField(t.Decl, member); decl != nil {
		return content{types: []*doc.Type{{Name: t.Name, Decl: decl}}}, true
	}
	return content{}, false
}

// onlyField returns a declaration of a struct or interface type with nothing
// but one of its fields or methods, or nil if there is no such field.
func onlyField(decl *ast.GenDecl, name string) *ast.GenDecl {
	if len(decl.Specs) != 1 {
		return nil
	}
	spec, ok := decl.Specs[0].(*ast.TypeSpec)
	if !ok {
		return nil
	}
	narrowed := *spec
	switch t := spec.Type.(type) {
	case *ast.StructType:
		fields := fieldsNamed(t.Fields, name)
		if fields == nil {
			return nil
		}
		narrowed.Type = &ast.StructType{Struct: t.Struct, Fields: fields, Incomplete: true}
	case *ast.InterfaceType:
		methods := fieldsNamed(t.Methods, name)
		if methods == nil {
			return nil
		}
		narrowed.Type = &ast.InterfaceType{Interface: t.Interface, Methods: methods, Incomplete: true}
	default:
		return nil
	}
	return &ast.GenDecl{TokPos: decl.TokPos, Tok: decl.Tok, Specs: []ast.Spec{&narrowed}}
}

func fieldsNamed(list *ast.FieldList, name string) *ast.FieldList {
	for _, field := range list.List {
		for _, ident := range field.Names {
			if ident.Name == name {
				narrowed := *field
				narrowed.Names = []*ast.Ident{ident}
				return &ast.FieldList{Opening: list.Opening, List: []*ast.Field{&narrowed}, Closing: list.Closing}
			}
		}
	}
	return nil
}
