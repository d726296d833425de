package history

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The rules that a history is checked against.
const (
	// RuleBarrier: after a nil Remove or Clear no read on a member that was
	// reached returns what is older.
	RuleBarrier = "barrier"
	// RuleLostWrite: the same for a nil Set, whose own value is not older.
	RuleLostWrite = "lost write"
	// RuleObeyed: those that have confirmed a write which others have not do
	// not return what is older either.
	RuleObeyed = "obeyed"
	// RuleHeal: nor does anybody, some time after the faults are healed.
	RuleHeal = "heal"
	// RuleConvergence: the members agree in the end.
	RuleConvergence = "convergence"
	// RuleOneLoad: one load of a key at a time on a member.
	RuleOneLoad = "one load"
	// RuleOneLoadOfAll: one load of a key at a time in a cluster without faults.
	RuleOneLoadOfAll = "one load of all"
	// RuleLifetime: no value is served after its life.
	RuleLifetime = "lifetime"
	// RuleOrigin: every value was loaded or set, under the key that was asked
	// for, before it was returned.
	RuleOrigin = "origin"
	// RuleErrors: a read fails for a reason that is excused, or not at all.
	RuleErrors = "errors"
)

// Violation is a promise that was broken.
type Violation struct {
	Rule string
	// At is when it showed.
	At   int64
	Text string
}

// Report is what a check has found.
type Report struct {
	Violations []Violation
	// Judged counts, by rule, what was looked at and could have been wrong.
	Judged map[string]int
	// Unjudged counts, by reason, what nothing is promised about.
	Unjudged map[string]int
}

// String is the report in lines.
func (r *Report) String() string {
	var b strings.Builder
	for _, v := range r.Violations {
		fmt.Fprintf(&b, "%s at %d: %s\n", v.Rule, v.At, v.Text)
	}
	for _, rule := range slices.Sorted(maps.Keys(r.Judged)) {
		fmt.Fprintf(&b, "judged %s: %d\n", rule, r.Judged[rule])
	}
	for _, why := range slices.Sorted(maps.Keys(r.Unjudged)) {
		fmt.Fprintf(&b, "not judged, %s: %d\n", why, r.Unjudged[why])
	}
	return b.String()
}

// check is a check under way.
type check struct {
	*Report
	h      *History
	loads  map[string]*Load
	sets   map[int]*Op
	writes map[string][]*Op // by key, with the Clears, by their start
	clears []*Op
	reach  reach
	calm   calm
}

// Check sorts a history and verifies it.
func Check(h *History) *Report {
	h.Sort()
	c := &check{
		Report: &Report{Judged: map[string]int{}, Unjudged: map[string]int{}},
		h:      h, loads: map[string]*Load{}, sets: map[int]*Op{}, writes: map[string][]*Op{},
		reach: newReach(h), calm: newCalm(h),
	}
	for _, e := range h.Events {
		if e.What == Outside {
			c.Unjudged["outside the assumptions: "+e.Detail]++
		}
	}
	if len(c.Unjudged) > 0 {
		return c.Report
	}
	for i := range h.Loads {
		c.loads[h.Loads[i].ID] = &h.Loads[i]
	}
	for i := range h.Ops {
		op := &h.Ops[i]
		if op.Kind == Set {
			c.sets[op.ID] = op
		}
		if op.Kind == Clear {
			c.clears = append(c.clears, op)
		}
		if op.Kind.writes() && op.Error != Refused {
			for _, key := range op.Keys {
				c.writes[key] = append(c.writes[key], op)
			}
		}
	}
	c.reads()
	c.convergence()
	c.oneLoad()
	slices.SortStableFunc(c.Violations, func(a, b Violation) int { return cmp.Compare(a.At, b.At) })
	return c.Report
}

func (c *check) violated(rule string, at int64, format string, args ...any) {
	c.Violations = append(c.Violations, Violation{rule, at, fmt.Sprintf(format, args...)})
}

// source is where a value came from: one of the two is not nil.
type source struct {
	load *Load
	set  *Op
}

func (s source) String() string {
	if s.load != nil {
		return fmt.Sprintf("load %s (%d to %d)", s.load.ID, s.load.Begin, s.load.End)
	}
	return fmt.Sprintf("set %d (%d to %d)", s.set.ID, s.set.Start, s.set.End)
}

// before reports whether the value is certainly older than a write that was
// called at a time: its load began before, or its Set had returned nil. One
// that returned an error may still be under way.
func (s source) before(at int64) bool {
	if s.load != nil {
		return s.load.Begin < at
	}
	return s.set.End != 0 && s.set.Error == "" && s.set.End < at
}

// bornBefore reports whether anything of the value was there before a time.
func (s source) bornBefore(at int64) bool {
	if s.load != nil {
		return s.load.Begin < at
	}
	return s.set.Start < at
}

// ends is when its life ends at the latest; ok is false if that is not known.
func (s source) ends() (at int64, ok bool) {
	switch {
	case s.load != nil:
		return s.load.End + s.load.Keep, s.load.Keep != 0 && s.load.End != 0
	default:
		return s.set.End + s.set.Keep, s.set.Keep != 0 && s.set.End != 0 && s.set.Error == ""
	}
}

// reads checks every answer that a client got.
func (c *check) reads() {
	for i := range c.h.Ops {
		op := &c.h.Ops[i]
		for _, a := range op.Answers {
			if a.Error != "" {
				c.Judged[RuleErrors]++
				if !op.Excused && op.End != 0 {
					c.violated(RuleErrors, a.End, "%s of %q on %s failed: %s", describe(op), a.Key, place(op), a.Error)
				}
				continue
			}
			if s, ok := c.origin(op, &a); ok {
				c.lifetime(op, &a, s)
				c.freshness(op, &a, s)
			}
		}
	}
}

func describe(op *Op) string {
	return fmt.Sprintf("%s %d (%d to %d)", op.Kind, op.ID, op.Start, op.End)
}

func place(op *Op) string { return fmt.Sprintf("%s/%d", op.Node, op.Life) }

// origin finds out where an answer came from.
func (c *check) origin(op *Op, a *Answer) (source, bool) {
	c.Judged[RuleOrigin]++
	wrong := func(format string, args ...any) (source, bool) {
		c.violated(RuleOrigin, a.End, "%s of %q on %s: %s", describe(op), a.Key, place(op), fmt.Sprintf(format, args...))
		return source{}, false
	}
	v, err := ParseValue(a.Value)
	switch {
	case err != nil:
		return wrong("%v", err)
	case v.Key != a.Key:
		return wrong("it is the value of %q", v.Key)
	case !slices.Contains(op.Keys, a.Key):
		return wrong("nobody asked for this key")
	}
	if v.Load != "" {
		l := c.loads[v.Load]
		switch {
		case l == nil:
			return wrong("there was no load %s", v.Load)
		case l.Failed || l.Key != v.Key || l.Version != v.Version || l.Begin != v.Begin || l.NotFound != a.NotFound:
			return wrong("the load %s brought something else", v.Load)
		case l.Begin > a.End:
			return wrong("the load %s began later", v.Load)
		}
		return source{load: l}, true
	}
	s := c.sets[v.Set]
	switch {
	case s == nil || s.Keys[0] != v.Key || a.NotFound:
		return wrong("there was no set %d of it", v.Set)
	case s.Error == Refused:
		return wrong("the set %d was refused", v.Set)
	case s.Start > a.End:
		return wrong("the set %d began later", v.Set)
	}
	return source{set: s}, true
}

// lifetime checks that a value is not served after its life.
func (c *check) lifetime(op *Op, a *Answer, s source) {
	ends, ok := s.ends()
	if !ok {
		return
	}
	c.Judged[RuleLifetime]++
	if late := op.Start - ends - c.h.Bounds.Resolution; late > 0 {
		c.violated(RuleLifetime, a.End, "%s of %q on %s returned %v, whose life had ended at %d, %d before", describe(op), a.Key, place(op), s, ends, late)
	}
}

// freshness checks that no write had made an answer void.
func (c *check) freshness(op *Op, a *Answer, s source) {
	for _, writes := range [][]*Op{c.writes[a.Key], c.clears} {
		for _, w := range writes {
			if w.Start >= op.Start {
				break
			}
			if w.End == 0 || w.End >= op.Start || w.Error == Refused || s.set == w {
				continue
			}
			rule := c.promise(w, op)
			if rule == "" {
				continue
			}
			c.Judged[rule]++
			if s.before(w.Start) {
				c.violated(rule, a.End, "%s of %q on %s returned %v from %s, older than the %s on %s, error %q of %v",
					describe(op), a.Key, place(op), s, cmp.Or(a.Source, "?"), describe(w), place(w), w.Error, w.Unconfirmed)
			}
		}
	}
}

// promise is the rule by which a read that starts after a write has ended must
// not return what is older, if there is one.
func (c *check) promise(w, read *Op) string {
	switch {
	case w.Error == "" && !c.reach.reached(w, read):
		c.Unjudged["read on a member that the write did not reach"]++
		return ""
	case w.Error == "" && w.Kind == Set:
		return RuleLostWrite
	case w.Error == "":
		return RuleBarrier
	case c.reach.stays(w, read) && c.calm.since(read.Start) >= c.h.Bounds.Heal && read.Start-w.End >= c.h.Bounds.Heal:
		return RuleHeal
	case w.Error == Unconfirmed && c.reach.lived(w, read) && c.reach.reached(w, read) && read.Start < w.Start+c.h.Bounds.Memory:
		return RuleObeyed
	default:
		c.Unjudged["read soon after a write that was not confirmed"]++
		return ""
	}
}

// convergence checks the last reads: of what was there before the first of
// them all members return the same, and nobody goes back to it when something
// newer was seen and copies of what was there before have had their time.
func (c *check) convergence() {
	begun := int64(-1)
	old := map[string]source{}    // what was there before, by key
	newer := map[string]*Answer{} // what came since
	for i := range c.h.Ops {
		op := &c.h.Ops[i]
		if !op.Final {
			continue
		}
		if begun < 0 {
			begun = op.Start
		}
		for j := range op.Answers {
			a := &op.Answers[j]
			v, err := ParseValue(a.Value)
			s := source{c.loads[v.Load], c.sets[v.Set]}
			if err != nil || a.Error != "" || s == (source{}) {
				continue // it was judged by another rule
			}
			c.Judged[RuleConvergence]++
			if !s.bornBefore(begun) {
				if newer[a.Key] == nil || a.End < newer[a.Key].End {
					newer[a.Key] = a
				}
				continue
			}
			if was, ok := old[a.Key]; ok && was != s {
				c.violated(RuleConvergence, a.End, "%s of %q on %s returned %v, and another member %v", describe(op), a.Key, place(op), s, was)
			}
			if n := newer[a.Key]; !c.h.Bounds.Hedged && n != nil && n.End+c.h.Bounds.Copy < op.Start {
				c.violated(RuleConvergence, a.End, "%s of %q on %s returned %v after the newer %.80s", describe(op), a.Key, place(op), s, n.Value)
			}
			old[a.Key] = s
		}
	}
}

// oneLoad checks that what could be waited for was not loaded again.
func (c *check) oneLoad() {
	byKey := map[string][]*Load{}
	for i := range c.h.Loads {
		l := &c.h.Loads[i]
		byKey[l.Key] = append(byKey[l.Key], l)
	}
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		var running []*Load
		for _, l := range byKey[key] {
			running = slices.DeleteFunc(running, func(r *Load) bool { return r.End != 0 && r.End <= l.Begin })
			c.Judged[RuleOneLoad]++
			for _, r := range running {
				c.twoLoads(r, l)
			}
			running = append(running, l)
		}
	}
}

// twoLoads judges a second load of a key while a first one runs.
func (c *check) twoLoads(first, second *Load) {
	rule := RuleOneLoad
	same := first.Node == second.Node && first.Life == second.Life
	b := &c.h.Bounds
	switch {
	case c.overtaken(first, second):
		return
	case same && c.calm.changed(first.Node, first.Begin-b.Settle, second.Begin):
		return
	case same:
	case b.Hedged:
		return
	case c.calm.since(first.Begin) < b.Heal || c.calm.faulty(first.Begin, second.Begin) || c.calm.changed("", first.Begin-b.Settle, second.Begin):
		return
	default:
		rule = RuleOneLoadOfAll
	}
	c.violated(rule, second.Begin, "load %s of %q began at %d while load %s of %d to %d was running",
		second.ID, second.Key, second.Begin, first.ID, first.Begin, first.End)
}

// overtaken reports whether a write may have been applied between the
// beginnings of the flights of two loads.
func (c *check) overtaken(first, second *Load) bool {
	b, begun := &c.h.Bounds, first.Begin
	if first.Since != 0 {
		begun = first.Since
	}
	if second.Since != 0 {
		begun = min(begun, second.Since)
	}
	return slices.ContainsFunc(slices.Concat(c.writes[first.Key], c.clears), func(w *Op) bool {
		switch {
		case w.Start > second.Begin:
			return false
		case w.End == 0 || w.Error != "" || w.End >= begun:
			return true
		default: // perhaps a second time
			return w.End+b.Again >= begun && w.End+b.Remember <= second.Begin
		}
	})
}
