// Package kernel is the memory through which Extism modules talk to their
// host: the input and the output of a call, and every block in between.
//
// The guest reaches it only through functions, a byte or a word at a time, so
// a call into Go for each of them would be most of the time of a call. Those
// functions are therefore WebAssembly, in a small module with the memory that
// is instantiated beside each instance of the guest: calling one costs a few
// nanoseconds instead of fifty. What happens a few times in a call, like
// allocating a block, is Go, in [Memory].
//
// Nothing here loops inside of WebAssembly, so nothing here needs fuel.
package kernel

import (
	"github.com/tetratelabs/wazero/api"
)

// Name is the module from which guests import the kernel.
const Name = "extism:host/env"

// FaultName is the function of the host, (offset: i64) -> (), that is called
// when a guest reads or writes outside of what was allocated. It must not
// return. Guests cannot import it.
const FaultName = "fault"

// Function is a function that guests can import from the kernel.
type Function struct {
	Name            string
	Params, Results []api.ValueType
}

const (
	i32 = api.ValueTypeI32
	i64 = api.ValueTypeI64
)

// The globals of the module, in the order of their indices. The guest changes
// none but the last two, by output_set.
const (
	globalEnd          = iota // of what is allocated; at least heapStart
	globalInputOffset         // 0 when the input is empty
	globalInputLength         //
	globalOutputOffset        // not checked
	globalOutputLength        // not checked
	globals
)

// globalNames are the exports of the globals, for the host: guests import
// functions only.
func globalNames() [globals]string {
	return [globals]string{"$end", "$input_offset", "$input_length", "$output_offset", "$output_length"}
}

const memoryName = "memory"

// heapStart is the offset of the first block: 0 means "no block".
const heapStart = 16

// ownFunction is a function that is part of the module. code uses the
// function fault, whose index is given.
type ownFunction struct {
	Function
	code func(fault uint32) string
}

func ownFunctions() []ownFunction {
	word, byteValue, none := []api.ValueType{i64}, []api.ValueType{i32}, []api.ValueType(nil)
	return []ownFunction{
		{Function{"load_u8", word, byteValue}, func(fault uint32) string {
			return checkByte(fault) + address + loadByte
		}},
		{Function{"load_u64", word, word}, func(fault uint32) string {
			return checkWord(fault) + address + loadWord
		}},
		{Function{"store_u8", []api.ValueType{i64, i32}, none}, func(fault uint32) string {
			return checkByte(fault) + address + value + storeByte
		}},
		{Function{"store_u64", []api.ValueType{i64, i64}, none}, func(fault uint32) string {
			return checkWord(fault) + address + value + storeWord
		}},
		{Function{"input_load_u8", word, byteValue}, func(fault uint32) string {
			return fromInput() + checkByte(fault) + address + loadByte
		}},
		{Function{"input_load_u64", word, word}, func(fault uint32) string {
			return fromInput() + checkWord(fault) + address + loadWord
		}},
		{Function{"input_length", none, word}, func(uint32) string { return getGlobal(globalInputLength) }},
		{Function{"input_offset", none, word}, func(uint32) string { return getGlobal(globalInputOffset) }},
		{Function{"output_set", []api.ValueType{i64, i64}, none}, func(uint32) string {
			return offset + setGlobal(globalOutputOffset) + value + setGlobal(globalOutputLength)
		}},
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

// The instructions that the functions are made of. Parameter 0 is the offset,
// parameter 1 the value.
const (
	offset    = "\x20\x00"      // local.get 0
	value     = "\x20\x01"      // local.get 1
	setOffset = "\x21\x00"      // local.set 0
	address   = offset + "\xa7" // i32.wrap_i64
	loadByte  = "\x2d\x00\x00"  // i32.load8_u
	loadWord  = "\x29\x00\x00"  // i64.load, of any alignment
	storeByte = "\x3a\x00\x00"  // i32.store8
	storeWord = "\x37\x00\x00"  // i64.store
	addWords  = "\x7c"          // i64.add
)

func getGlobal(i byte) string { return string([]byte{0x23, i}) }

func setGlobal(i byte) string { return string([]byte{0x24, i}) }

// fromInput makes the offset count from the input.
func fromInput() string { return offset + getGlobal(globalInputOffset) + addWords + setOffset }

// checkByte sees that the byte at the offset is allocated.
func checkByte(fault uint32) string {
	const notBelow = "\x5a" // i64.ge_u
	return faultIf(fault, offset+getGlobal(globalEnd)+notBelow)
}

// checkWord sees that the eight bytes at the offset are allocated. The end is
// at least heapStart, so that nothing is below zero here.
func checkWord(fault uint32) string {
	const eightBefore, above = "\x42\x08\x7d", "\x56" // i64.const 8, i64.sub; i64.gt_u
	return faultIf(fault, offset+getGlobal(globalEnd)+eightBefore+above)
}

func faultIf(fault uint32, condition string) string {
	const ifTrue, call, unreachable, end = "\x04\x40", "\x10", "\x00", "\x0b"
	return condition + ifTrue + offset + call + string(appendU32(nil, fault)) + unreachable + end
}
