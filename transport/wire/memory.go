package wire

import (
	"strings"
	"unsafe"
)

// unset is room for n bytes, at least one, in which there is anything: a large
// value would be written twice otherwise, first with zeroes.
func unset(n int) []byte {
	var b strings.Builder
	b.Grow(n)
	_ = b.WriteByte(0) // so that the string has an address; the error is always nil
	return unsafe.Slice(unsafe.StringData(b.String()), n)[:0]
}

// stringOf is b as a string, which is not written to any more.
func stringOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
