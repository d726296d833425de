package fuel

// appendSpend appends code that takes units from the fuel and, if more was
// spent than there was, calls for more.
func (h *helperIndices) appendSpend(b []byte, units int64) []byte {
	return h.appendCheck(appendAdd(b, h.fuel, -units))
}

// appendEnter is appendSpend at the entry of a function that counts against the
// call depth. One comparison serves both: the sign of either shows in their
// disjunction.
func (h *helperIndices) appendEnter(b []byte, units, depth int64) []byte {
	b = appendAdd(b, h.fuel, -units)
	b = appendAdd(b, h.depth, -depth)
	b = appendIndexed(b, opGlobalGet, h.fuel)
	b = appendIndexed(b, opGlobalGet, h.depth)
	b = opI64Or.append(b)
	return h.appendRefuelIfNegative(b)
}

// appendLeave undoes what appendEnter did to the depth.
func (h *helperIndices) appendLeave(b []byte, depth int64) []byte {
	return appendAdd(b, h.depth, depth)
}

// appendCheck appends code that calls for more fuel if some is owed.
func (h *helperIndices) appendCheck(b []byte) []byte {
	return h.appendRefuelIfNegative(appendIndexed(b, opGlobalGet, h.fuel))
}

func (h *helperIndices) appendRefuelIfNegative(b []byte) []byte {
	b = appendIfNegative(b)
	b = h.appendCall(b, helperRefuel)
	return opEnd.append(b)
}

// appendIfNegative appends the head of an if on the topmost i64.
func appendIfNegative(b []byte) []byte {
	b = appendConst(b, opI64Const, 0)
	b = opI64LtS.append(b)
	return append(opIf.append(b), typeEmpty)
}

// appendAdd appends code that adds n to the i64 global.
func appendAdd(b []byte, global uint32, n int64) []byte {
	b = appendIndexed(b, opGlobalGet, global)
	b = appendConst(b, opI64Const, n)
	b = opI64Add.append(b)
	return appendIndexed(b, opGlobalSet, global)
}

// appendIndexed appends an instruction whose only immediate is an index.
func appendIndexed(b []byte, op opcode, index uint32) []byte {
	return appendU32(op.append(b), index)
}

// appendConst appends a constant of an integer type.
func appendConst(b []byte, op opcode, v int64) []byte {
	return appendSigned(op.append(b), v)
}
