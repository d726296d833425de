package main

import (
	"bytes"
	"go/scanner"
	"go/token"
)

// code writes Go source with comments set apart and links from the names of
// types, and of what other packages export.
func (w *htmlWriter) code(source []byte) {
	var s scanner.Scanner
	file := token.NewFileSet().AddFile("", -1, len(source))
	s.Init(file, source, func(token.Position, string) {}, scanner.ScanComments)
	written := 0
	upTo := func(offset int) {
		w.text(string(source[written:offset]))
		written = offset
	}
	// qualifier is the package that a name followed by a dot, the last two
	// tokens, stands for.
	var previous token.Token
	var name, qualifier string
	for {
		pos, tok, literal := s.Scan()
		if tok == token.EOF {
			break
		}
		offset := file.Offset(pos)
		switch {
		case tok == token.COMMENT:
			upTo(offset)
			w.raw(`<i>`)
			upTo(offset + len(literal))
			w.raw(`</i>`)
		case tok == token.PERIOD && previous == token.IDENT:
			qualifier, _ = w.pkg.Parser().LookupPackage(name)
		case tok == token.IDENT:
			href := ""
			switch {
			case previous == token.PERIOD && qualifier != "" && isExported(literal):
				href = keyURL(qualifier, literal)
			case previous != token.PERIOD && w.types[literal] && !startsLine(source, offset) && previous != token.TYPE:
				href = w.symbolURL("", literal)
			}
			if href != "" {
				upTo(offset)
				w.link(href, literal)
				written = offset + len(literal)
			}
			name, qualifier = literal, ""
		}
		previous = tok
	}
	upTo(len(source))
}

// startsLine reports whether what begins at an offset is the first thing on its
// line. There a name is being declared, not used, but for embedded types.
func startsLine(source []byte, offset int) bool {
	line := source[bytes.LastIndexByte(source[:offset], '\n')+1 : offset]
	return len(bytes.TrimLeft(line, "\t ")) == 0
}
