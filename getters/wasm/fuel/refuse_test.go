package fuel_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/getters/wasm/fuel"
)

// TestIndicesOfInjectedThingsAreRefused tries to reach the injected globals,
// functions, types and blocks by every kind of reference. The module has one type, one
// function, two tables and no global; what is injected comes right behind.
func TestIndicesOfInjectedThingsAreRefused(t *testing.T) {
	plain := func() wasm { return procedure(body()) }
	with := func(change func(*wasm)) wasm {
		w := plain()
		change(&w)
		return w
	}
	code := func(parts ...any) wasm { return procedure(body(parts...)) }
	for what, c := range map[string]struct {
		module wasm
		err    string
	}{
		"global.get":           {code(globalGet, 0, drop), "code section: function 0: malformed module: global 0 out of range"},
		"global.set":           {code(i64Const, 0, globalSet, 0), "global 0 out of range"},
		"call":                 {code(call, 1), "function 1 out of range, there are 1"},
		"return_call":          {code(returnCall, 1), "function 1 out of range"},
		"ref.func":             {code(refFunc, 1, drop), "function 1 out of range"},
		"call_indirect":        {code(i32Const, 0, callIndirect, 1, 0), "type 1 out of range"},
		"return_call_indirect": {code(i32Const, 0, returnCallIndirect, 1, 0), "type 1 out of range"},
		"block":                {code(block, 1, end), "type 1 out of range"},
		"loop":                 {code(loop, 2, end), "type 2 out of range"},
		"if":                   {code(i32Const, 0, ifelse, 3, end), "type 3 out of range"},
		"br":                   {code(block, empty, call, 0, br, 2, end), "label 2 out of range, there are 2"},
		"br_if":                {code(i32Const, 0, brIf, 1), "label 1 out of range"},
		"br_table":             {code(i32Const, 0, 0x0e, 1, 1, 0), "label 1 out of range"},
		"br_table default":     {code(i32Const, 0, 0x0e, 1, 0, 1), "label 1 out of range"},
		"local.get":            {withSmallFunction(code(localGet, 0, drop, i32Const, 0, call, 1)), "local 0 out of range, there are 0"},
		"local.set":            {withSmallFunction(code(i32Const, 0, call, 1, i32Const, 0, localSet, 0)), "local 0 out of range, there are 0"},
		"call_indirect table":  {code(i32Const, 0, callIndirect, 0, 2), "table 2 out of range"},
		"function type": {
			with(func(w *wasm) { w.functions = [][]byte{u32(1)} }),
			"function section: malformed module: type 1 out of range",
		},
		"import type": {
			with(func(w *wasm) { w.imports = [][]byte{cat(name("a"), name("b"), 0, 1)} }),
			"import section: malformed module: type 1 out of range",
		},
		"export of a function": {
			with(func(w *wasm) { w.exports = [][]byte{export("f", 1)} }),
			"export section: malformed module: function 1 out of range",
		},
		"export of a global": {
			with(func(w *wasm) { w.exports = [][]byte{cat(name("g"), 3, 0)} }),
			"global 0 out of range",
		},
		"export of a table": {
			with(func(w *wasm) { w.exports = [][]byte{cat(name("t"), 1, 2)} }),
			"table 2 out of range",
		},
		"start": {with(func(w *wasm) { w.start = u32(1) }), "start section: malformed module: function 1 out of range"},
		"element": {
			with(func(w *wasm) { w.elements = [][]byte{cat(0, i32Const, 0, end, 1, 1)} }),
			"element section: malformed module: function 1 out of range",
		},
		"element expression": {
			with(func(w *wasm) { w.elements = [][]byte{cat(4, i32Const, 0, end, 1, refFunc, 1, end)} }),
			"function 1 out of range",
		},
		"element offset": {
			with(func(w *wasm) { w.elements = [][]byte{cat(0, globalGet, 0, end, 0)} }),
			"global 0 out of range",
		},
		"data offset": {
			with(func(w *wasm) { w.data = [][]byte{cat(0, globalGet, 0, end, 0)} }),
			"data section: malformed module: global 0 out of range",
		},
		"initial value": {
			with(func(w *wasm) { w.globals = [][]byte{{i64, 0, globalGet, 1, end}} }),
			"global section: malformed module: global 1 out of range",
		},
		"initial function": {
			with(func(w *wasm) { w.globals = [][]byte{{funcref, 0, refFunc, 1, end}} }),
			"function 1 out of range",
		},
		"function name": {with(func(w *wasm) {
			w.custom = [][]byte{cat(name("name"), section(1, cat(1, 1, name("f"))))}
		}), "custom section: malformed module: function 1 out of range"},
		"import of the tick": {with(func(w *wasm) {
			w.imports = [][]byte{cat(name(fuel.TickModule), name("other"), 0, 0)}
		}), `import section: module refused: import "gcnode_fuel"."other": module "gcnode_fuel" is reserved`},
	} {
		t.Run(what, func(t *testing.T) {
			_, _, err := fuel.Inject(c.module.bytes(), fuel.Options{})
			require.ErrorContains(t, err, c.err)
		})
	}
	_, _, err := fuel.Inject(plain().bytes(), fuel.Options{})
	require.NoError(t, err)
}

// withSmallFunction adds function 1, which has a parameter and takes the place of its
// calls.
func withSmallFunction(w wasm) wasm {
	w.types = append(w.types, signature([]byte{i32}, nil))
	w.functions = append(w.functions, u32(1))
	w.codes = append(w.codes, body())
	return w
}

// TestUnsupportedFeatures names the feature in each refusal.
func TestUnsupportedFeatures(t *testing.T) {
	const exceptions, references, collected, threads, memory64, memories = "exceptions", "typed function references",
		"garbage-collected types", "threads", "memory64", "multiple memories"
	code := func(parts ...any) []byte { return procedure(body(parts...)).bytes() }
	for what, c := range map[string]struct {
		module  []byte
		feature string
	}{
		"try":              {code(0x06, empty, end), exceptions},
		"throw":            {code(0x08, 0), exceptions},
		"throw_ref":        {code(0x0a), exceptions},
		"try_table":        {code(0x1f, empty, 0, end), exceptions},
		"tag section":      {append(wasm{}.bytes(), section(13, []byte{0})...), exceptions},
		"tag import":       {wasm{imports: [][]byte{cat(name("a"), name("b"), 4, 0, 0)}}.bytes(), exceptions},
		"tag export":       {wasm{exports: [][]byte{cat(name("a"), 4, 0)}}.bytes(), exceptions},
		"exnref":           {wasm{types: [][]byte{signature([]byte{0x69}, nil)}}.bytes(), exceptions},
		"call_ref":         {code(0x14, 0), references},
		"ref.as_non_null":  {code(0xd4), references},
		"ref null":         {wasm{types: [][]byte{signature([]byte{0x63, 0x70}, nil)}}.bytes(), references},
		"table with value": {wasm{tables: [][]byte{cat(0x40, 0, funcref, 0, 0, refNull, funcref, end)}}.bytes(), references},
		"struct.new":       {code(0xfb, 0, 0), collected},
		"ref.eq":           {code(0xd3), collected},
		"struct":           {wasm{types: [][]byte{{0x5f, 0, 0}}}.bytes(), collected},
		"anyref":           {wasm{types: [][]byte{signature([]byte{0x6e}, nil)}}.bytes(), collected},
		"atomic":           {code(0xfe, 3, 0), threads},
		"shared memory":    {wasm{memories: [][]byte{{3, 1, 1}}}.bytes(), threads},
		"memory64":         {wasm{memories: [][]byte{{4, 1}}}.bytes(), memory64},
		"two memories":     {wasm{memories: [][]byte{{0, 1}, {0, 1}}}.bytes(), memories},
		"second memory":    {code(i32Const, 0, memoryGrow, 1, drop), memories},
		"memory argument":  {code(i32Const, 0, 0x28, 0x42, 1, 0, drop), memories},
		"relaxed simd":     {code(vector, u32(0x100)), "instruction 0xfd 256"},
		"gap in simd":      {code(vector, u32(0x9a)), "unknown instruction 0xfd9a"},
		"component":        {[]byte("\x00asm\x0d\x00\x01\x00"), "a component"},
		"many locals": {procedure(bodyWithLocals([][]byte{
			cat(u32(1<<31), i32), cat(u32(1<<31), i32),
		})).bytes(), "at most 50000"},
		"many parameters": {wasm{types: [][]byte{signature(bytes.Repeat([]byte{i32}, 1001), nil)}}.bytes(), "at most 1000"},
		"large table": {
			wasm{tables: [][]byte{cat(funcref, 0, u32(1<<30))}}.bytes(),
			"tables start with 1073741824 entries, at most 131072",
		},
		"large tables": {
			wasm{tables: [][]byte{cat(funcref, 0, u32(1<<17)), cat(funcref, 0, 1)}}.bytes(),
			"tables start with 131073 entries",
		},
	} {
		t.Run(what, func(t *testing.T) {
			_, _, err := fuel.Inject(c.module, fuel.Options{})
			require.ErrorIs(t, err, fuel.ErrRefused)
			require.ErrorContains(t, err, c.feature)
		})
	}
}

// TestHiddenInstructions encodes opcodes in a longer form than necessary, which
// engines decode in different ways.
func TestHiddenInstructions(t *testing.T) {
	_, _, err := fuel.Inject(procedure(body(vector, 0x8c, 0x00, make([]byte, 16), drop)).bytes(), fuel.Options{})
	require.ErrorContains(t, err, "instruction 0xfd 12 is not in its shortest form")

	// Those of other numbers are written anew in their shortest form.
	long := procedure(body(i32Const, 0x80, 0x80, 0x00, drop, call, 0x80, 0x80, 0x80, 0x80, 0x00))
	short := procedure(body(i32Const, 0, drop, call, 0))
	require.Equal(t, inject(t, short.bytes(), fuel.Options{}), inject(t, long.bytes(), fuel.Options{}))
}

func TestMalformed(t *testing.T) {
	header := wasm{}.bytes()
	with := func(parts ...any) []byte { return append(bytes.Clone(header), cat(parts...)...) }
	function := procedure(body())
	for what, c := range map[string]struct {
		module []byte
		err    string
	}{
		"empty":                  {nil, "no webassembly header"},
		"other version":          {[]byte("\x00asm\x02\x00\x00\x00"), "version 02000000"},
		"section too long":       {with(1, 5, 0), "5 bytes announced, 1 left (offset 0xa)"},
		"section repeated":       {with(section(1, []byte{0}), section(1, []byte{0})), "type section is out of order or repeated (offset 0xb)"},
		"section out of order":   {with(section(3, []byte{0}), section(1, []byte{0})), "type section is out of order"},
		"data count after code":  {with(section(10, []byte{0}), section(12, []byte{0})), "data count section is out of order"},
		"unknown section":        {with(section(14, nil)), "unknown section 14"},
		"bytes left over":        {with(section(1, []byte{0, 0})), "type section: malformed module: 1 bytes left over (offset 0xb)"},
		"too many types":         {with(section(1, u32(1<<31))), "2147483648 types announced, 0 bytes left"},
		"too many imports":       {with(section(2, u32(1<<31))), "imports announced"},
		"too many functions":     {with(section(3, u32(1<<31))), "functions announced"},
		"too many tables":        {with(section(4, u32(1<<31))), "tables announced"},
		"too many memories":      {with(section(5, u32(1<<31))), "memories announced"},
		"too many globals":       {with(section(6, u32(1<<31))), "globals announced"},
		"too many exports":       {with(section(7, u32(1<<31))), "exports announced"},
		"too many elements":      {with(section(9, u32(1<<31))), "element segments announced"},
		"too many data":          {with(section(11, u32(1<<31))), "data segments announced"},
		"too many labels":        {procedure(body(i32Const, 0, 0x0e, u32(1<<31))).bytes(), "labels announced"},
		"too many local groups":  {procedure(cat(2, 0x7f, end)).bytes(), "groups of locals announced"},
		"number too long":        {with(section(1, []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0})), "number does not fit 32 bits"},
		"code without functions": {with(section(10, cat(1, body()))), "code section: malformed module: 0 functions declared, 1 have code"},
		"functions without code": {wasm{types: function.types, functions: function.functions}.bytes(), "1 functions declared, none has code"},
		"function ends early":    {procedure(body(end, loop, empty, br, 0, end)).bytes(), "function 0: malformed module: 6 bytes left over"},
		"function does not end":  {procedure(body(block, empty)).bytes(), "function 0: malformed module: unexpected end"},
		"instruction cut off":    {procedure(cat(3, 0, i32Const, 0x80)).bytes(), "unexpected end"},
		"grow without memory": {wasm{
			types: function.types, functions: function.functions,
			codes: [][]byte{body(i32Const, 0, memoryGrow, 0, drop)},
		}.bytes(), "memory 0 out of range"},
		"tail call with other results": {wasm{
			types:     [][]byte{signature(nil, nil), signature(nil, []byte{i32})},
			functions: [][]byte{u32(0), u32(1)},
			codes:     [][]byte{body(returnCall, 1), body(i32Const, 0)},
		}.bytes(), "tail call of a function with other results"},
		"call in a constant": {wasm{
			types: function.types, functions: function.functions, codes: function.codes,
			globals: [][]byte{{i32, 0, call, 0, end}},
		}.bytes(), "instruction 0x10 in a constant expression"},
		"name is no utf-8": {with(section(0, cat(1, 0xff))), "name is not valid utf-8"},
		"two name sections": {
			wasm{custom: [][]byte{name("name"), name("name")}}.bytes(),
			"a second name section",
		},
		"minimum over maximum": {wasm{tables: [][]byte{{funcref, 1, 2, 1}}}.bytes(), "minimum 2 exceeds maximum 1"},
	} {
		t.Run(what, func(t *testing.T) {
			_, _, err := fuel.Inject(c.module, fuel.Options{})
			require.ErrorIs(t, err, fuel.ErrMalformed)
			require.ErrorContains(t, err, c.err)
		})
	}
}

// TestTruncated cuts a module that has everything at each place. What is left
// can only be a module if the cut is between two sections.
func TestTruncated(t *testing.T) {
	module := everything().bytes()
	borders := map[int]bool{}
	for at := len(wasm{}.bytes()); at < len(module); {
		borders[at] = true
		size, n := binary.Uvarint(module[at+1:])
		at += 1 + n + int(size)
	}
	for n := range module {
		if _, _, err := fuel.Inject(module[:n], fuel.Options{}); !borders[n] {
			require.ErrorIs(t, err, fuel.ErrMalformed)
		}
	}
}
