//go:build !race

// The search is one goroutine: with the race detector, which has nothing to find
// there, it takes ten times as long.

package model

import (
	"flag"
	"fmt"
	"strings"
	"testing"
)

// smallStates is how many states a scenario has at most that is searched each
// time.
const smallStates = 400_000

var states = flag.Int("states", smallStates, "look at so many states of a scenario")

// small are scenarios in which the promise holds, and all of whose states are
// seen each time.
func small() []Scenario {
	return []Scenario{
		stable(removeAt(1)).named("nothing happens"),
		stable(removeAt(1)).named("nothing happens, and nobody has the value").but(func(sc *Scenario) { sc.Has, sc.Gets = 0, 2 }),
		stable(removeAt(1), removeAt(2)).named("two removals").but(func(sc *Scenario) { sc.Gets = 2 }),
		failover(removeAt(1)).named("members are not waited for"),
		failover(removeAt(0)).named("the owner removes, and is not waited for"),
		joinTwo(removeAt(1)).named("a node joins another").but(func(sc *Scenario) { sc.Gets = 1 }),
		joinTwo(removeAt(1)).named("a node joins another and fetches its share").but(func(sc *Scenario) { sc.Pulls, sc.Gets = 1, 1 }),
		joinTwo(setAt(1)).named("a node joins another that sets").but(func(sc *Scenario) { sc.Gets = 1 }),
		behind(removeAt(2)).named("the caller does not know the owner"),
		removed(removeAt(2)).named("the owner is taken off the lists"),
		removed(removeAt(1)).named("the owner is taken off the lists, and its heir removes"),
		removed(removeAt(2)).named("the owner is taken off the lists and back").but(func(sc *Scenario) {
			sc.Lists[0], sc.Lists[1], sc.Lists[2], sc.Gets = []set{all3}, []set{all3, heirs, all3}, []set{all3, heirs, all3}, 1
		}),
		leaves(removeAt(2)).named("the owner says goodbye, and the others go on without it").but(func(sc *Scenario) {
			sc.Outside, sc.Expiries, sc.Forgets, sc.Gets = of(0), 4, 2, 0
		}),
		crashes(removeAt(2)).named("the owner crashes"),
		returns(removeAt(2)).named("the owner is off the others' lists for long").but(func(sc *Scenario) { sc.Forgets = 1 }),
		lost(removeAt(1)).named("a removal is lost"),
		lost(removeAt(1), otherAt(1)).named("the first of two removals is lost").but(func(sc *Scenario) { sc.Forgets = 1 }),
		between(removeAt(2)).named("a node joins two clusters that become one"),
		outside(setAt(1), removeAt(2)).named("a client removes what was set"),
		stable(setAt(1)).named("only what was set is read").but(func(sc *Scenario) { sc.Strict = true }),
		failover(setAt(1), setAt(2)).named("two Sets").but(func(sc *Scenario) { sc.Timeouts, sc.Gets = 1, 1 }),
		failover(setAt(1), setAt(2)).named("two Sets, one of them twice").but(func(sc *Scenario) {
			sc.Timeouts, sc.Gets, sc.Duplicates, sc.Forgets = 1, 0, 1, 2
		}),
		failover(setAt(1), removeAt(2)).named("a Set and a Remove").but(func(sc *Scenario) { sc.Timeouts, sc.Gets, sc.Failures = 1, 1, 1 }),
	}
}

// large are scenarios in which the promise holds that take minutes.
func large() []Scenario {
	return []Scenario{
		join(removeAt(2)).named("a node joins"),
		join(removeAt(2)).named("a node joins, and is not waited for").but(func(sc *Scenario) { sc.Timeouts = 1 }),
		join(removeAt(2)).named("a node joins and fetches its share").but(func(sc *Scenario) { sc.Pulls = 1 }),
		join(setAt(2)).named("a node joins while a value is set").but(func(sc *Scenario) { sc.Timeouts = 1 }),
		joinTwo(removeAt(1)).named("a node joins another, for two Gets"),
		joinTwo(removeAt(1)).named("a node joins another, and is not waited for").but(func(sc *Scenario) { sc.Timeouts, sc.Pulls = 1, 1 }),
		leaves(removeAt(2)).named("the owner says goodbye, and may come back"),
		crashes(setAt(1), removeAt(2)).named("the owner crashes between a Set and a Remove").but(func(sc *Scenario) {
			sc.Forgets, sc.Gets, sc.Has = 2, 0, of(0)
		}),
		lost(removeAt(1), otherAt(1)).named("the first of two removals is lost, and both are forgotten"),
		halves(removeAt(2)).named("two clusters become one"),
		halves(removeAt(2)).named("two clusters become one, and meet often").but(func(sc *Scenario) { sc.Meets = 6 }),
		between(removeAt(2)).named("a node joins two clusters that become one, and all meet").but(func(sc *Scenario) { sc.Meets = 3 }),
		halves(removeAt(2)).named("two clusters become one, and the removal is forgotten").but(func(sc *Scenario) { sc.Forgets = 3 }),
		halves(removeAt(0)).named("two clusters become one, and the owner removes").but(func(sc *Scenario) { sc.Outside = of(2) }),
		returns(removeAt(2)).named("the owner is off the others' lists for long, and the removal is forgotten"),
		silent(removeAt(1)).named("a node joins without a member that is silent"),
		failover(removeAt(1), setAt(2)).named("a Remove and a Set, retries").but(func(sc *Scenario) { sc.Timeouts, sc.Gets, sc.Failures, sc.Retries = 1, 1, 1, 1 }),
		crashes(removeAt(2)).named("the owner crashes, and members are not waited for").but(func(sc *Scenario) { sc.Gets, sc.Timeouts, sc.Forgets = 2, 2, 1 }),
		late(setAt(1), removeAt(1)).named("a Set arrives late at an owner that was off the list"),
		returns(setAt(2)).named("the owner is off the others' lists for long, and a value is set"),
		removed(setAt(2), removeAt(1)).named("the owner is taken off the lists, a Set and a Remove"),
	}
}

func (sc Scenario) named(name string) Scenario { sc.Name = name; return sc }

func (sc Scenario) but(change func(*Scenario)) Scenario { change(&sc); return sc }

// ablation is a scenario that must break when a mechanism is taken out.
type ablation struct {
	without string
	rule    func(*Rules) *bool
	in      Scenario
}

func ablations() []ablation {
	return []ablation{
		{"causal removals", func(r *Rules) *bool { return &r.Causal }, stable(removeAt(1))},
		{"detaching", func(r *Rules) *bool { return &r.Detach }, stable(removeAt(1)).but(func(sc *Scenario) { sc.Has, sc.Gets = 0, 2 })},
		{"closure", func(r *Rules) *bool { return &r.Closure }, behind(removeAt(2))},
		{"grace", func(r *Rules) *bool { return &r.Grace }, removed(removeAt(2))},
		{"the start barrier", func(r *Rules) *bool { return &r.Barrier }, joinTwo(removeAt(1))},
		{"flights that nobody joins", func(r *Rules) *bool { return &r.Alone }, joinTwo(removeAt(1))},
		{"two kinds of flights", func(r *Rules) *bool { return &r.Apart }, everybody(first2).but(func(sc *Scenario) {
			sc.Lists, sc.Has, sc.Gets, sc.Lossless = [][]set{{of(1)}, {first2}}, 0, 2, true
		})},
		{"stamps", func(r *Rules) *bool { return &r.Stamps }, failover(setAt(1), removeAt(2)).but(func(sc *Scenario) { sc.Timeouts, sc.Gets = 1, 0 })},
		{"the owner first", func(r *Rules) *bool { return &r.OwnerFirst }, stable(setAt(1)).but(func(sc *Scenario) { sc.Strict, sc.Has = true, 0 })},
		{"the floor of a start", func(r *Rules) *bool { return &r.Floors }, crashes(setAt(1), removeAt(2)).but(func(sc *Scenario) { sc.Gets, sc.Forgets = 0, 2; sc.Has = of(0) })},
		{"late forgetting", func(r *Rules) *bool { return &r.LateForgetting }, stable(removeAt(1)).but(func(sc *Scenario) { sc.Forgets, sc.Rules.ComparedInTime = 1, false })},
		{"meeting", func(r *Rules) *bool { return &r.Meeting }, returns(removeAt(2))},
		{"meeting, in two clusters", func(r *Rules) *bool { return &r.Meeting }, halves(removeAt(2)).but(func(sc *Scenario) { sc.Unmet = [maxNodes]set{} })},
		{"meeting under one list", func(r *Rules) *bool { return &r.MeetUnderList }, silent(removeAt(1)).but(func(sc *Scenario) { sc.Rules.Meeting = false })},
		{"covering", func(r *Rules) *bool { return &r.Covering }, halves(removeAt(2)).but(func(sc *Scenario) { sc.Unmet[0] = 0 })},
		{"covering, by those who join", func(r *Rules) *bool { return &r.CoveredJoin }, between(removeAt(2))},
		{"the clocks of those who were not met", func(r *Rules) *bool { return &r.AskClocks }, halves(setAt(2), removeAt(1)).but(func(sc *Scenario) {
			sc.Ahead, sc.Has, sc.Gets, sc.Outside = [maxNodes]uint8{0, 0, 3}, 0, 0, first2
		})},
		{"comparing in time", func(r *Rules) *bool { return &r.ComparedInTime }, halves(removeAt(2)).but(func(sc *Scenario) { sc.Unmet[0] = 0 })},
		{"dropping at a gap", func(r *Rules) *bool { return &r.DropAtGap }, lost(removeAt(1))},
		{"counting without gaps", func(r *Rules) *bool { return &r.Contiguous }, lost(removeAt(1), otherAt(1))},
		{"asking only heirs that listen", func(r *Rules) *bool { return &r.ListenForHeirs }, leaves(removeAt(2)).but(func(sc *Scenario) { sc.Outside, sc.Expiries, sc.Forgets, sc.Gets = of(0), 4, 2, 0 })},
		{"the clock of the members", func(r *Rules) *bool { return &r.AskClocks }, outside(setAt(1), removeAt(2))},
	}
}

func TestThePromiseHolds(t *testing.T) {
	for _, sc := range small() {
		t.Run(sc.Name, func(t *testing.T) {
			if !holds(t, &sc) {
				t.Error("there are more states than a small scenario may have")
			}
		})
	}
}

func TestThePromiseHoldsInLargeScenarios(t *testing.T) {
	if *states <= smallStates {
		t.Skip("takes minutes: make model")
	}
	for _, sc := range large() {
		t.Run(sc.Name, func(t *testing.T) { holds(t, &sc) })
	}
}

// holds searches a scenario, and reports whether all states were seen.
func holds(t *testing.T, sc *Scenario) (whole bool) {
	t.Helper()
	res := Search(sc, *states)
	t.Logf("%d states, all of them: %v", res.States, res.Whole)
	if res.Broke != "" {
		t.Errorf("%s\n%s", res.Broke, numbered(res.Trace))
	}
	return res.Whole || res.Broke != ""
}

func TestEachMechanismIsNeeded(t *testing.T) {
	for _, a := range ablations() {
		t.Run(a.without, func(t *testing.T) {
			if *states > smallStates {
				holds(t, &a.in)
			}
			*a.rule(&a.in.Rules) = false
			res := Search(&a.in, *states)
			if res.Broke == "" {
				t.Fatalf("nothing is broken without it, in %d states (all of them: %v)", res.States, res.Whole)
			}
			t.Logf("%d states: %s\n%s", res.States, res.Broke, numbered(res.Trace))
		})
	}
}

func numbered(lines []string) string {
	var b strings.Builder
	for i, line := range lines {
		fmt.Fprintf(&b, "%3d. %s\n", i+1, line)
	}
	return b.String()
}
