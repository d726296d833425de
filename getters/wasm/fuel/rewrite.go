package fuel

import "fmt"

// rewrite returns the content of the section after the transformation. Of the
// sections that gain elements it returns the module's own, without their
// count; of a custom section that must not stay it returns nil.
func (in *injection) rewrite(s section) ([]byte, error) {
	r := s.reader()
	var out []byte
	switch s.id {
	case sectionCustom:
		return in.rewriteCustom(r)
	case sectionType:
		for _, t := range in.spaces.types {
			out = t.append(out)
		}
		return out, nil
	case sectionImport:
		for _, e := range in.imports {
			out = e.append(out)
		}
		return out, nil
	case sectionFunction:
		for _, t := range in.defined {
			out = appendU32(out, t)
		}
		return out, nil
	case sectionTable:
		out = appendU32(out, uint32(len(in.tables)))
		for _, t := range in.tables {
			out = t.append(out)
		}
		return out, nil
	case sectionMemory:
		out = appendU32(out, uint32(len(in.memories)))
		for _, m := range in.memories {
			out = m.append(out)
		}
		return out, nil
	case sectionGlobal:
		out = in.rewriteGlobals(r)
	case sectionExport:
		out = in.rewriteExports(r)
	case sectionStart:
		out = appendU32(out, in.spaces.shifted(in.spaces.function(r)))
	case sectionElement:
		out = in.rewriteElements(r)
	case sectionCode:
		return in.rewriteCode(r)
	case sectionData:
		out = in.rewriteData(r)
	case sectionDataCount:
		out = appendU32(out, r.u32())
	default:
		r.fail(ErrMalformed, "unknown section")
	}
	return out, r.done()
}

func (in *injection) rewriteGlobals(r *reader) []byte {
	var out []byte
	n := r.count(4, "globals")
	for i := uint32(0); i < n && r.err == nil; i++ {
		t := r.globalType()
		out = append(out, t.value, t.mutable)
		out = in.rewriteConstant(r, out)
	}
	return out
}

func (in *injection) rewriteExports(r *reader) []byte {
	n := in.entries(r, 3, "exports")
	out := appendU32(nil, n)
	for i := uint32(0); i < n && r.err == nil; i++ {
		out = appendBytes(out, r.name())
		start := r.pos
		kind := r.byte()
		out = append(out, kind)
		switch kind {
		case externFunction:
			out = appendU32(out, in.spaces.shifted(in.spaces.function(r)))
		case externTable:
			out = appendU32(out, in.spaces.table(r))
		case externMemory:
			in.spaces.memory(r)
			out = append(out, 0)
		case externGlobal:
			out = appendU32(out, in.spaces.global(r))
		case externTag:
			r.failAt(start, ErrRefused, "export of a tag: exceptions are not supported")
		default:
			r.failAt(start, ErrMalformed, "export of unknown kind %d", kind)
		}
	}
	return out
}

// Bits of the flags that element segments start with.
const (
	elementNotActive   = 1 << 0
	elementHasTable    = 1 << 1 // of an active one; else it is declarative
	elementExpressions = 1 << 2
)

func (in *injection) rewriteElements(r *reader) []byte {
	n := in.entries(r, 3, "element segments")
	out := appendU32(nil, n)
	for i := uint32(0); i < n && r.err == nil; i++ {
		start := r.pos
		flags := r.u32()
		if flags > elementNotActive|elementHasTable|elementExpressions {
			r.failAt(start, ErrMalformed, "unknown element segment flags %#x", flags)
		}
		out = appendU32(out, flags)
		if flags&elementNotActive == 0 {
			if flags&elementHasTable != 0 {
				out = appendU32(out, in.spaces.table(r))
			}
			out = in.rewriteConstant(r, out)
		}
		switch {
		case flags&(elementNotActive|elementHasTable) == 0:
		case flags&elementExpressions != 0:
			out = append(out, r.refType())
		default:
			start := r.pos
			kind := r.byte()
			if kind != 0 {
				r.failAt(start, ErrMalformed, "unknown element kind %#x", kind)
			}
			out = append(out, kind)
		}
		count := in.entries(r, 1, "elements")
		out = appendU32(out, count)
		for j := uint32(0); j < count && r.err == nil; j++ {
			if flags&elementExpressions != 0 {
				out = in.rewriteConstant(r, out)
			} else {
				out = appendU32(out, in.spaces.shifted(in.spaces.function(r)))
			}
		}
	}
	return out
}

// Flags of data segments.
const (
	dataActive           = 0
	dataPassive          = 1
	dataActiveWithMemory = 2
)

func (in *injection) rewriteData(r *reader) []byte {
	n := in.entries(r, 2, "data segments")
	out := appendU32(nil, n)
	for i := uint32(0); i < n && r.err == nil; i++ {
		start := r.pos
		flags := r.u32()
		out = appendU32(out, flags)
		switch flags {
		case dataActive:
			out = in.rewriteConstant(r, out)
		case dataPassive:
		case dataActiveWithMemory:
			in.spaces.memory(r)
			out = append(out, 0)
			out = in.rewriteConstant(r, out)
		default:
			r.failAt(start, ErrMalformed, "unknown data segment flags %#x", flags)
		}
		out = appendBytes(out, r.bytes(r.u32()))
	}
	return out
}

// rewriteConstant appends a constant expression to out.
func (in *injection) rewriteConstant(r *reader, out []byte) []byte {
	var ins instruction
	for r.err == nil {
		start := r.pos
		ins.read(r, &in.spaces)
		switch op := ins.op; op {
		case opI32Const, opI64Const, opF32Const, opF64Const, opV128Const, opRefNull, opRefFunc, opGlobalGet,
			opI32Add, opI32Sub, opI32Mul, opI64Add, opI64Sub, opI64Mul:
		case opEnd:
			return append(out, ins.encoded...)
		default:
			r.failAt(start, ErrMalformed, "instruction %#x in a constant expression", uint32(op))
		}
		out = append(out, ins.encoded...)
	}
	return out
}

// rewriteCode scans every function and writes it with the injected code.
func (in *injection) rewriteCode(r *reader) ([]byte, error) {
	inliner := newInliner(*r, &in.spaces, in.defined)
	n := r.count(3, "functions")
	if r.err == nil && int(n) != len(in.defined) {
		r.fail(ErrMalformed, "%d functions declared, %d have code", len(in.defined), n)
	}
	if r.err != nil {
		return nil, r.err
	}
	s := scanner{spaces: &in.spaces, helpers: &in.helpers, inliner: inliner}
	a := assembler{helpers: &in.helpers, blocks: in.blocks}
	var b body
	var function []byte
	out := make([]byte, 0, len(r.data)+len(r.data)/2)
	for i, t := range in.defined {
		start := r.pos
		typ := in.spaces.types[t]
		code := r.sub(r.u32())
		s.levels = inliner.levels(i)
		if err := s.scan(code, typ, &b); err != nil {
			return nil, fmt.Errorf("function %d: %w", int(in.spaces.importedFunctions)+i, err)
		}
		if b.ownLocals > in.localsLeft {
			r.failAt(start, ErrLimit, "the functions have more than %d locals in all", in.opts.MaxLocals)
			return nil, r.err
		}
		in.localsLeft -= b.ownLocals
		if cost := b.compileCost(); cost > in.costLeft {
			r.failAt(start, ErrLimit, "with function %d the module takes too long to compile: split functions that have many branches",
				int(in.spaces.importedFunctions)+i)
			return nil, r.err
		}
		in.costLeft -= b.compileCost()
		function = a.append(function[:0], &b, typ)
		out = appendBytes(out, function)
		in.count(&b)
	}
	return out, r.done()
}

func (in *injection) count(b *body) {
	in.report.Functions++
	in.report.Loops += len(b.regions) - 1
	in.report.BulkInstructions += b.bulk
	in.report.InlinedCalls += b.inlined
	if b.calls {
		in.report.CountedFunctions++
	}
}
