package wasm

import (
	"errors"
	"fmt"

	"github.com/gcnode/gcnode/getters/wasm/fuel"
)

var errTruncated = errors.New("the module ends too early")

// byteReader reads the encoding of WebAssembly. After the first error every
// read returns zero values and changes nothing.
type byteReader struct {
	b   []byte
	err error
}

func (r *byteReader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

func (r *byteReader) u8() byte {
	if len(r.b) == 0 {
		r.fail(errTruncated)
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

// u32 reads an unsigned LEB128 number of at most 32 bits.
func (r *byteReader) u32() uint32 {
	v := r.u64()
	if v > 1<<32-1 {
		r.fail(errors.New("a number is out of range"))
		return 0
	}
	return uint32(v)
}

// u64 reads an unsigned LEB128 number of at most 35 bits: wider ones do not
// occur in what is read here.
func (r *byteReader) u64() uint64 {
	var v uint64
	for shift := 0; shift < 35; shift += 7 {
		c := r.u8()
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v
		}
	}
	r.fail(errors.New("a number is too long"))
	return 0
}

// count reads how many elements follow, each of which takes at least a byte of the
// module and many of ours.
func (r *byteReader) count() uint32 {
	n := r.u32()
	switch {
	case uint64(n) > uint64(len(r.b)):
		r.fail(errTruncated)
		return 0
	case n > fuel.DefaultMaxEntries:
		r.fail(fmt.Errorf("%d are more than the %d that a list may have", n, fuel.DefaultMaxEntries))
		return 0
	}
	return n
}

func (r *byteReader) take(n uint32) []byte {
	if uint64(n) > uint64(len(r.b)) {
		r.fail(errTruncated)
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *byteReader) name() string { return string(r.take(r.u32())) }

// limits reads the limits of a memory or table and returns the minimum.
func (r *byteReader) limits() uint64 {
	flags := r.u8()
	lowest := r.u64()
	if flags&1 != 0 {
		r.u64()
	}
	return lowest
}
