package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gcnode/gcnode/e2e/history"
)

// Counts are how often what happened, by its name.
type Counts map[string]int

// Add adds others.
func (c Counts) Add(o Counts) {
	for name, n := range o {
		c[name] += n
	}
}

// String is one line for each.
func (c Counts) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c)) {
		fmt.Fprintf(&b, "  %-36s %d\n", name, c[name])
	}
	return b.String()
}

// tally adds what nodes and history tell.
func (w *world) tally(h *history.History) {
	c := w.counts
	for _, id := range w.everyone {
		for _, l := range w.members[id].lives {
			st := l.node.Stats()
			g := st.Groups[0]
			for name, n := range map[string]uint64{
				"hits": g.Hits, "hot hits": g.HotHits, "peeks": g.Peeks, "peeks with an answer": g.PeekHits, "failovers": g.Failovers,
				"inherited": g.Inherited, "revalidated": g.Revalidated, "hedges": g.Hedges, "gaps": st.Gaps, "joined flights": g.Joined,
				"evictions": g.Owned.Evicted,
			} {
				c[name] += int(n)
			}
		}
	}
	byKey := map[string][]*history.Load{}
	for i := range h.Loads {
		byKey[h.Loads[i].Key] = append(byKey[h.Loads[i].Key], &h.Loads[i])
	}
	for i := range h.Ops {
		op := &h.Ops[i]
		keys := op.Keys
		switch op.Kind {
		case history.Get, history.GetMany:
			continue
		case history.Clear:
			keys = slices.Sorted(maps.Keys(byKey))
		case history.Set, history.Remove:
		}
		switch op.Error {
		case "":
		case history.Unconfirmed:
			c["writes that some did not confirm"]++
		default:
			c["writes that failed: "+op.Error]++
		}
		for _, key := range keys {
			for _, l := range byKey[key] {
				if op.Start < l.End && (op.End == 0 || op.End > l.Begin) {
					c["removals crossing loads"]++
				}
			}
		}
	}
}
