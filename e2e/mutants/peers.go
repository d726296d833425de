package main

// peers are the mutants of what errors and silence of a member mean.
func peers() []mutant {
	return []mutant{
		one("down", "a member that is down is asked all the same",
			"load.go", "if p := v.peers[id]; p.down.Load() || ", "if p := v.peers[id]; ",
			"TestASilentPeerCostsOneTimeoutOnce"),
		one("line", "when the owner is not there, each member loads on its own",
			"load.go", "for i, id := range v.ring.Line(key) {\n\t\tif i == maxLine", "for i, id := range v.ring.Line(key) {\n\t\tif i == 1",
			"TestADeadOwnersKeysAreServedByTheNextInLineTheSameForAll"),
		one("goes-on-group", "a member without the group says that there is no such key",
			"load.go", "k == KindDraining || k == KindNoSuchGroup ||", "k == KindDraining ||",
			"TestAMemberWithoutTheGroupLeadsToTheNext", "TestWhatComesAfterARefusalIsNotKept"),
		one("goes-on-draining", "a member that is draining ends the search",
			"load.go", "k == KindUnreachable || k == KindDraining ||", "k == KindUnreachable ||",
			"TestWhatComesAfterARefusalIsNotKept"),
		one("goes-on-all", "an error of the getter leads to the next in line",
			"load.go", "return k == KindUnreachable ||", "return k != KindNotFound ||",
			"TestErrorsKeepTheirKindAcrossNodes"),
		one("hedge-self", "a node that is next in line itself hedges nothing",
			"load.go", "HedgeAfter > 0 && len(line) > 0", "HedgeAfter > 0 && len(line) > 1",
			"TestASlowFetchIsHedgedByTheNodeItself"),
		one("hedge-error", "an error of who was asked second ends the turn of the first",
			"hedge.go", "case o.second && done == 1:", "case o.second && done == 0:",
			"TestAHedgeThatFailsDoesNotFailTheGet"),
		one("final-not-found", "that there is no such key leads to the next in line",
			"load.go", "case r.Err.Kind == KindNotFound:", "case r.Err.Kind == KindNotFound && false:",
			"TestNotFoundIsRememberedForItsOwnTime"),
	}
}
