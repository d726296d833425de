package main

// copies are the mutants of how long answers live, and copies of them.
func copies() []mutant {
	return []mutant{
		one("copy-age", "the age of a copy counts from its arrival",
			"load.go", "g.keepHot(key, a, sent)", "g.keepHot(key, a, g.node.now())",
			"TestACopyIsAsOldAsTheQuestion"),
		one("copy-life", "a copy lives for as long as its value",
			"group.go", "a.expires = min(a.expires, expiry(born, For(g.node.cfg.HotTTL)))", "_ = expiry(born, For(g.node.cfg.HotTTL))",
			"TestHotCopiesLiveShortlyAndNeverLongerThanTheValue"),
		one("copy-value-life", "a copy lives for HotTTL, though its value does not",
			"group.go", "a.expires = min(a.expires, expiry(born, For(g.node.cfg.HotTTL)))", "a.expires = expiry(born, For(g.node.cfg.HotTTL))",
			"TestHotCopiesLiveShortlyAndNeverLongerThanTheValue"),
		one("life-arrival", "the rest of a life counts from the arrival of the answer",
			"load.go", "expires: expiry(sent, r.Keep.or(NoStore))}", "expires: expiry(g.node.now(), r.Keep.or(NoStore))}",
			"TestRemainingLifeTravelsAsADuration"),
		one("life-joined", "who joins a fetch may get what had ended before",
			"load.go", "return a.life > 0 && a.expires <= t", "return false",
			"TestWhoJoinsAFetchIsNotServedWhatEndedBefore"),
		one("life-none-left", "what has no life left is sent as if it never had one",
			"serve.go", "left > 0 || a.life <= 0 || a.stale", "left <= 0 || left > 0",
			"TestWhoJoinsAFetchIsNotServedWhatEndedBefore"),
		one("copy-aged", "a copy is served after its life",
			"group.go", "ok && e.Expires > g.node.clock.Now()\n", "ok\n",
			"TestHotCopiesLiveShortlyAndNeverLongerThanTheValue"),
		one("digest", "any copy is vouched for",
			"serve.go", "r.Err == nil && digestOf(r.Value) == d {", "r.Err == nil {",
			"TestACopyOfAnotherValueIsNotVouchedFor"),
		one("copy-any", "everything that is fetched is copied",
			"load.go", "case g.hotAfter > 1 && g.popularity", "case g.hotAfter > 1<<20 && g.popularity",
			"TestOnlyPopularValuesAreCopied", "TestAScanCopiesNothing"),
	}
}
