//go:build race

package httptransport_test

// poolMisses is what a fetch allocates more at times: under the race detector
// pools forget at random what they are given.
const poolMisses = 2

// raceDetector says whether this is it at work.
const raceDetector = true
