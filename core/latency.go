package gcnode

import (
	"iter"
	"time"

	"github.com/gcnode/gcnode/core/internal/histogram"
)

// Latency is how long something took, each time that it was done since the
// node was started. It is a copy of one moment; the zero value is empty.
type Latency struct {
	s histogram.Snapshot
}

// Count is how many times it was done.
func (l Latency) Count() uint64 { return l.s.Count }

// Sum is how long it took in all.
func (l Latency) Sum() time.Duration { return l.s.Sum }

// Quantile is how long it took at most in a share q of all cases: 0.99 is for
// the 99th percentile. It is at most 5 % off, or 50 ns. It is 0 when there are
// no cases, and never more than 1000 s.
func (l Latency) Quantile(q float64) time.Duration { return l.s.Quantile(q) }

// Buckets yields the histogram, ascending and without what is empty: how many
// cases took at most as long as the bound, and longer than those of the
// buckets before. All durations from 1 µs to 1000 s that are written with two
// digits are bounds, so a sum up to one of them is exact. The last bound is
// the longest duration of Go when something took more than 1000 s.
func (l Latency) Buckets() iter.Seq2[time.Duration, uint64] { return l.s.All() }
