package main

// joining are the mutants of what a node that starts must know before it may
// keep anything.
//
// That it hands over nothing while it joins is not among them: it has nothing.
func joining() []mutant {
	return []mutant{
		{
			"barrier", "a node that starts has joined at once",
			[]edit{
				{file: "join.go", old: "now, missing := n.now(), len(v.owners)-1-len(heard)", new: "now, missing := n.now(), 0"},
				{file: "join.go", old: "var heard map[string][]Known //", new: "n.finishJoin(n.view.Load(), nil, nil)\n\tvar heard map[string][]Known //"},
			},
			[]string{"TestANodeKeepsNothingBeforeAllMembersHaveAnswered"},
		},
		one("barrier-keeps", "a node keeps answers while it joins",
			"join.go", "return n.is(joined) || n.is(solo)", "return !n.is(client)",
			"TestANodeThatJoinsServesNothing"),
		one("barrier-joins-flights", "gets join one another's flights while a node joins",
			"load.go", "g.node.removals.full() || g.node.is(joining)\n", "g.node.removals.full()\n",
			"TestGetsOfANodeThatJoinsDoNotWaitForOneAnother"),
		one("barrier-hash", "members that answer under another list count",
			"join.go", "case theirs == hash:", "case theirs == hash || true:",
			"TestANodeThatOthersDoNotListDoesNotJoin"),
		one("barrier-removals", "a node that joins does not listen which removals are under way",
			"join.go", "n.learnFrom(r.Ack, n.apply)", "n.learnFrom(r.Ack, func(Removal) {})",
			"TestANodeThatJoinsHearsOfTheRemovalsUnderWay"),
		one("barrier-epoch", "a node has joined though its list has changed meanwhile",
			"join.go", "n.view.Load().epoch != v.epoch || !n.is(joining) ||", "!n.is(joining) ||",
			"TestANodeJoinsUnderTheListThatItHas"),
		one("barrier-writes", "a node writes before it has joined",
			"write.go", "if err := n.awaitJoined(ctx); err != nil {", "if err := error(nil); err != nil {",
			"TestANodeKeepsNothingBeforeAllMembersHaveAnswered"),
		one("barrier-serves", "a node that joins answers fetches",
			"serve.go", "if n.is(joining) || n.strangers.has(req.From.ID) {", "if n.strangers.has(req.From.ID) {",
			"TestANodeThatJoinsServesNothing"),
		one("barrier-drops", "a node that was alone joins with what it has",
			"join.go", "n.emptyAll()", "",
			"TestANodeThatWasAloneJoinsWithNothing"),
		one("barrier-late", "members that cannot be reached are met by joining without them",
			"join.go", "n.estrange(append(unreachable, n.behind(heard)...))", "n.estrange(n.behind(heard))",
			"TestANodeJoinsWithoutAMemberThatIsDead"),
		one("floor-join", "a set for an earlier life of its owner is stored",
			"join.go", "n.removals.raise(Stamp{", "_ = math.MaxUint64 > 0\n\t_ = (Stamp{",
			"TestASetForAnEarlierLifeIsNotStored"),
		unaware(one("barrier-behind", "members that have not heard of what a node that joins was told by others are asked",
			"join.go", "n.estrange(append(unreachable, n.behind(heard)...))", "n.estrange(unreachable)",
			"TestANodeThatJoinsDoesNotAskWhoHasNotCaughtUp")),
		one("strangers-hello", "a hello ends being a stranger",
			"join.go", "signal(n.strangers.news) //", "n.strangers.remove(req.From.ID) //",
			"TestAnOldHelloDoesNotEndBeingAStranger"),
		unaware(one("strangers-goodbye", "strangers that say goodbye hand over what they have",
			"handover.go", "met := !n.strangers.has(req.From.ID)", "met := true",
			"TestAStrangerThatSaysGoodbyeHandsOverNothing")),
		unaware(mutant{
			"strangers-forgotten", "a stranger that leaves the list is none any more",
			[]edit{
				{file: "meet.go", old: "return v.heard(id, n.now()) != nil", new: "return v.peers[id] != nil"},
				{file: "members.go", old: "return next.heard(id, now) != nil", new: "return next.peers[id] != nil"},
			},
			[]string{"TestAStrangerThatLeavesAgainIsNotAsked", "TestAStrangerThatComesAndGoesIsNotAsked"},
		}),
		one("strangers-overdue", "members that could not compare for long are asked all the same",
			"sync.go", "n.estrange(n.overdue())", "_ = n.overdue",
			"TestMembersThatCannotCompareBecomeStrangers"),
		one("strangers-none", "members that come back to the list are asked before anything is compared",
			"members.go", "begin = n.strangers.add(next.unheard(old, now))", "begin = n.strangers.add(nil)",
			"TestAMemberThatWasOffTheListsDropsWhatItKept",
			"TestStrangersAreNotAsked"),
		unaware(one("strangers-asked", "strangers are asked",
			"load.go", "p.down.Load() || g.node.strangers.has(id)", "p.down.Load()",
			"TestStrangersAreNotAsked")),
		unaware(one("strangers-asked-many", "strangers are asked for many keys",
			"group_batch.go", "p.down.Load() || g.node.strangers.has(p.ID)", "p.down.Load()",
			"TestStrangersAreNotAsked")),
		one("strangers-served", "strangers are answered",
			"serve.go", "if n.is(joining) || n.strangers.has(req.From.ID) {", "if n.is(joining) {",
			"TestANodeJoinsWithoutAMemberThatIsDead"),
		unaware(one("strangers-peeked", "strangers are asked for what they had before",
			"handover.go", "from.down.Load() || g.node.strangers.has(from.ID)", "from.down.Load()",
			"TestAStrangerThatLeavesAgainIsNotAsked")),
		one("strangers-peek-served", "strangers are handed over what a node has",
			"handover.go", "case n.is(joining) || n.strangers.has(req.From.ID):", "case n.is(joining):",
			"TestStrangersAreNotAsked"),
		one("strangers-inherited", "a node inherits from strangers",
			"handover.go", "if n.strangers.has(p.ID) {\n\t\t\t\treturn", "if false {\n\t\t\t\treturn",
			"TestANodeInheritsNothingFromStrangers"),
		unaware(one("strangers-uneven", "a stranger is met though it lacks removals",
			"meet.go", "if even && listHash", "if (even || !even) && listHash",
			"TestAStrangerThatHasNotCaughtUpIsNotMet")),
		one("strangers-hash", "a stranger is met under another list",
			"meet.go", "&& listHash == v.ring.Hash()", "&& (listHash == v.ring.Hash() || true)",
			"TestAStrangerWithAnotherListIsNotMet"),
	}
}

// unaware is a mutant in which members that could not compare for long do not
// take each other for strangers, either: it is enough that one of two does.
func unaware(m mutant) mutant {
	m.edits = append(m.edits, edit{file: "sync.go", old: "n.estrange(n.overdue())", new: "_ = n.overdue"})
	return m
}
