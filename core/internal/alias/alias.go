// Package alias looks at the same bytes as a string or as a slice, without
// copying them. It is the one place of this module that uses unsafe: the hit
// path of a cache and the writing of values would copy otherwise.
package alias

import "unsafe"

// String is b as a string. The bytes must not change while the string is in
// use.
func String(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// Bytes is s as a slice, which must not be written to.
func Bytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
