package fuel_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/getters/wasm/fuel"
)

// callers are the function f, which adds what the function 1 returns for its
// parameter to what that returns for 9, ten times, and others beside it.
func callers(codes ...[]byte) wasm {
	w := procedure(nil)
	f := bodyWithLocals([][]byte{{2, i32}}, i32Const, 10, localSet, 2,
		loop, empty,
		localGet, 1, localGet, 0, i32Const, 3, call, 1, i32Const, 9, i32Const, 4, call, 1, i32Add, i32Add, localSet, 1,
		localGet, 2, i32Const, 1, i32Sub, localTee, 2, brIf, 0, end,
		localGet, 1, globalGet, 0, i32Add)
	w.types = [][]byte{signature([]byte{i32}, []byte{i32}), signature([]byte{i32, i32}, []byte{i32})}
	w.functions = [][]byte{u32(0)}
	w.codes = append([][]byte{f}, codes...)
	for range codes {
		w.functions = append(w.functions, u32(1))
	}
	w.globals = [][]byte{cat(i32, 1, i32Const, 0, end)}
	return w
}

// TestSmallFunctionsTakeThePlaceOfCalls compares what modules compute with what
// they do without fuel.
func TestSmallFunctionsTakeThePlaceOfCalls(t *testing.T) {
	const store, load = 0x36, 0x28
	negative := cat(localGet, 0, i32Const, s64(5), 0x48) // i32.lt_s
	for what, codes := range map[string][][]byte{
		"the order of parameters": {body(localGet, 0, localGet, 1, i32Sub)},
		"parameters that are set": {body(localGet, 0, localGet, 1, localSet, 0, localTee, 1, localGet, 0, i32Sub, localGet, 1, i32Add)},
		"locals begin with zero":  {bodyWithLocals([][]byte{{1, i32}}, localGet, 2, i32Const, 1, i32Add, localTee, 2)},
		"locals of all types": {bodyWithLocals([][]byte{{1, i64}, {1, 0x7d}, {1, 0x7c}},
			localGet, 0, 0xac, localGet, 2, i64Add, localTee, 2, 0xa7, // i64.extend_i32_s, i32.wrap_i64
			localGet, 3, 0xa8, i32Add, localGet, 4, 0xaa, i32Add, // i32.trunc_f32_s and _f64_s
			0x43, 0, 0, 0x80, 0x3f, localSet, 3, 0x44, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, localSet, 4)},
		"memory":                          {body(i32Const, 8, i32Const, 8, load, 2, 0, localGet, 0, i32Add, store, 2, 0, i32Const, 8, load, 2, 0)},
		"globals":                         {body(globalGet, 0, localGet, 0, i32Add, globalSet, 0, localGet, 1)},
		"a return":                        {body(localGet, 0, ret)},
		"a return with more on the stack": {body(localGet, 0, localGet, 1, ret)},
		"a return from a block":           {body(negative, ifelse, empty, block, empty, i32Const, 100, localGet, 0, ret, end, end, localGet, 1)},
		"a branch to the end":             {body(localGet, 1, negative, brIf, 0, localGet, 0, i32Add)},
		"two ways":                        {body(negative, ifelse, i32, localGet, 0, 0x05, localGet, 1, end)},
		"within each other": {
			body(localGet, 0, localGet, 1, call, 2, localGet, 1, localGet, 0, call, 2, i32Sub),
			body(localGet, 1, localGet, 0, call, 3, localGet, 0, i32Add),
			bodyWithLocals([][]byte{{1, i32}}, localGet, 2, localGet, 0, i32Add, localGet, 1, i32Sub, localTee, 2, ret),
		},
		"recursion": {body(localGet, 1, ifelse, i32, localGet, 0, i32Const, 2, i32Add, localGet, 1, i32Const, 1, i32Sub, call, 1, 0x05, localGet, 0, end)},
		"of each other": {
			body(localGet, 0, localGet, 1, i32Eqz, brIf, 0, localGet, 1, i32Const, 1, i32Sub, call, 2),
			body(localGet, 1, localGet, 0, i32Add, localGet, 1, call, 1),
		},
	} {
		t.Run(what, func(t *testing.T) {
			module := callers(codes...).bytes()
			kept := bytes.Clone(module)
			out, report, err := fuel.Inject(module, fuel.Options{})
			require.NoError(t, err)
			assert.Equal(t, kept, module, "the input is as it was")
			assert.GreaterOrEqual(t, report.InlinedCalls, 2)
			r := newRuntime(t, func() int64 { return 100 })
			plain, fuelled := instantiate(t, r, module), instantiate(t, r, out)
			for _, n := range []uint64{0, 1, 7, 1 << 20} {
				want, err := plain.ExportedFunction("f").Call(t.Context(), n)
				require.NoError(t, err)
				got, err := within(t, fuelled, "f", n)
				require.NoError(t, err)
				assert.Equal(t, want, got, "f(%d)", n)
			}
		})
	}
}

func TestOtherFunctionsAreCalled(t *testing.T) {
	answer := cat(i32Const, 0)
	for what, code := range map[string][]byte{
		"a loop":                   body(loop, empty, end, answer),
		"a bulk instruction":       body(i32Const, 0, i32Const, 0, i32Const, 0, misc, 11, 0, answer),
		"growing":                  body(i32Const, 0, memoryGrow, 0),
		"an indirect call":         body(localGet, 0, localGet, 1, i32Const, 0, callIndirect, 1, 0),
		"a tail call":              body(localGet, 0, localGet, 1, returnCall, 1),
		"a trap":                   body(unreachable),
		"many instructions":        body(bytes.Repeat(cat(0x01), 16), answer),
		"many bytes":               body(bytes.Repeat(cat(i64Const, s64(-1<<60), drop), 6), answer),
		"many locals":              bodyWithLocals([][]byte{{7, i32}}, answer),
		"very many locals":         bodyWithLocals([][]byte{cat(u32(50_000), i32)}, answer),
		"a local that is a vector": bodyWithLocals([][]byte{{1, v128}}, answer),
		"a reference":              bodyWithLocals([][]byte{{1, funcref}}, answer),
		"a vector":                 body(vector, 12, make([]byte, 16), drop, answer),
	} {
		t.Run(what, func(t *testing.T) {
			w := callers(code)
			w.tables = [][]byte{{funcref, 0, 1}}
			out, report, err := fuel.Inject(w.bytes(), fuel.Options{})
			require.NoError(t, err)
			assert.Zero(t, report.InlinedCalls)
			instantiate(t, newRuntime(t, func() int64 { return 100 }), out)
		})
	}
}

// What small functions consist of is paid for by who has them in the place of a call.
func TestCostOfSmallFunctions(t *testing.T) {
	w := procedure(body(bytes.Repeat(cat(call, 1), 60)))
	w.functions = append(w.functions, u32(0))
	w.codes = append(w.codes, body(bytes.Repeat(cat(0x01), 14)))
	require.Equal(t, 1+60*16/64, units(t, w))
}

// Code grows by a part of what it was, however often small functions are called.
func TestCodeDoesNotMultiply(t *testing.T) {
	for what, codes := range map[string][][]byte{
		"instructions": {
			body(bytes.Repeat(cat(call, 1), 100_000)),
			body(bytes.Repeat(cat(call, 2), 14)),
			body(bytes.Repeat(cat(i64Const, s64(1<<55), drop), 5)),
		},
		"parameters": {
			body(bytes.Repeat(cat(bytes.Repeat(cat(i32Const, 0), 7), call, 3), 100_000)),
			body(), body(), body(),
		},
	} {
		w := procedure(nil)
		w.types = append(w.types, signature(bytes.Repeat([]byte{i32}, 7), nil))
		w.functions = [][]byte{u32(0), u32(0), u32(0), u32(1)}
		w.codes = append(codes, body())[:4]
		in := w.bytes()
		out, report, err := fuel.Inject(in, fuel.Options{})
		require.NoError(t, err)
		assert.Positive(t, report.InlinedCalls)
		assert.Less(t, len(out), len(in)*5/4+2000, what)
	}
}

// One small function after the other has the same locals.
func TestLocalsAreUsedAgain(t *testing.T) {
	w := callers(body(localGet, 0, localGet, 1, call, 2), body(localGet, 0))
	w.codes[0] = body(localGet, 0, bytes.Repeat(cat(i32Const, 3, call, 1), 50))
	_, report, err := fuel.Inject(w.bytes(), fuel.Options{MaxLocals: 6})
	require.NoError(t, err)
	assert.Equal(t, 100, report.InlinedCalls) // 2 for each, none in function 1 itself
}

// A function with very many locals gets no more than engines accept.
func TestLocalsStayWithinTheLimit(t *testing.T) {
	w := callers(body(localGet, 0))
	w.codes[0] = bodyWithLocals([][]byte{cat(u32(50_000), i32)}, localGet, 0, i32Const, 3, call, 1)
	_, report, err := fuel.Inject(w.bytes(), fuel.Options{})
	require.NoError(t, err)
	assert.Zero(t, report.InlinedCalls)
}

// A function that branches very much is not made to branch more.
func TestBranchesStayWithinTheLimit(t *testing.T) {
	w := procedure(body(bytes.Repeat(cat(call, 1), 10_000)))
	w.functions = append(w.functions, u32(0))
	w.codes = append(w.codes, body(bytes.Repeat(cat(block, empty, i32Const, 0, brIf, 0, end), 4)))
	_, report, err := fuel.Inject(w.bytes(), fuel.Options{MaxCompileCost: 1 << 19})
	require.NoError(t, err)
	assert.InDelta(t, 30, report.InlinedCalls, 10)
}

// What takes no bytes is not put in the place of calls without end either.
func TestEmptyFunctionsDoNotMultiply(t *testing.T) {
	w := procedure(body(bytes.Repeat(cat(call, 1), 200)))
	for callee := 2; callee <= 4; callee++ {
		w.codes = append(w.codes, body(bytes.Repeat(cat(call, callee), 16)))
	}
	w.codes = append(w.codes, body())
	w.functions = repeated(len(w.codes), 0)
	in := w.bytes()
	_, report, err := fuel.Inject(in, fuel.Options{})
	require.NoError(t, err)
	assert.Positive(t, report.InlinedCalls)
	assert.Less(t, report.InlinedCalls, len(in)/4+2000)
}

// Functions that are invalid each by itself are so with others in the place of
// their calls, even if together they leave the stack as it was.
func TestInvalidFunctionsDoNotBecomeValid(t *testing.T) {
	for cycle := 1; cycle <= 12; cycle++ {
		w := procedure(body(i32Const, 0, call, 1%cycle))
		for i := 1; i < cycle; i++ {
			w.codes = append(w.codes, body(call, (i+1)%cycle))
		}
		w.codes[cycle-1] = body(call, 0, drop)
		w.functions = repeated(cycle, 0)
		r := newRuntime(t, func() int64 { return 100 })
		_, err := r.CompileModule(t.Context(), w.bytes())
		require.Error(t, err)
		_, err = r.CompileModule(t.Context(), inject(t, w.bytes(), fuel.Options{}))
		require.Error(t, err, "%d functions", cycle)
	}
}
