package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
)

// compat is a group through the API of mailgun/groupcache v2.
const compat = "compat"

// moving is the table of what gets better for a program that comes from
// golang/groupcache: through the API that it has, and through our own.
type moving []gain

// gain is one row of it. What there is to reach is for compat.
type gain struct {
	goal
	// own is the implementation with our own API.
	own string
}

func (m moving) write(w io.Writer, p place) error {
	var b strings.Builder
	b.WriteString("\n| beside golang/groupcache | to reach | through compat/mailgun | through the API of gcnode |\n| --- | --- | --- | --- |\n")
	measured := false
	for _, g := range m {
		d, err := read(p.results, g.files)
		if err != nil {
			return err
		}
		measured = measured || len(d.list) > 0
		g.of = compat
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", g.what, cmp.Or(g.reach, "–"), g.cell(d, compat), g.cell(d, g.own))
	}
	if !measured {
		_, err := io.WriteString(w, unmeasured)
		return err
	}
	b.WriteString("\nMedians over the rounds; a ratio is formed in each round, from two figures of the same run. ✓ is reached, ✗ is not, – was not measured.\n\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// movingTargets are what a program that changes its imports is to gain.
func movingTargets() moving {
	const group = "gcnode-group"
	hits, fetches := []string{"hit.txt"}, []string{fetchFile}
	large := label{"keys", "100000"}
	goroutines := func(n string) []label { return []label{large, {"goroutines", n}} }
	callers := func(n string) label { return label{"callers", n} }
	faster := func(what, own string, files []string, least float64, measure func(*data, string) (float64, bool)) gain {
		g := gain{goal{what: what, files: files, measure: measure}, own}
		if least > 0 {
			g.reach, g.limit, g.atLeast = "≥ "+format(least), least, true
		}
		return g
	}
	return moving{
		faster("local hit into a `ByteViewSink`, 100 k keys, 1 goroutine: times as fast", group, hits, 2, timesFaster(groupcache, nsPerOp, goroutines("1")...)),
		faster("the same, 2 goroutines", group, hits, 2, timesFaster(groupcache, nsPerOp, goroutines("2")...)),
		faster("the same, 8 goroutines", group, hits, 2, timesFaster(groupcache, nsPerOp, goroutines("8")...)),
		{goal{what: "the same, allocations", reach: "≤ 1", files: hits, limit: 1, measure: worst(allocs)}, group},
		faster("fetch from a peer, 1 caller: requests/s", stream, fetches, 0, against(groupcache, perSecond, callers("1"))),
		faster("the same, 16 callers", stream, fetches, 0, against(groupcache, perSecond, callers("16"))),
		faster("the same, 128 callers", stream, fetches, 5, against(groupcache, perSecond, callers("128"))),
		{goal{what: "the same: processor time of both sides per request", files: fetches, measure: against(groupcache, cpuPerRequest, callers("128"))}, stream},
		{goal{what: "5 M entries: bytes in use beyond key and value, per entry, in terms of theirs", files: []string{"memory.txt"}, measure: against(groupcache, inUse, label{"entries", "5000000"})}, group},
		faster("garbage collection, 5 M entries: times as fast", group, []string{"memory.txt"}, 0, timesFaster(groupcache, gcTime, label{"entries", "5000000"})),
		{goal{what: "busiest of 100 nodes ÷ mean, sequential keys, in terms of theirs", files: []string{"balance.txt"}, measure: against(groupcache, "busiest/mean", label{"nodes", "100"}, label{"keys", "sequential"})}, group},
	}
}
