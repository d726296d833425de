package wasm

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What is measured counts for as much as there was, also of calls that come in turns.
func TestMeasuredCallsCountForTheOthers(t *testing.T) {
	t.Parallel()
	w := newStopwatch()
	const calls = 400_000
	for _, long := range []int{-1, 1} { // the turn of long calls
		var counted [timedOneOf]int64
		for i := range calls {
			turn := i % timedOneOf
			w.long = turn == long
			weight := w.weight()
			if w.long {
				require.EqualValues(t, 1, weight)
			}
			counted[turn] += weight
		}
		for turn, n := range counted {
			assert.InEpsilon(t, calls/timedOneOf, n, 0.05, "turn %d", turn)
		}
	}
}

// Instances that are used for a few calls only are measured as often as others.
func TestCallsOfShortLivedInstancesAreMeasured(t *testing.T) {
	t.Parallel()
	const instances, calls = 100_000, 4
	counted := int64(0)
	for range instances {
		w := newStopwatch()
		for range calls {
			counted += w.weight()
		}
	}
	assert.InEpsilon(t, instances*calls, counted, 0.05)
}

func TestTimeOfCallsWithoutATick(t *testing.T) {
	t.Parallel()
	p := loadModule(t, echoExtism().bytes(), Options{Instances: 1})
	before, begun := p.Stats().Times.Guest, time.Now()
	for range 2000 {
		get(t, p, "key")
	}
	took, counted := time.Since(begun), p.Stats().Times.Guest-before
	assert.Positive(t, counted)
	assert.Less(t, counted, timedOneOf*took)
}

// A call that uses up its fuel is measured, whatever the dice say.
func TestTimeOfEveryLongCallIsCounted(t *testing.T) {
	t.Parallel()
	a := newAssembler()
	everyCallIsCounted(t, loadModule(t, slowGetter(a, a.abi("respond")).bytes(), Options{Instances: 1, FuelSlice: 5000}))
}

// What a module waits when it is instantiated is not taken off the time of its first call.
func TestStartFunctionThatSleeps(t *testing.T) {
	t.Parallel()
	a := newAssembler()
	respond, poll := a.abi("respond"), a.abi("poll_oneoff")
	slowGetter(a, respond)
	const opI64Store, timeout = 0x37, 24
	a.start = int(a.function("", nil, nil, slices.Concat(
		constI32(timeout), constI64(int64(100*time.Millisecond)), []byte{opI64Store, 0, 0},
		constI32(0), constI32(1024), constI32(1), constI32(2048), call(poll), []byte{opDrop})...))
	everyCallIsCounted(t, loadModule(t, a.bytes(), Options{Instances: 1, FuelSlice: 5000}))
}

// slowGetter is a module that counts down from 10,000 for every key.
func slowGetter(a *assembler, respond uint32) *assembler {
	const opLocalSet, opLocalTee, opSubtract, opBrIf = 0x21, 0x22, 0x6b, 0x0d
	countDown := slices.Concat(constI32(10_000), []byte{opLocalSet, 1, opLoop, opVoid},
		localGet(1), constI32(1), []byte{opSubtract, opLocalTee, 1, opBrIf, 0, opEnd})
	return a.getter(slices.Concat(countDown, respondWith(respond, statusOK, ttlDefault, 0, 0))...)
}

// Without fuel there is nothing that would tell a long call.
func TestTimeOfEveryCallIsCountedWithoutFuel(t *testing.T) {
	t.Parallel()
	everyCallIsCounted(t, loadWithoutFuel(t, Options{Instances: 1}, endless))
}

func everyCallIsCounted(t *testing.T, p *Plugin) {
	t.Helper()
	for range 40 {
		before := p.Stats().Times.Guest
		get(t, p, goodKey)
		require.Positive(t, p.Stats().Times.Guest-before)
	}
}
