package main

import (
	"bytes"
	_ "embed"
	"go/ast"
	"go/doc"
	"go/doc/comment"
	"html"
	"net/url"
	"strings"
)

// style is the style sheet of every page; it is trusted.
//
//go:embed style.css
var style string

// renderHTML returns documentation as one self-contained page. Links to other
// packages and symbols are relative ("?key=net/url.URL"): they lead to the
// answer for that key wherever this answer was served with its key in the
// query. Everything that comes from source files is escaped.
func renderHTML(pkg *goPackage, symbol string, c content) ([]byte, error) {
	w := &htmlWriter{pkg: pkg, targets: c.targets(), types: map[string]bool{}}
	for _, t := range pkg.Types {
		w.types[t.Name] = true
	}
	title := pkg.ImportPath
	if symbol != "" {
		title += "." + symbol
	}
	w.raw(`<!DOCTYPE html>`, "\n", `<html lang="en"><head><meta charset="utf-8"/>`,
		`<meta name="viewport" content="width=device-width, initial-scale=1"/><title>`)
	w.text(title)
	w.raw(`</title><style>`, style, `</style></head>`, "\n", `<body><header><h1><small>package</small> `)
	w.text(pkg.Name)
	w.raw(`</h1><code>import "`)
	w.link(keyURL(pkg.ImportPath, ""), pkg.ImportPath)
	w.raw(`"</code></header>`, "\n", `<main>`)
	w.comment(c.doc)
	if symbol == "" {
		w.index(c)
	}
	w.section("Constants", len(c.consts))
	w.values(c.consts)
	w.section("Variables", len(c.vars))
	w.values(c.vars)
	w.section("Functions", len(c.funcs))
	w.funcs(c.funcs)
	w.section("Types", len(c.types))
	for _, t := range c.types {
		w.typ(t)
	}
	w.section("Bugs", len(c.bugs))
	for _, note := range c.bugs {
		w.comment(note.Body)
	}
	w.raw("</main></body></html>\n")
	return w.out.Bytes(), w.err
}

// An htmlWriter collects a page, and the first error.
type htmlWriter struct {
	pkg     *goPackage
	types   map[string]bool // that the package declares
	targets map[string]bool // of links within the page
	out     bytes.Buffer
	err     error
}

// raw writes trusted markup.
func (w *htmlWriter) raw(parts ...string) {
	for _, part := range parts {
		w.out.WriteString(part)
	}
}

func (w *htmlWriter) text(s string) { w.out.WriteString(html.EscapeString(s)) }

func (w *htmlWriter) link(href, text string) {
	w.raw(`<a href="`)
	w.text(href)
	w.raw(`">`)
	w.text(text)
	w.raw(`</a>`)
}

func (w *htmlWriter) section(title string, items int) {
	if items > 0 {
		w.raw("\n<h2>", title, "</h2>\n")
	}
}

// index lists functions and types with links to them.
func (w *htmlWriter) index(c content) {
	if len(c.funcs)+len(c.types) == 0 {
		return
	}
	w.raw("\n", `<details class="index"><summary>Index</summary><ul>`)
	entry := func(name, text string) {
		w.raw(`<li>`)
		w.link("#"+name, text)
		w.raw(`</li>`)
	}
	for _, f := range c.funcs {
		entry(f.Name, "func "+f.Name)
	}
	for _, t := range c.types {
		w.raw(`<li>`)
		w.link("#"+t.Name, "type "+t.Name)
		w.raw(`<ul>`)
		for _, f := range t.Funcs {
			entry(f.Name, "func "+f.Name)
		}
		for _, m := range t.Methods {
			entry(funcName(m), "func ("+m.Recv+") "+m.Name)
		}
		w.raw(`</ul></li>`)
	}
	w.raw("</ul></details>\n")
}

func (w *htmlWriter) values(values []*doc.Value) {
	for _, v := range values {
		w.decl(v.Decl, v.Doc, v.Names...)
	}
}

func (w *htmlWriter) funcs(funcs []*doc.Func) {
	for _, f := range funcs {
		w.heading("func", funcName(f))
		w.decl(f.Decl, f.Doc)
	}
}

func (w *htmlWriter) typ(t *doc.Type) {
	w.heading("type", t.Name)
	w.decl(t.Decl, t.Doc)
	w.values(t.Consts)
	w.values(t.Vars)
	w.funcs(t.Funcs)
	w.funcs(t.Methods)
}

// heading writes the heading of a function, method or type, which is also the
// target of links to it and a link to the answer for it alone.
func (w *htmlWriter) heading(kind, name string) {
	w.raw(`<h3 id="`)
	w.text(name)
	w.raw(`"><small>`, kind, `</small> `)
	w.link(keyURL(w.pkg.ImportPath, name), name)
	w.raw("</h3>\n")
}

// decl writes a declaration, with targets for links to names, and its comment.
func (w *htmlWriter) decl(decl ast.Decl, comment string, names ...string) {
	source, err := w.pkg.source(decl)
	if err != nil {
		w.err = err
		return
	}
	for _, name := range names {
		if w.targets[name] {
			w.raw(`<a id="`)
			w.text(name)
			w.raw(`"></a>`)
		}
	}
	w.raw(`<pre>`)
	w.code(source)
	w.raw("</pre>\n")
	w.comment(comment)
}

func (w *htmlWriter) comment(text string) {
	if text == "" {
		return
	}
	printer := w.pkg.Printer()
	printer.HeadingLevel = 4
	printer.HeadingID = func(*comment.Heading) string { return "" }
	printer.DocLinkURL = func(link *comment.DocLink) string {
		name := link.Name
		if link.Recv != "" {
			name = receiverType(link.Recv) + "." + name
		}
		return w.symbolURL(link.ImportPath, name)
	}
	w.out.Write(printer.HTML(w.pkg.Parser().Parse(text)))
}

// symbolURL returns where a link to a symbol leads: within the page if it is
// there, and to the answer for its key otherwise. The import path may be empty
// for the package itself. A method that a type has from another one it embeds
// is documented there; the link leads to the type.
func (w *htmlWriter) symbolURL(importPath, name string) string {
	if importPath != "" && importPath != w.pkg.ImportPath {
		return keyURL(importPath, name)
	}
	if typeName, member, isMember := strings.Cut(name, "."); isMember && !w.targets[name] {
		if _, found := w.pkg.lookUpMember(typeName, member); !found {
			name = typeName
		}
	}
	if w.targets[name] {
		return "#" + url.PathEscape(name)
	}
	return keyURL(w.pkg.ImportPath, name)
}

// keyURL returns the relative URL of the answer for a package or symbol.
func keyURL(importPath, name string) string {
	key := importPath
	if name != "" {
		key += "." + name
	}
	return "?key=" + url.QueryEscape(key)
}
