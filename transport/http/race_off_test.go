//go:build !race

package httptransport_test

const poolMisses = 0

// raceDetector says whether this is it at work.
const raceDetector = false
