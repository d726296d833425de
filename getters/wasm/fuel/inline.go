package fuel

import "slices"

// Bounds of the functions that are put in the place of their calls: small ones,
// whose entry would cost more than what they do.
const (
	maxInlinedBytes        = 64
	maxInlinedInstructions = 16
	maxInlinedVariables    = 8
	// inlinedLevels is how many such functions may be within each other.
	inlinedLevels = 4
	// branchesForInlining is how much a function may branch (compileCost) for one that
	// branches to become a part of it.
	branchesForInlining = 1 << 9
	// inlinedShare is the part of the code that it may become longer by, and
	// inlinedBytes what it may in any case.
	inlinedShare = 4
	inlinedBytes = 1 << 10
)

// inliner knows which functions are put in the place of their calls: those that are
// a few instructions without a loop.
type inliner struct {
	spaces *indexSpaces
	code   reader
	// small are the functions of the module.
	small []smallFunction
	// left is how many bytes the code may still become longer by.
	left  int
	ins   instruction
	types []byte
}

// smallFunction is a function that may be put in the place of its calls.
type smallFunction struct {
	// body is where what follows its size begins in the code; 0: it is called.
	body int32
	// branches says that it does not always run to its end in one row.
	branches bool
}

// newInliner looks at all functions. What is malformed is found out when they are
// scanned.
func newInliner(code reader, spaces *indexSpaces, defined []uint32) *inliner {
	l := &inliner{spaces: spaces, code: code, small: make([]smallFunction, len(defined)), left: len(code.data)/inlinedShare + inlinedBytes}
	r := code
	r.u32() // how many there are
	for i, t := range defined {
		size := r.u32()
		start := r.pos
		r.bytes(size)
		if r.err != nil {
			break
		}
		if size > maxInlinedBytes {
			continue
		}
		if branches, ok := l.suits(reader{data: r.data[start:r.pos]}, spaces.types[t]); ok {
			l.small[i] = smallFunction{int32(start), branches}
		}
	}
	return l
}

// suits says whether a function is one to be put in the place of its calls.
func (l *inliner) suits(r reader, typ funcType) (branches, ok bool) {
	variables := l.variables(&r, typ)
	if r.err != nil || len(variables) > maxInlinedVariables {
		return false, false
	}
	for _, t := range variables {
		if zeroOf(t) == opUnreachable {
			return false, false
		}
	}
	l.ins.blocks, l.ins.locals = 0, uint32(len(variables))
	for range maxInlinedInstructions + 1 {
		l.ins.read(&r, l.spaces)
		switch op := l.ins.op; {
		case r.err != nil:
			return false, false
		case op == opEnd && l.ins.blocks == 0:
			return branches, r.done() == nil && (!branches || len(typ.results) <= 1)
		case op == opEnd:
			l.ins.blocks--
		case op == opBlock, op == opIf:
			l.ins.blocks++
			branches = true
		case op == opElse, op == opBr, op == opBrIf, op == opReturn:
			branches = true
		case !op.isPlain():
			return false, false
		}
	}
	return false, false
}

// variables are the types of the parameters and locals of the function that is read.
func (l *inliner) variables(r *reader, typ funcType) []byte {
	l.types = append(l.types[:0], typ.params...)
	for range r.count(2, "groups of locals") {
		n := r.u32()
		t := r.valueType()
		if r.err != nil || n > maxInlinedVariables {
			r.fail(ErrLimit, "many locals")
			break
		}
		for range n {
			l.types = append(l.types, t)
		}
	}
	return l.types
}

// find returns a reader of the function with an index, unless that is called.
func (l *inliner) find(function uint32) (r reader, branches, ok bool) {
	i := int(function) - int(l.spaces.importedFunctions)
	if i < 0 || i >= len(l.small) || l.small[i].body == 0 || l.left <= 0 {
		return reader{}, false, false
	}
	r = l.code
	r.pos = int(l.small[i].body)
	return r, l.small[i].branches, true
}

// levels is how many functions may be within each other in the place of a call in
// the function with an index. A small one keeps its calls: so what takes the place of
// others is there as it was, too, and the engine finds out if it is invalid.
func (l *inliner) levels(defined int) int {
	if l.small[defined].body != 0 {
		return 0
	}
	return inlinedLevels
}

// isPlain says whether the instruction goes on with the next one, and does not spend
// fuel by itself.
func (op opcode) isPlain() bool {
	switch op.immediates() {
	case immNone:
		return op != opUnreachable && op>>8 != prefixVector
	case immLocal, immGlobal, immMemArg, immI32, immI64, imm4Bytes, imm8Bytes:
		return op>>8 != prefixVector
	case immFunction:
		return op == opCall
	default:
		return false
	}
}

// zeroOf is the constant that locals of a type begin with; of types that are no
// numbers it is none.
func zeroOf(t byte) opcode {
	switch t {
	case typeI32:
		return opI32Const
	case typeI64:
		return opI64Const
	case typeF32:
		return opF32Const
	case typeF64:
		return opF64Const
	default:
		return opUnreachable
	}
}

// inline puts a function in the place of a call that was scanned, if that is one to
// be, and those that it calls in the place of its calls, so many levels deep. Its
// parameters and locals become locals of the caller.
func (s *scanner) inline(b *body, function uint32, levels int) bool {
	l := s.inliner
	r, branches, ok := l.find(function)
	if !ok || levels == 0 || b.nextLocal > maxLocals/2 || branches && b.branching > branchesForInlining {
		return false
	}
	typ := s.spaces.types[s.spaces.functionTypes[function]]
	before, taken := len(b.locals)+len(b.code), b.taken
	types := l.variables(&r, typ)
	places := b.places(types)
	for i, t := range slices.Backward(types) {
		if i >= len(typ.params) {
			b.code = appendZero(b.code, t)
			b.count(s.region)
		}
		b.code = appendIndexed(b.code, opLocalSet, places[i])
		b.count(s.region)
	}
	if branches { // which reach the end of the function by the number of this block
		result := byte(typeEmpty)
		if len(typ.results) == 1 {
			result = typ.results[0]
		}
		b.code = append(opBlock.append(b.code), result)
		b.branching += blockWeight
	}
	l.left -= max(len(b.locals)+len(b.code)-before, 1) // so that what takes no bytes comes to an end
	s.inlineBody(b, &r, places, levels)
	if branches {
		b.code = opEnd.append(b.code)
	}
	b.taken = taken
	b.inlined++
	return true
}

// inlineBody scans the instructions of a function that takes the place of a call.
func (s *scanner) inlineBody(b *body, r *reader, places [maxInlinedVariables]uint32, levels int) {
	l := s.inliner
	blocks := uint32(0)
	for {
		l.ins.blocks, l.ins.locals = blocks, maxInlinedVariables
		l.ins.read(r, s.spaces)
		b.count(s.region)
		b.branching += l.ins.branching()
		before := len(b.code)
		switch op := l.ins.op; {
		case op == opEnd && blocks == 0:
			return
		case op == opReturn:
			b.code = appendIndexed(b.code, opBr, blocks)
		case op.immediates() == immLocal:
			b.code = appendIndexed(b.code, op, places[l.ins.index])
		case op == opCall && s.inline(b, l.ins.index, levels-1):
			continue
		default:
			switch {
			case op == opBlock, op == opIf:
				blocks++
			case op == opEnd:
				blocks--
			case op == opCall && l.ins.index >= s.spaces.importedFunctions:
				b.calls = true
			}
			b.code = append(b.code, l.ins.encoded...)
		}
		l.left -= len(b.code) - before
	}
}

func appendZero(b []byte, t byte) []byte {
	op := zeroOf(t)
	b = op.append(b)
	switch op {
	case opF32Const:
		return append(b, make([]byte, 4)...)
	case opF64Const:
		return append(b, make([]byte, 8)...)
	default:
		return append(b, 0)
	}
}

// places are locals for the variables of a function that is put in the place of a
// call. The next such function has them again when this one is over.
func (b *body) places(types []byte) (places [maxInlinedVariables]uint32) {
	for i, t := range types {
		kind := typeI32 - t // the numbers of the types are side by side
		if b.taken[kind] == len(b.spare[kind]) {
			b.spare[kind] = append(b.spare[kind], b.nextLocal)
			b.nextLocal++
			b.ownLocals++
			b.variables++
			b.groups++
			b.locals = append(b.locals, 1, t)
		}
		places[i] = b.spare[kind][b.taken[kind]]
		b.taken[kind]++
	}
	return places
}
