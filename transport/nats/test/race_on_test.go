//go:build race

package test

const (
	// racing says that pools forget at random what they are given.
	racing = true
	// crowd is how many nodes find each other: a hundred would take longer to
	// read what they tell each other than their heartbeats leave.
	crowd = 25
	// burst is how many removals there are at once.
	burst = 5_000
)
