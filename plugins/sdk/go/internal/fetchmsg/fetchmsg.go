// Package fetchmsg encodes and decodes the fetch messages of the guest ABI.
// What it decodes may be hostile: it returns errors, takes no length on trust,
// and returns slices of the message instead of copies.
package fetchmsg

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrMalformed is the error of a message that is not well-formed, or cannot be
// encoded.
var ErrMalformed = errors.New("malformed fetch message")

const (
	requestHeaderBytes = 20
	answerHeaderBytes  = 12
	fieldHeaderBytes   = 6
)

// A Field is one line of an HTTP header.
type Field struct {
	Name  string
	Value string
}

func appendFields(b []byte, fields []Field) []byte {
	for _, f := range fields {
		b = binary.LittleEndian.AppendUint16(b, uint16(len(f.Name)))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(f.Value)))
		b = append(b, f.Name...)
		b = append(b, f.Value...)
	}
	return b
}

// checkFields reports fields that the message has no room for.
func checkFields(fields []Field) error {
	if len(fields) > math.MaxUint16 {
		return fmt.Errorf("%w: %d header fields", ErrMalformed, len(fields))
	}
	for _, f := range fields {
		if len(f.Name) > math.MaxUint16 {
			return fmt.Errorf("%w: header name of %d bytes", ErrMalformed, len(f.Name))
		}
		if err := check32("header value", len(f.Value)); err != nil {
			return err
		}
	}
	return nil
}

func check32(what string, size int) error {
	if uint64(size) > math.MaxInt32 {
		return fmt.Errorf("%w: %s of %d bytes", ErrMalformed, what, size)
	}
	return nil
}

// A reader takes a message apart. After the first failure it returns nothing
// more.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) take(n uint64) []byte {
	if r.failed || n > uint64(len(r.rest)) {
		r.failed = true
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) fields(count uint16) []Field {
	if int(count)*fieldHeaderBytes > len(r.rest) {
		r.failed = true
		return nil
	}
	fields := make([]Field, 0, count)
	for range count {
		head := r.take(fieldHeaderBytes)
		if r.failed {
			return nil
		}
		name := r.take(uint64(binary.LittleEndian.Uint16(head)))
		value := r.take(uint64(binary.LittleEndian.Uint32(head[2:])))
		fields = append(fields, Field{Name: string(name), Value: string(value)})
	}
	return fields
}

// end returns an error if the message was too short or has bytes left.
func (r *reader) end(what string) error {
	switch {
	case r.failed:
		return fmt.Errorf("%w: %s is cut off", ErrMalformed, what)
	case len(r.rest) > 0:
		return fmt.Errorf("%w: %d bytes after the end of the %s", ErrMalformed, len(r.rest), what)
	default:
		return nil
	}
}
