package wasm

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/getters/wasm/fuel"
)

// withoutFuel makes a module one that cannot be given fuel.
func (a *assembler) withoutFuel() *assembler {
	a.entries = fuel.DefaultMaxTableEntries + 1
	return a
}

// loadWithoutFuel loads a module that answers goodKey, and runs code for other keys.
func loadWithoutFuel(t *testing.T, opts Options, code func(a *assembler, f *hostileImports) []byte) *Plugin {
	t.Helper()
	a, f := newHostile()
	opts.Interruption = InterruptByEngine
	a.getter()
	a.functions[1].code = hostile(f.respond, code(a, f)...)
	p := loadModule(t, a.withoutFuel().bytes(), opts)
	require.Equal(t, InterruptByEngine, p.Stats().Interruption)
	return p
}

func endless(*assembler, *hostileImports) []byte { return forever() }

func TestModuleThatCannotBeGivenFuelIsRefused(t *testing.T) {
	t.Parallel()
	large := minimal().withoutFuel().bytes()
	edited := func(code ...byte) []byte {
		a := minimal()
		a.functions[1].code = code
		return a.bytes()
	}
	const advice = "Interruption, interruption: engine in a node's configuration"
	for name, c := range map[string]struct {
		module []byte
		opts   Options
		want   string
		advice bool
	}{
		"too large":               {large, Options{}, "tables start with 131073 entries", true},
		"of unknown features":     {edited(0x08, 0), Options{}, "exceptions are not supported", false},
		"unknown to engines":      {edited(0x08, 0), Options{Interruption: InterruptByEngine}, "compile the module", false},
		"malformed":               {edited(call(99)...), Options{}, "malformed module: function 99 out of range", false},
		"malformed, engine":       {edited(call(99)...), Options{Interruption: InterruptByEngine}, "malformed module: function 99 out of range", false},
		"with a bound on fuel":    {large, Options{Interruption: InterruptByEngine, MaxFuel: 1}, "(MaxFuel, max_fuel in a node's configuration), and the module cannot be given any: leave that out", false},
		"with an unknown setting": {large, Options{Interruption: 2}, "option Interruption is 2: it must be InterruptByFuel or InterruptByEngine", false},
	} {
		_, err := Load(t.Context(), c.module, c.opts)
		require.ErrorContains(t, err, c.want, name)
		if c.advice {
			require.ErrorContains(t, err, advice, name)
		} else {
			require.NotContains(t, err.Error(), advice, name)
		}
	}
	d, err := Describe(large)
	require.NoError(t, err)
	require.ErrorContains(t, d.Fuel, advice)
	require.ErrorIs(t, d.Fuel, fuel.ErrLimit)
}

// The choice costs nothing where it is not needed.
func TestModuleThatCanBeGivenFuelHasItWhateverIsChosen(t *testing.T) {
	t.Parallel()
	a, f := newHostile()
	p := loadModule(t, a.getter(hostile(f.respond, forever()...)...).bytes(), Options{
		Interruption: InterruptByEngine, FuelSlice: 1, MaxFuel: 1000,
	})
	assert.Equal(t, InterruptByFuel, p.Stats().Interruption)
	get(t, p, goodKey)
	getError(t, p, "endless", gcnode.KindPermanent)
	assert.NotZero(t, p.Stats().Fuel)
	assert.Equal(t, DiscardStats{Fuel: 1}, p.Stats().Instances.Discarded)
}

// branching is a recursion that has no loop and does not end in the life of anybody.
func branching(a *assembler, depth int32) []byte {
	itself := a.defined() + uint32(len(a.functions))
	deeper := slices.Concat(localGet(0), constI32(-1), []byte{opAdd}, call(itself))
	a.function("", []valueType{i32}, nil, slices.Concat(localGet(0), []byte{opIf, opVoid}, deeper, deeper, []byte{opEnd})...)
	return slices.Concat(constI32(depth), call(itself), []byte{opUnreachable})
}

// TestEngineInterruptsHostileGuests has another plugin work in the meantime.
func TestEngineInterruptsHostileGuests(t *testing.T) {
	const timeout = 500 * time.Millisecond
	other := loadModule(t, minimal().bytes(), Options{})
	for name, c := range map[string]struct {
		code func(a *assembler, f *hostileImports) []byte
		kind gcnode.Kind
		want string
	}{
		"endless loop": {endless, gcnode.KindTimeout, "the deadline has passed"},
		"endless loop of host calls": {func(_ *assembler, f *hostileImports) []byte {
			return forever(slices.Concat(call(f.nowMillis), []byte{opDrop})...)
		}, gcnode.KindTimeout, "the deadline has passed"},
		"recursion that branches": {func(a *assembler, _ *hostileImports) []byte {
			return branching(a, 100)
		}, gcnode.KindTimeout, "the deadline has passed"},
		"recursion that branches far down": {func(a *assembler, _ *hostileImports) []byte {
			return branching(a, fuel.DefaultMaxCallDepth-2)
		}, gcnode.KindTimeout, "the deadline has passed"},
		"endless recursion": {func(a *assembler, _ *hostileImports) []byte {
			return slices.Concat(localGet(0), localGet(1), call(a.defined()+1)) // gcnode_get itself
		}, gcnode.KindPermanent, "its calls nest too deep"},
		"endless loop of fills": {func(*assembler, *hostileImports) []byte {
			return forever(slices.Concat(constI32(0), constI32(1), constI32(64*pageBytes), memoryFill)...)
		}, gcnode.KindTimeout, "the deadline has passed"},
	} {
		t.Run(name, func(t *testing.T) {
			opts := Options{Instances: 1, Timeout: timeout}
			if c.kind == gcnode.KindPermanent {
				opts.Timeout = patience // it ends by itself
			}
			p := loadWithoutFuel(t, opts, c.code)
			ctx, cancel := context.WithCancel(t.Context())
			answers := 0
			var wg sync.WaitGroup
			wg.Go(func() {
				for ; ctx.Err() == nil; answers++ {
					_, err := other.GetItem(t.Context(), "key")
					assert.NoError(t, err)
					time.Sleep(time.Millisecond)
				}
			})
			survive(t, p, timeout, c.kind, c.want)
			cancel()
			wg.Wait()
			assert.NotZero(t, answers)
			want := DiscardStats{Timeout: 1}
			if c.kind == gcnode.KindPermanent {
				want = DiscardStats{Trap: 1}
			}
			assert.Equal(t, want, p.Stats().Instances.Discarded)
		})
	}
}

func TestLastCallerThatLeavesEndsAGuestWithoutFuel(t *testing.T) {
	t.Parallel()
	p := loadWithoutFuel(t, Options{Timeout: time.Hour, Instances: 1}, endless)
	ctx, cancel := context.WithCancel(t.Context())
	done := getLater(ctx, p, "endless")
	require.Eventually(t, func() bool { s := p.Stats().Instances; return s.Live == 1 && s.Idle == 0 }, patience, time.Millisecond)
	cancel()
	err := (<-done).err
	wantKind(t, err, gcnode.KindTransient)
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, DiscardStats{Canceled: 1}, p.Stats().Instances.Discarded)
	get(t, p, goodKey)
}

// A caller that leaves as the guest returns leaves no instance behind that is closed.
func TestHammerCallersThatLeaveGuestsWithoutFuel(t *testing.T) {
	t.Parallel()
	p := loadWithoutFuel(t, Options{Instances: 1}, endless)
	for i := range 300 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*time.Microsecond)
		_, err := p.GetItem(ctx, goodKey)
		cancel()
		if err != nil {
			wantKind(t, err, gcnode.KindTimeout)
		}
		get(t, p, goodKey)
	}
	s := p.Stats().Instances.Discarded
	assert.Equal(t, DiscardStats{Timeout: s.Timeout}, s)
}

// The engine may close the instance right after it has looked for that the last time.
func TestCallThatReturnsAsItsTimeEndsIsInterrupted(t *testing.T) {
	t.Parallel()
	p := loadWithoutFuel(t, Options{}, endless)
	ctx, cancel := context.WithCancel(t.Context())
	in := &instance{plugin: p, deadline: p.newDeadline(ctx)}
	require.NoError(t, in.unlessInterrupted(ctx, nil))
	cancel()
	require.ErrorIs(t, in.unlessInterrupted(ctx, nil), context.Canceled)
	trap := errors.New("a trap of the guest")
	require.Equal(t, trap, in.unlessInterrupted(ctx, trap))
}

func TestCloseStopsAGuestWithoutFuel(t *testing.T) {
	t.Parallel()
	p := loadWithoutFuel(t, Options{Timeout: time.Hour, Instances: 1}, endless)
	done := getLater(t.Context(), p, "endless")
	require.Eventually(t, func() bool { s := p.Stats().Instances; return s.Live == 1 && s.Idle == 0 }, patience, time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, p.Close(ctx), context.Canceled)
	wantKind(t, (<-done).err, gcnode.KindDraining)
}

func TestEngineInterruptsTheStartOfAnInstance(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(a *assembler){
		"start function": func(a *assembler) { a.start = int(a.function("", nil, nil, forever()...)) },
		"_initialize":    func(a *assembler) { a.function(exportInit, nil, nil, forever()...) },
		"recursion": func(a *assembler) {
			code := branching(a, 100)
			a.start = int(a.function("", nil, nil, code...))
		},
	} {
		a := minimal()
		begin(a)
		_, err := Load(t.Context(), a.withoutFuel().bytes(), Options{Interruption: InterruptByEngine, Timeout: 50 * time.Millisecond})
		require.ErrorIs(t, err, gcnode.ErrTimeout, name)
	}
}

func TestMemoryOfAGuestWithoutFuelIsBounded(t *testing.T) {
	t.Parallel()
	a, f := newHostile()
	grow := slices.Concat(constI32(1000), []byte{opMemoryGrow, 0})
	resultGuest(a, f.respond, grow...)
	p := loadModule(t, a.withoutFuel().bytes(), Options{MaxMemoryBytes: 8 << 20, Interruption: InterruptByEngine})
	assert.Equal(t, "\xff\xff\xff\xff", get(t, p, "key"), "memory.grow says -1")
	assert.EqualValues(t, 64*pageBytes, p.Stats().Instances.MemoryBytes)
}

func TestEngineInterruptsExtismModules(t *testing.T) {
	t.Parallel()
	a, f := newExtism()
	hostileExtism(a, f, forever()...)
	module := a.withoutFuel().bytes()
	_, err := Load(t.Context(), module, Options{})
	require.ErrorContains(t, err, "interruption: engine in a node's configuration")
	p := loadModule(t, module, Options{Interruption: InterruptByEngine, Timeout: 200 * time.Millisecond, Instances: 1})
	assert.Equal(t, goodKey, get(t, p, goodKey))
	getError(t, p, "endless", gcnode.KindTimeout)
	assert.Equal(t, goodKey, get(t, p, goodKey))
	assert.Equal(t, DiscardStats{Timeout: 1}, p.Stats().Instances.Discarded)
}

// Requests that an exchange does not leave the time for begin again in the module
// that comes, however each of them is interrupted.
func TestExchangeOfHowAModuleIsInterrupted(t *testing.T) {
	t.Parallel()
	load := func(code []byte, without bool) *Plugin {
		a, f := newHostile()
		a.getter(hostile(f.respond, slices.Concat(code, respondWith(f.respond, statusOK, ttlDefault, 0, 0))...)...)
		if without {
			a.withoutFuel()
		}
		p, err := Load(t.Context(), a.bytes(), Options{Instances: 1, Timeout: patience, Interruption: InterruptByEngine})
		require.NoError(t, err)
		return p
	}
	for _, without := range []bool{true, false} {
		old := load(forever(), without)
		s := NewSwitch(old)
		done := make(chan error, 1)
		go func() {
			_, err := s.GetItem(t.Context(), "key")
			done <- err
		}()
		require.Eventually(t, func() bool { s := old.Stats().Instances; return s.Live == 1 && s.Idle == 0 }, patience, time.Millisecond)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		next := load(nil, !without)
		require.ErrorIs(t, s.Exchange(ctx, next), context.Canceled)
		require.NoError(t, <-done)
		assert.NotEqual(t, old.Stats().Interruption, next.Stats().Interruption)
		require.NoError(t, s.Close(t.Context()))
	}
}
