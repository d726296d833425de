package fuel

// Limits of engines that run untrusted code in browsers, adopted here so that
// a few bytes cannot make the engine allocate gigabytes.
const (
	maxParams  = 1_000
	maxResults = 1_000
	maxLocals  = 50_000
)

const (
	typeI32       = 0x7f
	typeI64       = 0x7e
	typeF32       = 0x7d
	typeF64       = 0x7c
	typeV128      = 0x7b
	typeFuncref   = 0x70
	typeExternref = 0x6f
	typeEmpty     = 0x40
	typeFunction  = 0x60
)

// funcType is a function type; each value type is one byte.
type funcType struct {
	params, results []byte
}

// valueType reads a value type.
func (r *reader) valueType() byte {
	start := r.pos
	t := r.byte()
	r.checkValueType(start, t)
	return t
}

// checkValueType fails unless t is a value type that is supported.
func (r *reader) checkValueType(start int, t byte) {
	switch t {
	case typeI32, typeI64, typeF32, typeF64, typeV128, typeFuncref, typeExternref:
	case 0x63, 0x64:
		r.failAt(start, ErrRefused, "value type %#x: typed function references are not supported", t)
	case 0x69, 0x74:
		r.failAt(start, ErrRefused, "value type %#x: exceptions are not supported", t)
	case 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x71, 0x72, 0x73:
		r.failAt(start, ErrRefused, "value type %#x: garbage-collected types are not supported", t)
	default:
		r.failAt(start, ErrMalformed, "unknown value type %#x", t)
	}
}

// refType reads a reference type.
func (r *reader) refType() byte {
	start := r.pos
	t := r.valueType()
	if r.err == nil && t != typeFuncref && t != typeExternref {
		r.failAt(start, ErrMalformed, "value type %#x is not a reference type", t)
	}
	return t
}

// valueTypes reads a vector of at most limit value types.
func (r *reader) valueTypes(limit uint32, what string) []byte {
	start := r.pos
	n := r.count(1, what)
	if n > limit {
		r.failAt(start, ErrLimit, "%d %s, at most %d are supported", n, what, limit)
	}
	first := r.pos
	for range n {
		r.valueType()
		if r.err != nil {
			return nil
		}
	}
	return r.data[first:r.pos]
}

// functionTypes reads the type section.
func (in *injection) functionTypes(r *reader) []funcType {
	n := in.entries(r, 3, "types")
	types := make([]funcType, 0, n)
	for range n {
		start := r.pos
		switch form := r.byte(); {
		case r.err != nil:
		case form >= 0x4e && form <= 0x5f:
			r.failAt(start, ErrRefused, "type form %#x: garbage-collected types are not supported", form)
		case form != typeFunction:
			r.failAt(start, ErrMalformed, "unknown type form %#x", form)
		}
		t := funcType{params: r.valueTypes(maxParams, "parameters")}
		t.results = r.valueTypes(maxResults, "results")
		if r.err != nil {
			return nil
		}
		types = append(types, t)
	}
	return types
}

func (t funcType) append(b []byte) []byte {
	b = append(b, typeFunction)
	b = appendBytes(b, t.params)
	return appendBytes(b, t.results)
}

// limits are the sizes of a table or a memory.
type limits struct {
	min, max uint32
	hasMax   bool
}

// limits reads the size of a table or memory.
func (r *reader) limits() limits {
	start := r.pos
	flags := r.byte()
	switch {
	case flags&^0x07 != 0:
		r.failAt(start, ErrMalformed, "unknown limit flags %#x", flags)
	case flags&0x04 != 0:
		r.failAt(start, ErrRefused, "limit flags %#x: memory64 is not supported", flags)
	case flags&0x02 != 0:
		r.failAt(start, ErrRefused, "limit flags %#x: threads are not supported", flags)
	}
	l := limits{min: r.u32()}
	if flags&0x01 != 0 {
		l.hasMax = true
		l.max = r.u32()
	}
	if r.err == nil && l.hasMax && l.max < l.min {
		r.failAt(start, ErrMalformed, "minimum %d exceeds maximum %d", l.min, l.max)
	}
	return l
}

func (l limits) append(b []byte) []byte {
	if !l.hasMax {
		return appendU32(append(b, 0), l.min)
	}
	b = appendU32(append(b, 1), l.min)
	return appendU32(b, l.max)
}

// tableType is the element type and size of a table.
type tableType struct {
	element byte
	limits  limits
}

func (r *reader) tableType() tableType {
	start := r.pos
	if r.more() && r.data[r.pos] == typeEmpty {
		r.failAt(start, ErrRefused, "tables with initializers: typed function references are not supported")
	}
	return tableType{element: r.refType(), limits: r.limits()}
}

func (t tableType) append(b []byte) []byte {
	return t.limits.append(append(b, t.element))
}
