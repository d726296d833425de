package wasm

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/getters/wasm/fuel"
)

// loadAnything loads what may be no module at all, asks it for two keys if it
// can be loaded, and closes it. It reports whether it was loaded.
func loadAnything(tb testing.TB, module []byte) bool {
	tb.Helper()
	const limit = 50 * time.Millisecond
	p, err := Load(tb.Context(), module, Options{
		Timeout: limit, MaxMemoryBytes: 1 << 20, Instances: 1, AllowFetch: somewhere, StoreBytes: 1 << 10,
	})
	require.Equal(tb, err == nil, p != nil, "a plugin or an error: %v", err)
	if err != nil {
		return false
	}
	for range 2 {
		begin := time.Now()
		_, err := p.GetItem(tb.Context(), "echo:key")
		require.Less(tb, time.Since(begin), limit+patience, "%v", err)
		var e *gcnode.Error
		require.True(tb, err == nil || errors.As(err, &e) && e.Kind != gcnode.KindInternal, "%v", err)
	}
	require.NoError(tb, p.Close(tb.Context()))
	require.Zero(tb, p.Stats().Instances.Live)
	return true
}

// realProbe is the module of an SDK.
func realProbe(tb testing.TB, language string) []byte {
	tb.Helper()
	module, err := os.ReadFile(filepath.Join("wasmtest", "testdata", language+".wasm"))
	require.NoError(tb, err)
	return module
}

func TestTruncatedModules(t *testing.T) {
	t.Parallel()
	small, probe := puppet(), realProbe(t, "c")
	for n := range small {
		require.False(t, loadAnything(t, small[:n]), "%d bytes of %d", n, len(small))
	}
	for n := 0; n < len(probe); n += 101 {
		require.False(t, loadAnything(t, probe[:n]), "%d bytes of %d", n, len(probe))
	}
}

func TestRandomModules(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	header := puppet()[:8]
	for n := range 2_000 {
		module := slices.Clone(header)
		for range n {
			module = append(module, byte(random.Uint32()))
		}
		require.False(t, loadAnything(t, module))
	}
}

// Bytes of good modules are changed, at some places. Most of what comes out is
// refused, and some of it runs.
func TestMutatedModules(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6))
	loaded, refused := 0, 0
	mutate := func(module []byte, times int) {
		for range times {
			mutant := slices.Clone(module)
			for range 1 + random.IntN(3) {
				mutant[random.IntN(len(mutant))] = byte(random.Uint32())
			}
			if loadAnything(t, mutant) {
				loaded++
			} else {
				refused++
			}
		}
	}
	a, f := newHostile()
	mutate(a.getter(hostile(f.respond, forever()...)...).bytes(), 500)
	mutate(minimal().bytes(), 500)
	mutate(realProbe(t, "assemblyscript"), 10)
	assert.NotZero(t, loaded)
	assert.NotZero(t, refused)
}

// Modules that want to reach the counter of the fuel are refused before any of
// their code runs.
func TestNoModuleGetsMoreFuel(t *testing.T) {
	t.Parallel()
	const globalSet, globals = 0x24, 6
	for name, c := range map[string]struct {
		module []byte
		want   string
	}{
		"the tick is called": {func() []byte {
			a, f := newHostile()
			tick := a.importFunction(fuel.TickModule, fuel.TickName, nil, []valueType{i64})
			return a.getter(hostile(f.respond, forever(append(call(tick), opDrop)...)...)...).bytes()
		}(), `no module "gcnode_fuel"`},
		"the counter is set": {func() []byte {
			a, f := newHostile()
			return a.getter(hostile(f.respond, forever(append(constI64(1<<40), globalSet, 0)...)...)...).bytes()
		}(), "global 0 out of range"},
		"a helper is called": {func() []byte {
			a, f := newHostile()
			return a.getter(hostile(f.respond, forever(call(uint32(len(a.imports))+2)...)...)...).bytes()
		}(), "out of range"},
		"the counter is exported": {func() []byte {
			a := minimal()
			a.others = append(a.others, asmExport{"fuel", externGlobal, 0})
			return a.bytes()
		}(), "global 0 out of range"},
		"a second section of globals": {func() []byte {
			section := appendSection(nil, globals, []byte{1, i64, 1, 0x42, 0, opEnd})
			return bytes.Replace(minimal().bytes(), appendSection(nil, sectionMemory, []byte{1, 0, 1}),
				slices.Concat(appendSection(nil, sectionMemory, []byte{1, 0, 1}), section, section), 1)
		}(), "section 6 is repeated or out of order"},
	} {
		_, err := Load(t.Context(), c.module, Options{})
		require.ErrorContains(t, err, c.want, name)
	}
}

// A program that overwrites its own runtime ends in one way or another, and the
// next one is not affected.
func TestGoGuestThatCorruptsItsMemory(t *testing.T) {
	t.Parallel()
	p := loadVerbs(t, Options{Instances: 1, Timeout: 10 * time.Second})
	for i, from := range []string{"0", "1024", "65536", "1048576"} {
		_, err := p.GetItem(t.Context(), "corrupt:"+from)
		var e *gcnode.Error
		require.ErrorAs(t, err, &e)
		assert.Contains(t, []gcnode.Kind{gcnode.KindPermanent, gcnode.KindTimeout}, e.Kind, "%v", err)
		assert.Equal(t, "fine", get(t, p, "echo:fine"))
		assert.EqualValues(t, 2+i, p.Stats().Instances.Created)
	}
}
