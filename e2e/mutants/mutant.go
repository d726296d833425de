package main

import (
	"fmt"
	"slices"
	"strings"
)

// mutant is core without one of its mechanisms.
type mutant struct {
	name string
	// broken says what is different without it.
	broken string
	edits  []edit
	// tests of core each of which must fail: a name, after the package's path
	// below core and a colon if it is not core itself.
	tests []string
}

// mechanisms are the mutants that the simulation must notice by itself, whatever
// tests of core do: what the promise of a removal rests on.
func mechanisms() []string {
	return []string{
		"flight-apply", "flight-keep", "flight-joined", "flight-roles", "hop-limit", "causal-none", "causal-ignored",
		"closure", "grace", "barrier", "stamps-arrival", "stamps-client", "gap-lacks", "gap-drop", "gap-never",
	}
}

// edit replaces a text in a file of core.
type edit struct {
	file     string
	old, new string
	times    int // how often old is there; 0 is once
}

func (e edit) apply(text string) (string, error) {
	want := max(e.times, 1)
	if n := strings.Count(text, e.old); n != want {
		return "", fmt.Errorf("%s has the text to be replaced %d times, not %d: %q; bring the mutant up to date", e.file, n, want, e.old)
	}
	return strings.ReplaceAll(text, e.old, e.new), nil
}

// one is a mutant that needs one edit.
func one(name, broken, file, old, replacement string, tests ...string) mutant {
	return mutant{name, broken, []edit{{file: file, old: old, new: replacement}}, tests}
}

// mutants are all of them.
func mutants() []mutant {
	return slices.Concat(flights(), causal(), reach(), joining(), writes(), lists(), gaps(), copies(), memory(), peers())
}
