package main

import (
	"fmt"
	"go/token"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	getter "github.com/gcnode/gcnode/plugins/sdk/go"
)

// maxKeyBytes is the longest key that is looked up.
const maxKeyBytes = 1024

// A target is one way to read a key. Symbol is "", "Name" or "Type.Name".
type target struct {
	importPath string
	symbol     string
}

// parseKey returns the ways to read a key, the most likely one first. Import
// paths may have dots in their last element too (gopkg.in/yaml.v3.Node), so
// every dot that something exported follows could be where the symbol begins;
// the first one nearly always is, and always where the path begins with no
// host, as in the standard library. A key that names nothing that could exist is
// not found.
func parseKey(key string) ([]target, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	dir, last := path.Split(key)
	var targets []target
	for i, r := range last {
		if r != '.' {
			continue
		}
		t := target{importPath: dir + last[:i], symbol: last[i+1:]}
		if isImportPath(t.importPath) && isSymbol(t.symbol) {
			targets = append(targets, t)
		}
	}
	if len(targets) > 0 && !isHost(key) {
		return targets[:1], nil
	}
	if isImportPath(key) {
		targets = append(targets, target{importPath: key})
	}
	if len(targets) == 0 {
		return nil, malformed(key, "it is no import path")
	}
	return targets, nil
}

func malformed(key, why string) error {
	return fmt.Errorf("%w: malformed key %.100q: %s", getter.ErrNotFound, key, why)
}

func checkKey(key string) error {
	switch {
	case key == "":
		return malformed(key, "it is empty")
	case len(key) > maxKeyBytes:
		return malformed(key, fmt.Sprintf("it is longer than %d bytes", maxKeyBytes))
	case !utf8.ValidString(key):
		return malformed(key, "it is not UTF-8")
	}
	for _, r := range key {
		if !unicode.IsGraphic(r) || unicode.IsSpace(r) || strings.ContainsRune("!\"#$%&'()*,:;<=>?[\\]^`{|}\uFFFD", r) {
			return malformed(key, fmt.Sprintf("%q cannot be in an import path", r))
		}
	}
	return nil
}

// isImportPath reports whether s consists of path elements that a package's
// directory could have: not empty, and without a dot in front. Characters were
// checked before.
func isImportPath(s string) bool {
	for elem := range strings.SplitSeq(s, "/") {
		if elem == "" || elem[0] == '.' {
			return false
		}
	}
	return true
}

// isHost reports whether the first element of a path is a host, as in modules
// that come from somewhere.
func isHost(importPath string) bool {
	host, _, below := strings.Cut(importPath, "/")
	return below && strings.Contains(host, ".")
}

// isSymbol reports whether s is an exported identifier, or two with a dot.
func isSymbol(s string) bool {
	name, member, isMember := strings.Cut(s, ".")
	return isExported(name) && (!isMember || isExported(member))
}

func isExported(name string) bool { return token.IsIdentifier(name) && token.IsExported(name) }
