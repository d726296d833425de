package fuel

// helper is a function that Inject adds behind those of the module.
type helper int

const (
	helperNone helper = iota
	// helperCallDepth traps.
	helperCallDepth
	// helperRefuel is called when fuel or depth is negative.
	helperRefuel
	// helperChargeBytes and helperChargeEntries spend fuel by their argument,
	// which they return.
	helperChargeBytes
	helperChargeEntries
	// helperMemoryGrow grows the memory and spends fuel if that succeeds: it
	// does nothing in proportion to its argument otherwise.
	helperMemoryGrow
)

const (
	bytesPerUnitLog2   = 8
	entriesPerUnitLog2 = 5
	unitsPerPageLog2   = 16 - bytesPerUnitLog2
)

// helperIndices are the indices of everything that is injected.
type helperIndices struct {
	tick          uint32
	first         uint32
	fuel, depth   uint32
	tickType      uint32
	procedureType uint32
	chargeType    uint32
	memory        bool
}

// all returns the helpers in the order of their indices.
func (h *helperIndices) all() []helper {
	all := []helper{helperCallDepth, helperRefuel, helperChargeBytes, helperChargeEntries}
	if h.memory {
		all = append(all, helperMemoryGrow)
	}
	return all
}

func (h helper) String() string {
	switch h {
	case helperCallDepth:
		return CallDepthTrap
	case helperRefuel:
		return TickModule + ".refuel"
	case helperChargeBytes:
		return TickModule + ".charge_bytes"
	case helperChargeEntries:
		return TickModule + ".charge_entries"
	case helperMemoryGrow:
		return TickModule + ".memory_grow"
	default:
		return ""
	}
}

func (h *helperIndices) index(f helper) uint32 { return h.first + uint32(f-helperCallDepth) }

func (h *helperIndices) typeOf(f helper) uint32 {
	if f == helperCallDepth || f == helperRefuel {
		return h.procedureType
	}
	return h.chargeType
}

func (h *helperIndices) appendCall(b []byte, f helper) []byte {
	return appendU32(opCall.append(b), h.index(f))
}

// body returns the locals and the code of the helper.
func (h *helperIndices) body(f helper) []byte {
	switch f {
	case helperCallDepth:
		return opEnd.append(opUnreachable.append(noLocals()))
	case helperRefuel:
		return h.refuelBody()
	case helperChargeBytes:
		return h.chargeBody(bytesPerUnitLog2)
	case helperChargeEntries:
		return h.chargeBody(entriesPerUnitLog2)
	case helperMemoryGrow:
		return h.memoryGrowBody()
	default:
		return nil
	}
}

func noLocals() []byte { return appendU32(nil, 0) }

// refuelBody traps if the depth is used up, and calls the tick until no fuel is
// owed: the ticks then add up to what was spent.
func (h *helperIndices) refuelBody() []byte {
	b := appendIndexed(noLocals(), opGlobalGet, h.depth)
	b = appendIfNegative(b)
	b = h.appendCall(b, helperCallDepth)
	b = opEnd.append(b)
	b = append(opLoop.append(b), typeEmpty)
	b = appendIndexed(b, opGlobalGet, h.fuel)
	b = appendIfNegative(b)
	b = appendIndexed(b, opCall, h.tick)
	b = appendIndexed(b, opGlobalGet, h.fuel)
	b = opI64Add.append(b)
	b = appendIndexed(b, opGlobalSet, h.fuel)
	b = appendIndexed(b, opBr, 1)
	b = opEnd.append(b)
	b = opEnd.append(b)
	return opEnd.append(b)
}

// chargeBody spends 1 + amount >> shift and returns amount.
func (h *helperIndices) chargeBody(shift int64) []byte {
	const amount = 0
	b := appendIndexed(noLocals(), opGlobalGet, h.fuel)
	b = appendIndexed(b, opLocalGet, amount)
	b = opI64ExtendI32U.append(b)
	b = appendConst(b, opI64Const, shift)
	b = opI64ShrU.append(b)
	b = opI64Sub.append(b)
	b = appendIndexed(b, opGlobalSet, h.fuel)
	b = h.appendSpend(b, 1)
	b = appendIndexed(b, opLocalGet, amount)
	return opEnd.append(b)
}

// memoryGrowBody spends one unit, grows the memory and, unless that fails,
// spends the units of the new pages.
func (h *helperIndices) memoryGrowBody() []byte {
	const pages, result = 0, 1
	b := append(appendU32(appendU32(nil, 1), 1), typeI32)
	b = h.appendSpend(b, 1)
	b = appendIndexed(b, opLocalGet, pages)
	b = append(opMemoryGrow.append(b), 0)
	b = appendIndexed(b, opLocalTee, result)
	b = appendConst(b, opI32Const, -1)
	b = opI32Ne.append(b)
	b = append(opIf.append(b), typeEmpty)
	b = appendIndexed(b, opGlobalGet, h.fuel)
	b = appendIndexed(b, opLocalGet, pages)
	b = opI64ExtendI32U.append(b)
	b = appendConst(b, opI64Const, unitsPerPageLog2)
	b = opI64Shl.append(b)
	b = opI64Sub.append(b)
	b = appendIndexed(b, opGlobalSet, h.fuel)
	b = h.appendCheck(b)
	b = opEnd.append(b)
	b = appendIndexed(b, opLocalGet, result)
	return opEnd.append(b)
}
