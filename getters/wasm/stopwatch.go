package wasm

import "math/rand/v2"

// timedOneOf is how many calls of the guest share a measurement.
const timedOneOf = 8

// stopwatch decides which calls of a guest are measured: a look at the clock takes
// a good part of a small get. Of those that return with the fuel that they had one
// of timedOneOf is, and counts for as many; by chance, because keys may come in
// turns. Each of the others is.
type stopwatch struct {
	long bool // the guest had more fuel in this call, or waited, or its host copied much
	dice uint64
}

// newStopwatch is one whose dice fall as no other's: most instances may be used for
// a few calls only.
func newStopwatch() stopwatch { return stopwatch{dice: rand.Uint64()} }

// weight is how many calls the one that ends now stands for; 0: it need not be
// measured.
func (w *stopwatch) weight() int64 {
	if w.long {
		return 1
	}
	w.dice = w.dice*6364136223846793005 + 1442695040888963407 // of Knuth's MMIX
	if w.dice>>32%timedOneOf == 0 {
		return timedOneOf
	}
	return 0
}
