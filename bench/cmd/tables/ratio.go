package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

const (
	hitUnit     = "hit%"
	capacityKey = "capacity"
	lru         = "LRU"
)

// distances is a table of how far each policy is from the best one.
type distances struct{ files []string }

func (t distances) write(w io.Writer, p place) error {
	d, err := read(p.results, t.files)
	if err != nil {
		return err
	}
	if len(d.list) == 0 {
		_, err := io.WriteString(w, unmeasured)
		return err
	}
	type row struct {
		impl       string
		mean, most float64
		underLRU   float64
	}
	var rows []row
	for _, impl := range d.impls() {
		if impl != optimum {
			mean, most, _ := distance(d, impl)
			under, _ := underLRU(d, impl)
			rows = append(rows, row{impl, mean, most, under})
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		switch {
		case a.mean < b.mean:
			return -1
		case a.mean > b.mean:
			return 1
		default:
			return 0
		}
	})
	var b strings.Builder
	b.WriteString("\n| points | mean distance to the best | largest | most under LRU |\n| --- | --- | --- | --- |\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %.2f | %.1f | %.1f |\n", r.impl, r.mean, r.most, max(r.underLRU, 0))
	}
	fmt.Fprintf(&b, "\nOver %d pairs of trace and capacity: `%s`\n\n", len(pairs(d)), strings.Join(d.commands, "`, `"))
	_, err = io.WriteString(w, b.String())
	return err
}

func pairs(d *data) [][]label { return d.groups([]string{traceKey, capacityKey}) }

// distance is how many points the hit ratio is below that of the best policy
// for each pair of trace and capacity: on average, and at most.
func distance(d *data, impl string) (mean, most float64, ok bool) {
	n := 0
	for _, pair := range pairs(d) {
		here := d.where(pair...)
		mine := here.where(label{implKey, impl}).runs(hitUnit)
		if len(mine) == 0 {
			continue
		}
		best := math.Inf(-1)
		for _, other := range here.impls() {
			if other != optimum {
				best = max(best, median(here.where(label{implKey, other}).runs(hitUnit)))
			}
		}
		far := best - median(mine)
		mean += far
		most = max(most, far)
		n++
	}
	return mean / float64(n), most, n > 0
}

func meanDistance(d *data, impl string) (float64, bool) {
	mean, _, ok := distance(d, impl)
	return mean, ok
}

// underLRU is how many points the hit ratio is at most below that of LRU.
func underLRU(d *data, impl string) (float64, bool) {
	most := math.Inf(-1)
	for _, pair := range pairs(d) {
		here := d.where(pair...)
		mine, base := here.where(label{implKey, impl}).runs(hitUnit), here.where(label{implKey, lru}).runs(hitUnit)
		if len(mine) > 0 && len(base) > 0 {
			most = max(most, median(base)-median(mine))
		}
	}
	return most, !math.IsInf(most, -1)
}
