package conformance

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/getters/wasm"
)

// GetterOptions say how a getter is run, and what it can be asked for.
type GetterOptions struct {
	// Wasm is as for a node. The cache is one of the suite's own.
	Wasm wasm.Options
	// Keys are some that it has values for; none are needed. The origins that
	// it fetches them from have to be there.
	Keys []string
}

// Getter is the suite for a getter of any kind. Whoever calls it has to Close
// it.
func Getter(module []byte, opts GetterOptions) (*Suite, error) {
	host, err := newHost(module)
	if err != nil {
		return nil, fmt.Errorf("getter: %w", err)
	}
	g := &getter{host: host, opts: opts}
	checks := []Check{
		{"Loads", g.loads},
		{"KeysOfAnyBytes", g.anyBytes},
		{"ManyCallers", g.manyCallers},
		{"Batch", g.batch},
		{"CallersThatGiveUp", g.giveUp},
		{"MemoryStaysFlat", g.memory},
	}
	if len(opts.Keys) > 0 {
		checks = slices.Insert(checks, 1, Check{"KeysHaveValues", g.values})
	}
	return &Suite{host: host, checks: checks}, nil
}

// getter has the checks of a getter.
type getter struct {
	*host

	opts GetterOptions
}

// load starts the getter with a number of instances, and sees at the end that
// none had to be discarded, but for the reasons that are allowed.
func (g *getter) load(t T, instances int, allowed func(wasm.DiscardStats) wasm.DiscardStats) *wasm.Plugin {
	t.Helper()
	opts := g.opts.Wasm
	opts.CacheDir, opts.Instances = g.cache, instances
	p := closed(t)(wasm.Load(t.Context(), g.module, opts))
	t.Cleanup(func() {
		assert.Empty(t, reasons(allowed(p.Stats().Instances.Discarded)), "instances were discarded")
	})
	return p
}

// reasons are why instances were discarded, and how many.
func reasons(d wasm.DiscardStats) map[string]uint64 {
	found := map[string]uint64{
		"trap": d.Trap, "exit": d.Exit, "timeout": d.Timeout, "canceled": d.Canceled,
		"contract": d.Contract, "memory": d.Memory, "failed": d.Failed,
	}
	maps.DeleteFunc(found, func(_ string, n uint64) bool { return n == 0 })
	return found
}

func nothing(d wasm.DiscardStats) wasm.DiscardStats { return d }

// keys are those that are known and those that must do no harm.
func (g *getter) keys() []string {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	return append(slices.Clone(g.opts.Keys),
		"", "a", " ", "a+b", "a/b//c", ".", "..", "../..", "%2F", "%", "%s%n", "?x=y&z", "#", "\x00", "nul\x00nul", "a\r\nb: c",
		"not utf-8 \xff\xfe", "ends \xc3", "über", "\u202e", string(all), strings.Repeat("k", gcnode.MaxKeyBytes))
}

func (g *getter) loads(t T) {
	d, err := wasm.Describe(g.module)
	require.NoError(t, err)
	require.NoError(t, d.Contract)
	if g.opts.Wasm.Interruption == wasm.InterruptByFuel {
		require.NoError(t, d.Fuel)
	}
	g.load(t, 1, nothing)
}

func (g *getter) values(t T) {
	p := g.load(t, 1, nothing)
	for _, key := range g.opts.Keys {
		for range 2 {
			_, err := p.GetItem(t.Context(), key)
			require.NoError(t, err, "%.100q", key)
		}
	}
}

// anyBytes asks for keys that getters tend to stumble on. An error is as good
// an answer as a value.
func (g *getter) anyBytes(t T) {
	p := g.load(t, 1, nothing)
	for _, key := range g.keys() {
		before := p.Stats().Instances.Discarded
		_, err := p.GetItem(t.Context(), key)
		assert.Equal(t, before, p.Stats().Instances.Discarded, "the key %.100q ended its instance: %v", key, err)
		inTime(t, key, err)
	}
}

// inTime reports that an answer took too long.
func inTime(t T, key string, err error) {
	t.Helper()
	assert.NotErrorIs(t, err, gcnode.ErrTimeout, "%.100q", key)
}

func (g *getter) manyCallers(t T) {
	p := g.load(t, 2, nothing)
	keys := g.keys()
	var callers sync.WaitGroup
	for range 16 {
		callers.Go(func() {
			for _, key := range keys {
				_, err := p.GetItem(t.Context(), key)
				inTime(t, key, err)
			}
		})
	}
	callers.Wait()
}

// batch asks for all keys at once, each of which has to be answered once, and
// as it is alone.
func (g *getter) batch(t T) {
	p := g.load(t, 1, nothing)
	keys := g.keys()
	want := make([]string, len(keys))
	for i, key := range keys {
		item, err := p.GetItem(t.Context(), key)
		want[i] = answer(item, err)
	}
	got := make([]string, len(keys))
	times := make([]int, len(keys))
	err := p.GetItems(t.Context(), keys, func(i int, item gcnode.Item[gcnode.Value], err error) {
		got[i] = answer(item, err)
		times[i]++
	})
	require.NoError(t, err)
	for i, key := range keys {
		assert.Equal(t, 1, times[i], "how often %.100q is answered", key)
		assert.Equal(t, want[i], got[i], "%.100q is answered otherwise in a batch", key)
	}
}

// answer is whether there is a value, or which kind of error there is: values
// may change from one moment to the next.
func answer(_ gcnode.Item[gcnode.Value], err error) string {
	if err == nil {
		return "a value"
	}
	return gcnode.KindOf(err).String()
}

// giveUp has callers that do not wait. An instance that computes for one of
// them, or starts for one, may be discarded, but the next caller is answered.
func (g *getter) giveUp(t T) {
	p := g.load(t, 1, func(d wasm.DiscardStats) wasm.DiscardStats {
		d.Canceled, d.Timeout, d.Failed = 0, 0, 0
		return d
	})
	keys := g.keys()
	for i, key := range keys {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*50*time.Microsecond)
		_, _ = p.GetItem(ctx, key) // whatever becomes of it
		cancel()
	}
	for _, key := range keys {
		_, err := p.GetItem(t.Context(), key)
		inTime(t, key, err)
	}
}

// memory asks again and again: what one call leaves behind adds up.
func (g *getter) memory(t T) {
	const calls, most = 5000, 8 << 20
	p := g.load(t, 1, nothing)
	keys := g.keys()
	end := time.Now().Add(20 * time.Second) // for slow origins
	var early int64
	for i := 0; i < calls && time.Now().Before(end) && t.Context().Err() == nil; i++ {
		_, _ = p.GetItem(t.Context(), keys[i%len(keys)]) // whatever it answers
		if i == calls/5 {
			early = p.Stats().Instances.MemoryBytes
		}
	}
	if early > 0 {
		assert.LessOrEqual(t, p.Stats().Instances.MemoryBytes, early+most, "the memory of the instance grows, in bytes")
	}
}
