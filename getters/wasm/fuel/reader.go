package fuel

import (
	"fmt"
	"unicode/utf8"
)

// reader decodes the primitive values of the binary format. The first error
// sticks: every later read returns a zero value and consumes nothing, so a
// caller may read several values and look at err once, but must look at it in
// each turn of a loop.
type reader struct {
	data []byte
	pos  int
	// base is the offset of data[0] in the module, for error messages.
	base int
	err  error
}

func (r *reader) remaining() int { return len(r.data) - r.pos }

// more reports whether there is something left to read and no error so far.
func (r *reader) more() bool { return r.err == nil && r.pos < len(r.data) }

// fail records an error of the given kind (one of the package's sentinels) at
// the current position, unless an earlier one is already recorded.
func (r *reader) fail(kind error, format string, args ...any) {
	r.failAt(r.pos, kind, format, args...)
}

func (r *reader) failAt(pos int, kind error, format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s (offset %#x)", kind, fmt.Sprintf(format, args...), r.base+pos)
	}
}

// done fails if anything is left to read.
func (r *reader) done() error {
	if r.err == nil && r.pos != len(r.data) {
		r.fail(ErrMalformed, "%d bytes left over", r.remaining())
	}
	return r.err
}

func (r *reader) byte() byte {
	if r.err != nil {
		return 0
	}
	if r.pos >= len(r.data) {
		r.fail(ErrMalformed, "unexpected end")
		return 0
	}
	b := r.data[r.pos]
	r.pos++
	return b
}

// bytes returns the next n bytes without copying them.
func (r *reader) bytes(n uint32) []byte {
	if r.err != nil {
		return nil
	}
	if uint64(n) > uint64(r.remaining()) {
		r.fail(ErrMalformed, "%d bytes announced, %d left", n, r.remaining())
		return nil
	}
	b := r.data[r.pos : r.pos+int(n)]
	r.pos += int(n)
	return b
}

// sub returns a reader of the next n bytes, which the receiver skips.
func (r *reader) sub(n uint32) *reader {
	base := r.base + r.pos
	data := r.bytes(n)
	return &reader{data: data, base: base, err: r.err}
}

// name reads a length and that many bytes of UTF-8.
func (r *reader) name() []byte {
	start := r.pos
	b := r.bytes(r.u32())
	if r.err == nil && !utf8.Valid(b) {
		r.failAt(start, ErrMalformed, "name is not valid utf-8")
	}
	return b
}

// count reads the length of a vector whose elements take at least
// minElementBytes each, and fails if they cannot all be there: whatever is
// allocated for the vector is then bounded by the size of the module.
func (r *reader) count(minElementBytes int, what string) uint32 {
	start := r.pos
	n := r.u32()
	if r.err == nil && uint64(n)*uint64(minElementBytes) > uint64(r.remaining()) {
		r.failAt(start, ErrMalformed, "%d %s announced, %d bytes left", n, what, r.remaining())
		return 0
	}
	return n
}

// u32 reads an unsigned LEB128 number of at most 32 bits.
func (r *reader) u32() uint32 {
	start := r.pos
	var v uint32
	for shift := 0; ; shift += 7 {
		b := r.byte()
		if r.err != nil {
			return 0
		}
		if shift == 28 && b > 0x0f {
			r.failAt(start, ErrMalformed, "number does not fit 32 bits")
			return 0
		}
		v |= uint32(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
}

// signed reads a signed LEB128 number of at most the given bits: 32, 33 or 64.
func (r *reader) signed(bits int) int64 {
	start := r.pos
	var v int64
	for shift := 0; ; shift += 7 {
		b := r.byte()
		if r.err != nil {
			return 0
		}
		if left := bits - shift; left <= 7 {
			// In the last byte the bits beyond the number repeat its sign.
			high := int8(b<<1) >> left
			if b >= 0x80 || (high != 0 && high != -1) {
				r.failAt(start, ErrMalformed, "number does not fit %d bits", bits)
				return 0
			}
		}
		v |= int64(b&0x7f) << shift
		if b < 0x80 {
			if end := shift + 7; end < 64 && b&0x40 != 0 {
				v |= -1 << end
			}
			return v
		}
	}
}
