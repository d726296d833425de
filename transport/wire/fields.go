package wire

import (
	"google.golang.org/protobuf/encoding/protowire"

	gcnode "github.com/gcnode/gcnode/core"
)

// fields walks over the fields of an encoded message. The one of the methods
// for values that fits the wire type of the field must be called, or skip.
type fields struct {
	rest []byte
	num  protowire.Number
	typ  protowire.Type
	err  error
}

// next moves to the next field; it is false at the end and after an error. Tags,
// lengths and numbers of one byte are the rule, and are read without further ado.
func (f *fields) next() bool {
	if f.err != nil || len(f.rest) == 0 {
		return false
	}
	if c := f.rest[0]; c < oneByte && c >= 1<<3 {
		f.num, f.typ, f.rest = protowire.Number(c>>3), protowire.Type(c&7), f.rest[1:]
		return true
	}
	return f.nextLong()
}

// oneByte is the first number that is encoded in more than one byte.
const oneByte = 1 << 7

// nextLong is next for tags that are encoded in more than one byte, or wrong.
func (f *fields) nextLong() bool {
	num, typ, n := protowire.ConsumeTag(f.rest)
	if n < 0 {
		f.err = malformed("a field's tag: %w", protowire.ParseError(n))
		return false
	}
	if !num.IsValid() { // ConsumeTag lets numbers over the highest pass
		f.err = malformed("field %d: at most %d is a field's number", num, protowire.MaxValidNumber)
		return false
	}
	f.num, f.typ, f.rest = num, typ, f.rest[n:]
	return true
}

// is reports whether the field is the one with this number and wire type. A
// known number with another type is an unknown field, as everywhere in
// protobuf.
func (f *fields) is(num protowire.Number, typ protowire.Type) bool {
	return f.num == num && f.typ == typ
}

// advance moves on by the n bytes that were consumed.
func (f *fields) advance(n int) {
	if n < 0 {
		f.err = malformed("field %d: %w", f.num, protowire.ParseError(n))
		f.rest = nil
		return
	}
	f.rest = f.rest[n:]
}

func (f *fields) varint() uint64 {
	if len(f.rest) > 0 && f.rest[0] < oneByte {
		v := uint64(f.rest[0])
		f.rest = f.rest[1:]
		return v
	}
	v, n := protowire.ConsumeVarint(f.rest)
	f.advance(n)
	return v
}

func (f *fields) fixed64() uint64 {
	v, n := protowire.ConsumeFixed64(f.rest)
	f.advance(n)
	return v
}

// bytes is a part of the message, not a copy.
func (f *fields) bytes() []byte {
	if len(f.rest) > 0 && f.rest[0] < oneByte && int(f.rest[0]) < len(f.rest) {
		end := 1 + int(f.rest[0])
		b := f.rest[1:end:end]
		f.rest = f.rest[end:]
		return b
	}
	b, n := protowire.ConsumeBytes(f.rest)
	f.advance(n)
	return b
}

// limited is a string of at most limit bytes; what names it in the error.
func (f *fields) limited(what string, limit int) string { return f.limitedOf(what, limit, nil) }

// limitedOf is limited for a string that is likely to be among the names.
func (f *fields) limitedOf(what string, limit int, known names) string {
	b := f.bytes()
	if len(b) > limit && f.err == nil {
		f.err = tooLarge("%s has %d bytes; at most %d are allowed", what, len(b), limit)
	}
	if f.err != nil {
		return ""
	}
	return known.of(b)
}

// names are strings that come again and again; nil are none.
type names map[string]string

// maxNames is how many names are kept: the ID and the address of each member, and
// some of former ones.
const maxNames = 4 * MaxMembers

// of is a name as a string, which is kept.
func (n names) of(b []byte) string {
	if s, ok := n[string(b)]; ok {
		return s
	}
	s := string(b)
	if n != nil {
		if len(n) == maxNames {
			clear(n)
		}
		n[s] = s
	}
	return s
}

// name is a string of gcnode.MaxIDBytes at most that is likely to be the last one.
func (f *fields) name(last *string, what string) string {
	b := f.bytes()
	switch {
	case f.err != nil:
		return ""
	case len(b) > gcnode.MaxIDBytes:
		f.err = tooLarge("%s has %d bytes; at most %d are allowed", what, len(b), gcnode.MaxIDBytes)
		return ""
	case string(b) != *last:
		*last = string(b)
	}
	return *last
}

func (f *fields) skip() {
	f.advance(protowire.ConsumeFieldValue(f.num, f.typ, f.rest))
}

// message decodes an embedded message.
func (f *fields) message(decode func([]byte) error) {
	b := f.bytes()
	if f.err == nil {
		f.err = decode(b)
	}
}

// The append functions leave out what is zero, as proto3 does.

func appendVarint(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}

func appendFixed64(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendFixed64(protowire.AppendTag(b, num, protowire.Fixed64Type), v)
}

func appendString(b []byte, num protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return appendElement(b, num, s)
}

// appendElement appends an element of a repeated field, which may be empty.
func appendElement(b []byte, num protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, num, protowire.BytesType), s)
}

// appendMessage appends an embedded message, also an empty one.
func appendMessage(b []byte, num protowire.Number, encode func([]byte) []byte) []byte {
	b = protowire.AppendTag(b, num, protowire.BytesType)
	start := len(b)
	b = encode(b)
	size := len(b) - start
	// The length goes before the message, once it is known.
	b = protowire.AppendVarint(b, uint64(size))
	prefix := len(b) - start - size
	var length [10]byte
	copy(length[:], b[start+size:])
	copy(b[start+prefix:], b[start:start+size])
	copy(b[start:], length[:prefix])
	return b
}
