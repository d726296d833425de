package main

import (
	"go/scanner"
	"go/token"
	"regexp"
)

// withoutBodies returns Go source with the braces emptied that nobody will see
// inside of: the bodies of functions, and the values of variables that are not
// exported (declared one by one: var table = [...]T{...}). They are most of
// what there is to parse, and the syntax tree of a large file would need some
// thirty times its size in memory. Braces around a note such as BUG(who) stay,
// because go/doc reports it. What is wrong within braces goes unnoticed; source
// that cannot even be split into tokens is returned as it is, for the parser to
// complain.
func withoutBodies(source []byte) []byte {
	var s scanner.Scanner
	file := token.NewFileSet().AddFile("", -1, len(source))
	failed := false
	s.Init(file, source, func(token.Position, string) { failed = true }, scanner.ScanComments)
	notes := noteStart()
	out := make([]byte, 0, len(source)/2)
	kept := 0 // how much of the source is in out, or was left out
	b := bodyFinder{}
	for {
		pos, tok, literal := s.Scan()
		if tok == token.EOF {
			break
		}
		offset := file.Offset(pos)
		switch {
		case tok == token.COMMENT:
			b.hasNote = b.hasNote || notes.MatchString(literal)
		case b.next(tok, literal, offset) && !b.hasNote:
			out = append(out, source[kept:b.start+1]...)
			kept = offset
		}
	}
	if failed {
		return source
	}
	return append(out, source[kept:]...)
}

// noteStart matches comments that go/doc takes for the start of a note.
func noteStart() *regexp.Regexp { return regexp.MustCompile(`^/[/*][ \t]*[A-Z][A-Z]+\(`) }

// A bodyFinder follows the tokens of a file, comments left out, and finds the
// braces to empty in the declarations at its top.
type bodyFinder struct {
	depth    int         // of brackets of any kind
	previous token.Token // the last token
	inFunc   bool        // within the declaration of a function
	inVar    bool        // within the declaration of a variable that is not exported
	inBody   bool        // within braces to empty
	start    int         // offset of the opening brace
	hasNote  bool        // a note was seen since then
}

// next takes the next token and reports whether it closes braces to empty,
// which then reach from b.start to offset.
func (b *bodyFinder) next(tok token.Token, literal string, offset int) bool {
	previous := b.previous
	b.previous = tok
	switch tok {
	case token.LPAREN, token.LBRACK:
		b.depth++
	case token.LBRACE:
		isType := previous == token.INTERFACE || previous == token.STRUCT
		if b.depth == 0 && (b.inFunc && !isType || b.inVar) {
			b.inBody, b.start, b.hasNote = true, offset, false
		}
		b.depth++
	case token.RPAREN, token.RBRACK, token.RBRACE:
		b.depth--
		if b.inBody && b.depth == 0 {
			b.inBody, b.inFunc = false, false
			return true
		}
	case token.FUNC:
		if b.depth == 0 && previous == token.SEMICOLON {
			b.inFunc = true
		}
	case token.IDENT:
		if b.depth == 0 && previous == token.VAR {
			b.inVar = !token.IsExported(literal)
		}
	case token.COMMA:
		if b.depth == 0 {
			b.inVar = false // var a, B = …
		}
	case token.SEMICOLON:
		if b.depth == 0 {
			b.inFunc, b.inVar = false, false
		}
	default:
	}
	return false
}
