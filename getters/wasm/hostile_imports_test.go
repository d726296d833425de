package wasm

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
)

// maxArguments is the most parameters that a function has that guests can
// import.
const maxArguments = 9

// puppet is a module that calls what its key says: a number of 32 bits for the
// function, in the order of hostFunctions, and one for each argument. Its
// result is that of gcnode_get. The request is answered for goodKey alone.
func puppet() []byte {
	a := newAssembler()
	functions := hostFunctions()
	for _, f := range functions {
		a.abi(f.name)
	}
	read := uint32(slices.IndexFunc(functions, func(f hostFunction) bool { return f.name == "input_read" }))
	respond := uint32(slices.IndexFunc(functions, func(f hostFunction) bool { return f.name == "respond" }))
	code := slices.Concat(localGet(0), constI32(0), constI32(0), constI32(4*(1+maxArguments)), call(read), []byte{opDrop})
	for i, f := range functions {
		code = slices.Concat(code, loadI32(0), constI32(int32(i)), []byte{opEq, opIf, opVoid})
		for j, param := range f.sig.params {
			code = append(code, loadI32(int32(4+4*j))...)
			if param == i64 {
				code = append(code, 0xac) // i64.extend_i32_s
			}
		}
		code = append(code, call(uint32(i))...)
		for range f.sig.results {
			code = append(code, opDrop)
		}
		code = append(code, opEnd)
	}
	code = append(code, constI32(turnDone)...)
	return resumable(a.getter(hostile(respond, code...)...), constI32(turnPending)...).bytes()
}

// hostFunctions is everything that guests can import.
func hostFunctions() []hostFunction { return slices.Concat(abiFunctions(), wasiFunctions()) }

// puppetKey has the puppet call a function.
func puppetKey(function int, args ...uint32) string {
	b := binary.LittleEndian.AppendUint32(nil, uint32(function))
	for _, arg := range args {
		b = binary.LittleEndian.AppendUint32(b, arg)
	}
	return string(b)
}

// loadPuppet loads the puppet with all that can be granted.
func loadPuppet(tb testing.TB) *Plugin {
	tb.Helper()
	return loadModule(tb, puppet(), Options{
		AllowFetch: somewhere, StoreBytes: 1 << 10, Config: map[string]string{"": "empty"}, Env: map[string]string{"A": "B"},
		MaxFetches: 2, Instances: 1, Timeout: 200 * time.Millisecond,
	})
}

// pull has the puppet call a function with arguments, and wants an error that a
// module can be the reason for.
func pull(tb testing.TB, p *Plugin, function int, args []uint32) {
	tb.Helper()
	_, err := p.GetItem(tb.Context(), puppetKey(function, args...))
	var e *gcnode.Error
	if err != nil && (!errors.As(err, &e) || e.Kind == gcnode.KindInternal || errors.Is(err, context.Canceled)) {
		tb.Fatalf("%s%v: %v", hostFunctions()[function].name, args, err)
	}
}

// Every import is called with pointers, lengths, numbers and flags that make no
// sense, in all combinations with others that do, or in many.
func TestEveryImportWithBadArguments(t *testing.T) {
	const lastPage, many = 64 << 10, 40
	interesting := []uint32{0, 1, 8, lastPage - 1, lastPage, farAway, math.MaxInt32, 1 << 31, math.MaxUint32}
	p := loadPuppet(t)
	get(t, p, goodKey)
	before := heapBytes()
	random := rand.New(rand.NewPCG(1, 2))
	for i, f := range hostFunctions() {
		params := len(f.sig.params)
		require.LessOrEqual(t, params, maxArguments)
		args := make([]uint32, params)
		for range many * min(params, 4) {
			for j := range args {
				args[j] = interesting[random.IntN(len(interesting))]
			}
			pull(t, p, i, args)
		}
		for _, same := range interesting {
			pull(t, p, i, slices.Repeat([]uint32{same}, params))
		}
	}
	get(t, p, goodKey)
	s := p.Stats()
	assert.Equal(t, 1, s.Instances.Live)
	assert.Zero(t, s.Instances.Discarded.Failed)
	assert.NotZero(t, s.Instances.Discarded.Contract)
	assert.Zero(t, s.Instances.Discarded.Trap, "no function of the host fails by accident")
	assert.InDelta(t, before, heapBytes(), keptBytes, "memory returns to where it was")
}

// FuzzImports calls imports with any arguments.
func FuzzImports(f *testing.F) {
	p := loadPuppet(f)
	f.Add(uint8(0), uint32(0), uint32(0), uint32(0), uint32(0), uint32(0))
	f.Add(uint8(1), uint32(1), uint32(0), uint32(0), uint32(0xffffffff), uint32(1<<16-1))
	f.Fuzz(func(t *testing.T, function uint8, a, b, c, d, e uint32) {
		pull(t, p, int(function)%len(hostFunctions()), []uint32{a, b, c, d, e, a, b, c, d})
		get(t, p, goodKey)
	})
}

// tally is the code that counts in local 3 for which numbers, from -2 on, code
// leaves something that is not negative. The number is in local 2.
func tally(numbers int32, code ...byte) []byte {
	const number, count = 2, 3
	return slices.Concat(
		constI32(-2), []byte{0x21, number},
		[]byte{opLoop, opVoid},
		code, constI32(0), []byte{0x4e, opIf, opVoid}, // i32.ge_s
		localGet(count), constI32(1), []byte{opAdd, 0x21, count, opEnd},
		localGet(number), constI32(1), []byte{opAdd, 0x22, number},
		constI32(numbers), []byte{0x48, 0x0d, 0, opEnd}, // i32.lt_s, br_if
		storeI32(0, localGet(count)...))
}

// A guest that looks for inputs under all numbers finds its own and no other:
// neither that of an earlier request of its instance, nor of one that is
// pending in another.
func TestGuestFindsNoInputButItsOwn(t *testing.T) {
	t.Parallel()
	a, f := newAsyncHostile()
	read := a.abi("input_read")
	wait := slices.Concat(startNothing(f, localGet(0)), constI32(turnPending))
	code := slices.Concat(
		localGet(1), constI32(int32(len("wait"))), []byte{opEq, opIf, opVoid}, wait, []byte{opReturn, opEnd},
		tally(1000, slices.Concat(localGet(2), constI32(0), constI32(0), constI32(0), call(read))...),
		respondWith(f.respond, statusOK, ttlDefault, 0, 4))
	module := resumable(a.getter(code...), respondWith(f.respond, statusOK, ttlDefault, 0, 0)...).bytes()
	p := loadModule(t, module, Options{AllowFetch: somewhere, StoreBytes: 1, Instances: 2, Pending: 1, ParallelFetches: 1})
	p.fetcher.parallel <- struct{}{} // no fetch gets its turn
	pending := getLater(t.Context(), p, "wait")
	waitPending(t, p, 1)
	for range 3 {
		assert.Equal(t, "\x01\x00\x00\x00", get(t, p, "scan all"))
	}
	<-p.fetcher.parallel
	assert.NoError(t, (<-pending).err)
}

// A guest that answers, fetches and reads before it was asked for anything gets
// nothing by it.
func TestGuestThatActsBeforeItIsAsked(t *testing.T) {
	t.Parallel()
	for _, export := range []string{"", exportInit, exportConfigure} {
		a, f := newAsyncHostile()
		read := a.abi("input_read")
		number := localGet(2)
		early := slices.Concat(
			tally(100, respondNumber(f.respond, number)...),
			tally(100, slices.Concat(number, constI32(0), constI32(fetchRequestHead), call(f.fetchStart))...),
			tally(100, slices.Concat(number, constI32(0), constI32(0), constI32(0), call(read))...))
		want := "\x00\x00\x00\x00"
		switch export {
		case "":
			a.start = int(a.function("", nil, nil, early...))
		case exportInit:
			a.function(export, nil, nil, early...)
		case exportConfigure:
			a.function(export, []valueType{i32}, []valueType{i32}, append(early, constI32(0)...)...)
			want = "\x01\x00\x00\x00" // the configuration
		}
		module := resumable(a.getter(respondWith(f.respond, statusOK, ttlDefault, 0, 4)...), constI32(0)...).bytes()
		p := loadModule(t, module, Options{AllowFetch: somewhere, StoreBytes: 1, Instances: 1})
		assert.Equal(t, want, get(t, p, "key"), "%q", export)
	}
}

// respondNumber is the code that answers the request with a number.
func respondNumber(respond uint32, number []byte) []byte {
	return slices.Concat(number, constI32(statusOK), constI32(0), constI64(ttlDefault), constI32(0), constI32(0), call(respond))
}
