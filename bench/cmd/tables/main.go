// Tables writes the tables and plots of a document from the raw output of
// benchmarks.
//
//	tables -results DIR DOCUMENT
//
// A line "<!-- generated NAME -->" in the document is followed by the part of
// the report that has that name, up to "<!-- end -->". What stands between the
// two is replaced. Plots are written into the directory "plots" beside the
// document.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	results := flag.String("results", "results", "the directory of the raw output")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: tables -results DIR DOCUMENT")
		os.Exit(2)
	}
	if err := rewrite(flag.Arg(0), *results, report()); err != nil {
		fmt.Fprintln(os.Stderr, "tables:", err)
		os.Exit(1)
	}
}

const (
	opening = "<!-- generated "
	closing = " -->"
	end     = "<!-- end -->"
)

// place is where a part reads results and writes files.
type place struct {
	results string // the directory of the raw output
	dir     string // the directory of the document
}

// part is what can be generated, in Markdown.
type part interface {
	write(w io.Writer, p place) error
}

// unmeasured is in place of a part without results.
const unmeasured = "\nNot measured yet.\n\n"

// rewrite replaces the parts of the document.
func rewrite(document, results string, parts map[string]part) error {
	old, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	inPart := false
	for line := range strings.Lines(string(old)) {
		text := strings.TrimSpace(line)
		if inPart && text != end {
			continue
		}
		inPart = false
		out.WriteString(line)
		if !strings.HasPrefix(text, opening) {
			continue
		}
		inPart = true
		name := strings.TrimSuffix(strings.TrimPrefix(text, opening), closing)
		p, ok := parts[name]
		if !ok {
			return fmt.Errorf("%s: there is no part %q", document, name)
		}
		if err := p.write(&out, place{results, filepath.Dir(document)}); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if inPart {
		return fmt.Errorf("%s: a part has no %q", document, end)
	}
	return os.WriteFile(document, out.Bytes(), 0o600)
}
