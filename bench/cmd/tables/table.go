package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// table has a row and a column for each combination of some labels, and in
// each cell the medians in some units. Without labels for columns, each unit
// is one.
type table struct {
	files   []string
	where   []label
	rows    []string
	columns []string
	units   []string
	// fixed figures are the same in each run, or nearly so; one will do.
	fixed bool
	// floor, if it is set, is what times are divided by: the value of the
	// same row and column but for this label.
	floor label
	// best prints the highest value of a row in bold, the optimum's excepted.
	best bool
}

func (t table) write(w io.Writer, p place) error {
	d, err := read(p.results, t.files)
	if err != nil {
		return err
	}
	if d = d.where(t.where...); len(d.list) == 0 {
		_, err := io.WriteString(w, unmeasured)
		return err
	}
	if n, _ := d.rounds(); !t.fixed && n < leastRuns {
		return fmt.Errorf("%d runs are too few", n)
	}
	columns, header := d.groups(t.columns), t.header(d)
	var b strings.Builder
	fmt.Fprintf(&b, "\n| %s |\n|%s\n", strings.Join(header, " | "), strings.Repeat(" --- |", len(header)))
	for _, row := range d.groups(t.rows) {
		cells := []string{words(row)}
		inRow := d.where(row...)
		if len(t.columns) == 0 {
			for _, unit := range t.units {
				cells = append(cells, t.cell(inRow, d, row, []string{unit}))
			}
		}
		for _, column := range columns {
			if len(t.columns) > 0 {
				cells = append(cells, t.cell(inRow.where(column...), d, append(slices.Clone(row), column...), t.units))
			}
		}
		if t.best {
			embolden(cells, header)
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
	}
	b.WriteString("\n" + d.caption() + "\n\n")
	_, err = io.WriteString(w, b.String())
	return err
}

func (t table) header(d *data) []string {
	unit := strings.Join(t.units, " · ")
	if t.floor != (label{}) {
		unit = "× " + t.floor.value
	}
	if len(t.columns) == 0 {
		return append([]string{""}, t.units...)
	}
	header := []string{unit}
	for _, column := range d.groups(t.columns) {
		header = append(header, words(column))
	}
	return header
}

// caption says where the figures come from.
func (d *data) caption() string {
	least, most := d.rounds()
	many := fmt.Sprintf("Median of %d runs", most)
	switch {
	case most == 1:
		many = "One run"
	case least < most:
		many = fmt.Sprintf("Median of %d to %d runs", least, most)
	}
	return fmt.Sprintf("%s: `%s`", many, strings.Join(d.commands, "`, `"))
}

// cell is the medians in the units. all and at are where the floor is found.
func (t table) cell(here, all *data, at []label, units []string) string {
	var parts []string
	for _, unit := range units {
		runs := here.runs(unit)
		if len(runs) == 0 {
			return "–"
		}
		if t.floor == (label{}) {
			parts = append(parts, format(median(runs)))
			continue
		}
		floor := slices.Clone(at)
		for i, l := range floor {
			if l.key == t.floor.key {
				floor[i] = t.floor
			}
		}
		ratio, ok := over(runs, all.where(floor...).runs(unit))
		if !ok {
			return "–"
		}
		parts = append(parts, format(ratio))
	}
	return strings.Join(parts, " · ")
}

func words(group []label) string {
	parts := make([]string, len(group))
	for i, l := range group {
		parts[i] = l.String()
	}
	return strings.Join(parts, ", ")
}

const optimum = "optimum"

// embolden marks the highest of the cells.
func embolden(cells, header []string) {
	highest := math.Inf(-1)
	value := func(i int) float64 {
		v, err := strconv.ParseFloat(cells[i], 64)
		if err != nil || header[i] == optimum {
			return math.Inf(-1)
		}
		return v
	}
	for i := 1; i < len(cells); i++ {
		highest = max(highest, value(i))
	}
	for i := 1; i < len(cells); i++ {
		if v := value(i); v == highest && !math.IsInf(v, -1) {
			cells[i] = "**" + cells[i] + "**"
		}
	}
}

// format shows three significant digits.
func format(v float64) string {
	switch {
	case v >= 100 || v == math.Trunc(v):
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
}
