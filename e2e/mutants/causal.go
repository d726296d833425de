package main

// causal are the mutants of the removals that go along with requests.
//
// Those that go along with a set are not among them: whatever they take out the
// set takes out itself, since its stamp is later.
func causal() []mutant {
	return []mutant{
		one("causal-none", "requests carry no removals",
			"removals.go", "return ordered(byID), true", "return nil, true",
			"TestRequestsCarryTheRemovalsThatTheirReceiverMayNotKnow", "TestStandInsLearnOfRemovalsFromTheRequest",
			"TestRequestsCarryTheClearsThatTheirReceiverMayNotKnow"),
		one("causal-ignored", "the receiver of a request ignores the removals that it carries",
			"serve.go", "range causal(req) {", "range causal(req)[:0] {",
			"TestRequestsCarryTheRemovalsThatTheirReceiverMayNotKnow", "TestStandInsLearnOfRemovalsFromTheRequest"),
		one("causal-prompt", "what is in memory is answered before the removals of the request are applied",
			"prompt.go", " || len(req.Removals) > 0 ||", " ||",
			"TestRequestsCarryTheRemovalsThatTheirReceiverMayNotKnow"),
		one("causal-fetch", "a fetch of one key carries no removals",
			"question.go", "Keys: w.keys[:], Removals: removals}", "Keys: w.keys[:], Removals: removals[:0]}",
			"TestRequestsCarryTheRemovalsThatTheirReceiverMayNotKnow"),
		one("causal-fetch-many", "a fetch of many keys carries no removals",
			"group_batch.go", "req.Removals = removals ", "req.Removals = removals[:0] ",
			"TestBatchesCarryTheRemovalsThatTheirReceiverMayNotKnow"),
		one("causal-peek", "a peek carries no removals",
			"handover.go", "Keys: keys, Removals: removals}", "Keys: keys, Removals: removals[:0]}",
			"TestPeeksCarryTheRemovalsThatTheirReceiverMayNotKnow"),
		one("causal-clear", "requests carry no clears",
			"removals.go", "carried.add(1, \"\")\n\t\t\tbyID[a.ID] = &a.Removal", "carried.add(1, \"\")",
			"TestRequestsCarryTheClearsThatTheirReceiverMayNotKnow"),
		one("causal-stranger-group", "a removal of a group that a member does not have yet is not remembered",
			"remove.go", "n.removals.learn(r, key)\n\t\t}\n\t}\n\treturn g", "_ = key\n\t\t}\n\t}\n\treturn g",
			"TestARemovalIsAppliedByAMemberThatHasNotTheGroupYet"),
		one("crowded", "a key with more removals than a request can carry is like any other",
			"load.go", " || g.node.removals.crowded(g.name, key))", ")",
			"TestAKeyWithTooManyRemovalsIsNotKept"),
		one("full-joined", "flights are joined though there are removals that the node cannot remember",
			"load.go", "|| g.node.removals.full() || ", "|| ",
			"TestANodeFloodedWithRemovalsKeepsNothing"),
	}
}
