package fuel

// indexSpaces are the numbers of things that the original module can refer to.
// An index beyond them is refused here, because the engine, which counts the
// injected things too, might accept it.
type indexSpaces struct {
	types []funcType
	// functionTypes are the type indices of imported and defined functions.
	functionTypes             []uint32
	globals, tables, memories uint32
	importedFunctions         uint32
	importedGlobals           uint32
}

// checkIndex fails if index is not below limit.
func (r *reader) checkIndex(start int, index, limit uint32, what string) {
	if index >= limit {
		r.failAt(start, ErrMalformed, "%s %d out of range, there are %d", what, index, limit)
	}
}

// function reads the index of a function of the original module.
func (s *indexSpaces) function(r *reader) uint32 {
	start := r.pos
	f := r.u32()
	r.checkIndex(start, f, uint32(len(s.functionTypes)), "function")
	return f
}

// typeIndex reads the index of a function type of the original module.
func (s *indexSpaces) typeIndex(r *reader) uint32 {
	start := r.pos
	t := r.u32()
	r.checkIndex(start, t, uint32(len(s.types)), "type")
	return t
}

// global reads the index of a global of the original module.
func (s *indexSpaces) global(r *reader) uint32 {
	start := r.pos
	g := r.u32()
	r.checkIndex(start, g, s.globals, "global")
	return g
}

// table reads the index of a table of the original module.
func (s *indexSpaces) table(r *reader) uint32 {
	start := r.pos
	t := r.u32()
	r.checkIndex(start, t, s.tables, "table")
	return t
}

// memory reads the index of the memory, of which there is at most one.
func (s *indexSpaces) memory(r *reader) {
	start := r.pos
	s.checkMemory(r, start, r.u32())
}

// memoryByte reads the index of the memory in an instruction, where it takes
// one byte.
func (s *indexSpaces) memoryByte(r *reader) {
	start := r.pos
	s.checkMemory(r, start, uint32(r.byte()))
}

func (s *indexSpaces) checkMemory(r *reader, start int, index uint32) {
	if index != 0 {
		r.failAt(start, ErrRefused, "memory index %d: multiple memories are not supported", index)
	}
	r.checkIndex(start, index, s.memories, "memory")
}

// shifted returns the index that function f has after the import of the tick
// was put behind the other imports.
func (s *indexSpaces) shifted(f uint32) uint32 {
	if f >= s.importedFunctions {
		return f + 1
	}
	return f
}
