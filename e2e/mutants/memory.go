package main

// memory are the mutants of for how long removals are remembered.
func memory() []mutant {
	return []mutant{
		one("memory-short", "a removal that has not ended is forgotten after a moment",
			"removals.go", "removalMemory = 2 * removeTimeout", "removalMemory = removeTimeout / 300",
			"TestRemovalsThatNobodyFinishesAreForgottenInTheEnd"),
		one("memory-ended", "a removal that has ended is forgotten at once",
			"removals.go", "finishedMemory = 5 * time.Second", "finishedMemory = 0 * time.Second",
			"TestAFinishedRemovalIsNotAppliedAgain"),
		one("memory-applied", "a removal is applied as often as it comes",
			"removals.go", "if of != nil && of.byID[r.ID] != nil {\n\t\treturn false", "if of != nil && of.byID[r.ID] != nil {\n\t\treturn true",
			"TestAFinishedRemovalIsNotAppliedAgain"),
		one("memory-announced", "the end of removals is not told",
			"outbox.go", "b.ended = append(b.ended, t.ID)", "b.ended = append(b.ended, t.ID)[:0]",
			"TestRemovalsAreForgottenWhenAllHaveConfirmed"),
	}
}
