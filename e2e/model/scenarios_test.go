package model

// Three nodes, of which 0 owns the key on every list that it is on.
const (
	all3   set = 0b0111
	heirs  set = 0b0110 // without 0
	first2 set = 0b0011
)

// everybody is a cluster of nodes with one list, of which the owner has the
// value and the others have copies.
func everybody(list set, writes ...Write) Scenario {
	sc := Scenario{Rules: Protocol(), Has: list, Writes: writes, Gets: 1}
	for range list.all() {
		sc.Lists = append(sc.Lists, []set{list})
		sc.Nodes++
	}
	return sc
}

// stable has neither changes of the list nor faults.
func stable(writes ...Write) Scenario {
	sc := everybody(all3, writes...)
	sc.Gets, sc.Lossless = 3, true
	return sc
}

// failover has members that are not waited for.
func failover(writes ...Write) Scenario {
	sc := everybody(all3, writes...)
	sc.Gets, sc.Timeouts = 2, 2
	return sc
}

// join has 0 start while the others, of which 1 owned the key, get to know it.
func join(writes ...Write) Scenario {
	sc := everybody(all3, writes...)
	sc.Lists = [][]set{{all3}, {heirs, all3}, {heirs, all3}}
	sc.Down, sc.Has, sc.Forgets = of(0), of(1), 1
	return sc
}

// joinTwo has 0 start while the only other one gets to know it.
func joinTwo(writes ...Write) Scenario {
	sc := everybody(first2, writes...)
	sc.Lists = [][]set{{first2}, {of(1), first2}}
	sc.Down, sc.Has, sc.Forgets, sc.Gets = of(0), of(1), 1, 2
	return sc
}

// behind has a caller that does not know the owner yet.
func behind(writes ...Write) Scenario {
	sc := everybody(all3, writes...)
	sc.Lists[2] = []set{heirs, all3}
	sc.Has, sc.Gets, sc.Forgets = of(0), 2, 1
	return sc
}

// removed has the owner taken off the lists.
func removed(writes ...Write) Scenario {
	sc := everybody(all3, writes...)
	sc.Lists = [][]set{{all3, heirs}, {all3, heirs}, {all3, heirs}}
	sc.Has, sc.Gets, sc.Forgets = of(0), 2, 1
	return sc
}

// leaves has the owner say goodbye; the heir fetches the key from it.
func leaves(writes ...Write) Scenario {
	sc := everybody(all3, writes...)
	sc.Leaves, sc.Departures = of(0), 1
	sc.Has, sc.Pulls = of(0), 1
	return sc
}

// crashes has the owner crash and come back.
func crashes(writes ...Write) Scenario {
	sc := everybody(all3, writes...)
	sc.Crashes, sc.Has, sc.Timeouts = of(0), of(0, 1), 1
	return sc
}

// returns has the owner out of the others' lists for longer than they tell it
// of removals, and back again without a restart.
func returns(writes ...Write) Scenario {
	sc := everybody(all3, writes...)
	sc.Lists = [][]set{{all3}, {all3, heirs, all3}, {all3, heirs, all3}}
	sc.Has, sc.Outside, sc.Expiries, sc.Forgets, sc.Meets = of(0), of(0), 4, 2, 2
	return sc
}

// late has a Set wait on its way to an owner that is meanwhile off the list.
func late(writes ...Write) Scenario {
	sc := everybody(first2, writes...)
	sc.Lists = [][]set{{first2}, {first2, of(1), first2}}
	sc.Has, sc.Outside, sc.Timeouts, sc.Expiries, sc.Forgets, sc.Meets = 0, of(0), 1, 2, 1, 2
	return sc
}

// halves has two clusters that become one: 0 and 1 know that already, and 2,
// which stands for the second, does not.
func halves(writes ...Write) Scenario {
	sc := everybody(all3, writes...)
	sc.Lists[2] = []set{of(2), all3}
	sc.Unmet = [maxNodes]set{of(2), of(2)}
	sc.Has, sc.Outside, sc.Gets, sc.Forgets, sc.Meets = of(0), first2, 2, 1, 2
	return sc
}

// between has 1 start while 0 and 2, two clusters that become one, have not met.
func between(writes ...Write) Scenario {
	sc := halves(writes...)
	sc.Unmet = [maxNodes]set{of(2)}
	sc.Down, sc.Outside, sc.Meets, sc.Forgets = of(1), first2, 0, 2
	return sc
}

// silent has 0 start while 1, which does not list it yet, cannot be reached.
func silent(writes ...Write) Scenario {
	sc := everybody(first2, writes...)
	sc.Lists = [][]set{{first2}, {of(1), first2}}
	sc.Down, sc.Has, sc.Outside, sc.JoinTimeouts, sc.Gets, sc.Forgets = of(0), 0, of(0), 1, 2, 1
	sc.Meets = 2
	return sc
}

// lost has removals that do not arrive, and members that compare what they know
// when some have forgotten it.
func lost(writes ...Write) Scenario {
	sc := everybody(all3, writes...)
	sc.Has, sc.Gets = of(0, 2), 0
	sc.Rules.ComparedInTime = false
	sc.Failures, sc.Forgets, sc.Syncs = uint8(len(writes)), uint8(len(writes)), 1
	return sc
}

// outside has a caller that is not on its own list, with a clock that is behind.
func outside(writes ...Write) Scenario {
	sc := everybody(all3, writes...)
	sc.Lists = [][]set{{first2}, {first2}, {first2}}
	sc.Has, sc.Ahead = of(0), [maxNodes]uint8{3, 3, 0, 0}
	return sc
}

func removeAt(n int) Write { return Write{Remove, n} }
func otherAt(n int) Write  { return Write{RemoveOther, n} }
func setAt(n int) Write    { return Write{Set, n} }
