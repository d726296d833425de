package sim

import (
	"bytes"
	"flag"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	oneSeed   = flag.Int64("sim.seed", -1, "run this seed alone and print its history")
	seeds     = flag.Uint64("sim.seeds", 100, "how many seeds to run")
	firstSeed = flag.Uint64("sim.first", 0, "the first seed")
	stopEarly = flag.Bool("sim.stop", false, "stop at the first seed that fails")
	atMost    = flag.Duration("sim.time", 0, "stop after this time; 0: never")
)

// runSeed runs a seed in a bubble of its own.
func runSeed(t *testing.T, seed uint64) *Result {
	t.Helper()
	require.NoError(t, Rings.Prepare(seed))
	var r *Result
	synctest.Test(t, func(*testing.T) { r = Run(seed) })
	require.NoError(t, r.Err)
	return r
}

// met is what each run of many seeds must have met.
var met = []string{
	"drops", "silent drops", "duplicates", "long delays", "messages held", "acks paused", "lists changed mid-call",
	"crashes", "crashes mid-call", "restarts", "joins", "goodbyes", "list changes", "clock jumps",
	"partitions", "one-way partitions", "broken links", "slow loads", "failed loads",
	"get", "getmany", "set", "remove", "clear", "hits", "hot hits", "peeks", "peeks with an answer", "inherited", "failovers",
	"revalidated", "hedges", "gaps", "remove broadcasts", "finish broadcasts", "report broadcasts", "removals crossing loads", "writes that some did not confirm",
}

func TestSimulation(t *testing.T) {
	if *oneSeed >= 0 {
		keepLogs = true
		r := runSeed(t, uint64(*oneSeed))
		fmt.Printf("%s", r.Lines())
		for _, line := range r.Log {
			fmt.Println(line)
		}
		fmt.Printf("%v%v", r.Counts, r.Report)
		assert.Empty(t, r.Report.Violations)
		return
	}
	begun := time.Now()
	var next, ran atomic.Uint64
	var mu sync.Mutex
	counts, judged, unjudged := Counts{}, Counts{}, Counts{}
	failed := 0
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for n := next.Add(1) - 1; n < *seeds && (*atMost == 0 || time.Since(begun) < *atMost) && (!*stopEarly || !t.Failed()); n = next.Add(1) - 1 {
				r := runSeed(t, *firstSeed+n)
				ran.Add(1)
				mu.Lock()
				counts.Add(r.Counts)
				judged.Add(r.Report.Judged)
				unjudged.Add(r.Report.Unjudged)
				if r.Failed() {
					if failed++; failed <= 10 {
						t.Errorf("%s breaks a promise; go test ./e2e/sim -run TestSimulation -sim.seed=%d prints its history\n%v", r.History.Name, r.Seed, r.Report.Violations[0])
					}
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	took := time.Since(begun)
	fmt.Printf("%d seeds from %d in %v, %.0f each second; %d failed\nmet:\n%vjudged:\n%vnot judged:\n%v",
		ran.Load(), *firstSeed, took.Round(time.Millisecond), float64(ran.Load())/took.Seconds(), failed, counts, judged, unjudged)
	if ran.Load() >= 300 && !*stopEarly {
		for _, what := range met {
			assert.NotZero(t, counts[what], "no run has met: %s", what)
		}
	}
}

func TestTheSameSeedGivesTheSameHistory(t *testing.T) {
	keepLogs = true
	defer func() { keepLogs = false }()
	var next atomic.Uint64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for seed := next.Add(1) - 1; seed < replayed; seed = next.Add(1) - 1 {
				first, second := runSeed(t, seed), runSeed(t, seed)
				if bytes.Equal(first.Lines(), second.Lines()) {
					continue
				}
				t.Errorf("%s: the histories differ", first.History.Name)
				logDifference(t, "histories", strings.Split(string(first.Lines()), "\n"), strings.Split(string(second.Lines()), "\n"))
				logDifference(t, "logs", first.Log, second.Log)
			}
		})
	}
	workers.Wait()
}

// logDifference shows where two texts begin to differ.
func logDifference(t *testing.T, what string, first, second []string) {
	t.Helper()
	for i, line := range first {
		if i >= len(second) || line != second[i] {
			t.Logf("the %s differ in line %d:\n%s\n\n%s", what, i, around(first, i), around(second, i))
			return
		}
	}
}

// around are the lines around one of them, which is marked.
func around(lines []string, i int) string {
	var b strings.Builder
	for j := max(0, i-8); j < min(i+3, len(lines)); j++ {
		mark := ' '
		if j == i {
			mark = '>'
		}
		fmt.Fprintf(&b, "%c %s\n", mark, lines[j])
	}
	return b.String()
}
