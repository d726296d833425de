package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/doc"
	"go/format"

	getter "github.com/gcnode/gcnode/plugins/sdk/go"
)

// renderText returns documentation as plain text, in the form of "go doc -all".
func renderText(pkg *goPackage, c content) ([]byte, error) {
	w := &textWriter{pkg: pkg}
	fmt.Fprintf(&w.out, "package %s // import %q\n", pkg.Name, pkg.ImportPath)
	if c.doc != "" {
		w.out.WriteByte('\n')
		w.comment(c.doc, "")
	}
	w.section("CONSTANTS", len(c.consts))
	w.values(c.consts)
	w.section("VARIABLES", len(c.vars))
	w.values(c.vars)
	w.section("FUNCTIONS", len(c.funcs))
	w.funcs(c.funcs)
	w.section("TYPES", len(c.types))
	for _, t := range c.types {
		w.decl(t.Decl, t.Doc)
		w.values(t.Consts)
		w.values(t.Vars)
		w.funcs(t.Funcs)
		w.funcs(t.Methods)
	}
	if len(c.bugs) > 0 {
		w.out.WriteByte('\n')
	}
	for _, note := range c.bugs {
		fmt.Fprintf(&w.out, "BUG: %s\n", note.Body)
	}
	return w.out.Bytes(), w.err
}

// A textWriter collects text, and the first error.
type textWriter struct {
	pkg *goPackage
	out bytes.Buffer
	err error
}

func (w *textWriter) section(title string, items int) {
	if items > 0 {
		w.out.WriteString("\n" + title + "\n\n")
	}
}

func (w *textWriter) values(values []*doc.Value) {
	for _, v := range values {
		w.decl(v.Decl, v.Doc)
	}
}

func (w *textWriter) funcs(funcs []*doc.Func) {
	for _, f := range funcs {
		w.decl(f.Decl, f.Doc)
	}
}

func (w *textWriter) decl(decl ast.Decl, comment string) {
	source, err := w.pkg.source(decl)
	if err != nil {
		w.err = err
		return
	}
	w.out.Write(source)
	w.out.WriteByte('\n')
	w.comment(comment, "    ")
	w.out.WriteByte('\n')
}

func (w *textWriter) comment(text, indent string) {
	if text == "" {
		return
	}
	printer := w.pkg.Printer()
	printer.TextPrefix = indent
	printer.TextCodePrefix = indent + "    "
	w.out.Write(printer.Text(w.pkg.Parser().Parse(text)))
}

// source returns a declaration as gofmt would write it.
func (p *goPackage) source(decl ast.Decl) ([]byte, error) {
	var out bytes.Buffer
	if err := format.Node(&out, p.files, decl); err != nil {
		return nil, fmt.Errorf("%w: format a declaration of %s: %w", getter.ErrPermanent, p.ImportPath, err)
	}
	return out.Bytes(), nil
}
