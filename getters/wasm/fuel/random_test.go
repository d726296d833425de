package fuel_test

import (
	"bytes"
	"hash/crc32"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"

	"github.com/gcnode/gcnode/getters/wasm/fuel"
)

const (
	f32 = 0x7d
	f64 = 0x7c
)

// numbers are the types of what random functions compute with.
func numbers() []byte { return []byte{i32, i64, f32, f64} }

// randomFunction writes a valid function at random. It calls functions behind it only,
// so that every call ends.
type randomFunction struct {
	*rand.Rand
	types  []randomType // of all functions
	self   int
	locals []byte
	labels [][]byte // what a branch to each open block takes, the function's own first
	left   int      // about how many instructions are still to come
	code   []byte
}

// nowhere is the label of a loop, to which no random branch goes.
var nowhere = []byte{0}

type randomType struct{ params, results []byte }

func (f *randomFunction) emit(parts ...any) {
	f.left--
	f.code = append(f.code, cat(parts...)...)
}

// pick is one of the indices of s for which ok holds.
func pick[T any](f *randomFunction, s []T, ok func(T) bool) (int, bool) {
	for _, i := range f.Perm(len(s)) {
		if ok(s[i]) {
			return i, true
		}
	}
	return 0, false
}

// number is a constant of a type.
func (f *randomFunction) number(t byte) {
	n := f.IntN(41) - 20
	switch t {
	case i32:
		f.emit(i32Const, s64(int64(n)))
	case i64:
		f.emit(i64Const, s64(int64(n)<<f.IntN(40)))
	case f32:
		f.emit(0x43, 0, 0, 0x80, 0x3f+f.IntN(2)) // 1 or 4
	default:
		f.emit(0x44, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f)
	}
}

func (f *randomFunction) local(op int, t byte) bool {
	i, ok := pick(f, f.locals, func(l byte) bool { return l == t })
	if ok {
		f.emit(op, i)
	}
	return ok
}

func (f *randomFunction) values(types []byte) {
	for _, t := range types {
		f.value(t)
	}
}

// value leaves one of a type on the stack.
func (f *randomFunction) value(t byte) {
	choice := f.IntN(14)
	if f.left <= 0 {
		choice = f.IntN(4)
	}
	switch choice {
	default:
		if !f.local(localGet, t) {
			f.number(t)
		}
	case 1:
		f.number(t)
	case 4, 5:
		f.binary(t)
	case 6:
		f.convert(t)
	case 7:
		f.value(t)
		f.local(localTee, t)
	case 8, 9:
		f.callOf([]byte{t})
	case 10:
		f.block(block, []byte{t})
		f.value(t)
		f.end()
	case 11:
		f.value(i32)
		f.block(ifelse, []byte{t})
		f.value(t)
		f.emit(0x05)
		f.value(t)
		f.end()
	case 12:
		f.value(t)
		f.value(t)
		f.value(i32)
		f.emit(0x1b) // select
	case 13:
		f.value(t)
		f.branchIf([]byte{t})
	}
}

func (f *randomFunction) binary(t byte) {
	f.value(t)
	f.value(t)
	ops := map[byte][]int{
		i32: {0x6a, 0x6b, 0x6c, 0x6e, 0x71, 0x72, 0x73, 0x74, 0x76}, // div_u traps
		i64: {0x7c, 0x7d, 0x7e, 0x83, 0x84, 0x85, 0x86, 0x88},
		f32: {0x92, 0x93, 0x96, 0x97}, f64: {0xa0, 0xa1, 0xa4, 0xa5},
	}[t]
	f.emit(ops[f.IntN(len(ops))])
}

// convert makes a value of another one: from a global, from memory, or of another type.
func (f *randomFunction) convert(t byte) {
	switch {
	case t == i32 && f.IntN(2) == 0:
		f.emit(globalGet, 0)
	case t == i32:
		f.value(i64)
		f.emit(0xa7)
	case t == i64 && f.IntN(2) == 0:
		f.value(i32)
		f.emit(i32Const, s64(0xffff), 0x71, 0x29, 0, 0) // i64.load
	case t == i64:
		f.value(f64)
		f.emit(misc, 6) // i64.trunc_sat_f64_s
	case t == f32:
		f.value(i32)
		f.emit(0xb2)
	default:
		f.value(f32)
		f.emit(0xbb)
	}
}

// callOf calls a function of the results, if there is one, or else makes them.
func (f *randomFunction) callOf(results []byte) {
	behind := f.types[f.self+1:]
	i, ok := pick(f, behind, func(t randomType) bool { return bytes.Equal(t.results, results) })
	if !ok {
		f.values(results)
		return
	}
	f.values(behind[i].params)
	f.emit(call, f.self+1+i)
}

func (f *randomFunction) block(op int, results []byte) {
	if len(results) == 0 {
		f.emit(op, empty)
	} else {
		f.emit(op, results[0])
	}
	f.labels = append(f.labels, results)
	for range f.IntN(3) {
		f.statement()
	}
}

func (f *randomFunction) end() {
	f.emit(end)
	f.labels = f.labels[:len(f.labels)-1]
}

// branchIf branches, or not, with the values that are on the stack, and leaves them there.
func (f *randomFunction) branchIf(values []byte) {
	if i, ok := pick(f, f.labels, func(l []byte) bool { return bytes.Equal(l, values) }); ok {
		f.value(i32)
		f.emit(brIf, len(f.labels)-1-i)
	}
}

// statement leaves the stack as it is.
func (f *randomFunction) statement() {
	if f.left <= 0 {
		return
	}
	t := numbers()[f.IntN(4)]
	switch f.IntN(9) {
	case 0, 1:
		f.value(t)
		if !f.local(localSet, t) {
			f.emit(drop)
		}
	case 2:
		f.value(i32)
		f.emit(globalSet, 0)
	case 3:
		f.value(i32)
		f.emit(i32Const, s64(0xffff), 0x71)
		f.value(i64)
		f.emit(0x37, 0, 0) // i64.store
	case 4:
		f.callOf(nil)
	case 5:
		f.callOf([]byte{i64, f32})
		f.emit(drop, drop)
	case 6:
		f.block(block, nil)
		f.end()
	case 7:
		f.branchIf(nil)
	case 8:
		f.leave()
	}
}

// leave branches away, and is followed by code that takes from an empty stack.
func (f *randomFunction) leave() {
	for range f.IntN(2) {
		f.value(numbers()[f.IntN(4)])
	}
	i, _ := pick(f, f.labels, func(l []byte) bool { return !bytes.Equal(l, nowhere) })
	f.values(f.labels[i])
	if i == 0 && f.IntN(2) == 0 {
		f.emit(ret)
	} else {
		f.emit(br, len(f.labels)-1-i)
	}
	switch f.IntN(4) {
	case 0:
		f.emit(i32Add, drop)
	case 1:
		f.local(localSet, i64)
	case 2:
		if i := f.self + 1 + f.IntN(len(f.types)-f.self); i < len(f.types) {
			f.emit(call, i, bytes.Repeat([]byte{drop}, len(f.types[i].results)))
		}
	}
}

// randomModule has ten functions, of which most are small. The first is f, with a
// loop of five turns.
func randomModule(seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 1))
	w := procedure(nil)
	w.types, w.functions, w.codes, w.tables = nil, nil, nil, nil
	w.memories = [][]byte{{0, 2}}
	w.globals = [][]byte{cat(i32, 1, i32Const, 3, end)}
	w.exports = append(w.exports, cat(name("global"), 3, 0), cat(name("memory"), 2, 0))
	types := []randomType{{[]byte{i32}, []byte{i64}}}
	for range 9 {
		var t randomType
		for range rng.IntN(4) {
			t.params = append(t.params, numbers()[rng.IntN(4)])
		}
		switch n := rng.IntN(8); {
		case n < 6:
			t.results = append(t.results, numbers()[n%4])
		case n == 6:
			t.results = []byte{i64, f32}
		}
		types = append(types, t)
	}
	for i, t := range types {
		w.types = append(w.types, signature(t.params, t.results))
		w.functions = append(w.functions, u32(uint32(i)))
		f := &randomFunction{Rand: rng, types: types, self: i, locals: bytes.Clone(t.params), labels: [][]byte{t.results}, left: 6}
		var groups [][]byte
		for range rng.IntN(4) {
			l := numbers()[rng.IntN(4)]
			groups, f.locals = append(groups, cat(1, l)), append(f.locals, l)
		}
		if i == 0 {
			f.left = 60
			turns := len(f.locals)
			groups = append(groups, cat(1, i32))
			f.emit(i32Const, 5, localSet, turns, loop, empty)
			f.labels = append(f.labels, nowhere)
			for range 8 {
				f.statement()
			}
			f.emit(localGet, turns, i32Const, 1, i32Sub, localTee, turns, brIf, 0)
			f.end()
		}
		for range rng.IntN(3) {
			f.statement()
		}
		f.values(t.results)
		w.codes = append(w.codes, bodyWithLocals(groups, f.code))
	}
	return w.bytes()
}

// TestRandomFunctionsComputeTheSame runs modules that were written at random with
// fuel and without.
func TestRandomFunctionsComputeTheSame(t *testing.T) {
	r := newRuntime(t, func() int64 { return 1 << 20 })
	const modules = 200
	inlined, ended := 0, 0
	for seed := range uint64(modules) {
		module := randomModule(seed)
		out, report, err := fuel.Inject(module, fuel.Options{})
		require.NoError(t, err, "seed %d", seed)
		inlined += report.InlinedCalls
		want, got := outcomeOf(t, r, module), outcomeOf(t, r, out)
		require.Equal(t, want, got, "seed %d", seed)
		if !want.trapped {
			ended++
		}
	}
	assert.Greater(t, inlined, 5*modules)
	assert.Greater(t, ended, modules/2)
}

// outcome is what can be seen of what a module did.
type outcome struct {
	result  uint64
	trapped bool
	global  uint64
	memory  uint32 // its checksum
}

func outcomeOf(t *testing.T, r wazero.Runtime, module []byte) outcome {
	t.Helper()
	m := instantiate(t, r, module)
	defer func() { require.NoError(t, m.Close(t.Context())) }()
	results, err := within(t, m, "f", 5)
	o := outcome{trapped: err != nil, global: m.ExportedGlobal("global").Get()}
	if err == nil {
		o.result = results[0]
	}
	memory, _ := m.Memory().Read(0, m.Memory().Size())
	o.memory = crc32.ChecksumIEEE(memory)
	return o
}
