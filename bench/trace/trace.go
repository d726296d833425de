// Package trace has sequences of requests to replay against caches: recorded
// ones from files, and synthetic ones that are always there.
package trace

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Trace is a sequence of requests. Keys are numbers from 0, in the order in
// which they are first asked for.
type Trace struct {
	Name     string
	Requests []uint32
	Distinct int
}

// Read reads a file with one key per line, compressed with gzip. The trace has
// the name of the file without its extension.
func Read(path string) (*Trace, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("read trace %s: %w", path, err)
	}
	name := filepath.Base(path)
	t := &Trace{Name: name[:len(name)-len(filepath.Ext(name))]}
	numbers := map[string]uint32{}
	lines := bufio.NewScanner(z)
	for lines.Scan() {
		n, ok := numbers[lines.Text()]
		if !ok {
			n = uint32(len(numbers))
			numbers[lines.Text()] = n
		}
		t.Requests = append(t.Requests, n)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read trace %s: %w", path, err)
	}
	t.Distinct = len(numbers)
	return t, nil
}

// ReadDir reads all files DIR/*.gz, ordered by name.
func ReadDir(dir string) ([]*Trace, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.gz"))
	if err != nil {
		return nil, err
	}
	slices.Sort(paths)
	var traces []*Trace
	for _, path := range paths {
		t, err := Read(path)
		if err != nil {
			return nil, err
		}
		traces = append(traces, t)
	}
	return traces, nil
}

// renumber is a trace of the requests, whose keys may be any numbers.
func renumber(name string, requests []uint32) *Trace {
	numbers := map[uint32]uint32{}
	for i, key := range requests {
		n, ok := numbers[key]
		if !ok {
			n = uint32(len(numbers))
			numbers[key] = n
		}
		requests[i] = n
	}
	return &Trace{Name: name, Requests: requests, Distinct: len(numbers)}
}
