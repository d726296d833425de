package fuel

// opcode is an instruction's opcode; behind a prefix byte it is
// prefix<<8 | number.
type opcode uint32

const (
	opUnreachable        opcode = 0x00
	opBlock              opcode = 0x02
	opLoop               opcode = 0x03
	opIf                 opcode = 0x04
	opElse               opcode = 0x05
	opEnd                opcode = 0x0b
	opBr                 opcode = 0x0c
	opBrIf               opcode = 0x0d
	opBrTable            opcode = 0x0e
	opReturn             opcode = 0x0f
	opCall               opcode = 0x10
	opCallIndirect       opcode = 0x11
	opReturnCall         opcode = 0x12
	opReturnCallIndirect opcode = 0x13
	opLocalGet           opcode = 0x20
	opLocalSet           opcode = 0x21
	opLocalTee           opcode = 0x22
	opGlobalGet          opcode = 0x23
	opGlobalSet          opcode = 0x24
	opMemoryGrow         opcode = 0x40
	opI32Const           opcode = 0x41
	opI64Const           opcode = 0x42
	opF32Const           opcode = 0x43
	opF64Const           opcode = 0x44
	opI32Ne              opcode = 0x47
	opI64LtS             opcode = 0x53
	opI32Add             opcode = 0x6a
	opI32Sub             opcode = 0x6b
	opI32Mul             opcode = 0x6c
	opI64Add             opcode = 0x7c
	opI64Sub             opcode = 0x7d
	opI64Mul             opcode = 0x7e
	opI64Or              opcode = 0x84
	opI64Shl             opcode = 0x86
	opI64ShrU            opcode = 0x88
	opI64ExtendI32U      opcode = 0xad
	opRefNull            opcode = 0xd0
	opRefFunc            opcode = 0xd2

	opMemoryInit opcode = prefixMisc<<8 | 8
	opMemoryCopy opcode = prefixMisc<<8 | 10
	opMemoryFill opcode = prefixMisc<<8 | 11
	opTableInit  opcode = prefixMisc<<8 | 12
	opTableCopy  opcode = prefixMisc<<8 | 14
	opTableGrow  opcode = prefixMisc<<8 | 15
	opTableFill  opcode = prefixMisc<<8 | 17

	opV128Const opcode = prefixVector<<8 | 12
)

const (
	prefixMisc   = 0xfc
	prefixVector = 0xfd
)

// immediates says what follows an opcode.
type immediates int

const (
	immUnknown immediates = iota
	immNone
	immBlockType
	immLabel
	immLabels
	immFunction
	immTypeTable
	immValueTypes
	immLocal
	immGlobal
	immTable
	immTables
	immElement
	immElementTable
	immData
	immDataMemory
	immMemory
	immMemories
	immMemArg
	immMemArgLane
	immLane
	immI32
	immI64
	imm4Bytes
	imm8Bytes
	imm16Bytes
	immRefType
)

// immediates returns immUnknown for an opcode that is not supported.
func (op opcode) immediates() immediates {
	switch prefix := op >> 8; {
	case prefix == prefixMisc:
		return miscImmediates(op & 0xff)
	case prefix == prefixVector:
		return vectorImmediates(op & 0xff)
	case op <= 0x01, op == opElse, op == opEnd, op == opReturn, op == 0x1a, op == 0x1b, op == 0xd1,
		op >= 0x45 && op <= 0xc4:
		return immNone
	case op >= opBlock && op <= opIf:
		return immBlockType
	case op == opBr, op == opBrIf:
		return immLabel
	case op == opBrTable:
		return immLabels
	case op == opCall, op == opReturnCall, op == opRefFunc:
		return immFunction
	case op == opCallIndirect, op == opReturnCallIndirect:
		return immTypeTable
	case op == 0x1c:
		return immValueTypes
	case op >= opLocalGet && op <= opLocalTee:
		return immLocal
	case op == opGlobalGet, op == opGlobalSet:
		return immGlobal
	case op == 0x25, op == 0x26:
		return immTable
	case op >= 0x28 && op <= 0x3e:
		return immMemArg
	case op == 0x3f, op == opMemoryGrow:
		return immMemory
	case op == opI32Const:
		return immI32
	case op == opI64Const:
		return immI64
	case op == opF32Const:
		return imm4Bytes
	case op == opF64Const:
		return imm8Bytes
	case op == opRefNull:
		return immRefType
	default:
		return immUnknown
	}
}

func miscImmediates(number opcode) immediates {
	switch number {
	case 0, 1, 2, 3, 4, 5, 6, 7:
		return immNone
	case 8:
		return immDataMemory
	case 9:
		return immData
	case 10:
		return immMemories
	case 11:
		return immMemory
	case 12:
		return immElementTable
	case 13:
		return immElement
	case 14:
		return immTables
	case 15, 16, 17:
		return immTable
	default:
		return immUnknown
	}
}

func vectorImmediates(number opcode) immediates {
	switch {
	case number <= 11, number == 92, number == 93:
		return immMemArg
	case number == 12, number == 13:
		return imm16Bytes
	case number >= 21 && number <= 34:
		return immLane
	case number >= 84 && number <= 91:
		return immMemArgLane
	}
	switch number {
	case 0x9a, 0xa2, 0xa5, 0xa6, 0xaf, 0xb0, 0xb2, 0xb3, 0xb4, 0xbb, 0xc2, 0xc5, 0xc6,
		0xcf, 0xd0, 0xd2, 0xd3, 0xd4, 0xe2, 0xee:
		return immUnknown
	default:
		return immNone
	}
}

// unsupportedFeature names the proposal that an unknown opcode belongs to, or
// is empty if it is none that we know of.
func (op opcode) unsupportedFeature() string {
	switch {
	case op >= 0x06 && op <= 0x0a, op == 0x18, op == 0x19, op == 0x1f:
		return "exceptions"
	case op == 0x14, op == 0x15, op >= 0xd4 && op <= 0xd6:
		return "typed function references"
	case op == 0xd3, op == 0xfb:
		return "garbage-collected types"
	case op == 0xfe:
		return "threads"
	default:
		return ""
	}
}

// bulkHelper returns the helper that charges a bulk instruction by its topmost
// operand, the amount; other instructions have none.
func (op opcode) bulkHelper() helper {
	switch op {
	case opMemoryInit, opMemoryCopy, opMemoryFill:
		return helperChargeBytes
	case opTableInit, opTableCopy, opTableGrow, opTableFill:
		return helperChargeEntries
	case opMemoryGrow:
		return helperMemoryGrow
	default:
		return helperNone
	}
}

func (op opcode) append(b []byte) []byte {
	if prefix := op >> 8; prefix != 0 {
		return appendU32(append(b, byte(prefix)), uint32(op&0xff))
	}
	return append(b, byte(op))
}
