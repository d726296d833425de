package fuel_test

import (
	"encoding/binary"
)

// Value types and instructions that the hand-made modules of these tests use.
const (
	i32      = 0x7f
	i64      = 0x7e
	v128     = 0x7b
	funcref  = 0x70
	empty    = 0x40
	function = 0x60

	unreachable        = 0x00
	block              = 0x02
	loop               = 0x03
	ifelse             = 0x04
	end                = 0x0b
	br                 = 0x0c
	brIf               = 0x0d
	ret                = 0x0f
	call               = 0x10
	callIndirect       = 0x11
	returnCall         = 0x12
	returnCallIndirect = 0x13
	drop               = 0x1a
	localGet           = 0x20
	localSet           = 0x21
	localTee           = 0x22
	globalGet          = 0x23
	globalSet          = 0x24
	memoryGrow         = 0x40
	i32Const           = 0x41
	i64Const           = 0x42
	i32Eqz             = 0x45
	i32Add             = 0x6a
	i32Sub             = 0x6b
	i64Add             = 0x7c
	refNull            = 0xd0
	refFunc            = 0xd2
	misc               = 0xfc
	vector             = 0xfd
)

// wasm is a module in pieces: every element of a section is written out, and
// bytes puts the counts and lengths in front.
type wasm struct {
	types, imports, functions, tables, memories, globals [][]byte
	exports, elements, codes, data                       [][]byte
	start                                                []byte
	// custom is put behind everything.
	custom [][]byte
}

func (w wasm) bytes() []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	for id, elements := range [][][]byte{
		1: w.types, 2: w.imports, 3: w.functions, 4: w.tables, 5: w.memories, 6: w.globals,
		7: w.exports, 9: w.elements, 10: w.codes, 11: w.data,
	} {
		if id == 9 && w.start != nil {
			out = append(out, section(8, w.start)...)
		}
		if elements == nil {
			continue
		}
		body := u32(uint32(len(elements)))
		for _, e := range elements {
			body = append(body, e...)
		}
		out = append(out, section(byte(id), body)...)
	}
	for _, c := range w.custom {
		out = append(out, section(0, c)...)
	}
	return out
}

// section frames the body of a section, or anything else with an id in front.
func section(id byte, body []byte) []byte {
	return append(append([]byte{id}, u32(uint32(len(body)))...), body...)
}

// u32 encodes an unsigned number.
func u32(v uint32) []byte { return binary.AppendUvarint(nil, uint64(v)) }

// s64 encodes a signed number.
func s64(v int64) []byte {
	var b []byte
	for v < -64 || v > 63 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v)&0x7f)
}

// name encodes a string with its length.
func name(s string) []byte { return append(u32(uint32(len(s))), s...) }

// cat joins bytes, given as numbers, and slices.
func cat(parts ...any) []byte {
	b := []byte{}
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = append(b, byte(p))
		case byte:
			b = append(b, p)
		case []byte:
			b = append(b, p...)
		case string:
			b = append(b, p...)
		}
	}
	return b
}

// signature encodes a function type.
func signature(params, results []byte) []byte {
	return cat(function, u32(uint32(len(params))), params, u32(uint32(len(results))), results)
}

// body encodes a function without locals; its last end is added.
func body(parts ...any) []byte { return bodyWithLocals(nil, parts...) }

// bodyWithLocals encodes a function with one group of locals for each of the
// given encodings of count and type.
func bodyWithLocals(groups [][]byte, parts ...any) []byte {
	code := u32(uint32(len(groups)))
	for _, g := range groups {
		code = append(code, g...)
	}
	code = append(code, cat(parts...)...)
	code = append(code, end)
	return append(u32(uint32(len(code))), code...)
}

// export encodes an export of the function with the given index.
func export(what string, index uint32) []byte { return cat(name(what), 0, u32(index)) }
