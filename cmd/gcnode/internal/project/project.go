// Package project makes projects of getters, and builds them.
//
// A project is a folder with a manifest, getter.yaml, the source of one getter,
// and what it has to answer, getter_test.yaml. The language is told by the
// files: go.mod, Cargo.toml, package.json, or the one source in C or C++.
package project

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Language is one that there is an SDK for.
type Language string

// The languages.
const (
	Go             Language = "go"
	Rust           Language = "rust"
	C              Language = "c"
	CPlusPlus      Language = "cpp"
	AssemblyScript Language = "assemblyscript"
	JavaScript     Language = "javascript"
)

// String is the name of the language as people write it.
func (l Language) String() string {
	return map[Language]string{Go: "Go", Rust: "Rust", C: "C", CPlusPlus: "C++", AssemblyScript: "AssemblyScript", JavaScript: "JavaScript"}[l]
}

// errNoProject says that a folder has no source of a getter.
var errNoProject = errors.New("there is no getter to build here: neither go.mod, Cargo.toml, package.json, nor a source in C (*.c) or C++ (*.cc, *.cpp); " +
	"gcnode plugin new makes a project")

// LanguageOf tells the language of the project in a folder, and its source if
// that is a single file.
func LanguageOf(dir string) (language Language, source string, err error) {
	for _, l := range []struct {
		file     string
		language Language
	}{{"go.mod", Go}, {"Cargo.toml", Rust}, {"package.json", AssemblyScript}} {
		if _, err := os.Stat(filepath.Join(dir, l.file)); err == nil {
			language = l.language
			break
		}
	}
	if scripts, err := filepath.Glob(filepath.Join(dir, "*.ts")); err == nil && language == AssemblyScript && len(scripts) == 0 {
		language = JavaScript
	}
	patterns := map[Language][]string{"": {"*.c", "*.cc", "*.cpp"}, AssemblyScript: {"*.ts"}, JavaScript: {"*.js"}}[language]
	var sources []string
	for _, pattern := range patterns {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return "", "", err
		}
		sources = append(sources, found...)
	}
	switch {
	case patterns == nil:
		return language, "", nil
	case len(sources) == 0 && language == JavaScript:
		return "", "", fmt.Errorf("%s has a package.json, but no source in AssemblyScript (*.ts) or JavaScript (*.js)", dir)
	case len(sources) == 0:
		return "", "", fmt.Errorf("%s: %w", dir, errNoProject)
	case len(sources) > 1:
		return "", "", fmt.Errorf("%s has several sources (%s): a getter is built from one, which may include others",
			dir, strings.Join(sources, ", "))
	}
	if source = filepath.Base(sources[0]); language == "" {
		language = CPlusPlus
		if strings.HasSuffix(source, ".c") {
			language = C
		}
	}
	return language, source, nil
}
