package fuel_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/getters/wasm/fuel"
)

// repeated is n times the same element of a section.
func repeated(n int, element ...byte) [][]byte { return slices.Repeat([][]byte{element}, n) }

// An engine makes some hundred bytes of what takes a few in a module.
func TestModulesOfManySmallThingsAreRefused(t *testing.T) {
	t.Parallel()
	const most = 1000
	names := func(n int) []byte {
		list := u32(uint32(n))
		for range n {
			list = append(list, 0, 0)
		}
		return list
	}
	for what, module := range map[string]func(n int) wasm{
		"types":   func(n int) wasm { return wasm{types: repeated(n, signature(nil, nil)...)} },
		"imports": func(n int) wasm { return wasm{imports: repeated(n, cat(name(""), name(""), 3, i32, 0)...)} },
		"functions": func(n int) wasm {
			return wasm{types: repeated(1, signature(nil, nil)...), functions: repeated(n-1, 0), codes: repeated(n-1, body()...)}
		},
		"tables":  func(n int) wasm { return wasm{tables: repeated(n, funcref, 0, 0)} },
		"globals": func(n int) wasm { return wasm{globals: repeated(n, i32, 0, i32Const, 0, end)} },
		"exports": func(n int) wasm {
			return wasm{memories: repeated(1, 0, 0), exports: repeated(n, cat(name("m"), 2, 0)...)}
		},
		"element segments": func(n int) wasm { return wasm{elements: repeated(n, 1, 0, 0)} },
		"elements": func(n int) wasm {
			return wasm{elements: repeated(1, cat(5, funcref, u32(uint32(n-1)), bytes.Repeat([]byte{refNull, funcref, end}, n-1))...)}
		},
		"data segments": func(n int) wasm { return wasm{data: repeated(n, 1, 0)} },
		"function names": func(n int) wasm {
			w := procedure(body())
			w.custom = [][]byte{cat(name("name"), section(1, names(n-5)))}
			return w
		},
		"names of locals": func(n int) wasm {
			w := procedure(body())
			w.custom = [][]byte{cat(name("name"), section(2, cat(1, 0, names(n-6))))}
			return w
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			_, _, err := fuel.Inject(module(most).bytes(), fuel.Options{MaxEntries: most})
			require.NoError(t, err)
			_, _, err = fuel.Inject(module(most+1).bytes(), fuel.Options{MaxEntries: most})
			require.ErrorIs(t, err, fuel.ErrRefused)
			require.ErrorContains(t, err, "more than 1000 types, imports,")
			require.ErrorContains(t, err, "in all")
		})
	}
	_, _, err := fuel.Inject(wasm{data: repeated(fuel.DefaultMaxEntries+1, 1, 0)}.bytes(), fuel.Options{})
	require.ErrorIs(t, err, fuel.ErrRefused)
}

// Each of these functions has fewer locals than one may have, in a few bytes.
func TestLocalsOfManyFunctionsAreRefused(t *testing.T) {
	t.Parallel()
	module := func(functions int) []byte {
		w := procedure(body())
		w.functions = repeated(functions, 0)
		w.codes = repeated(functions, bodyWithLocals([][]byte{cat(u32(1<<15), i32)})...)
		return w.bytes()
	}
	const fitting = fuel.DefaultMaxLocals >> 15
	_, _, err := fuel.Inject(module(fitting), fuel.Options{})
	require.NoError(t, err)
	_, _, err = fuel.Inject(module(fitting+1), fuel.Options{})
	require.ErrorIs(t, err, fuel.ErrRefused)
	require.ErrorContains(t, err, "the functions have more than 4194304 locals")
}

// The names of functions stand in stack traces, up to thirty times in one.
func TestLongNamesAreCut(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ü", 1<<20)
	module := procedure(body(unreachable))
	module.custom = [][]byte{cat(name("name"), section(0, name(long)), section(1, cat(1, 0, name("x"+long))))}
	out := inject(t, module.bytes(), fuel.Options{})
	assert.Less(t, len(out), 2000)
	m := instantiate(t, newRuntime(t, func() int64 { return 1_000 }), out)
	_, err := m.ExportedFunction("f").Call(t.Context())
	require.ErrorContains(t, err, ".x"+long[:254]+"()", "cut at the border of a character")
}

// What is small can take minutes to compile: engines are quadratic in how much a
// function branches.
func TestModulesThatTakeLongToCompileAreRefused(t *testing.T) {
	t.Parallel()
	refused := func(t *testing.T, module wasm, most uint64) {
		t.Helper()
		_, _, err := fuel.Inject(module.bytes(), fuel.Options{MaxCompileCost: most})
		require.NoError(t, err)
		_, _, err = fuel.Inject(module.bytes(), fuel.Options{MaxCompileCost: most - 1})
		require.ErrorIs(t, err, fuel.ErrRefused)
		require.ErrorContains(t, err, "function 0 the module takes too long to compile: split functions that have many branches")
	}
	for what, c := range map[string]struct {
		unit []byte
		cost uint64 // of 1000 of them
	}{
		"loops":          {[]byte{loop, empty, end}, 12_000 * 12_000},
		"ifs":            {[]byte{i32Const, 0, ifelse, empty, end}, 4_000 * 4_000},
		"branches":       {[]byte{i32Const, 0, brIf, 0}, 4_000 * 4_000},
		"blocks":         {[]byte{block, empty, end}, 1_000 * 1_000},
		"indirect calls": {[]byte{i32Const, 0, callIndirect, 0, 0}, 1_000 * 1_000},
		"tables":         {[]byte{block, empty, i32Const, 0, 0x0e, 2, 0, 0, 0, end}, 3_000 * 3_000},
		"fills":          {[]byte{i32Const, 0, i32Const, 0, i32Const, 0, misc, 11, 0}, 1_000 << 17},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			refused(t, procedure(body(bytes.Repeat(c.unit, 1_000))), c.cost)
			times := 1 << 17
			_, _, err := fuel.Inject(procedure(body(bytes.Repeat(c.unit, times))).bytes(), fuel.Options{})
			require.ErrorIs(t, err, fuel.ErrRefused, "by default")
		})
	}
	const functions, loops = 10, 100
	several := procedure(body())
	several.functions = repeated(functions, 0)
	several.codes = repeated(functions, body(bytes.Repeat([]byte{loop, empty, end}, loops))...)
	_, _, err := fuel.Inject(several.bytes(), fuel.Options{MaxCompileCost: functions * (12 * loops) * (12 * loops)})
	require.NoError(t, err)
	_, _, err = fuel.Inject(several.bytes(), fuel.Options{MaxCompileCost: functions*(12*loops)*(12*loops) - 1})
	require.ErrorIs(t, err, fuel.ErrRefused, "it is the sum of all functions")
}
