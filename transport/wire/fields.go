package wire

import (
	"google.golang.org/protobuf/encoding/protowire"

	gcnode "github.com/gcnode/gcnode/core"
)

// fields walks over the fields of an encoded message. The one of the methods
// for values that fits the wire type of the field must be called, or skip.
type fields struct {
	rest []byte
	tag  uint64 // of the field: its number<<3 | its wire type
	err  error
}

// The wire types. A known number with another type than its own is an unknown
// field, as everywhere in protobuf.
const (
	varint          = uint64(protowire.VarintType)
	fixed64         = uint64(protowire.Fixed64Type)
	lengthDelimited = uint64(protowire.BytesType)
)

// next moves to the next field; it is false at the end and after an error. Tags,
// lengths and numbers of one byte are the rule, and are read without further ado.
func (f *fields) next() bool {
	if f.err != nil || len(f.rest) == 0 {
		return false
	}
	if c := f.rest[0]; c < oneByte && c >= 1<<3 {
		f.tag, f.rest = uint64(c), f.rest[1:]
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
	f.tag, f.rest = protowire.EncodeTag(num, typ), f.rest[n:]
	return true
}

// advance moves on by the n bytes that were consumed.
func (f *fields) advance(n int) {
	if n < 0 {
		f.err = malformed("field %d: %w", f.tag>>3, protowire.ParseError(n))
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
	num, typ := protowire.DecodeTag(f.tag)
	f.advance(protowire.ConsumeFieldValue(num, typ, f.rest))
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
	return protowire.AppendVarint(appendTag(b, num, protowire.VarintType), v)
}

func appendFixed64(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendFixed64(appendTag(b, num, protowire.Fixed64Type), v)
}

func appendString(b []byte, num protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return appendElement(b, num, s)
}

// appendElement appends an element of a repeated field, which may be empty.
func appendElement(b []byte, num protowire.Number, s string) []byte {
	b = appendTag(b, num, protowire.BytesType)
	if len(s) < oneByte {
		return append(append(b, byte(len(s))), s...)
	}
	return protowire.AppendString(b, s)
}

// appendTag appends a tag, which for the first fields is a single byte.
func appendTag(b []byte, num protowire.Number, typ protowire.Type) []byte {
	if tag := num<<3 | protowire.Number(typ); tag < oneByte {
		return append(b, byte(tag))
	}
	return protowire.AppendTag(b, num, typ)
}

// appendMessage appends an embedded message, also an empty one.
func appendMessage(b []byte, num protowire.Number, encode func([]byte) []byte) []byte {
	b = append(appendTag(b, num, protowire.BytesType), 0)
	start := len(b)
	b = encode(b)
	size := len(b) - start
	// There is room for a length of one byte: a message that needs more moves on.
	more := protowire.SizeVarint(uint64(size)) - 1
	b = append(b, make([]byte, more)...)
	copy(b[start+more:], b[start:start+size])
	protowire.AppendVarint(b[:start-1], uint64(size))
	return b
}
