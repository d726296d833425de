package fuel

import (
	"fmt"
	"slices"
)

// injection is the state of one call of Inject.
type injection struct {
	opts     Options
	report   Report
	sections []section
	spaces   indexSpaces
	imports  []importEntry
	tables   []tableType
	memories []limits
	// defined are the type indices of the functions that the module defines.
	defined []uint32
	helpers helperIndices
	blocks  *blockTypes
	// entriesLeft and localsLeft are what the options leave of their limits.
	entriesLeft, localsLeft uint32
	costLeft                uint64
	// named says that a name section was seen.
	named bool
}

// run reads everything that indices refer to, rewrites the sections and puts
// them together.
func (in *injection) run(module []byte) ([]byte, error) {
	var err error
	if in.sections, err = splitSections(module); err != nil {
		return nil, err
	}
	if err := in.readSpaces(); err != nil {
		return nil, err
	}
	in.assignIndices()
	missing := in.missing()
	if len(in.defined) > 0 && slices.Contains(missing, sectionCode) {
		return nil, fmt.Errorf("%w: %d functions declared, none has code", ErrMalformed, len(in.defined))
	}

	rewritten := make([][]byte, len(in.sections))
	for i, s := range in.sections {
		if rewritten[i], err = in.rewrite(s); err != nil {
			return nil, fmt.Errorf("%v: %w", s.id, err)
		}
	}
	out := append([]byte(nil), module[:headerBytes]...)
	emitMissing := func(rank int) {
		for len(missing) > 0 && missing[0].rank() < rank {
			out = in.appendSection(out, missing[0], nil)
			missing = missing[1:]
		}
	}
	for i, s := range in.sections {
		if s.id == sectionCustom {
			if rewritten[i] != nil {
				out = appendBytes(append(out, byte(s.id)), rewritten[i])
			}
			continue
		}
		emitMissing(s.id.rank())
		out = in.appendSection(out, s.id, rewritten[i])
	}
	emitMissing(int(sectionTag) + 1)
	if !in.named {
		out = appendBytes(append(out, byte(sectionCustom)), in.ownNames())
	}
	return out, nil
}

// entries is count for vectors of what the options bound in all.
func (in *injection) entries(r *reader, minElementBytes int, what string) uint32 {
	start := r.pos
	n := r.count(minElementBytes, what)
	if n > in.entriesLeft {
		r.failAt(start, ErrLimit, "with these %d %s it has more than %d types, imports, functions, tables, globals, exports, segments, "+
			"elements and names in all", n, what, in.opts.MaxEntries)
		return 0
	}
	in.entriesLeft -= n
	return n
}

// missing returns the sections that injected things need and the module lacks.
func (in *injection) missing() []sectionID {
	needed := []sectionID{sectionType, sectionImport, sectionFunction, sectionGlobal, sectionCode}
	return slices.DeleteFunc(needed, func(id sectionID) bool {
		return slices.ContainsFunc(in.sections, func(s section) bool { return s.id == id })
	})
}

// assignIndices decides where the injected things go. Globals, types and
// functions are put behind those of the module, whose indices stay; the tick
// is an import, and these come before all functions, which move up by one.
func (in *injection) assignIndices() {
	types := uint32(len(in.spaces.types))
	in.helpers = helperIndices{
		tick:          in.spaces.importedFunctions,
		first:         uint32(len(in.spaces.functionTypes)) + 1,
		fuel:          in.spaces.globals,
		depth:         in.spaces.globals + 1,
		tickType:      types,
		procedureType: types + 1,
		chargeType:    types + 2,
		memory:        in.spaces.memories > 0,
	}
	in.blocks = newBlockTypes(in.spaces.types, types+3)
}

// injectedTypes are the types behind those of the module.
func (in *injection) injectedTypes() []funcType {
	return append([]funcType{
		{results: []byte{typeI64}},
		{},
		{params: []byte{typeI32}, results: []byte{typeI32}},
	}, in.blocks.added...)
}

// appendSection appends a section: the rewritten elements of the module's, if
// any, and the injected ones.
func (in *injection) appendSection(out []byte, id sectionID, elements []byte) []byte {
	var count int
	var injected []byte
	switch id {
	case sectionType:
		types := in.injectedTypes()
		count = len(in.spaces.types) + len(types)
		for _, t := range types {
			injected = t.append(injected)
		}
	case sectionImport:
		count = len(in.imports) + 1
		injected = appendBytes(injected, []byte(TickModule))
		injected = appendBytes(injected, []byte(TickName))
		injected = appendU32(append(injected, externFunction), in.helpers.tickType)
	case sectionFunction:
		helpers := in.helpers.all()
		count = len(in.defined) + len(helpers)
		for _, h := range helpers {
			injected = appendU32(injected, in.helpers.typeOf(h))
		}
	case sectionGlobal:
		count = int(in.spaces.globals-in.spaces.importedGlobals) + 2
		injected = appendGlobal(injected, 0)
		injected = appendGlobal(injected, int64(in.opts.MaxCallDepth))
	case sectionCode:
		helpers := in.helpers.all()
		count = len(in.defined) + len(helpers)
		for _, h := range helpers {
			injected = appendBytes(injected, in.helpers.body(h))
		}
	default:
		return appendBytes(append(out, byte(id)), elements)
	}
	body := appendU32(nil, uint32(count))
	body = append(body, elements...)
	body = append(body, injected...)
	return appendBytes(append(out, byte(id)), body)
}

// appendGlobal appends a mutable i64 global.
func appendGlobal(b []byte, initial int64) []byte {
	b = append(b, typeI64, 1)
	b = appendConst(b, opI64Const, initial)
	return opEnd.append(b)
}
