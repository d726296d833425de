// Package count counts events that many goroutines report at the same time.
package count

import (
	"math/rand/v2"
	"runtime"
	"sync/atomic"
)

const (
	// Max is how many counters there may be in one set: they fill two cache
	// lines.
	Max = 16
	// perProcessor is how many stripes there are for each processor: whoever
	// counts takes one at random, and the more there are the less often two
	// of them meet.
	perProcessor = 4
	maxStripes   = 256
)

// Set is a set of counters. The zero value is not usable; see [New].
type Set struct {
	stripes []stripe
}

type stripe [Max]atomic.Uint64

// New makes a set of counters.
func New() *Set {
	n := 1
	for n < perProcessor*runtime.GOMAXPROCS(0) && n < maxStripes {
		n *= 2
	}
	return &Set{stripes: make([]stripe, n)}
}

// Add adds one to a counter, 0 to [Max]-1.
func (s *Set) Add(counter int) {
	s.stripes[int(rand.Uint32())&(len(s.stripes)-1)][counter].Add(1)
}

// Load is what a counter shows.
func (s *Set) Load(counter int) (sum uint64) {
	for i := range s.stripes {
		sum += s.stripes[i][counter].Load()
	}
	return sum
}
