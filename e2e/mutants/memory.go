package main

// memory are the mutants of for how long removals are remembered.
//
// That one which has ended is remembered for a while is not among them: it is
// counted as known, too.
func memory() []mutant {
	return []mutant{
		one("memory-short", "a removal that has not ended is forgotten after a moment",
			"removals.go", "removalMemory = 2 * removeTimeout", "removalMemory = removeTimeout / 300",
			"TestRemovalsThatNobodyFinishesAreForgottenInTheEnd"),
		one("memory-known", "a removal that has ended and was forgotten is applied again",
			"remove.go", "if n.knowledge.has(r.ID) {", "if false {",
			"TestAFinishedRemovalIsNotAppliedAgain"),
		one("memory-ahead", "what a member has applied ahead of a gap is applied again",
			"known.go", "return ahead || ", "return ahead && false || ",
			"TestAClearThatIsKnownHoldsUpNobody"),
		one("memory-carried", "a clear that was carried does not count as known",
			"remove.go", "if r.All {\n\t\tn.applyWhole(r)", "if false {\n\t\tn.applyWhole(r)",
			"TestAClearThatIsKnownHoldsUpNobody"),
		one("memory-applied", "a removal of which a member knows a part is applied as often as it comes",
			"removals.go", "if of != nil && of.has(a) {\n\t\treturn false", "if of != nil && of.has(a) {\n\t\treturn true",
			"TestARemovalThatIsCarriedAgainIsNotAppliedAgain"),
		one("memory-announced", "the end of removals is not told",
			"outbox.go", "b.ended = append(b.ended, ending{t.ID, o.node.now()})", "_ = b.ended",
			"TestRemovalsAreForgottenWhenAllHaveConfirmed"),
	}
}
