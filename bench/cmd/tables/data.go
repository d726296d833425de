package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// leastRuns is how many runs a figure needs that is not the same in each.
const leastRuns = 6

// label is a part key=value of a benchmark's name.
type label struct{ key, value string }

func (l label) String() string {
	if l.key == implKey || l.key == traceKey {
		return l.value
	}
	if v, err := strconv.ParseFloat(l.value, 64); err == nil {
		return l.key + " " + short(v)
	}
	return l.key + " " + l.value
}

const (
	implKey  = "impl"
	traceKey = "trace"
)

// measurement is one line of results.
type measurement struct {
	labels []label
	values map[string]float64 // by unit
}

// data is the results of some files.
type data struct {
	commands []string
	list     []measurement
}

// read reads the files that there are.
func read(dir string, files []string) (*data, error) {
	d := &data{}
	for _, name := range files {
		err := d.read(filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return d, nil
}

func (d *data) read(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	before := len(d.list)
	r := benchfmt.NewReader(f, path)
	command := ""
	for r.Scan() {
		switch rec := r.Result().(type) {
		case *benchfmt.Result:
			command = rec.GetConfig("command")
			d.list = append(d.list, parse(rec))
		case *benchfmt.SyntaxError:
			return rec
		}
	}
	if err := r.Err(); err != nil {
		return err
	}
	if len(d.list) == before || command == "" {
		return fmt.Errorf("%s: no results, or no line \"command: …\" before them", path)
	}
	d.commands = append(d.commands, command)
	return nil
}

// parse takes a result apart. The name of the benchmark itself does not
// matter, because each has a file of its own.
func parse(rec *benchfmt.Result) measurement {
	m := measurement{values: map[string]float64{}}
	_, parts := rec.Name.Parts()
	for _, p := range parts {
		if key, value, ok := strings.Cut(strings.TrimPrefix(string(p), "/"), "="); ok {
			m.labels = append(m.labels, label{key, value})
		}
	}
	for _, v := range rec.Values {
		if v.OrigUnit != "" {
			v.Value, v.Unit = v.OrigValue, v.OrigUnit
		}
		m.values[v.Unit] = v.Value
	}
	return m
}

// get is the value of a label, "" without one.
func (m measurement) get(key string) string {
	for _, l := range m.labels {
		if l.key == key {
			return l.value
		}
	}
	return ""
}

// has reports whether the measurement has all of the labels.
func (m measurement) has(where []label) bool {
	for _, l := range where {
		if m.get(l.key) != l.value {
			return false
		}
	}
	return true
}

// where is the measurements that have all of the labels.
func (d *data) where(labels ...label) *data {
	out := &data{commands: d.commands}
	for _, m := range d.list {
		if m.has(labels) {
			out.list = append(out.list, m)
		}
	}
	return out
}

// runs are the values in the unit, or the sums of those in several, one for each
// round.
func (d *data) runs(units ...string) []float64 {
	var out []float64
	for _, m := range d.list {
		sum, all := 0.0, true
		for _, unit := range units {
			v, ok := m.values[unit]
			sum, all = sum+v, all && ok
		}
		if all {
			out = append(out, sum)
		}
	}
	return out
}

// impls are the implementations, in the order of the file.
func (d *data) impls() []string {
	var out []string
	for _, m := range d.list {
		if v := m.get(implKey); v != "" && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// groups are the different combinations of labels of the keys, in the order of
// the file.
func (d *data) groups(keys []string) [][]label {
	var out [][]label
	for _, m := range d.list {
		var group []label
		for _, key := range keys {
			if v := m.get(key); v != "" {
				group = append(group, label{key, v})
			}
		}
		if !slices.ContainsFunc(out, func(g []label) bool { return slices.Equal(g, group) }) {
			out = append(out, group)
		}
	}
	return out
}

// rounds are the smallest and the largest number of runs of anything.
func (d *data) rounds() (least, most int) {
	count := map[string]int{}
	for _, m := range d.list {
		count[words(m.labels)]++
	}
	for _, n := range count {
		most = max(most, n)
		if least == 0 || n < least {
			least = n
		}
	}
	return least, most
}

// over divides the runs round by round, and takes the median: both values of a
// round are from about the same time.
func over(a, b []float64) (ratio float64, ok bool) {
	if len(a) == 0 || len(a) != len(b) {
		return 0, false
	}
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = a[i] / b[i]
	}
	return median(ratios), true
}

func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	mid := len(s) / 2
	if len(s)%2 == 1 {
		return s[mid]
	}
	return (s[mid-1] + s[mid]) / 2
}
