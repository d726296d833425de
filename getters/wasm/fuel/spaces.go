package fuel

import (
	"bytes"
	"fmt"
)

// Kinds of imports and exports.
const (
	externFunction = iota
	externTable
	externMemory
	externGlobal
	externTag
)

// importEntry is one import; which of the last fields counts depends on kind.
type importEntry struct {
	module, name []byte
	kind         byte
	typeIndex    uint32
	table        tableType
	memory       limits
	global       globalType
}

// globalType is the type of a global.
type globalType struct {
	value, mutable byte
}

func (r *reader) globalType() globalType {
	t := globalType{value: r.valueType()}
	start := r.pos
	if t.mutable = r.byte(); t.mutable > 1 {
		r.failAt(start, ErrMalformed, "unknown mutability %#x", t.mutable)
	}
	return t
}

// readSpaces reads the sections that define types, functions, tables, memories
// and globals, as far as is needed to know their numbers and sizes.
func (in *injection) readSpaces() error {
	for _, s := range in.sections {
		r := s.reader()
		switch s.id {
		case sectionType:
			in.spaces.types = in.functionTypes(r)
		case sectionImport:
			in.readImports(r)
		case sectionFunction:
			n := in.entries(r, 1, "functions")
			for i := uint32(0); i < n && r.err == nil; i++ {
				in.defined = append(in.defined, in.spaces.typeIndex(r))
			}
		case sectionTable:
			n := in.entries(r, 3, "tables")
			for i := uint32(0); i < n && r.err == nil; i++ {
				in.tables = append(in.tables, r.tableType())
			}
		case sectionMemory:
			n := r.count(2, "memories")
			for i := uint32(0); i < n && r.err == nil; i++ {
				in.memories = append(in.memories, r.limits())
			}
		case sectionGlobal:
			// The initial values follow when every index is known.
			in.spaces.globals += in.entries(r, 4, "globals")
			r.bytes(uint32(r.remaining()))
		default:
			continue
		}
		if err := r.done(); err != nil {
			return fmt.Errorf("%v: %w", s.id, err)
		}
	}
	in.spaces.functionTypes = append(in.spaces.functionTypes, in.defined...)
	in.spaces.tables += uint32(len(in.tables))
	in.spaces.memories += uint32(len(in.memories))
	if in.spaces.memories > 1 {
		return fmt.Errorf("%w: %d memories: multiple memories are not supported", ErrRefused, in.spaces.memories)
	}
	return in.capTables()
}

func (in *injection) readImports(r *reader) {
	n := in.entries(r, 4, "imports")
	for i := uint32(0); i < n && r.err == nil; i++ {
		start := r.pos
		e := importEntry{module: r.name(), name: r.name(), kind: r.byte()}
		if bytes.Equal(e.module, []byte(TickModule)) {
			r.failAt(start, ErrRefused, "import %q.%q: module %q is reserved", e.module, e.name, TickModule)
		}
		switch e.kind {
		case externFunction:
			e.typeIndex = in.spaces.typeIndex(r)
			in.spaces.functionTypes = append(in.spaces.functionTypes, e.typeIndex)
			in.spaces.importedFunctions++
		case externTable:
			e.table = r.tableType()
			in.spaces.tables++
		case externMemory:
			e.memory = r.limits()
			in.spaces.memories++
		case externGlobal:
			e.global = r.globalType()
			in.spaces.globals++
			in.spaces.importedGlobals++
		case externTag:
			r.failAt(start, ErrRefused, "import %q.%q: exceptions are not supported", e.module, e.name)
		default:
			r.failAt(start, ErrMalformed, "import %q.%q of unknown kind %d", e.module, e.name, e.kind)
		}
		in.imports = append(in.imports, e)
	}
}

func (e importEntry) append(b []byte) []byte {
	b = appendBytes(b, e.module)
	b = appendBytes(b, e.name)
	b = append(b, e.kind)
	switch e.kind {
	case externFunction:
		return appendU32(b, e.typeIndex)
	case externTable:
		return e.table.append(b)
	case externMemory:
		return e.memory.append(b)
	default:
		return append(b, e.global.value, e.global.mutable)
	}
}

// capTables gives every table a maximum such that all of them together cannot
// exceed the cap: what it has at the start, and an equal share of what the
// starting sizes leave.
func (in *injection) capTables() error {
	var all []*limits
	for i := range in.imports {
		if in.imports[i].kind == externTable {
			all = append(all, &in.imports[i].table.limits)
		}
	}
	for i := range in.tables {
		all = append(all, &in.tables[i].limits)
	}
	if len(all) == 0 {
		return nil
	}
	limit, total := uint64(in.opts.MaxTableEntries), uint64(0)
	for _, l := range all {
		total += uint64(l.min)
	}
	if total > limit {
		return fmt.Errorf("%w: tables start with %d entries, at most %d are allowed", ErrLimit, total, limit)
	}
	share := uint32((limit - total) / uint64(len(all)))
	for _, l := range all {
		if highest := l.min + share; !l.hasMax || l.max > highest {
			l.max, l.hasMax = highest, true
		}
	}
	return nil
}
