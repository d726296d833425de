package gcnode

import (
	"io"
	"strings"

	"github.com/gcnode/gcnode/core/internal/alias"
)

// Value is an immutable sequence of bytes. The zero value is empty. It may be
// copied, compared with ==, and used by any number of goroutines.
type Value struct {
	s string
}

// BytesValue is a value with a copy of b.
func BytesValue(b []byte) Value { return Value{s: string(b)} }

// StringValue is a value with the bytes of s, which is not copied.
func StringValue(s string) Value { return Value{s: s} }

// Len is the number of bytes.
func (v Value) Len() int { return len(v.s) }

// String is the value as a string, without copying.
func (v Value) String() string { return v.s }

// Bytes is a copy of the value.
func (v Value) Bytes() []byte { return []byte(v.s) }

// AppendTo appends the value to dst.
func (v Value) AppendTo(dst []byte) []byte { return append(dst, v.s...) }

// Clone is the same value in memory of its own. A value that came out of a
// cache may share memory with others; clone a small one that is kept for long.
func (v Value) Clone() Value { return Value{s: strings.Clone(v.s)} }

// Reader reads the value without copying it.
func (v Value) Reader() *strings.Reader { return strings.NewReader(v.s) }

// WriteTo implements [io.WriterTo]. The bytes are not copied, and w must not
// change them, as the contract of [io.Writer] demands.
func (v Value) WriteTo(w io.Writer) (int64, error) {
	if v.s == "" {
		return 0, nil
	}
	n, err := w.Write(alias.Bytes(v.s))
	return int64(n), err
}
