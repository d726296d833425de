package fuel

// instruction is one decoded instruction.
type instruction struct {
	// blocks is the number of open blocks around the instruction. It is set
	// before reading: a label beyond the function's own must be refused, since
	// the body may get one more block around it.
	blocks uint32
	// locals is the number of parameters and locals of the function, set before
	// reading: the function may get more of them.
	locals uint32
	op     opcode
	// index is that of the function or type to call, or of the local.
	index uint32
	// labels is the number of labels of a table.
	labels uint32
	// encoded is the whole instruction with every number in its shortest
	// form. Writing instructions anew instead of copying their bytes makes
	// sure that the engine decodes the very instructions that were counted
	// here. It is overwritten by the next instruction.
	encoded []byte
}

// readOpcode reads an opcode with its prefix.
func readOpcode(r *reader) opcode {
	start := r.pos
	op := opcode(r.byte())
	if op == prefixMisc || op == prefixVector {
		number := r.u32()
		switch {
		case r.err != nil:
			return 0
		case number > 0xff:
			r.failAt(start, ErrRefused, "instruction %#x %d is not supported", uint32(op), number)
			return 0
		case op == prefixVector && r.pos-start != len((op<<8|opcode(number)).append(nil)):
			// The engine reads only the first byte of this number and would
			// see another instruction.
			r.failAt(start, ErrRefused, "instruction %#x %d is not in its shortest form", uint32(op), number)
		}
		op = op<<8 | opcode(number)
	}
	if r.err == nil && op.immediates() == immUnknown {
		if feature := op.unsupportedFeature(); feature != "" {
			r.failAt(start, ErrRefused, "instruction %#x: %s are not supported", uint32(op), feature)
		} else {
			r.failAt(start, ErrRefused, "unknown instruction %#x", uint32(op))
		}
	}
	return op
}

// read decodes the next instruction of r into ins, whose encoded form has
// function indices shifted.
func (ins *instruction) read(r *reader, s *indexSpaces) {
	ins.op = readOpcode(r)
	ins.index = 0
	b := ins.op.append(ins.encoded[:0])
	switch ins.op.immediates() {
	case immUnknown, immNone:
	case immBlockType:
		b = s.blockType(r, b)
	case immLabel:
		b = appendU32(b, ins.label(r))
	case immLocal:
		start := r.pos
		ins.index = r.u32()
		r.checkIndex(start, ins.index, ins.locals, "local")
		b = appendU32(b, ins.index)
	case immElement, immData:
		b = appendU32(b, r.u32())
	case immLabels:
		n := r.count(1, "labels")
		ins.labels = n
		b = appendU32(b, n)
		for range n + 1 {
			if r.err != nil {
				break
			}
			b = appendU32(b, ins.label(r))
		}
	case immFunction:
		ins.index = s.function(r)
		b = appendU32(b, s.shifted(ins.index))
	case immTypeTable:
		ins.index = s.typeIndex(r)
		b = appendU32(b, ins.index)
		b = appendU32(b, s.table(r))
	case immValueTypes:
		b = appendBytes(b, r.valueTypes(maxResults, "operand types"))
	case immGlobal:
		b = appendU32(b, s.global(r))
	case immTable:
		b = appendU32(b, s.table(r))
	case immTables:
		b = appendU32(b, s.table(r))
		b = appendU32(b, s.table(r))
	case immElementTable:
		b = appendU32(b, r.u32())
		b = appendU32(b, s.table(r))
	case immDataMemory:
		b = appendU32(b, r.u32())
		s.memoryByte(r)
		b = append(b, 0)
	case immMemory:
		s.memoryByte(r)
		b = append(b, 0)
	case immMemories:
		s.memoryByte(r)
		s.memoryByte(r)
		b = append(b, 0, 0)
	case immMemArg:
		b = s.memArg(r, b)
	case immMemArgLane:
		b = s.memArg(r, b)
		b = append(b, r.byte())
	case immLane:
		b = append(b, r.byte())
	case immI32:
		b = appendSigned(b, r.signed(32))
	case immI64:
		b = appendSigned(b, r.signed(64))
	case imm4Bytes:
		b = append(b, r.bytes(4)...)
	case imm8Bytes:
		b = append(b, r.bytes(8)...)
	case imm16Bytes:
		b = append(b, r.bytes(16)...)
	case immRefType:
		b = append(b, r.refType())
	}
	ins.encoded = b
}

// label reads the number of a block to branch to, counted outwards; the last is
// the function itself.
func (ins *instruction) label(r *reader) uint32 {
	start := r.pos
	label := r.u32()
	r.checkIndex(start, label, ins.blocks+1, "label")
	return label
}

// blockType reads the type of a block: nothing, one result, or the index of a
// function type, together one signed number of 33 bits.
func (s *indexSpaces) blockType(r *reader, b []byte) []byte {
	start := r.pos
	v := r.signed(33)
	if r.err != nil {
		return b
	}
	if v >= 0 {
		r.checkIndex(start, uint32(v), uint32(len(s.types)), "type")
		return appendSigned(b, v)
	}
	t := byte(v & 0x7f)
	if v < -64 {
		r.failAt(start, ErrMalformed, "unknown block type %d", v)
	} else if t != typeEmpty {
		r.checkValueType(start, t)
	}
	return append(b, t)
}

// memArg reads the alignment and offset of a memory access.
func (s *indexSpaces) memArg(r *reader, b []byte) []byte {
	start := r.pos
	align := r.u32()
	switch {
	case align >= 64:
		r.failAt(start, ErrRefused, "alignment %#x: multiple memories are not supported", align)
	case align >= 32:
		r.failAt(start, ErrMalformed, "alignment of 2^%d bytes", align)
	}
	r.checkIndex(start, 0, s.memories, "memory")
	b = appendU32(b, align)
	return appendU32(b, r.u32())
}
