// Package kernel is the memory through which Extism modules talk to their
// host: the input and the output of a call, and every block in between.
//
// The guest reaches it only through functions, a byte or a word at a time, so
// a call into Go for each of them would be most of the time of a call. Those
// functions are therefore WebAssembly, in a small module with the memory that
// is instantiated beside each instance of the guest: a call of one stays within
// the engine. So is what a guest does with a block as a rule:
// to allocate it behind all others, and to ask for the length of the last one.
// The rest is Go, in [Memory].
//
// Nothing here loops inside of WebAssembly, so nothing here needs fuel.
//
// # Memory
//
// The memory begins with the header, where both sides find what they have to
// know of each other:
//
//	end             of what is allocated
//	input, output   the offset and the length of either
//	fault           the offset that was not allocated, before the guest traps
//	last            the address of the last entry of the list
//	list            the last blocks, in the order of their offsets: each a word,
//	                of the offset and, above it, the size as it was asked for;
//	                before them a word that is 0
//
// It is followed by the heap. Offsets count from there, so that the guest cannot
// name an address in the header. The list has the blocks since Go looked last,
// which moves them to a list of its own when this one is full, or when a block
// is freed that is not the last: none of them is free.
package kernel

import (
	"github.com/tetratelabs/wazero/api"
)

// Name is the module from which guests import the kernel.
const Name = "extism:host/env"

// The functions of the host that the module calls by itself. Guests cannot
// import them.
const (
	// AllocName is called, (size: i64) -> (offset: i64), where a block cannot be
	// put behind the others without further ado. It is for [Memory.Alloc].
	AllocName = "alloc_block"
	// LengthName is called, (offset: i64) -> (length: i64), for a block that is
	// not the last one. It is for [Memory.Length].
	LengthName = "length_of_block"
)

// Function is a function that guests can import from the kernel.
type Function struct {
	Name            string
	Params, Results []api.ValueType
	// Nothing is set of a function (offset: i64) -> (offset: i64) of the host that
	// has nothing to hand out for any name. It is asked only if the name may be
	// no block.
	Nothing bool
}

const (
	i32 = api.ValueTypeI32
	i64 = api.ValueTypeI64
)

// The addresses of the header.
const (
	atEnd          = 0 // of what is allocated; at least heapStart
	atInputOffset  = 8 // 0 when the input is empty
	atInputLength  = 16
	atOutputOffset = 24 // not checked
	atOutputLength = 32 // not checked
	atFault        = 40 // 0: there was none
	atLast         = 48
	beforeList     = 56
	lastOfList     = beforeList + listBlocks*entryBytes
	headerBytes    = lastOfList + entryBytes

	entryBytes = 8
	listBlocks = 32 // so that the header ends at a multiple of 64
)

const memoryName = "memory"

// heapStart is the offset of the first block: 0 means "no block".
const heapStart = 16

// hostIndices are the indices of the functions of the host that the module calls.
type hostIndices struct{ alloc, length uint32 }

// ownFunction is a function that is part of the module, with locals of type i64.
type ownFunction struct {
	Function
	locals int
	code   func(host hostIndices) string
}

func ownFunctions() []ownFunction {
	word, byteValue, none := []api.ValueType{i64}, []api.ValueType{i32}, []api.ValueType(nil)
	return []ownFunction{
		{Function{Name: "load_u8", Params: word, Results: byteValue}, 0, func(hostIndices) string {
			return checkByte() + address + loadByte()
		}},
		{Function{Name: "load_u64", Params: word, Results: word}, 0, func(hostIndices) string {
			return checkWord() + address + loadWord()
		}},
		{Function{Name: "store_u8", Params: []api.ValueType{i64, i32}, Results: none}, 0, func(hostIndices) string {
			return checkByte() + address + value + storeByte()
		}},
		{Function{Name: "store_u64", Params: []api.ValueType{i64, i64}, Results: none}, 0, func(hostIndices) string {
			return checkWord() + address + value + storeWord()
		}},
		{Function{Name: "input_load_u8", Params: word, Results: byteValue}, 0, func(hostIndices) string {
			return fromInput() + checkByte() + address + loadByte()
		}},
		{Function{Name: "input_load_u64", Params: word, Results: word}, 0, func(hostIndices) string {
			return fromInput() + checkWord() + address + loadWord()
		}},
		{Function{Name: "input_length", Params: none, Results: word}, 0, func(hostIndices) string { return get(atInputLength) }},
		{Function{Name: "input_offset", Params: none, Results: word}, 0, func(hostIndices) string { return get(atInputOffset) }},
		{Function{Name: "output_set", Params: []api.ValueType{i64, i64}, Results: none}, 0, func(hostIndices) string {
			return set(atOutputOffset, offset) + set(atOutputLength, value)
		}},
		{Function{Name: "alloc", Params: word, Results: word}, 3, alloc},
		{Function{Name: "length", Params: word, Results: word}, 1, length},
		{Function{Name: "length_unsafe", Params: word, Results: word}, 1, length},
	}
}

// Functions are the functions of the module itself. A host adds its own.
func Functions() []Function {
	var functions []Function
	for _, f := range ownFunctions() {
		functions = append(functions, f.Function)
	}
	return functions
}
