package main

const flightFile = "internal/flight/flight.go"

// flights are the mutants of how loads and answers under way are parted from
// their key, and from one another.
func flights() []mutant {
	return []mutant{
		one("flight-apply", "a removal detaches no flights",
			flightFile, `if c := calls[key]; c != nil {`, `if c := calls[key]; c != nil && false {`,
			"TestALoadThatARemovalOvertookIsNotServedToLaterGets", "TestAnAnswerThatARemovalOvertookOnItsWayIsNotKept",
			"TestABatchThatARemovalOvertookIsNotKept", "TestALoadNeverReplacesAValueThatWasSetAfterItBegan",
			"internal/flight:TestDetachedCallsAnswerTheirWaitersAndNobodyElse"),
		one("flight-apply-ask", "a removal detaches loads only, and no flights that ask others",
			flightFile, "for _, calls := range s.calls {", "for _, calls := range s.calls[Load:] {",
			"TestAnAnswerThatARemovalOvertookOnItsWayIsNotKept"),
		one("flight-apply-load", "a removal detaches flights that ask others only, and no loads",
			flightFile, "for _, calls := range s.calls {", "for _, calls := range s.calls[:Load] {",
			"TestALoadThatARemovalOvertookIsNotServedToLaterGets"),
		one("flight-apply-all", "a clear detaches no flights",
			flightFile, "for _, c := range f.stripes[i].flying {", "for _, c := range f.stripes[i].flying[:0] {",
			"TestALoadThatAClearOvertookIsNotKept", "internal/flight:TestApplyAllDetachesEveryCall"),
		{"flight-apply-all-again", "a clear detaches flights each time that somebody tells of it", []edit{
			{file: "remove.go", old: "if n.knowledge.has(r.ID) {", new: "if false {"},
			{file: "remove.go", old: "learn(r, \"\"); !unknown {\n\t\t\treturn false", new: "learn(r, \"\"); !unknown {\n\t\t\treturn true"},
		}, []string{"TestAClearThatIsKnownLeavesLoadsAlone"}},
		one("flight-keep", "what a detached flight brings is kept",
			"internal/flight/call.go", "if c.detached {\n\t\treturn false\n\t}\n\tstore()", "store()",
			"TestALoadThatARemovalOvertookIsNotServedToLaterGets", "TestWhatWasRemovedIsNotInherited",
			"internal/flight:TestDetachedCallsAnswerTheirWaitersAndNobodyElse"),
		one("flight-batch-keep", "what a detached flight of a batch brings is kept",
			"internal/flight/batch.go", "b.calls[i].end(value, err, store)", "if store != nil {\n\t\tstore()\n\t}\n\tb.calls[i].end(value, err, nil)",
			"TestABatchThatARemovalOvertookIsNotKept", "TestWhatWasRemovedIsNotInherited",
			"internal/flight:TestARemovalDetachesTheCallsOfABatch"),
		one("flight-alone-kept", "what a flight that nobody may join brings is kept",
			flightFile, "if c.detached = alone; !alone {", "if !alone {",
			"internal/flight:TestAloneMeansAlone"),
		one("flight-look", "a call begins though its answer has come meanwhile",
			flightFile, "if v, ok := f.look(p); ok {\n\t\t\treturn Seat", "if v, ok := f.look(p); ok && false {\n\t\t\treturn Seat",
			"internal/flight:TestAnAnswerThatCameMeanwhileSparesTheCall"),
		one("flight-roles", "asking and loading are one kind of flight",
			"internal/flight/stripe.go", "s.calls[role] = map[string]*Call[T]{}", "if s.calls[role] = s.calls[0]; role == 0 {\n\t\t\ts.calls[0] = map[string]*Call[T]{}\n\t\t}",
			"TestMembersThatDisagreeAboutTheOwnerDoNotWaitForEachOther", "internal/flight:TestRolesDoNotJoinEachOther"),
		one("flight-joined", "what a removal has detached is joined",
			flightFile, "if c := calls[key]; c != nil {\n\t\t\tc.detach()", "if c := calls[key]; c != nil {\n\t\t\tc.detached = true",
			"TestALoadThatARemovalOvertookIsNotServedToLaterGets", "internal/flight:TestDetachedCallsAnswerTheirWaitersAndNobodyElse"),
		one("hop-limit", "a request of a peer is asked further",
			"serve.go", "g.loadMany(ctx, v, &misses, func(", "g.each(ctx, &misses, maxBatchLoads, func(key string) (answer, error) { return g.fill(ctx, key) }, func(",
			"TestNodesThatDisagreeAboutTheOwnerDoNotWaitForEachOther"),
		one("late-peek-waits", "a peek waits for a load",
			"handover.go", "a, ok := g.ownedAnswer(key)\n\t\tr := Reply", "a, err := g.load(context.Background(), key)\n\t\tok := err == nil\n\t\tr := Reply",
			"TestAPeekNeitherLoadsNorWaits"),
	}
}
