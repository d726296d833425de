package wasm

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// printable is at most maxBytes of s without control characters, other
// characters that change how a line looks, and invalid UTF-8.
func printable(s string, maxBytes int) string {
	s = s[:min(len(s), maxBytes)]
	clean := true
	for _, r := range s {
		if r == utf8.RuneError || !shown(r) {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if invalid := r == utf8.RuneError && n == 1; !invalid && shown(r) {
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

// oneLine is at most maxBytes of s as [printable] shows it, with " | " in place
// of the ends of lines between its lines.
func oneLine(s string, maxBytes int) string {
	s = strings.TrimRight(s[:min(len(s), maxBytes)], "\r\n")
	return printable(strings.ReplaceAll(s, "\n", " | "), maxBytes)
}

// shown reports whether r is neither a control nor a formatting character:
// the latter include those that reverse the direction of a line.
func shown(r rune) bool {
	return !unicode.IsControl(r) && !unicode.Is(unicode.Cf, r) && r != '\u2028' && r != '\u2029'
}
