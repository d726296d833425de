package sim

import (
	"bytes"
	"flag"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/e2e/history"
)

var (
	seedFlag  = flag.Uint64("sim.seed", 0, "run this seed alone and print what happens")
	seedsFlag = flag.Int("sim.seeds", 300, "how many seeds to run")
	timeFlag  = flag.Duration("sim.time", 4*time.Minute, "how long to run at most")
)

// optionsOf is what a seed makes of everything that may happen.
func optionsOf(seed uint64) Options {
	opts := Options{
		Seed: seed, Nodes: 2 + int(seed%5), Keys: 1 + int(seed/5%3), Ops: 80,
		Faults: seed%2 == 0, Crashes: seed%3 != 0, Lists: seed%4 < 2, Clears: seed%3 == 1, Sets: seed%5 != 2, HotAfter: 1 + int(seed%2),
	}
	if seed%16 == 15 {
		opts.Nodes = maxNodes
	}
	if seed%7 == 6 {
		opts.TTL = 2 * time.Second
	}
	return opts
}

// runSeed makes the history of a seed.
func runSeed(t *testing.T, opts Options, trace func(string, ...any)) (h *history.History, met Met) {
	t.Helper()
	synctest.Test(t, func(*testing.T) { h, met = run(opts, trace) })
	return h, met
}

func TestSimulation(t *testing.T) {
	if *seedFlag != 0 {
		h, met := runSeed(t, optionsOf(*seedFlag), func(format string, args ...any) { fmt.Printf(format+"\n", args...) })
		var b bytes.Buffer
		require.NoError(t, h.Write(&b))
		fmt.Print(b.String())
		t.Logf("%+v", met)
		report := history.Check(h)
		t.Log(report)
		require.Empty(t, report.Violations)
		return
	}
	var total Met
	judged, unjudged := map[string]int{}, map[string]int{}
	seeds := 0
	for begun := time.Now(); seeds < *seedsFlag && time.Since(begun) < *timeFlag; {
		seeds++
		opts := optionsOf(uint64(seeds))
		h, met := runSeed(t, opts, nil)
		total.Add(met)
		report := history.Check(h)
		for _, v := range report.Violations {
			t.Errorf("seed %d: %v", seeds, v)
		}
		for rule, n := range report.Judged {
			judged[rule] += n
		}
		for why, n := range report.Unjudged {
			unjudged[why] += n
		}
		if t.Failed() {
			t.Fatalf("see it with: go test ./sim -run TestSimulation -sim.seed=%d", seeds)
		}
	}
	t.Logf("%d seeds met %+v; judged %v; not judged %v", seeds, total, judged, unjudged)
}

func TestASeedReplaysByteForByte(t *testing.T) {
	for seed := range uint64(20) {
		var runs [2]bytes.Buffer
		for i := range runs {
			h, _ := runSeed(t, optionsOf(seed+1), nil)
			require.NoError(t, h.Write(&runs[i]))
		}
		require.Equal(t, runs[0].String(), runs[1].String(), "seed %d", seed+1)
	}
}
