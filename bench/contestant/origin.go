package contestant

import (
	"bytes"
	"strings"
	"sync/atomic"
)

// SameValue is an origin that has one value for all keys, made beforehand, and
// counts how often it is asked.
type SameValue struct {
	s     string
	b     []byte
	loads atomic.Int64
}

// NewSameValue makes an origin of a value of n bytes.
func NewSameValue(n int) *SameValue {
	return &SameValue{s: strings.Repeat("v", n), b: bytes.Repeat([]byte("v"), n)}
}

// String implements [Origin].
func (o *SameValue) String(string) string {
	o.loads.Add(1)
	return o.s
}

// Bytes implements [Origin].
func (o *SameValue) Bytes(string) []byte {
	o.loads.Add(1)
	return o.b
}

// Loads is how often it was asked.
func (o *SameValue) Loads() int64 { return o.loads.Load() }

// FreshValue is an origin whose values are made when they are asked for, so
// that each has memory of its own.
type FreshValue struct {
	Size func(key string) int
}

// String implements [Origin].
func (o FreshValue) String(key string) string {
	var b strings.Builder // hands over its memory without a copy
	n := o.Size(key)
	b.Grow(n)
	for b.Len() < n {
		b.WriteString(filler[:min(n-b.Len(), len(filler))])
	}
	return b.String()
}

// Bytes implements [Origin].
func (o FreshValue) Bytes(key string) []byte {
	b := make([]byte, o.Size(key))
	for at := 0; at < len(b); {
		at += copy(b[at:], filler)
	}
	return b
}

const filler = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
