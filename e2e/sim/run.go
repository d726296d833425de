package sim

import (
	"bytes"
	"time"

	"github.com/gcnode/gcnode/e2e/history"
)

// keepLogs keeps what the nodes log, for a run that is to be looked at.
var keepLogs = false //nolint:gochecknoglobals // a flag of the tests

// Result is what came of a run.
type Result struct {
	Seed    uint64
	History *history.History
	Report  *history.Report
	Counts  Counts
	// Err is what the simulation itself could not do.
	Err error
	// Log is what the nodes have logged, if that was asked for.
	Log []string
}

// Failed reports whether a promise was broken.
func (r *Result) Failed() bool { return len(r.Report.Violations) > 0 }

// Lines is the history as text.
func (r *Result) Lines() []byte {
	var b bytes.Buffer
	if err := r.History.Write(&b); err != nil {
		return []byte(err.Error())
	}
	return b.Bytes()
}

// Run runs a seed. It must be called in a bubble of testing/synctest.
func Run(seed uint64) *Result { return runPlan(seed, func(*plan) {}) }

// runPlan runs a seed whose plan is changed.
func runPlan(seed uint64, change func(p *plan)) *Result {
	p := newPlan(seed)
	change(p)
	p.run()
	return p.conclude()
}

// conclude ends all members and judges the history.
func (w *world) conclude() *Result {
	h := w.rec.History()
	w.tally(h)
	for _, id := range w.everyone {
		if l := w.alive(id); l != nil {
			w.bury(l)
		}
	}
	for w.step(w.now() + time.Hour) {
	}
	w.timer.Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	return &Result{Seed: w.seed, History: h, Report: history.Check(h), Counts: w.counts, Err: w.err, Log: w.log}
}
