package kernel

import (
	"slices"

	"github.com/tetratelabs/wazero/api"
)

// The sections of a module, and the kinds of imports and exports.
const (
	sectionType     = 1
	sectionImport   = 2
	sectionFunction = 3
	sectionMemory   = 5
	sectionExport   = 7
	sectionCode     = 10

	externFunc   = 0
	externMemory = 2

	opEnd = 0x0b
)

// StartBytes is what the memory takes before anything is allocated.
const StartBytes = startPages * pageBytes

const startPages = 1

// mostPages is one less than what can be addressed, so that every size fits
// into 32 bits.
const mostPages = 1<<16 - 1

// Module is the kernel, with at most maxPages pages of memory. It imports the
// functions of the host from a module that is called [Name], like the kernel
// itself, and exports them again, so that the guest finds all in one place.
// The host also has [AllocName] and [LengthName], which are not exported.
func Module(host []Function, maxPages uint32) []byte {
	own := ownFunctions()
	word := []api.ValueType{i64}
	called := hostIndices{alloc: uint32(len(host)), length: uint32(len(host)) + 1}
	imported := append(slices.Clone(host),
		Function{Name: AllocName, Params: word, Results: word},
		Function{Name: LengthName, Params: word, Results: word},
	)
	for i, f := range host {
		if f.Nothing {
			own = append(own, ownFunction{f, 1, func(hostIndices) string { return nothing(uint32(i)) }})
		}
	}

	types := vector(len(imported) + len(own))
	imports := vector(len(imported))
	functions := vector(len(own))
	code := vector(len(own))
	exports := vector(len(host) + len(ownFunctions()) + 1)
	for i, f := range imported {
		types = appendType(types, f)
		imports = appendName(appendName(imports, Name), f.Name)
		imports = appendU32(append(imports, externFunc), uint32(i))
		if i < len(host) && !f.Nothing {
			exports = appendExport(exports, f.Name, externFunc, uint32(i))
		}
	}
	for i, f := range own {
		index := uint32(len(imported) + i)
		types = appendType(types, f.Function)
		functions = appendU32(functions, index) // types and functions are in the same order
		exports = appendExport(exports, f.Name, externFunc, index)
		body := []byte{1, byte(f.locals), i64} // one group of locals
		body = append(append(body, f.code(called)...), opEnd)
		code = append(appendU32(code, uint32(len(body))), body...)
	}
	exports = appendExport(exports, memoryName, externMemory, 0)

	out := []byte("\x00asm\x01\x00\x00\x00")
	out = appendSection(out, sectionType, types)
	out = appendSection(out, sectionImport, imports)
	out = appendSection(out, sectionFunction, functions)
	out = appendSection(out, sectionMemory, appendU32([]byte{1, 1, startPages}, min(maxPages, mostPages))) // one memory, with a maximum
	out = appendSection(out, sectionExport, exports)
	return appendSection(out, sectionCode, code)
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

func appendType(b []byte, f Function) []byte {
	b = append(appendU32(append(b, 0x60), uint32(len(f.Params))), f.Params...)
	return append(appendU32(b, uint32(len(f.Results))), f.Results...)
}

func appendExport(b []byte, name string, kind byte, index uint32) []byte {
	return appendU32(append(appendName(b, name), kind), index)
}

func appendSection(b []byte, id byte, body []byte) []byte {
	return append(appendU32(append(b, id), uint32(len(body))), body...)
}
