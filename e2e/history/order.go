package history

import (
	"cmp"
	"slices"
)

func compareOps(a, b Op) int {
	return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.ID, b.ID))
}

func compareLoads(a, b Load) int {
	return cmp.Or(cmp.Compare(a.Begin, b.Begin), cmp.Compare(a.ID, b.ID))
}

func compareAnswers(a, b Answer) int {
	return cmp.Or(cmp.Compare(a.End, b.End), cmp.Compare(a.Key, b.Key))
}

func compareEvents(a, b Event) int {
	return cmp.Or(
		cmp.Compare(a.At, b.At), cmp.Compare(a.What, b.What), cmp.Compare(a.Node, b.Node), cmp.Compare(a.Life, b.Life),
		slices.Compare(a.Members, b.Members), cmp.Compare(a.Detail, b.Detail),
	)
}
