// Package histogram counts durations in fixed memory, closely enough for far
// quantiles.
//
// The buckets are log-linear and decimal: from 1 µs to 1000 s each power of
// ten is cut into 90 buckets, 1.0 to 1.1, 1.1 to 1.2 and so on to 9.9 to 10
// times it. No bucket is wider than a tenth of its lower bound, so its middle
// is within 1/20 of every duration in it. Below 1 µs the buckets are 100 ns
// wide; beyond 1000 s there is one. The bounds are the numbers with two
// digits that people put into a query or an alert, so a count up to one of
// them is exact.
package histogram

import (
	"iter"
	"math"
	"sync/atomic"
	"time"
)

const (
	// finest is the width of the narrowest buckets.
	finest = 100 * time.Nanosecond
	// linear is how many buckets lie below the first power of ten.
	linear = 10
	// perDecade is how many buckets a power of ten is cut into.
	perDecade = 90
	decades   = 9
	// beyond is the bucket of everything that is longer than the last bound.
	beyond = linear + decades*perDecade
)

// Histogram counts durations. The zero value is empty. Its methods may be
// called from any goroutine; recording takes no lock and allocates nothing.
//
// It is not striped: what is timed is a call of a getter or an exchange with a
// peer, which costs far more than two atomic additions, contended or not.
type Histogram struct {
	counts [beyond + 1]atomic.Uint64
	sum    atomic.Int64 // nanoseconds
}

// Record counts a duration. A negative one counts as zero.
func (h *Histogram) Record(d time.Duration) {
	d = max(d, 0)
	h.counts[index(d)].Add(1)
	h.sum.Add(int64(d))
}

// Snapshot is the state of the histogram. What is recorded meanwhile may be in
// the sum and not in the buckets, or the other way round.
func (h *Histogram) Snapshot() Snapshot {
	s := Snapshot{Sum: time.Duration(h.sum.Load())}
	for i := range h.counts {
		if n := h.counts[i].Load(); n > 0 {
			s.Count += n
			s.buckets = append(s.buckets, bucket{i, n})
		}
	}
	return s
}

// index is the bucket of a duration: bounds belong to the bucket below them.
func index(d time.Duration) int {
	u := max(d-1, 0) / finest
	if u < linear {
		return int(u)
	}
	for base := linear; base < beyond; base += perDecade {
		if u < linear+perDecade {
			return base + int(u) - linear
		}
		u /= 10
	}
	return beyond
}

// bounds are those of the durations in a bucket: longer than lower, at most
// upper.
func bounds(i int) (lower, upper time.Duration) {
	switch {
	case i < linear:
		return time.Duration(i) * finest, time.Duration(i+1) * finest
	case i == beyond:
		_, last := bounds(beyond - 1)
		return last, math.MaxInt64
	}
	width := int64(finest)
	for range (i - linear) / perDecade {
		width *= 10
	}
	n := int64(linear + (i-linear)%perDecade)
	return time.Duration(n * width), time.Duration((n + 1) * width)
}

// Snapshot is an immutable copy of a histogram. The zero value is empty.
type Snapshot struct {
	Count   uint64
	Sum     time.Duration
	buckets []bucket // those that are not empty, ascending
}

type bucket struct {
	index int
	count uint64
}

// Quantile is the middle of the bucket with the duration that a share q of all
// do not exceed; beyond 1000 s it is that bound. It is 0 if there are none.
func (s Snapshot) Quantile(q float64) time.Duration {
	if s.Count == 0 {
		return 0
	}
	rank := uint64(1)
	if q >= 1 {
		rank = s.Count
	} else if q > 0 {
		rank = min(max(uint64(math.Ceil(q*float64(s.Count))), 1), s.Count)
	}
	i := 0
	for seen := s.buckets[i].count; seen < rank; seen += s.buckets[i].count {
		i++
	}
	lower, upper := bounds(s.buckets[i].index)
	if s.buckets[i].index == beyond {
		return lower
	}
	return lower + (upper-lower)/2
}

// All yields the buckets that are not empty, ascending: the upper bound, which
// belongs to the bucket, and the number of durations in it. The last bucket's
// bound is the longest duration that there is.
func (s Snapshot) All() iter.Seq2[time.Duration, uint64] {
	return func(yield func(time.Duration, uint64) bool) {
		for _, b := range s.buckets {
			if _, upper := bounds(b.index); !yield(upper, b.count) {
				return
			}
		}
	}
}
