package wasm

import "slices"

// assembler writes small modules for tests.
type assembler struct {
	imports   []moduleImport
	functions []asmFunction
	pages     uint32
	maxPages  uint32 // 0: no maximum
	entries   uint32 // of a table; 0: there is none
	start     int    // a function that runs at instantiation; -1: none
	others    []asmExport
	memory    string // the name of the exported memory
}

// asmFunction is a function; export is empty for one that is not exported.
type asmFunction struct {
	export string
	sig    signature
	locals int // of type i32
	code   []byte
}

type asmExport struct {
	name  string
	kind  externKind
	index uint32
}

func newAssembler() *assembler { return &assembler{pages: 1, start: -1, memory: exportMemory} }

// importFunction adds an import and returns its index.
func (a *assembler) importFunction(module, name string, params, results []valueType) uint32 {
	a.imports = append(a.imports, moduleImport{module, name, externFunc, signature{params, results}})
	return uint32(len(a.imports) - 1)
}

// abi adds an import of the guest ABI and returns its index.
func (a *assembler) abi(name string) uint32 {
	functions := slices.Concat(abiFunctions(), wasiFunctions())
	i := slices.IndexFunc(functions, func(f hostFunction) bool { return f.name == name })
	module := abiModule
	if i >= len(abiFunctions()) {
		module = wasiModule
	}
	return a.importFunction(module, name, functions[i].sig.params, functions[i].sig.results)
}

// function adds a function, after all imports, and returns its index.
func (a *assembler) function(export string, params, results []valueType, code ...byte) uint32 {
	a.functions = append(a.functions, asmFunction{export, signature{params, results}, 4, code})
	return a.defined() + uint32(len(a.functions)) - 1
}

// defined is the index of the first function that is not imported.
func (a *assembler) defined() uint32 {
	n := uint32(0)
	for _, imp := range a.imports {
		if imp.kind == externFunc {
			n++
		}
	}
	return n
}

// getter adds the exports of a getter; code is the body of gcnode_get.
func (a *assembler) getter(code ...byte) *assembler {
	a.function(exportMarker, nil, nil)
	a.function(exportGet, []valueType{i32, i32}, []valueType{i32}, code...)
	return a
}

func (a *assembler) bytes() []byte {
	types := vector(len(a.imports) + len(a.functions))
	imports := vector(len(a.imports))
	functions := vector(len(a.functions))
	code := vector(len(a.functions))
	var exports []byte
	count := len(a.others)
	for i, imp := range a.imports {
		types = appendType(types, imp.sig)
		imports = appendName(appendName(imports, imp.module), imp.name)
		imports = append(imports, byte(imp.kind))
		switch imp.kind {
		case externFunc:
			imports = appendU32(imports, uint32(i))
		case externMemory:
			imports = append(imports, 0, 1)
		default:
			imports = append(imports, i32, 0)
		}
	}
	for i, f := range a.functions {
		types = appendType(types, f.sig)
		functions = appendU32(functions, uint32(len(a.imports)+i))
		body := append([]byte{1, byte(f.locals), i32}, f.code...)
		body = append(body, opEnd)
		code = append(appendU32(code, uint32(len(body))), body...)
		if f.export != "" {
			count++
			exports = appendExport(exports, asmExport{f.export, externFunc, a.defined() + uint32(i)})
		}
	}
	for _, e := range a.others {
		exports = appendExport(exports, e)
	}
	if a.memory != "" {
		count++
		exports = appendExport(exports, asmExport{a.memory, externMemory, 0})
	}
	memory := append([]byte{1, 0}, appendU32(nil, a.pages)...)
	if a.maxPages > 0 {
		memory = appendU32(append([]byte{1, 1}, appendU32(nil, a.pages)...), a.maxPages)
	}
	out := []byte("\x00asm\x01\x00\x00\x00")
	out = appendSection(out, sectionType, types)
	out = appendSection(out, sectionImport, imports)
	out = appendSection(out, sectionFunction, functions)
	if a.entries > 0 {
		out = appendSection(out, 4, appendU32([]byte{1, 0x70, 0}, a.entries))
	}
	out = appendSection(out, sectionMemory, memory)
	out = appendSection(out, sectionExport, append(vector(count), exports...))
	if a.start >= 0 {
		out = appendSection(out, 8, appendU32(nil, uint32(a.start)))
	}
	return appendSection(out, 10, code)
}

func vector(n int) []byte { return appendU32(nil, uint32(n)) }

func appendU32(b []byte, v uint32) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func appendName(b []byte, s string) []byte { return append(appendU32(b, uint32(len(s))), s...) }

func appendType(b []byte, s signature) []byte {
	b = append(appendU32(append(b, 0x60), uint32(len(s.params))), s.params...)
	return append(appendU32(b, uint32(len(s.results))), s.results...)
}

func appendExport(b []byte, e asmExport) []byte {
	return appendU32(append(appendName(b, e.name), byte(e.kind)), e.index)
}

func appendSection(b []byte, id byte, body []byte) []byte {
	return append(appendU32(append(b, id), uint32(len(body))), body...)
}

// The instructions that tests need.
const (
	opUnreachable = 0x00
	opLoop        = 0x03
	opIf          = 0x04
	opElse        = 0x05
	opEnd         = 0x0b
	opBr          = 0x0c
	opReturn      = 0x0f
	opDrop        = 0x1a
	opEq          = 0x46
	opAdd         = 0x6a
	opMemoryGrow  = 0x40
	opVoid        = 0x40 // the type of a block without a result
)

func localGet(i byte) []byte { return []byte{0x20, i} }

func call(f uint32) []byte { return appendU32([]byte{0x10}, f) }

func constI32(v int32) []byte { return appendSigned([]byte{0x41}, int64(v)) }

func constI64(v int64) []byte { return appendSigned([]byte{0x42}, v) }

func appendSigned(b []byte, v int64) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

// respondWith is the code that answers request local 0 and leaves the result
// on the stack.
func respondWith(respond uint32, status int32, ttl int64, ptr, length int32) []byte {
	return slices.Concat(localGet(0), constI32(status), constI32(0), constI64(ttl), constI32(ptr), constI32(length), call(respond))
}

// forever is an endless loop around code.
func forever(code ...byte) []byte {
	return slices.Concat([]byte{opLoop, opVoid}, code, []byte{opBr, 0, opEnd, opUnreachable})
}

// The instructions that work on a whole range, with what they are told by
// their place in memory.
var (
	memoryFill = []byte{0xfc, 11, 0}
	memoryCopy = []byte{0xfc, 10, 0, 0}
	tableFill  = []byte{0xfc, 17, 0}
	tableGrow  = []byte{0xfc, 15, 0}
	refNull    = []byte{0xd0, 0x70}
)

// loadI32 is the code that loads what is at an address of the memory.
func loadI32(at int32) []byte { return append(constI32(at), 0x28, 2, 0) }

// storeI32 is the code that stores what value leaves at an address.
func storeI32(at int32, value ...byte) []byte {
	return slices.Concat(constI32(at), value, []byte{0x36, 2, 0})
}

// goodKey is the key that hostile modules answer with nothing, by its length.
const goodKey = "ok"

// hostile is the code of gcnode_get that answers goodKey and does something
// else for other keys.
func hostile(respond uint32, code ...byte) []byte {
	return slices.Concat(
		localGet(1), constI32(int32(len(goodKey))), []byte{opEq, opIf, opVoid},
		respondWith(respond, statusOK, ttlDefault, 0, 0), []byte{opReturn, opEnd}, code)
}
