package histogram

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// longest is the last bound but that of the bucket beyond.
const longest = 1000 * time.Second

// near reports whether got is within the promised error of want.
func near(got, want time.Duration) bool {
	return math.Abs(float64(got-want)) <= max(float64(want)/20, float64(finest/2))
}

func TestBucketsTouchAndBoundsBelongBelow(t *testing.T) {
	var last time.Duration
	for i := range beyond + 1 {
		lower, upper := bounds(i)
		if lower != last || upper <= lower {
			t.Fatalf("bucket %d is from %v to %v; the one below ends at %v", i, lower, upper, last)
		}
		if i >= linear && i < beyond && upper-lower > lower/10 {
			t.Errorf("bucket %d from %v to %v is too wide", i, lower, upper)
		}
		for _, d := range []time.Duration{lower + 1, lower + (upper-lower)/2, upper} {
			if got := index(d); got != i {
				t.Errorf("%d ns is in bucket %d, not in %d", d, got, i)
			}
		}
		last = upper
	}
	if lower, _ := bounds(beyond); lower != longest || last != math.MaxInt64 {
		t.Errorf("the bucket beyond is from %v to %v", lower, last)
	}
	if index(0) != 0 {
		t.Errorf("0 is in bucket %d", index(0))
	}
}

func TestNumbersOfTwoDigitsAreBounds(t *testing.T) {
	for power := time.Microsecond; power <= longest; power *= 10 {
		for n := range int64(100) {
			d := time.Duration(n * int64(power) / 10)
			if _, upper := bounds(index(d)); d > 0 && d <= longest && upper != d {
				t.Errorf("%v is no bound, but below %v", d, upper)
			}
		}
	}
}

func TestQuantilesAreWithinTheErrorOfASortedSample(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, draw := range map[string]func() time.Duration{
		"uniform": func() time.Duration { return time.Duration(random.Int64N(int64(time.Second))) },
		"lognormal": func() time.Duration {
			return time.Duration(math.Exp(random.NormFloat64()*2) * float64(time.Millisecond))
		},
		"two peaks": func() time.Duration {
			if random.IntN(200) == 0 {
				return 2*time.Second + time.Duration(random.IntN(1000))
			}
			return 300*time.Microsecond + time.Duration(random.IntN(50_000))
		},
		"the same": func() time.Duration { return 1001 * time.Microsecond },
		"tiny":     func() time.Duration { return time.Duration(random.IntN(2000)) },
	} {
		for _, n := range []int{1, 2, 10, 999, 100_000} {
			var h Histogram
			var sum time.Duration
			sample := make([]time.Duration, n)
			for i := range sample {
				sample[i] = draw()
				sum += sample[i]
				h.Record(sample[i])
			}
			slices.Sort(sample)
			s := h.Snapshot()
			if s.Count != uint64(n) || s.Sum != sum {
				t.Errorf("%s: %d durations, %v in all; want %d, %v", name, s.Count, s.Sum, n, sum)
			}
			for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999, 1} {
				want := sample[max(int(math.Ceil(q*float64(n)))-1, 0)]
				if got := s.Quantile(q); !near(got, want) {
					t.Errorf("%s: the quantile %v of %d is %v; want %v", name, q, n, got, want)
				}
			}
		}
	}
}

func TestTheEndsOfTheScale(t *testing.T) {
	var h Histogram
	if s := h.Snapshot(); s.Count != 0 || s.Sum != 0 || s.Quantile(0.5) != 0 {
		t.Errorf("an empty one: %+v", s)
	}
	h.Record(-time.Hour)
	if s := h.Snapshot(); s.Count != 1 || s.Sum != 0 || s.Quantile(1) != finest/2 {
		t.Errorf("a negative duration: %+v", s)
	}
	h.Record(longest + 1)
	h.Record(24 * time.Hour)
	s := h.Snapshot()
	for q, want := range map[float64]time.Duration{
		-1: finest / 2, 0: finest / 2, 1.0 / 3: finest / 2, 0.34: longest, 1: longest, 2: longest,
		math.Inf(-1): finest / 2, math.Inf(1): longest, math.NaN(): finest / 2,
	} {
		if got := s.Quantile(q); got != want {
			t.Errorf("the quantile %v is %v; want %v", q, got, want)
		}
	}
}

func TestAllYieldsWhatIsNotEmpty(t *testing.T) {
	var h Histogram
	for _, d := range []time.Duration{250 * time.Millisecond, time.Microsecond, 250 * time.Millisecond, time.Hour, 251 * time.Millisecond} {
		h.Record(d)
	}
	type bucket struct {
		upper time.Duration
		count uint64
	}
	var got []bucket
	for upper, count := range h.Snapshot().All() {
		got = append(got, bucket{upper, count})
	}
	want := []bucket{{time.Microsecond, 1}, {250 * time.Millisecond, 2}, {260 * time.Millisecond, 1}, {math.MaxInt64, 1}}
	if !slices.Equal(got, want) {
		t.Errorf("buckets %v; want %v", got, want)
	}
	for upper := range h.Snapshot().All() {
		if upper != time.Microsecond {
			t.Errorf("it went on to %v", upper)
		}
		break
	}
}

func TestHammerRecord(t *testing.T) {
	const goroutines, each = 8, 200_000
	var h Histogram
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for i := range each {
				h.Record(time.Duration(i) * time.Microsecond)
				if i%10_000 == 0 {
					if s := h.Snapshot(); s.Count > goroutines*each {
						t.Errorf("%d durations", s.Count)
					}
				}
			}
		})
	}
	wg.Wait()
	if s := h.Snapshot(); s.Count != goroutines*each || s.Sum != goroutines*each*(each-1)/2*time.Microsecond {
		t.Errorf("%d durations, %v in all", s.Count, s.Sum)
	}
}

func TestRecordAllocatesNothing(t *testing.T) {
	var h Histogram
	if n := testing.AllocsPerRun(1000, func() { h.Record(time.Second) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRecord(b *testing.B) {
	for name, d := range map[string]time.Duration{"1us": time.Microsecond, "1ms": time.Millisecond, "10s": 10 * time.Second} {
		b.Run("time="+name, func(b *testing.B) {
			b.ReportAllocs()
			var h Histogram
			for b.Loop() {
				h.Record(d)
			}
		})
	}
}

func BenchmarkRecordParallel(b *testing.B) {
	b.ReportAllocs()
	var h Histogram
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			h.Record(time.Millisecond)
		}
	})
}
