package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/config"
	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/getters/wasm"
)

// maxSamples bounds how many calls of one caller the percentiles are of: a
// random choice of them all.
const maxSamples = 200_000

// benchCommand measures a module.
type benchCommand struct {
	module
	grants

	Keys     []string      `arg:"" name:"key" help:"The keys, asked for in turn; put -- before one that begins with a dash."`
	Duration time.Duration `default:"3s" help:"How long to ask (default: ${default})."`
	Callers  int           `default:"1" help:"How many ask at the same time (default: ${default})."`
	JSON     bool          `name:"json" help:"Print the figures as JSON."`
}

// Help implements [kong.HelpProvider].
func (*benchCommand) Help() string {
	return `Nothing is cached: the module answers every call. The allocations are those of the
node for one call; memory is that of all instances. Ctrl-C ends it early, and the
figures are told.

Examples:
  gcnode plugin bench users.wasm ann bob --allow-fetch http://127.0.0.1:9000
  gcnode plugin bench --callers 64 --duration 10s . ann`
}

// speed is what was measured.
type speed struct {
	Calls           uint64  `json:"calls"`
	Errors          uint64  `json:"errors"`
	NotFound        uint64  `json:"not_found"`
	Seconds         float64 `json:"seconds"`
	PerSecond       float64 `json:"calls_per_second"`
	P50             float64 `json:"p50_seconds"`
	P99             float64 `json:"p99_seconds"`
	Allocations     float64 `json:"allocations_per_call"`
	AllocatedBytes  float64 `json:"allocated_bytes_per_call"`
	Interruption    string  `json:"interruption"` // fuel or engine
	Fuel            float64 `json:"fuel_per_call"`
	MemoryBefore    int64   `json:"memory_bytes_before"`
	MemoryAfter     int64   `json:"memory_bytes_after"`
	Instances       int     `json:"instances"`
	Discarded       uint64  `json:"instances_discarded"`
	FirstError      string  `json:"first_error,omitempty"`
	FetchesPerCall  float64 `json:"fetches_per_call"`
	LogLinesDropped uint64  `json:"log_lines_dropped"`
}

// Run implements the command.
func (c *benchCommand) Run(ctx context.Context, console *console) error {
	if c.Duration <= 0 {
		return usageError("--duration: %v must be more than nothing, such as 3s", c.Duration)
	}
	if c.Callers < 1 || c.Callers > 10_000 {
		return usageError("--callers: %d must be from 1 to 10000", c.Callers)
	}
	return c.load(ctx, &c.grants, console, 0, func(ctx context.Context, p *wasm.Plugin) error {
		s := c.measure(ctx, p)
		var err error
		if c.JSON {
			err = writeJSON(console.out, s)
		} else {
			err = s.write(console.out)
		}
		switch {
		case err != nil:
			return err
		case s.Calls == 0:
			return errors.New("no call ended in time: give it more --duration")
		case s.Errors > 0:
			return fmt.Errorf("%d of %d calls failed, the first one with: %s", s.Errors, s.Calls, s.FirstError)
		}
		return nil
	})
}

// callerResult is what one caller saw.
type callerResult struct {
	calls, errors, notFound uint64
	first                   error
	samples                 []time.Duration
}

// measure asks for the keys until the time is over.
func (c *benchCommand) measure(ctx context.Context, p *wasm.Plugin) *speed {
	for _, key := range c.Keys {
		_, _ = p.GetItem(ctx, key) // what is wrong is told of the calls that count
	}
	results := make([]callerResult, c.Callers)
	for i := range results {
		results[i].samples = make([]time.Duration, 0, maxSamples/c.Callers+1)
	}
	runtime.GC()
	var memory, memoryAfter runtime.MemStats
	runtime.ReadMemStats(&memory)
	before, begun := p.Stats(), time.Now()
	end := begun.Add(c.Duration)
	var callers sync.WaitGroup
	for i := range results {
		callers.Go(func() { results[i].ask(ctx, p, c.Keys, i, end) })
	}
	callers.Wait()
	took, after := time.Since(begun), p.Stats()
	runtime.ReadMemStats(&memoryAfter)

	s := &speed{Seconds: took.Seconds()}
	var samples []time.Duration
	for _, r := range results {
		s.Calls += r.calls
		s.Errors += r.errors
		s.NotFound += r.notFound
		samples = append(samples, r.samples...)
		if s.FirstError == "" && r.first != nil {
			s.FirstError = r.first.Error()
		}
	}
	if s.Calls == 0 {
		return s
	}
	slices.Sort(samples)
	calls := float64(s.Calls)
	s.PerSecond = calls / s.Seconds
	s.P50 = samples[len(samples)/2].Seconds()
	s.P99 = samples[len(samples)*99/100].Seconds()
	s.Allocations = float64(memoryAfter.Mallocs-memory.Mallocs) / calls
	s.AllocatedBytes = float64(memoryAfter.TotalAlloc-memory.TotalAlloc) / calls
	s.Interruption = after.Interruption.String()
	s.Fuel = float64(after.Fuel-before.Fuel) / calls
	s.FetchesPerCall = float64(after.Fetches.Started-before.Fetches.Started) / calls
	s.MemoryBefore, s.MemoryAfter = before.Instances.MemoryBytes, after.Instances.MemoryBytes
	s.Instances = after.Instances.Live
	s.Discarded = discarded(after.Instances.Discarded) - discarded(before.Instances.Discarded)
	s.LogLinesDropped = after.LogLinesDropped - before.LogLinesDropped
	return s
}

// ask asks for one key after the other, until the end, or until a signal comes,
// which interrupts a call that does not count.
func (r *callerResult) ask(ctx context.Context, p *wasm.Plugin, keys []string, from int, end time.Time) {
	for n := from; ctx.Err() == nil; n++ {
		begun := time.Now()
		if !begun.Before(end) {
			return
		}
		_, err := p.GetItem(ctx, keys[n%len(keys)])
		took := time.Since(begun)
		if ctx.Err() != nil {
			return
		}
		r.calls++
		switch {
		case err == nil:
		case gcnode.KindOf(err) == gcnode.KindNotFound:
			r.notFound++
		default:
			r.errors++
			if r.first == nil {
				r.first = err
			}
		}
		if len(r.samples) < cap(r.samples) {
			r.samples = append(r.samples, took)
		} else if i := rand.Uint64N(r.calls); i < uint64(len(r.samples)) {
			r.samples[i] = took
		}
	}
}

func discarded(d wasm.DiscardStats) uint64 {
	return d.Trap + d.Exit + d.Timeout + d.Canceled + d.Contract + d.Memory + d.Worn + d.Failed
}

// write prints it for people.
func (s *speed) write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) { _, _ = fmt.Fprintf(t, name+"\t"+format+"\n", args...) }
	line("calls", "%d in %v, of which %d not found and %d failed", s.Calls, rounded(s.Seconds), s.NotFound, s.Errors)
	line("calls/s", "%.0f", s.PerSecond)
	line("p50", "%v", rounded(s.P50))
	line("p99", "%v", rounded(s.P99))
	line("allocations", "%.1f and %s a call, of the node", s.Allocations, config.FormatSize(int64(s.AllocatedBytes)))
	line("fuel", "%s", fuelShown(s.Interruption, "%.0f a call", s.Fuel))
	line("fetches", "%.2f a call", s.FetchesPerCall)
	line("memory", "%s before, %s after, of %d instances", config.FormatSize(s.MemoryBefore), config.FormatSize(s.MemoryAfter), s.Instances)
	line("discarded", "%d instances", s.Discarded)
	return t.Flush()
}
