package model

import (
	"hash/maphash"
	"slices"
)

// Result is what a search has found.
type Result struct {
	States int
	// Whole: all states were seen.
	Whole bool
	// Broke says how the promise is broken; empty if it is not.
	Broke string
	// Trace is a shortest schedule that breaks it.
	Trace []string
}

// origin of a state: the state that it was made from, and as which of its
// successors.
type provenance struct {
	parent int32
	nth    int32
}

// Search looks at the states of the scenario, the near ones first, until one
// breaks the promise or limit states were seen.
func Search(sc *Scenario, limit int) Result {
	seeds := [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
	seen := map[[2]uint64]struct{}{}
	isNew := func(s *state) bool {
		mark := [2]uint64{maphash.Comparable(seeds[0], *s), maphash.Comparable(seeds[1], *s)}
		_, known := seen[mark]
		seen[mark] = struct{}{}
		return !known
	}
	first := sc.initial()
	isNew(first)
	made := []provenance{{parent: -1}}
	level, places := []state{*first}, []int32{0}
	var broke string
	for len(level) > 0 {
		var next []state
		var nextPlaces []int32
		for i := range level {
			nth := int32(0)
			r := run{Scenario: sc, from: &level[i], next: func(s *state, how string, _ func() string) {
				nth++
				if broke != "" || how == "" && !isNew(s) {
					return
				}
				broke = how
				made = append(made, provenance{parent: places[i], nth: nth})
				next, nextPlaces = append(next, *s), append(nextPlaces, int32(len(made)-1))
			}}
			r.steps()
			if broke != "" {
				return Result{States: len(made), Broke: broke, Trace: trace(sc, made)}
			}
			if len(made) > limit {
				return Result{States: len(made)}
			}
		}
		level, places = next, nextPlaces
	}
	return Result{States: len(made), Whole: true}
}

// trace is the schedule to the last state that was made.
func trace(sc *Scenario, made []provenance) []string {
	var choices []int32
	for at := made[len(made)-1]; at.parent >= 0; at = made[at.parent] {
		choices = append(choices, at.nth)
	}
	var lines []string
	at := *sc.initial()
	for _, choice := range slices.Backward(choices) {
		nth := int32(0)
		var chosen state
		r := run{Scenario: sc, from: &at}
		r.next = func(s *state, _ string, say func() string) {
			if nth++; nth == choice {
				chosen = *s
				lines = append(lines, say())
			}
		}
		r.steps()
		at = chosen
	}
	return lines
}
