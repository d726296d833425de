package main

import (
	"bytes"
	"strings"
)

// target is where imports go.
const target = "github.com/gcnode/gcnode/compat/mailgun"

// source is a library that programs come from.
type source struct {
	module string
	// moves says that imports can be rewritten; why is what is said if not.
	moves bool
	why   string
	// packages are those below the module, besides its own, that target has too.
	packages []string
	// old says that it is golang/groupcache, with other signatures.
	old bool
}

// sources are looked through in this order: a module may be the beginning of
// another one's path.
func sources() []source {
	packages := []string{"consistenthash", "groupcachepb", "lru", "singleflight"}
	return []source{
		{module: "github.com/golang/groupcache", moves: true, packages: packages, old: true},
		{module: "github.com/mailgun/groupcache/v2", moves: true, packages: append(packages, "promexporter")},
		{module: "github.com/mailgun/groupcache", why: "version 1 has other signatures: go to v2 first"},
		{module: "github.com/groupcache/groupcache-go/v3", why: "it has another API: see \"From groupcache-go v3\" in docs/migrating.md"},
		{module: "github.com/groupcache/groupcache-go", why: "it has another API: see \"From groupcache-go v3\" in docs/migrating.md"},
		{module: "github.com/modernprogram/groupcache/v2", why: "its workspaces and options are its own: see \"From other forks\" in docs/migrating.md"},
	}
}

// sourceOf is the library that a package belongs to.
func sourceOf(path string) (source, bool) {
	for _, s := range sources() {
		if path == s.module || strings.HasPrefix(path, s.module+"/") {
			return s, true
		}
	}
	return source{}, false
}

// moduleOf is the library that is this module.
func moduleOf(path string) (source, bool) {
	s, ok := sourceOf(path)
	return s, ok && s.module == path
}

// mentioned reports whether there is the path of a library in a file.
func mentioned(src []byte) bool {
	for _, s := range sources() {
		if bytes.Contains(src, []byte(s.module)) {
			return true
		}
	}
	return false
}
