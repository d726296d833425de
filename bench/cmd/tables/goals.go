package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// goals is the table of what there is to reach and what was reached, by each
// implementation of ours.
type goals []goal

// goal is one figure that is to be reached.
type goal struct {
	what string
	// reach is what is to be reached; "" is for a figure to compare with.
	reach string
	// of is the implementation that has to reach it; "" is each of ours.
	of string
	// files have the results.
	files []string
	// limit is the most, or with atLeast the least, that is good enough.
	limit   float64
	atLeast bool
	// fixed figures are the same in each run, or nearly so; one will do.
	fixed bool
	// measure is the figure of the implementation; ok is false when it has
	// none.
	measure func(d *data, impl string) (v float64, ok bool)
}

// ours begins the names of what is measured against the goals.
const ours = "gcnode-"

func (g goals) write(w io.Writer, p place) error {
	var impls []string
	each := make([]*data, len(g))
	for i, goal := range g {
		d, err := read(p.results, goal.files)
		if err != nil {
			return err
		}
		if n, _ := d.rounds(); len(d.list) > 0 && !goal.fixed && n < leastRuns {
			return fmt.Errorf("%s: %d runs are too few", strings.Join(goal.files, ", "), n)
		}
		each[i] = d
		for _, impl := range d.impls() {
			if strings.HasPrefix(impl, ours) && !slices.Contains(impls, impl) {
				impls = append(impls, impl)
			}
		}
	}
	if len(impls) == 0 {
		_, err := io.WriteString(w, unmeasured)
		return err
	}
	slices.Sort(impls)
	var b strings.Builder
	fmt.Fprintf(&b, "\n| what | to reach | %s |\n|%s\n", strings.Join(impls, " | "), strings.Repeat(" --- |", len(impls)+2))
	for i, goal := range g {
		fmt.Fprintf(&b, "| %s | %s |", goal.what, cmp.Or(goal.reach, "–"))
		for _, impl := range impls {
			b.WriteString(" " + goal.cell(each[i], impl) + " |")
		}
		b.WriteString("\n")
	}
	b.WriteString("\nMedians over the rounds; a ratio is formed in each round, from two figures of the same run. ✓ is reached, ✗ is not, – was not measured.")
	if slices.ContainsFunc(g, func(goal goal) bool { return goal.reach == "" || goal.of != "" }) {
		b.WriteString(" What has neither mark is there to compare with.")
	}
	b.WriteString("\n\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (g goal) cell(d *data, impl string) string {
	v, ok := g.measure(d, impl)
	if !ok || math.IsNaN(v) {
		return "–"
	}
	if g.reach == "" || g.of != "" && g.of != impl {
		return format(v)
	}
	mark := "✗"
	if g.atLeast && v >= g.limit || !g.atLeast && v <= g.limit {
		mark = "✓"
	}
	return format(v) + " " + mark
}

// worst is the highest value, over all configurations with the labels.
func worst(unit string, where ...label) func(*data, string) (float64, bool) {
	return func(d *data, impl string) (float64, bool) {
		d = d.where(append(where, label{implKey, impl})...)
		highest := math.Inf(-1)
		for _, config := range d.groups(d.keys()) {
			if runs := d.where(config...).runs(unit); len(runs) > 0 {
				highest = max(highest, median(runs))
			}
		}
		return highest, !math.IsInf(highest, -1)
	}
}

// against is the worst ratio of what the implementation needs to what another
// one needs, over all configurations with the labels.
func against(peer, unit string, where ...label) func(*data, string) (float64, bool) {
	return compare([]label{{implKey, peer}}, []string{unit}, where...)
}

// compare is the worst ratio of a figure, or of the sum of several, to that of the
// same configuration but for some labels.
func compare(to []label, units []string, where ...label) func(*data, string) (float64, bool) {
	return func(d *data, impl string) (float64, bool) {
		mine := d.where(where...).where(label{implKey, impl})
		highest := math.Inf(-1)
		for _, config := range mine.groups(mine.keys()) {
			other := slices.Clone(config)
			for i, l := range other {
				for _, t := range to {
					if l.key == t.key {
						other[i] = t
					}
				}
			}
			if ratio, ok := over(mine.where(config...).runs(units...), d.where(other...).runs(units...)); ok {
				highest = max(highest, ratio)
			}
		}
		return highest, !math.IsInf(highest, -1)
	}
}

// timesFaster is against the other way round: how many times as much the peer
// needs, at the least.
func timesFaster(peer, unit string, where ...label) func(*data, string) (float64, bool) {
	return func(d *data, impl string) (float64, bool) {
		v, ok := against(peer, unit, where...)(d, impl)
		return 1 / v, ok
	}
}

// keys are the keys of all labels.
func (d *data) keys() []string {
	var keys []string
	for _, m := range d.list {
		for _, l := range m.labels {
			if !slices.Contains(keys, l.key) {
				keys = append(keys, l.key)
			}
		}
	}
	return keys
}
