package main

// gaps are the mutants of how a member finds out that it has missed removals.
//
// That one which is asked by a member that knows more asks back is not among
// them: it would ask a little later by itself.
func gaps() []mutant {
	return []mutant{
		one("gap-lacks", "a member never finds out that it lacks removals",
			"known.go", "return o.Seq > 0 && (t == nil || t.upTo < o.Seq)", "return o.Seq > 0 && t != nil && t.upTo > o.Seq",
			"TestAMemberDropsEverythingWhenNobodyKnowsWhatItMissed"),
		one("gap-drop", "a member that cannot find out what it has missed drops nothing",
			"sync.go", `n.forgetAll("removals were missed that " + p.ID + " knows of")`, ``,
			"TestAMemberDropsEverythingWhenNobodyKnowsWhatItMissed"),
		one("gap-drop-flights", "a member that drops everything keeps what its flights bring",
			"remove.go", "g.flights.ApplyAll(func() {\n\t\t\tg.owned.Clear()\n\t\t\tg.hot.Clear()\n\t\t})\n\t}\n}", "g.owned.Clear()\n\t\tg.hot.Clear()\n\t}\n}",
			"TestWhoDropsEverythingKeepsNothingOfItsFlights"),
		one("gap-told", "nobody tells a member what it has missed",
			"sync.go", "n.removals.missing(req.Known)", "nil",
			"TestAMemberThatMissedARemovalHearsOfItFromOthers"),
		one("gap-hidden", "a removal that comes hides those before it that were missed",
			"known.go", "case id.Seq > t.upTo+1:", "case id.Seq > t.upTo+1<<40:",
			"TestARemovalThatComesDoesNotHideOneThatDidNot"),
		one("gap-part", "a removal of which only some keys are known counts as applied",
			"removals.go", "return a.whole && lacks(has, a.ID)", "return lacks(has, a.ID)",
			"TestARemovalThatIsKnownInPartIsNotTold"),
		one("gap-asked-before", "who was asked before everything was dropped is met",
			"sync.go", "current := n.gaps.Load() == drops", "current := n.gaps.Load() >= drops",
			"TestWhoWasAskedBeforeEverythingWasDroppedIsNotMet"),
		one("gap-strangers", "a member that has missed removals asks others that may have missed them, too",
			"sync.go", "if o.ID != p.ID {\n\t\t\t\tothers", "if o.ID == \"\" {\n\t\t\t\tothers",
			"TestWhoHasMissedARemovalAsksNobodyWhoMayHaveMissedItToo"),
		one("gap-never", "members do not compare what they know",
			"join.go", "n.goBackground(n.syncForEver)", "",
			"TestAMemberThatMissedARemovalHearsOfItFromOthers"),
		unaware(one("gap-down", "a member that was down is asked before it has caught up",
			"peers.go", "if err == nil && !even {", "if false && even {",
			"TestAMemberThatWasDownCatchesUpBeforeItIsAsked")),
	}
}
