package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/scanner"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
)

// file is a Go file.
type file struct {
	src  []byte
	set  *token.FileSet
	tree *ast.File

	changes []change
	notes   []note
}

// change is an import that is rewritten.
type change struct{ at, from, to string }

// note is something that needs somebody.
type note struct{ at, text string }

// parse reads a file, or says what is wrong with it.
func parse(name string, src []byte) (f *file, wrong *note) {
	f = &file{src: src, set: token.NewFileSet()}
	var err error
	if f.tree, err = parser.ParseFile(f.set, name, src, parser.ParseComments|parser.SkipObjectResolution); err != nil {
		if list, ok := errors.AsType[scanner.ErrorList](err); ok && len(list) > 0 {
			return nil, &note{fmt.Sprintf("%s:%d", list[0].Pos.Filename, list[0].Pos.Line), list[0].Msg}
		}
		return nil, &note{name, err.Error()}
	}
	return f, nil
}

// rewrite finds what is to change and what needs somebody, and is the file with
// the changes. Nothing but the imports is touched; a file that was formatted is
// so afterwards.
func (f *file) rewrite() []byte {
	var edits []edit
	used := map[string]source{} // by the name in the file, "." among them: what is imported from
	pkgs := map[string]string{} // by the name in the file: the package below the module
	for _, spec := range f.tree.Imports {
		from, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the parser has seen to it
		}
		s, ok := sourceOf(from)
		if !ok {
			continue
		}
		below := strings.TrimPrefix(strings.TrimPrefix(from, s.module), "/")
		switch {
		case !s.moves:
			f.note(spec, fmt.Sprintf("import %q stays: %s", from, s.why))
			continue
		case below != "" && !slices.Contains(s.packages, below):
			f.note(spec, fmt.Sprintf("import %q stays: there is no such package here", from))
			continue
		}
		to := target
		name := "groupcache"
		if below != "" {
			to, name = target+"/"+below, path.Base(below)
		}
		text := strconv.Quote(to)
		switch {
		case spec.Name == nil && below == "":
			text = name + " " + text // the path does not end with the name of the package
		case spec.Name != nil:
			name = spec.Name.Name
		}
		if name == "." {
			f.note(spec, fmt.Sprintf("import of %q without a name: its uses were not looked at", from))
		}
		used[name], pkgs[name] = s, below
		edits = append(edits, edit{f.set.Position(spec.Path.Pos()).Offset, f.set.Position(spec.Path.End()).Offset, text})
		f.changes = append(f.changes, change{f.at(spec), from, to})
	}
	f.directives()
	if len(edits) == 0 {
		return f.src
	}
	if ast.IsGenerated(f.tree) {
		f.note(f.tree.Name, "the file is generated: generate it anew from what has the new import")
	}
	for _, n := range look(f.tree, used, pkgs) {
		f.note(n.node, n.text)
	}
	return apply(f.src, edits)
}

// directives points out generators that are given a package to read.
func (f *file) directives() {
	for _, group := range f.tree.Comments {
		for _, c := range group.List {
			command, ok := strings.CutPrefix(c.Text, "//go:generate ")
			for word := range strings.FieldsSeq(command) {
				if s, names := sourceOf(word); ok && names && s.moves {
					f.note(c, fmt.Sprintf("go:generate names %q, and was left alone", word))
				}
			}
		}
	}
}

func (f *file) at(n ast.Node) string {
	p := f.set.Position(n.Pos())
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

func (f *file) note(n ast.Node, text string) { f.notes = append(f.notes, note{f.at(n), text}) }

// edit replaces what is between two offsets.
type edit struct {
	begin, end int
	text       string
}

func apply(src []byte, edits []edit) []byte {
	var out bytes.Buffer
	at := 0
	for _, e := range slices.SortedFunc(slices.Values(edits), func(a, b edit) int { return cmp.Compare(a.begin, b.begin) }) {
		out.Write(src[at:e.begin])
		out.WriteString(e.text)
		at = e.end
	}
	out.Write(src[at:])
	if before, err := format.Source(src); err == nil && bytes.Equal(before, src) {
		if after, err := format.Source(out.Bytes()); err == nil { // imports are in another order now
			return after
		}
	}
	return out.Bytes()
}
