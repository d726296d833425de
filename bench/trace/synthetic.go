package trace

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
)

const (
	syntheticRequests = 500_000
	zipfKeys          = 100_000
	loopKeys          = 5_000
)

// Synthetic are the traces that need no file: Zipf distributions, and a loop
// that runs through one. They are the same in every run.
func Synthetic() []*Trace {
	var traces []*Trace
	for _, exponent := range []float64{0.8, 0.99, 1.1} {
		traces = append(traces, renumber(fmt.Sprintf("zipf%g", exponent), Zipf(exponent, zipfKeys, syntheticRequests)))
	}
	return append(traces, loopMix())
}

// Zipf are n draws from the numbers below distinct, where the k-th most
// popular one has a share proportional to 1/k^exponent. The popular ones are
// the low ones.
func Zipf(exponent float64, distinct, n int) []uint32 {
	r := rand.New(rand.NewPCG(1, 2))
	sums := make([]float64, distinct)
	sum := 0.0
	for k := range sums {
		sum += math.Pow(float64(k+1), -exponent)
		sums[k] = sum
	}
	draws := make([]uint32, n)
	for i := range draws {
		draws[i] = uint32(sort.SearchFloat64s(sums, r.Float64()*sum))
	}
	return draws
}

// loopMix is a loop of 5,000 keys, whose requests alternate at random with as
// many from a Zipf distribution: a scan that is repeated beside ordinary use.
func loopMix() *Trace {
	r := rand.New(rand.NewPCG(3, 4))
	requests := Zipf(0.99, zipfKeys, syntheticRequests)
	next := uint32(0)
	for i := range requests {
		if r.IntN(2) == 0 {
			requests[i] = zipfKeys + next
			next = (next + 1) % loopKeys
		}
	}
	return renumber("loop-mix", requests)
}
