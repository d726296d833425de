package bench_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/bench/remote"
)

// childVariable has the job of a process that was started for one measurement.
const childVariable = "GCNODE_BENCH_JOB"

// job is one measurement, which needs a process of its own: what other
// contestants leave behind would be in the way.
type job struct {
	Impl    string
	Entries int   // for a measurement of entries
	Limit   int64 // for a measurement of the heap against a limit
	Fetch   fetch // for a measurement of fetches
}

// measures are what a job has measured, by unit.
type measures map[string]float64

// TestMain runs the tests, or else the job that the process was started for.
func TestMain(m *testing.M) {
	remote.Main()
	text, ok := os.LookupEnv(childVariable)
	if !ok {
		os.Exit(m.Run())
	}
	if err := runJob(text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func runJob(text string) error {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return err
	}
	measure := measureEntries
	switch {
	case j.Fetch.Period > 0:
		measure = measureFetch
	case j.Limit > 0:
		measure = measureLimit
	}
	result, err := measure(j)
	if err != nil {
		return fmt.Errorf("%+v: %w", j, err)
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// inChild runs the job in a process of its own.
func inChild(tb testing.TB, j job) measures {
	text, err := json.Marshal(j)
	require.NoError(tb, err)
	program, err := os.Executable()
	require.NoError(tb, err)
	child := exec.CommandContext(tb.Context(), program)
	child.Env = append(os.Environ(), childVariable+"="+string(text))
	child.Stderr = os.Stderr
	out, err := child.Output()
	require.NoError(tb, err)
	var result measures
	require.NoError(tb, json.Unmarshal(out, &result))
	return result
}

// report has the benchmark report what was measured, and not the time that
// measuring took.
func (m measures) report(b *testing.B) {
	for unit, v := range m {
		b.ReportMetric(v, unit)
	}
	b.ReportMetric(0, "ns/op")
}
