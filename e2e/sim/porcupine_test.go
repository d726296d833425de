package sim

import (
	"math"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/e2e/history"
)

// access is what porcupine knows of an operation on one key.
type access struct {
	write bool
	set   string // the value of a Set
	start int64
}

// seen is what a read has returned.
type seen struct {
	text string
	load bool
	// Of the load:
	version int
	begin   int64
}

// linearizable is a cache of one key in which every operation happens at one
// moment: a read returns the value that is there. If none is, it loads one,
// which is kept, or not because a write has overtaken it; and versions of the
// origin never go back.
var linearizable = porcupine.NondeterministicModel{
	Init: func() []any { return []any{cached{}} },
	Step: func(state, input, output any) []any {
		in, was := input.(access), state.(cached)
		if in.write {
			return []any{cached{in.set, was.version}}
		}
		got := output.(seen)
		switch {
		case !got.load && got.text == was.text:
			return []any{was}
		case !got.load || got.version < was.version:
			return nil
		case was.text == "":
			return []any{cached{"", got.version}, cached{strconv.Itoa(got.version), got.version}}
		case was.text == strconv.Itoa(got.version):
			return []any{was}
		default:
			return nil
		}
	},
}

// cached is what a cache has: the text of a Set or the version of a load, or
// nothing, and the last version that was read.
type cached struct {
	text    string
	version int
}

// regular is what one read may return, beside all writes: the value of the
// last write, or of a load that began after it was called. Its state is the
// last write.
var regular = porcupine.Model{
	Init: func() any { return access{start: math.MinInt64} },
	Step: func(state, input, output any) (bool, any) {
		in, last := input.(access), state.(access)
		if in.write {
			return true, in
		}
		got := output.(seen)
		return got.text == last.set || got.load && got.begin >= last.start, last
	},
}

// accesses are the operations of a history on one key: its writes and its
// reads. One that has not ended with nil may take effect at any time later.
func accesses(t *testing.T, h *history.History, key string) (writes, reads []porcupine.Operation) {
	t.Helper()
	for i := range h.Ops {
		op := &h.Ops[i]
		o := porcupine.Operation{ClientId: op.ID, Call: op.Start, Return: op.End}
		switch op.Kind {
		case history.Get, history.GetMany:
			for _, a := range op.Answers {
				if a.Key != key || a.Error != "" {
					continue
				}
				v, err := history.ParseValue(a.Value)
				require.NoError(t, err)
				o.Input, o.Output, o.Return = access{}, seen{a.Value, v.Load != "", v.Version, v.Begin}, a.End
				reads = append(reads, o)
			}
			continue
		case history.Set, history.Remove:
			if op.Keys[0] != key && !slices.Contains(op.Keys, key) {
				continue
			}
		case history.Clear:
		}
		if op.Error == history.Refused {
			continue
		}
		if op.End == 0 || op.Error != "" {
			o.Return = math.MaxInt64
		}
		o.Input = access{write: true, set: op.Value, start: op.Start}
		writes = append(writes, o)
	}
	return writes, reads
}

func runChanged(t *testing.T, seed uint64, change func(p *plan)) *Result {
	t.Helper()
	require.NoError(t, Rings.Prepare(seed))
	var r *Result
	synctest.Test(t, func(*testing.T) { r = runPlan(seed, change) })
	require.NoError(t, r.Err)
	return r
}

// check wants operations to have an order that the model allows.
func check(t *testing.T, m porcupine.Model, ops []porcupine.Operation, what string) bool {
	t.Helper()
	return assert.NotEqual(t, porcupine.Illegal, porcupine.CheckOperationsTimeout(m, ops, 10*time.Second), what)
}

// A read that waits with another one for the answer of another member gets
// what that was asked before, so reads are apart here.
func TestWithoutCopiesAndFaultsEveryKeyIsLinearizable(t *testing.T) {
	total := 0
	for seed := range uint64(ordered) {
		r := runChanged(t, seed, func(p *plan) {
			p.trouble &= slowOrigin
			p.options.HotAfter, p.config.HedgeAfter = math.MaxInt32, 0
			p.origin.keep, p.origin.nothing, p.forEver = 0, 0, true
			p.wait = 2 * time.Second // until all have joined: the owner of a Set must
			p.apart = true
		})
		assert.Empty(t, r.Report.Violations)
		for _, key := range []string{"k0", "k1", "k2"} {
			writes, reads := accesses(t, r.History, key)
			total += len(reads)
			if !check(t, linearizable.ToModel(), slices.Concat(writes, reads), r.History.Name+" "+key) {
				t.Logf("%s", r.Lines())
				return
			}
		}
	}
	assert.Greater(t, total, 20*ordered)
}

func TestEveryKeyIsARegularRegister(t *testing.T) {
	total := 0
	for seed := range uint64(ordered) {
		r := runChanged(t, seed, func(p *plan) {
			p.trouble &= lossy | partitioned | jumping | slowOrigin | oneMessage | ackPause
		})
		for _, key := range []string{"k0", "k1", "k2"} {
			writes, reads := accesses(t, r.History, key)
			total += len(reads)
			for _, read := range reads {
				if !check(t, regular, append(slices.Clone(writes), read), r.History.Name+" "+key) {
					t.Logf("%s", r.Lines())
					return
				}
			}
		}
	}
	assert.Greater(t, total, 20*ordered)
}
