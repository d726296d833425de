// Tables writes the tables of a document from the raw output of benchmarks.
//
//	tables -results DIR DOCUMENT
//
// A line "<!-- table FILE UNIT [UNIT…] -->" in the document is followed by a
// table of the results in DIR/FILE, up to "<!-- end -->": a row for each
// configuration, a column for each implementation, in it the median of the
// runs in each of the units. What stands between the two is replaced.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/perf/benchfmt"
)

func main() {
	results := flag.String("results", "results", "the directory of the raw output")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: tables -results DIR DOCUMENT")
		os.Exit(2)
	}
	if err := rewrite(flag.Arg(0), *results); err != nil {
		fmt.Fprintln(os.Stderr, "tables:", err)
		os.Exit(1)
	}
}

const (
	opening = "<!-- table "
	closing = " -->"
	end     = "<!-- end -->"
)

// rewrite replaces the tables of the document.
func rewrite(document, results string) error {
	old, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	inTable := false
	for line := range strings.Lines(string(old)) {
		text := strings.TrimSpace(line)
		if inTable && text != end {
			continue
		}
		inTable = false
		out.WriteString(line)
		if !strings.HasPrefix(text, opening) {
			continue
		}
		inTable = true
		fields := strings.Fields(strings.TrimSuffix(strings.TrimPrefix(text, opening), closing))
		if len(fields) < 2 {
			return fmt.Errorf("%s: %q names no file and unit", document, text)
		}
		t, err := read(filepath.Join(results, fields[0]))
		if err != nil {
			return err
		}
		if err := t.write(&out, fields[1:]); err != nil {
			return fmt.Errorf("%s: %w", fields[0], err)
		}
	}
	if inTable {
		return fmt.Errorf("%s: a table has no %q", document, end)
	}
	return os.WriteFile(document, out.Bytes(), 0o600)
}

// table is the results of a file.
type table struct {
	command string
	rows    []string // configurations, in the order of the file
	impls   []string // implementations, likewise
	values  map[cell][]float64
}

type cell struct{ row, impl, unit string }

// read reads a file of results.
func read(path string) (*table, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	t := &table{values: map[cell][]float64{}}
	r := benchfmt.NewReader(f, path)
	for r.Scan() {
		switch rec := r.Result().(type) {
		case *benchfmt.Result:
			t.command = rec.GetConfig("command")
			t.add(rec)
		case *benchfmt.SyntaxError:
			return nil, rec
		}
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	if len(t.rows) == 0 || t.command == "" {
		return nil, fmt.Errorf("%s: no results, or no line \"command: …\" before them", path)
	}
	return t, nil
}

// add takes one line of results. Its name has the parts key=value, of which
// impl is the column and the others are the row.
func (t *table) add(rec *benchfmt.Result) {
	_, parts := rec.Name.Parts()
	var row []string
	impl := ""
	for _, p := range parts {
		part := strings.TrimPrefix(string(p), "/")
		if v, ok := strings.CutPrefix(part, "impl="); ok {
			impl = v
		} else if !strings.HasPrefix(part, "-") { // GOMAXPROCS
			row = append(row, strings.ReplaceAll(part, "=", " "))
		}
	}
	name := strings.Join(row, ", ")
	if !slices.Contains(t.rows, name) {
		t.rows = append(t.rows, name)
	}
	if !slices.Contains(t.impls, impl) {
		t.impls = append(t.impls, impl)
	}
	for _, v := range rec.Values {
		if v.OrigUnit != "" {
			v.Value, v.Unit = v.OrigValue, v.OrigUnit
		}
		c := cell{name, impl, v.Unit}
		t.values[c] = append(t.values[c], v.Value)
	}
}

// write writes the table in Markdown.
func (t *table) write(w io.Writer, units []string) error {
	var b strings.Builder
	runs := 0
	fmt.Fprintf(&b, "\n| %s | %s |\n|%s\n", strings.Join(units, " · "), strings.Join(t.impls, " | "), strings.Repeat(" --- |", len(t.impls)+1))
	for _, row := range t.rows {
		b.WriteString("| " + row + " |")
		for _, impl := range t.impls {
			var cells []string
			for _, unit := range units {
				values := t.values[cell{row, impl, unit}]
				if len(values) == 0 {
					return fmt.Errorf("%s of %s has no %s", row, impl, unit)
				}
				runs = max(runs, len(values))
				cells = append(cells, format(median(values)))
			}
			b.WriteString(" " + strings.Join(cells, " · ") + " |")
		}
		b.WriteString("\n")
	}
	if runs < leastRuns {
		return errors.New("fewer than " + strconv.Itoa(leastRuns) + " runs")
	}
	fmt.Fprintf(&b, "\nMedian of %d runs: `%s`\n\n", runs, t.command)
	_, err := io.WriteString(w, b.String())
	return err
}

// leastRuns is how many runs a figure needs.
const leastRuns = 6

func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	mid := len(s) / 2
	if len(s)%2 == 1 {
		return s[mid]
	}
	return (s[mid-1] + s[mid]) / 2
}

// format shows three significant digits.
func format(v float64) string {
	switch {
	case v >= 100 || v == float64(int(v)):
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
}
