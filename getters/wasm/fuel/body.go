package fuel

import "bytes"

// instructionsPerUnit is how many instructions of straight-line code one unit
// of fuel pays for, besides the unit that every function entry and turn of a
// loop costs.
const instructionsPerUnit = 64

// A frame counts as one level of the call depth, and as one more for each
// valuesPerLevel values that it may hold: parameters, results and locals, and
// one for each instructionsPerValue instructions.
const (
	valuesPerLevel       = 32
	instructionsPerValue = 16
)

// markKind is what a mark stands for.
type markKind int

const (
	// markCharge is the head of a loop, where the cost of a region is spent.
	markCharge markKind = iota
	// markReturn replaces a return.
	markReturn
	// markTailCall precedes a tail call.
	markTailCall
)

// mark is a place in a scanned body at which code is to be inserted.
type mark struct {
	at   int
	kind markKind
	// arg is the region to charge, or the number of blocks around a return.
	arg uint32
}

// body is a scanned function: its code without the injected instructions, and
// where those belong.
type body struct {
	// locals are groups of locals, without their number.
	locals []byte
	groups uint32
	code   []byte
	marks  []mark
	// regions counts instructions: of the function outside of loops, and of
	// each loop outside of the loops within it. Every instruction belongs to
	// one region and runs at most once between two charges of that region.
	regions []uint32
	// variables is the number of parameters, results and locals, and size the
	// number of instructions.
	variables, size int
	ownLocals       uint32
	// branching is what the places where the function branches weigh.
	branching uint64
	// calls says that the function calls others of the module, so that its
	// frame counts against the call depth.
	calls bool
	bulk  int
	// spare are the locals that functions have which were put in the place of
	// calls, by type, and taken how many of them are in use. nextLocal is the index
	// of the next one, and inlined the number of such calls.
	spare     [4][]uint32
	taken     [4]int
	nextLocal uint32
	inlined   int
}

// What it takes an engine to compile a function grows with the square of how much
// it branches. These are the weights that have been measured with wazero; a loop
// has what is injected at its head, and a bulk instruction takes as long wherever
// it is.
const (
	blockWeight  = 1 // and a label of a table, and an indirect call
	branchWeight = 4 // an if, or a branch that is taken or not
	loopWeight   = 12
	bulkCost     = 1 << 17
)

// branching is what the instruction weighs.
func (ins *instruction) branching() uint64 {
	switch ins.op {
	case opIf, opBrIf:
		return branchWeight
	case opLoop:
		return loopWeight
	case opBlock, opCallIndirect:
		return blockWeight
	case opBrTable:
		return blockWeight * uint64(ins.labels)
	default:
		return 0
	}
}

// compileCost is what it takes to compile the function.
func (b *body) compileCost() uint64 { return b.branching*b.branching + bulkCost*uint64(b.bulk) }

// count counts an instruction of a region.
func (b *body) count(region uint32) {
	b.regions[region]++
	b.size++
}

// unitsOf is the fuel that a region of so many instructions costs.
func unitsOf(instructions uint32) int64 {
	return 1 + int64(instructions)/instructionsPerUnit
}

// depth is how much a frame of the function counts against the call depth.
func (b *body) depth() int64 {
	return 1 + int64(b.variables+b.size/instructionsPerValue)/valuesPerLevel
}

// scanner turns the bytes of a function into a body.
type scanner struct {
	spaces  *indexSpaces
	helpers *helperIndices
	inliner *inliner
	ins     instruction
	// enclosing holds, for each open block, the region outside of it.
	enclosing []uint32
	region    uint32
	// levels is how many functions may be within each other in the place of a call.
	levels int
}

// scan reads the function of the given type. The result is valid until the
// next call.
func (s *scanner) scan(r *reader, typ funcType, b *body) error {
	*b = body{
		locals: b.locals[:0], code: b.code[:0], marks: b.marks[:0], regions: append(b.regions[:0], 0),
		variables: len(typ.params) + len(typ.results),
		spare:     [4][]uint32{b.spare[0][:0], b.spare[1][:0], b.spare[2][:0], b.spare[3][:0]},
	}
	s.enclosing, s.region = s.enclosing[:0], 0
	s.scanLocals(r, len(typ.params), b)
	s.ins.locals = b.nextLocal
	for r.more() {
		s.ins.blocks = uint32(len(s.enclosing))
		s.ins.read(r, s.spaces)
		if r.err != nil {
			return r.err
		}
		b.count(s.region)
		if s.ins.op == opEnd && len(s.enclosing) == 0 {
			return r.done()
		}
		s.instruction(r, typ, b)
	}
	if r.err == nil {
		r.fail(ErrMalformed, "unexpected end")
	}
	return r.err
}

func (s *scanner) scanLocals(r *reader, params int, b *body) {
	b.groups = r.count(2, "groups of locals")
	total := uint64(0)
	for range b.groups {
		start := r.pos
		n := r.u32()
		t := r.valueType()
		if total += uint64(n); total > maxLocals {
			r.failAt(start, ErrLimit, "%d locals, at most %d are supported", total, maxLocals)
		}
		if r.err != nil {
			return
		}
		b.locals = append(appendU32(b.locals, n), t)
	}
	b.variables += int(total)
	b.ownLocals = uint32(total)
	b.nextLocal = uint32(params) + b.ownLocals
}

func (s *scanner) instruction(r *reader, typ funcType, b *body) {
	ins := &s.ins
	b.branching += ins.branching()
	switch op := ins.op; op {
	case opBlock, opIf:
		s.enclosing = append(s.enclosing, s.region)
	case opLoop:
		s.enclosing = append(s.enclosing, s.region)
		s.region = uint32(len(b.regions))
		b.regions = append(b.regions, 0)
		b.code = append(b.code, ins.encoded...)
		b.mark(markCharge, s.region)
		return
	case opEnd:
		last := len(s.enclosing) - 1
		s.region, s.enclosing = s.enclosing[last], s.enclosing[:last]
	case opReturn:
		b.mark(markReturn, uint32(len(s.enclosing)))
		return
	case opCall:
		if s.inline(b, ins.index, s.levels) {
			return
		}
		if ins.index >= s.spaces.importedFunctions {
			b.calls = true
		}
	case opCallIndirect:
		b.calls = true
	case opReturnCall, opReturnCallIndirect:
		s.tailCall(r, typ, b)
		return
	default:
		if h := op.bulkHelper(); h != helperNone {
			b.bulk++
			b.code = s.helpers.appendCall(b.code, h)
			if h == helperMemoryGrow {
				return
			}
		}
	}
	b.code = append(b.code, ins.encoded...)
}

func (b *body) mark(kind markKind, arg uint32) {
	b.marks = append(b.marks, mark{at: len(b.code), kind: kind, arg: arg})
}

// maxRegisterValues is how many parameters or results a tail call can have and
// still leave no frame behind: engines pass more on the stack, which the
// frame of the caller then has to outlive.
const maxRegisterValues = 6

// tailCall scans a tail call. One that would leave a frame behind becomes an
// ordinary call and a return, so that the frame is counted.
func (s *scanner) tailCall(r *reader, typ funcType, b *body) {
	ins := &s.ins
	typeIndex, ordinary, local := ins.index, opCallIndirect, true
	if ins.op == opReturnCall {
		typeIndex, ordinary = s.spaces.functionTypes[ins.index], opCall
		local = ins.index >= s.spaces.importedFunctions
	}
	callee := s.spaces.types[typeIndex]
	if !bytes.Equal(callee.results, typ.results) {
		r.fail(ErrMalformed, "tail call of a function with other results")
		return
	}
	if len(callee.params) <= maxRegisterValues && len(callee.results) <= maxRegisterValues {
		b.mark(markTailCall, 0)
		b.code = append(b.code, ins.encoded...)
		return
	}
	b.calls = b.calls || local
	b.code = ordinary.append(b.code)
	b.code = append(b.code, ins.encoded[1:]...)
	b.mark(markReturn, uint32(len(s.enclosing)))
}
