// Package kernel is the memory through which Extism modules talk to their
// host: the input and the output of a call, and every block in between.
//
// The guest reaches it only through functions, a byte or a word at a time, so
// a call into Go for each of them would be most of the time of a call. Those
// functions are therefore WebAssembly, in a small module with the memory that
// is instantiated beside each instance of the guest: calling one costs a few
// nanoseconds instead of sixty. So is what a guest does with a block as a rule:
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
	// FaultName is called, (offset: i64) -> (), when a guest reads or writes
	// outside of what was allocated. It must not return.
	FaultName = "fault"
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
	atLast         = 40
	beforeList     = 48
	lastOfList     = beforeList + listBlocks*entryBytes
	headerBytes    = lastOfList + entryBytes

	entryBytes = 8
	listBlocks = 33 // so that the header ends at a multiple of 64
)

const memoryName = "memory"

// heapStart is the offset of the first block: 0 means "no block".
const heapStart = 16

// hostIndices are the indices of the functions of the host that the module calls.
type hostIndices struct{ fault, alloc, length uint32 }

// ownFunction is a function that is part of the module, with locals of type i64.
type ownFunction struct {
	Function
	locals int
	code   func(host hostIndices) string
}

func ownFunctions() []ownFunction {
	word, byteValue, none := []api.ValueType{i64}, []api.ValueType{i32}, []api.ValueType(nil)
	return []ownFunction{
		{Function{"load_u8", word, byteValue}, 0, func(host hostIndices) string {
			return checkByte(host) + address + loadByte()
		}},
		{Function{"load_u64", word, word}, 0, func(host hostIndices) string {
			return checkWord(host) + address + loadWord()
		}},
		{Function{"store_u8", []api.ValueType{i64, i32}, none}, 0, func(host hostIndices) string {
			return checkByte(host) + address + value + storeByte()
		}},
		{Function{"store_u64", []api.ValueType{i64, i64}, none}, 0, func(host hostIndices) string {
			return checkWord(host) + address + value + storeWord()
		}},
		{Function{"input_load_u8", word, byteValue}, 0, func(host hostIndices) string {
			return fromInput() + checkByte(host) + address + loadByte()
		}},
		{Function{"input_load_u64", word, word}, 0, func(host hostIndices) string {
			return fromInput() + checkWord(host) + address + loadWord()
		}},
		{Function{"input_length", none, word}, 0, func(hostIndices) string { return get(atInputLength) }},
		{Function{"input_offset", none, word}, 0, func(hostIndices) string { return get(atInputOffset) }},
		{Function{"output_set", []api.ValueType{i64, i64}, none}, 0, func(hostIndices) string {
			return set(atOutputOffset, offset) + set(atOutputLength, value)
		}},
		{Function{"alloc", word, word}, 3, alloc},
		{Function{"length", word, word}, 1, length},
		{Function{"length_unsafe", word, word}, 1, length},
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
