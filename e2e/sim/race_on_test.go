//go:build race

package sim

// Each schedule is one goroutine at a time, which takes ten times as long with
// the race detector.
const (
	// replayed is how many seeds are run twice.
	replayed = 20
	// ordered is how many histories are put in order.
	ordered = 10
)
