package bench_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/bench/contestant"
	"github.com/gcnode/gcnode/bench/policy"
	"github.com/gcnode/gcnode/bench/trace"
)

// tracesVariable names a directory of recorded traces.
const tracesVariable = "TRACES"

// ratioValueBytes makes the smallest of the caches larger than the smallest
// one there is.
const ratioValueBytes = 496

// traces are the recorded ones, if there are any, and the synthetic ones.
func traces(b *testing.B) []*trace.Trace {
	all := trace.Synthetic()
	dir := os.Getenv(tracesVariable)
	if testing.Short() {
		for _, t := range all {
			t.Requests = t.Requests[:len(t.Requests)/20]
		}
		return all
	}
	if dir == "" {
		return all
	}
	recorded, err := trace.ReadDir(dir)
	require.NoError(b, err)
	return append(recorded, all...)
}

// capacities are the sizes of the caches for a trace, in entries. Those of an
// unknown one follow from the number of its keys.
func capacities(t *trace.Trace) []int {
	switch t.Name {
	case "oltp":
		return []int{500, 1_000, 2_000, 5_000, 15_000}
	case "loop":
		return []int{128, 256, 512, 768, 1_000}
	case "multi1":
		return []int{200, 500, 1_000, 1_500, 2_000}
	case "scarab":
		return []int{1_000, 5_000, 10_000, 25_000, 100_000}
	case "web07":
		return []int{200, 500, 1_000, 2_000, 4_000}
	case "zipf0.8", "zipf0.99", "zipf1.1":
		return []int{500, 1_000, 2_000, 5_000, 20_000}
	case "loop-mix":
		return []int{1_000, 3_000, 5_000, 8_000, 20_000}
	default:
		d := t.Distinct
		return []int{d / 100, d / 50, d / 20, d / 10, d / 4}
	}
}

// BenchmarkRatio replays traces through caches of the same number of entries.
// Their sizes are equal, so the bytes of keys and values are equal, too.
// Caches that are limited by bytes get the limit at which they hold that many;
// they take no part where they have none. Those that are plain LRU are left
// to the simulation.
func BenchmarkRatio(b *testing.B) {
	limits := newLimits()
	for _, t := range traces(b) {
		keys := keysOf(t.Requests)
		for _, n := range capacities(t) {
			for _, c := range contestant.All() {
				if c.Limit == contestant.Nothing || c.LRU || c.Coarse || c.Front {
					continue
				}
				origin := contestant.NewSameValue(ratioValueBytes)
				o := contestant.Options{Origin: origin, Entries: n, EntryBytes: keyBytes + ratioValueBytes, InStep: true}
				var ok bool
				if o.MaxBytes, ok = limits.get(c, o); !ok {
					continue
				}
				b.Run(fmt.Sprintf("trace=%s/capacity=%d/impl=%s", t.Name, n, c.Name), func(b *testing.B) {
					for b.Loop() {
						cache, err := c.New(o)
						require.NoError(b, err)
						before := origin.Loads()
						for _, key := range keys {
							cache.Load(key)
						}
						loads := origin.Loads() - before
						measures{
							"entries": float64(cache.Len()),
							"hit%":    100 - 100*float64(loads)/float64(len(keys)),
						}.report(b)
						cache.Close()
					}
				})
			}
		}
	}
}

// BenchmarkPolicy replays the same traces through simulated policies, and
// computes the optimum.
func BenchmarkPolicy(b *testing.B) {
	for _, t := range traces(b) {
		for _, n := range capacities(t) {
			run := func(name string, hits func() int) {
				b.Run(fmt.Sprintf("trace=%s/capacity=%d/impl=%s", t.Name, n, name), func(b *testing.B) {
					for b.Loop() {
						measures{"hit%": 100 * float64(hits()) / float64(len(t.Requests))}.report(b)
					}
				})
			}
			run("optimum", func() int { return policy.BeladyHits(n, t.Requests) })
			for _, p := range policy.References() {
				run(p.Name, func() int { return policy.Hits(p.New(n), t.Requests) })
			}
		}
	}
}

// limits remembers what calibration has found.
type limits map[string]int64

func newLimits() limits { return limits{} }

// get returns the limit in bytes for as many entries as o asks for; 0 for
// those that count entries. ok is false if there is none.
func (l limits) get(c contestant.Contestant, o contestant.Options) (maxBytes int64, ok bool) {
	if c.Limit != contestant.Bytes {
		return 0, true
	}
	id := fmt.Sprintf("%s %d", c.Name, o.Entries)
	if known, ok := l[id]; ok {
		return known, known > 0
	}
	keys := keysOf(trace.Zipf(0.8, 8*o.Entries, 8*o.Entries))
	found, err := contestant.Calibrate(c, o, keys)
	if err != nil {
		found = 0
	}
	l[id] = found
	return found, found > 0
}
