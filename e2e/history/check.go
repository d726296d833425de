package history

import (
	"fmt"
	"slices"
	"time"
)

// Rules are what a history is checked against beyond the order of its
// operations.
type Rules struct {
	// TTL is for how long a value may be got after its load or its set has
	// ended; 0 is not checked.
	TTL time.Duration
	// Lists changed, nodes restarted or could not be reached, so that a key may
	// have been loaded more than once at a time.
	Unsteady bool
}

// Violation is an operation that breaks a guarantee.
type Violation struct {
	Guarantee string
	What      string
}

// String says what was broken and how.
func (v Violation) String() string { return v.Guarantee + ": " + v.What }

// checker is a history with what is looked up in it.
type checker struct {
	*History
	rules  Rules
	sets   map[int]*Op
	loads  map[string]*Load
	writes []*Op
	found  []Violation
}

// Check returns what is wrong with the history.
func Check(h *History, rules Rules) []Violation {
	c := &checker{History: h, rules: rules, sets: map[int]*Op{}, loads: map[string]*Load{}}
	for i := range h.Loads {
		c.loads[h.Loads[i].Value] = &h.Loads[i]
	}
	for i := range h.Ops {
		op := &h.Ops[i]
		if op.Kind == Set {
			c.sets[op.ID] = op
		}
		if op.Kind != Get {
			c.writes = append(c.writes, op)
		}
	}
	for i := range h.Ops {
		if op := &h.Ops[i]; op.Kind == Get && op.Failed == "" && op.Ended != 0 {
			c.checkGet(op)
		}
	}
	c.checkConvergence()
	c.checkLoads()
	return c.found
}

func (c *checker) violated(guarantee, format string, args ...any) {
	c.found = append(c.found, Violation{guarantee, fmt.Sprintf(format, args...)})
}

// concerns reports whether the write is one of the key.
func (op *Op) concerns(key string) bool { return op.Kind == Clear || slices.Contains(op.Keys, key) }

// returned reports whether the operation has succeeded.
func (op *Op) returned() bool { return op.Ended != 0 && op.Failed == "" }

// origin is where a value comes from: a load, or a set.
type origin struct {
	begun int64         // the load, or the call of the set
	ended int64         // the set has returned; 0 for loads, and for sets that have not
	until time.Duration // when the load or the set had ended; 0: not yet
	what  string
}

// originOf is where the value that was got comes from.
func (c *checker) originOf(value string) (origin, bool) {
	if id, ok := setOf(value); ok {
		s := c.sets[id]
		if s == nil {
			return origin{}, false
		}
		o := origin{begun: s.Begun, ended: s.Ended, until: s.EndedAt, what: fmt.Sprintf("%s, called at %d, returned at %d", value, s.Begun, s.Ended)}
		if s.Failed != "" {
			o.ended = 0 // it may take effect at any time
		}
		return o, true
	}
	l := c.loads[value]
	if l == nil {
		return origin{}, false
	}
	return origin{begun: l.Begun, until: l.EndedAt, what: fmt.Sprintf("%s, which began at %d", value, l.Begun)}, true
}

// before reports whether the value is older than the write: loaded from an
// earlier time, or set by a call that had returned by then.
func (o origin) before(w *Op, set bool) bool {
	if set {
		return o.ended != 0 && o.ended < w.Begun
	}
	return o.begun < w.Begun
}

// checkGet compares what was got with every write that had returned before.
func (c *checker) checkGet(g *Op) {
	key := g.Keys[0]
	o, ok := c.originOf(g.Value)
	if !ok {
		c.violated("integrity", "get %d of %s at %s: nobody has loaded or set %q", g.ID, key, g.Node, g.Value)
		return
	}
	_, set := setOf(g.Value)
	if set && !slices.Contains(c.sets[mustSet(g.Value)].Keys, key) || !set && c.loads[g.Value].Key != key {
		c.violated("integrity", "get %d of %s at %s: %q is the value of another key", g.ID, key, g.Node, g.Value)
	}
	if o.begun > g.Ended {
		c.violated("integrity", "get %d of %s at %s: %s is from later", g.ID, key, g.Node, o.what)
	}
	for _, w := range c.writes {
		if !w.concerns(key) || w.Kind == Set && g.Value == SetValue(w.ID) {
			continue
		}
		switch {
		case w.returned() && w.Ended < g.Begun && o.before(w, set):
			c.violated("removal", "get %d of %s at %s, called at %d, got %s; %s %d was called at %d and had returned nil at %d",
				g.ID, key, g.Node, g.Begun, o.what, w.Kind, w.ID, w.Begun, w.Ended)
		case g.Late && !w.Lost && w.Failed != "" && w.Ended != 0 && o.before(w, set):
			c.violated("bounded staleness", "get %d of %s at %s, after everything was mended, got %s; %s %d was called at %d (%s)",
				g.ID, key, g.Node, o.what, w.Kind, w.ID, w.Begun, w.Failed)
		}
	}
	if c.rules.TTL > 0 && o.until > 0 && g.BegunAt >= o.until+c.rules.TTL {
		c.violated("lifetime", "get %d of %s at %s at %v got %s, whose life ended at %v", g.ID, key, g.Node, g.BegunAt, o.what, o.until+c.rules.TTL)
	}
}

func mustSet(value string) int {
	id, _ := setOf(value)
	return id
}

// checkConvergence compares the last look at each key on each node.
func (c *checker) checkConvergence() {
	last := map[string]map[string]*Op{}
	for i := range c.Ops {
		g := &c.Ops[i]
		if g.Kind != Get || !g.Late || !g.returned() {
			continue
		}
		if last[g.Keys[0]] == nil {
			last[g.Keys[0]] = map[string]*Op{}
		}
		last[g.Keys[0]][g.Node] = g
	}
	for key, byNode := range last {
		var first *Op
		for _, g := range byNode {
			if first == nil || g.ID < first.ID {
				first = g
			}
		}
		for _, g := range byNode {
			if !c.same(g.Value, first.Value) && c.rules.TTL == 0 {
				c.violated("convergence", "in the end %s has %q at %s and %q at %s", key, first.Value, first.Node, g.Value, g.Node)
			}
		}
	}
}

// same reports whether two values say the same of a key: one set, or the same
// version of the origin.
func (c *checker) same(a, b string) bool {
	x, y := c.loads[a], c.loads[b]
	return a == b || x != nil && y != nil && x.Version == y.Version
}

// checkLoads looks for loads of one key that ran at the same time on one node,
// though nothing had overtaken the first.
func (c *checker) checkLoads() {
	if c.rules.Unsteady {
		return
	}
	byKey := map[[2]string][]*Load{}
	for i := range c.Loads {
		l := &c.Loads[i]
		byKey[[2]string{l.Node, l.Key}] = append(byKey[[2]string{l.Node, l.Key}], l)
	}
	for _, loads := range byKey {
		slices.SortStableFunc(loads, func(a, b *Load) int { return int(a.Begun - b.Begun) })
		for i, l := range loads[:max(len(loads)-1, 0)] {
			next := loads[i+1]
			if l.Alone || next.Alone || l.Ended != 0 && next.Begun >= l.Ended || l.Life != next.Life || c.overtaken(l, next) {
				continue
			}
			c.violated("one load", "%s was loaded twice at a time on %s: from %d to %d and from %d", l.Key, l.Node, l.Begun, l.Ended, next.Begun)
		}
	}
}

// overtaken reports whether a write may have been applied between the begins of
// two loads.
func (c *checker) overtaken(l, next *Load) bool {
	return slices.ContainsFunc(c.writes, func(w *Op) bool {
		ended := w.Ended
		if w.Failed != "" || ended == 0 {
			ended = next.Begun // it may be applied later
		}
		return w.concerns(l.Key) && w.Begun <= next.Begun && ended >= l.Begun
	})
}

// Crossings is how many pairs of a write and a load of its key ran at the same
// time.
func (h *History) Crossings() (n int) {
	for i := range h.Ops {
		w := &h.Ops[i]
		if w.Kind == Get {
			continue
		}
		for j := range h.Loads {
			l := &h.Loads[j]
			if w.concerns(l.Key) && w.Begun < l.Ended && (l.Begun < w.Ended || w.Ended == 0) {
				n++
			}
		}
	}
	return n
}
