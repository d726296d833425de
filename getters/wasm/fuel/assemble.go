package fuel

// assembler writes scanned bodies with the injected code.
type assembler struct {
	helpers *helperIndices
	blocks  *blockTypes
}

// append appends the function: its locals and its code.
func (a *assembler) append(out []byte, b *body, typ funcType) []byte {
	out = append(appendU32(out, b.groups), b.locals...)
	units := unitsOf(b.regions[0])
	if !b.calls {
		out = a.helpers.appendSpend(out, units)
		out = a.appendCode(out, b, 0)
		return opEnd.append(out)
	}
	// The body becomes a block, so that whatever leaves the function passes
	// its end. A branch to the function's label reaches the block's label by
	// the same number, and a return becomes such a branch.
	depth := b.depth()
	out = a.helpers.appendEnter(out, units, depth)
	out = a.blocks.append(opBlock.append(out), typ)
	out = a.appendCode(out, b, depth)
	out = opEnd.append(out)
	out = a.helpers.appendLeave(out, depth)
	return opEnd.append(out)
}

func (a *assembler) appendCode(out []byte, b *body, depth int64) []byte {
	done := 0
	for _, m := range b.marks {
		out = append(out, b.code[done:m.at]...)
		done = m.at
		switch {
		case m.kind == markCharge:
			out = a.helpers.appendSpend(out, unitsOf(b.regions[m.arg]))
		case m.kind == markReturn && b.calls:
			out = appendIndexed(out, opBr, m.arg)
		case m.kind == markReturn:
			out = opReturn.append(out)
		case m.kind == markTailCall && b.calls:
			out = a.helpers.appendLeave(out, depth)
		}
	}
	return append(out, b.code[done:]...)
}

// blockTypes finds types for blocks that take nothing and return what a
// function returns, and collects those that the module lacks.
type blockTypes struct {
	// next is the index of the next type to add.
	next  uint32
	added []funcType
	index map[string]uint32
}

func newBlockTypes(types []funcType, next uint32) *blockTypes {
	t := &blockTypes{next: next, index: make(map[string]uint32)}
	for i, typ := range types {
		if len(typ.params) == 0 && len(typ.results) > 1 {
			t.index[string(typ.results)] = uint32(i)
		}
	}
	return t
}

func (t *blockTypes) append(out []byte, typ funcType) []byte {
	switch len(typ.results) {
	case 0:
		return append(out, typeEmpty)
	case 1:
		return append(out, typ.results[0])
	}
	i, ok := t.index[string(typ.results)]
	if !ok {
		i = t.next
		t.next++
		t.index[string(typ.results)] = i
		t.added = append(t.added, funcType{results: typ.results})
	}
	return appendSigned(out, int64(i))
}
