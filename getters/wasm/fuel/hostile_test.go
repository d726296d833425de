package fuel_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero/api"

	"github.com/gcnode/gcnode/getters/wasm/fuel"
)

// errStop is what the tick of these tests stops a guest with.
var errStop = errors.New("stopped by the tick")

// stopAfter returns a tick that grants the budget the given number of times.
func stopAfter(ticks int, budget int64) func() int64 {
	return func() int64 {
		if ticks--; ticks < 0 {
			panic(errStop)
		}
		return budget
	}
}

// within runs the call of an export and fails if it does not return. A guest
// that is not stopped cannot be interrupted, so the whole test would hang until
// its time is over; this says where.
func within(t *testing.T, m api.Module, what string, args ...uint64) ([]uint64, error) {
	t.Helper()
	hang := time.AfterFunc(time.Minute, func() { panic("guest was not stopped in " + t.Name()) })
	defer hang.Stop()
	return m.ExportedFunction(what).Call(context.WithoutCancel(t.Context()), args...)
}

// procedure is a module that exports f of type () -> (), with a memory of 256
// pages and two tables.
func procedure(code []byte) wasm {
	return wasm{
		types:     [][]byte{signature(nil, nil)},
		functions: [][]byte{u32(0)},
		tables:    [][]byte{{funcref, 0, 10}, {funcref, 0, 10}},
		memories:  [][]byte{cat(0, u32(256))},
		exports:   [][]byte{export("f", 0)},
		codes:     [][]byte{code},
	}
}

func TestEndlessGuestsAreStopped(t *testing.T) {
	const size = 1 << 24
	modules := map[string]wasm{
		"loop":       procedure(body(loop, empty, br, 0, end)),
		"inner loop": procedure(body(loop, empty, block, empty, br, 1, end, end)),
		"conditional loop": procedure(body(
			loop, empty, i32Const, 1, brIf, 0, end)),
		"table loop": procedure(body(
			loop, empty, i32Const, 0, 0x0e, 1, 0, 0, end)),
		"tail call":          procedure(body(returnCall, 0)),
		"indirect tail call": withSelfInTable(procedure(body(i32Const, 0, returnCallIndirect, 0, 0))),
		"memory.fill": procedure(body(loop, empty,
			i32Const, 0, i32Const, 0, i32Const, s64(size), misc, 11, 0, br, 0, end)),
		"memory.copy": procedure(body(loop, empty,
			i32Const, 0, i32Const, 0, i32Const, s64(size), misc, 10, 0, 0, br, 0, end)),
		"table.fill": procedure(body(loop, empty,
			i32Const, 0, refNull, funcref, i32Const, 10, misc, 17, 0, br, 0, end)),
		"table.copy": procedure(body(loop, empty,
			i32Const, 0, i32Const, 0, i32Const, 10, misc, 14, 0, 1, br, 0, end)),
		"memory.grow": procedure(body(loop, empty, i32Const, 0, memoryGrow, 0, drop, br, 0, end)),
	}
	for what, module := range modules {
		t.Run(what, func(t *testing.T) {
			r := newRuntime(t, stopAfter(100, 1_000))
			m := instantiate(t, r, inject(t, module.bytes(), fuel.Options{}))
			_, err := within(t, m, "f")
			require.ErrorIs(t, err, errStop)
		})
	}
}

// withSelfInTable puts function 0 into table 0.
func withSelfInTable(w wasm) wasm {
	w.elements = [][]byte{cat(0, i32Const, 0, end, 1, 0)}
	return w
}

// TestStartFunctionIsStopped covers code that runs before any export is called.
func TestStartFunctionIsStopped(t *testing.T) {
	module := procedure(body(loop, empty, br, 0, end))
	module.start = u32(0)
	r := newRuntime(t, stopAfter(100, 1_000))
	_, err := r.Instantiate(t.Context(), inject(t, module.bytes(), fuel.Options{}))
	require.ErrorIs(t, err, errStop)
}

func TestEndlessRecursionIsStopped(t *testing.T) {
	eight := make([]byte, 8)
	for i := range eight {
		eight[i] = i32
	}
	wide := procedure(body(localGet, 0, localGet, 0, localGet, 0, localGet, 0,
		localGet, 0, localGet, 0, localGet, 0, localGet, 0, returnCall, 0))
	wide.types = append(wide.types, signature(eight, nil))
	wide.functions = [][]byte{u32(1), u32(0)}
	wide.exports = [][]byte{export("f", 1)}
	wide.codes = append(wide.codes, body(i32Const, 0, i32Const, 0, i32Const, 0, i32Const, 0,
		i32Const, 0, i32Const, 0, i32Const, 0, i32Const, 0, call, 0))

	modules := map[string]wasm{
		"direct":   procedure(body(call, 0)),
		"indirect": withSelfInTable(procedure(body(i32Const, 0, callIndirect, 0, 0))),
		// A tail call with so many arguments leaves its frame behind.
		"wide tail call": wide,
	}
	for what, module := range modules {
		t.Run(what+"/depth", func(t *testing.T) {
			r := newRuntime(t, func() int64 { return 1 << 40 })
			m := instantiate(t, r, inject(t, module.bytes(), fuel.Options{}))
			before := heapBytes()
			f := m.ExportedFunction("f")
			_, err := f.Call(t.Context())
			require.ErrorContains(t, err, fuel.CallDepthTrap)
			require.Less(t, heapBytes()-before, int64(8<<20), "the stack of the guest is kept")
			runtime.KeepAlive(f)
		})
		t.Run(what+"/tick", func(t *testing.T) {
			r := newRuntime(t, stopAfter(10, 100))
			m := instantiate(t, r, inject(t, module.bytes(), fuel.Options{MaxCallDepth: 1 << 31}))
			_, err := within(t, m, "f")
			require.ErrorIs(t, err, errStop)
		})
	}
}

// heapBytes returns the bytes of reachable objects.
func heapBytes() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// TestDepthIsRestored calls functions that leave in every possible way, more
// often than the depth would allow if one of them did not restore it.
func TestDepthIsRestored(t *testing.T) {
	ways := map[string][]byte{
		"end":            body(call, 1),
		"return":         body(call, 1, ret),
		"nested return":  body(block, empty, call, 1, loop, empty, ret, end, end),
		"branch":         body(call, 1, br, 0),
		"nested branch":  body(block, empty, call, 1, br, 1, end),
		"conditional":    body(call, 1, i32Const, 1, brIf, 0),
		"branch table":   body(call, 1, block, empty, i32Const, 1, 0x0e, 1, 0, 1, end),
		"tail call":      body(call, 1, returnCall, 1),
		"return in dead": body(call, 1, ret, ret),
	}
	for what, code := range ways {
		t.Run(what, func(t *testing.T) {
			module := procedure(code)
			module.functions = [][]byte{u32(0), u32(0)}
			module.codes = append(module.codes, body())
			r := newRuntime(t, func() int64 { return 1_000 })
			m := instantiate(t, r, inject(t, module.bytes(), fuel.Options{MaxCallDepth: 3}))
			for range 100 {
				_, err := m.ExportedFunction("f").Call(t.Context())
				require.NoError(t, err)
			}
		})
	}
}

// TestBulkInstructionsAreChargedByLength counts how much a guest does for its
// fuel: an instruction that fills 16 MiB must not cost what a loop turn costs.
func TestBulkInstructionsAreChargedByLength(t *testing.T) {
	const size = 1 << 24
	module := procedure(body(loop, empty,
		globalGet, 0, i64Const, 1, i64Add, globalSet, 0,
		i32Const, 0, i32Const, 0, i32Const, s64(size), misc, 11, 0, br, 0, end))
	module.globals = [][]byte{{i64, 1, i64Const, 0, end}}
	module.exports = append(module.exports, cat(name("count"), 3, 0))
	const ticks, budget = 10, 1_000
	r := newRuntime(t, stopAfter(ticks, budget))
	m := instantiate(t, r, inject(t, module.bytes(), fuel.Options{}))
	_, err := within(t, m, "f")
	require.ErrorIs(t, err, errStop)
	filled := m.ExportedGlobal("count").Get() * size
	require.LessOrEqual(t, filled, uint64(ticks*budget*256+size))
}

// TestTablesCannotGrowBeyondTheCap covers the memory of the host that no page
// limit bounds.
func TestTablesCannotGrowBeyondTheCap(t *testing.T) {
	grow := func(table int) []byte {
		return cat(refNull, funcref, i32Const, s64(100), misc, 15, table, drop)
	}
	module := procedure(nil)
	module.types = [][]byte{signature(nil, []byte{i32})}
	module.codes = [][]byte{bodyWithLocals([][]byte{{1, i32}}, cat(
		i32Const, s64(200), localSet, 0,
		loop, empty, grow(0), grow(1),
		localGet, 0, i32Const, 1, i32Sub, localTee, 0, brIf, 0, end,
		misc, 16, 0, misc, 16, 1, i32Add))}
	run := func(module []byte) uint64 {
		m := instantiate(t, newRuntime(t, func() int64 { return 1_000 }), module)
		result, err := m.ExportedFunction("f").Call(t.Context())
		require.NoError(t, err)
		return result[0]
	}
	require.EqualValues(t, 40_020, run(module.bytes()))
	require.EqualValues(t, 820, run(inject(t, module.bytes(), fuel.Options{MaxTableEntries: 1_000})))
}
