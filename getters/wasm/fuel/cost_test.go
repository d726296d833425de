package fuel_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/getters/wasm/fuel"
)

// units runs the export f and returns the fuel it spends: a tick that grants
// one unit at a time is called once for each.
func units(t *testing.T, module wasm, args ...uint64) int {
	t.Helper()
	ticks := 0
	r := newRuntime(t, func() int64 { ticks++; return 1 })
	m := instantiate(t, r, inject(t, module.bytes(), fuel.Options{}))
	ticks = 0
	_, err := within(t, m, "f", args...)
	require.NoError(t, err)
	return ticks
}

// TestCost pins the cost model of the package documentation.
func TestCost(t *testing.T) {
	const nop = 0x01
	turns := func(n int64, inner ...any) []byte {
		return bodyWithLocals([][]byte{{1, i32}}, i32Const, s64(n), localSet, 0,
			loop, empty, cat(inner...), localGet, 0, i32Const, 1, i32Sub, localTee, 0, brIf, 0, end)
	}
	fill := func(n int64) []byte {
		return cat(i32Const, 0, i32Const, 0, i32Const, s64(n), misc, 11, 0)
	}
	grow := func(n int64) []byte { return cat(i32Const, s64(n), memoryGrow, 0, drop) }
	for _, c := range []struct {
		what  string
		code  []byte
		units int
	}{
		{"entry", body(), 1},
		{"63 instructions", body(bytes.Repeat([]byte{nop}, 62)), 1},
		{"64 instructions", body(bytes.Repeat([]byte{nop}, 63)), 2},
		{"6400 instructions", body(bytes.Repeat([]byte{nop}, 6399)), 101},
		{"10 turns", turns(10), 1 + 10},
		{"10 turns of over 640 instructions", turns(10, bytes.Repeat([]byte{nop}, 640)), 1 + 10*11},
		{"10 turns of 5 turns", bodyWithLocals([][]byte{{2, i32}}, i32Const, 10, localSet, 0,
			loop, empty, i32Const, 5, localSet, 1,
			loop, empty, localGet, 1, i32Const, 1, i32Sub, localTee, 1, brIf, 0, end,
			localGet, 0, i32Const, 1, i32Sub, localTee, 0, brIf, 0, end), 1 + 10 + 50},
		{"fill nothing", body(fill(0)), 1 + 1},
		{"fill a mebibyte", body(fill(1 << 20)), 1 + 1 + 1<<12},
		{"grow by a page", body(grow(1)), 1 + 1 + 256},
		{"fail to grow", body(grow(1 << 16)), 1 + 1},
		{"fill a table", body(i32Const, 0, refNull, funcref, i32Const, 10, misc, 17, 0), 1 + 1},
		{"grow a table", body(refNull, funcref, i32Const, s64(320), misc, 15, 0, drop), 1 + 1 + 10},
	} {
		t.Run(c.what, func(t *testing.T) {
			require.Equal(t, c.units, units(t, procedure(c.code)))
		})
	}
}

// TestReport counts what the module contains.
func TestReport(t *testing.T) {
	module := procedure(body(loop, empty, loop, empty, end, end, call, 1))
	module.functions = [][]byte{u32(0), u32(0)}
	module.codes = append(module.codes, body(i32Const, 0, i32Const, 0, i32Const, 0, misc, 11, 0))
	in := module.bytes()
	out, report, err := fuel.Inject(in, fuel.Options{})
	require.NoError(t, err)
	require.Equal(t, fuel.Report{
		Functions: 2, CountedFunctions: 1, Loops: 2, BulkInstructions: 1,
		InputBytes: len(in), OutputBytes: len(out),
	}, report)
}
