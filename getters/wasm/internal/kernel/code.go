package kernel

// The instructions that the functions are made of. Local 0 is the offset, or a
// size, local 1 the value.
const (
	offset    = "\x20\x00"    // local.get 0
	value     = "\x20\x01"    // local.get 1
	setOffset = "\x21\x00"    // local.set 0
	address   = offset + wrap // in the heap
	wrap      = "\xa7"        // i32.wrap_i64
	extend    = "\xad"        // i64.extend_i32_u
	or32      = "\x72"        // i32.or
	equal     = "\x51"        // i64.eq
	above     = "\x56"        // i64.gt_u
	notBelow  = "\x5a"        // i64.ge_u
	add       = "\x7c"        // i64.add
	subtract  = "\x7d"        // i64.sub
	and       = "\x83"        // i64.and
	or        = "\x84"        // i64.or
	shiftUp   = "\x86"        // i64.shl
	shiftDown = "\x88"        // i64.shr_u
	choose    = "\x1b"        // select
	size      = "\x3f\x00"    // memory.size
	ifTrue    = "\x04\x40"    // if
	end       = "\x0b"        // end
	leave     = "\x0f"        // return
	never     = "\x00"        // unreachable
	nowhere   = "\x41\x00"    // i32.const 0
)

func number(n int64) string { return "\x42" + signed(n) } // i64.const

func local(i byte) string { return string([]byte{0x20, i}) }

func setLocal(i byte) string { return string([]byte{0x21, i}) }

func call(function uint32) string { return "\x10" + string(appendU32(nil, function)) }

// access is an instruction that loads or stores, of any alignment, so many bytes
// above an address.
func access(instruction byte, above uint32) string {
	return string(appendU32([]byte{instruction, 0}, above))
}

func loadByte() string  { return access(0x2d, headerBytes) } // i32.load8_u
func loadWord() string  { return access(0x29, headerBytes) } // i64.load
func storeByte() string { return access(0x3a, headerBytes) } // i32.store8
func storeWord() string { return access(0x37, headerBytes) } // i64.store

// get loads a word of the header.
func get(at uint32) string { return nowhere + access(0x29, at) }

// set stores a word in the header.
func set(at uint32, word string) string { return nowhere + word + access(0x37, at) }

// fromInput makes the offset count from the input.
func fromInput() string { return offset + get(atInputOffset) + add + setOffset }

// checkByte sees that the byte at the offset is allocated.
func checkByte() string {
	return faultIf(offset + get(atEnd) + notBelow)
}

// checkWord sees that the eight bytes at the offset are allocated. The end is
// at least heapStart, so that nothing is below zero here.
func checkWord() string {
	return faultIf(offset + get(atEnd) + number(8) + subtract + above)
}

// faultIf notes the offset and traps if the condition is met. A call of the host
// there would have every function keep a frame for it.
func faultIf(condition string) string {
	return condition + ifTrue + set(atFault, offset) + never + end
}

// leaveTo has a function of the host do the work if the condition is met.
func leaveTo(function uint32, condition string) string {
	return condition + ifTrue + offset + call(function) + leave + end
}

// alloc puts a block of a size, which is local 0, behind the others, if it is
// none of a special size, and there is room for it in the memory and the list.
func alloc(host hostIndices) string {
	const behind, before, last = 1, 2, 3 // the end as it will be and as it was, and the list's
	const ordinary = 1 << 31
	const largestOfSmallest = smallestBlock - alignment + 1
	need := offset + number(alignment-1) + add +
		number(smallestBlock) +
		offset + number(largestOfSmallest) + above + choose +
		number(-alignment) + and
	room := size + extend + number(pageBits) + shiftUp + number(headerBytes) + subtract
	return leaveTo(host.alloc, offset+number(1)+subtract+number(ordinary)+notBelow) +
		need + get(atEnd) + setLocal(before) + local(before) + add + setLocal(behind) +
		get(atLast) + setLocal(last) +
		leaveTo(host.alloc, local(behind)+room+above+local(last)+number(lastOfList)+equal+or32) +
		local(last) + wrap + offset + number(sizeShift) + shiftUp + local(before) + or + access(0x37, entryBytes) +
		set(atLast, local(last)+number(entryBytes)+add) +
		set(atEnd, local(behind)) +
		local(before)
}

// length is the size of the last block, if that is asked for.
func length(host hostIndices) string {
	return ofLast(local(lastEntry)+number(sizeShift)+shiftDown, host.length)
}

// nothing is 0 for a name that is the last block.
func nothing(host uint32) string { return ofLast(number(0), host) }

const lastEntry = 1 // a local

// ofLast is a result if the offset is that of the last block, and else that of a
// function of the host.
func ofLast(result string, host uint32) string {
	const offsetBits = 1<<sizeShift - 1
	return get(atLast) + wrap + access(0x29, 0) + setLocal(lastEntry) +
		local(lastEntry) + number(offsetBits) + and + offset + equal +
		ifTrue + result + leave + end +
		offset + call(host)
}

// signed is the form of constants.
func signed(n int64) string {
	var b []byte
	for {
		low := byte(n & 0x7f)
		n >>= 7
		if n == 0 && low&0x40 == 0 || n == -1 && low&0x40 != 0 {
			return string(append(b, low))
		}
		b = append(b, low|0x80)
	}
}
