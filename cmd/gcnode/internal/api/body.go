package api

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

const (
	// pieceBytes is what is read of a body at a time, and the smallest buffer
	// for one.
	pieceBytes = 32 << 10
	// MinBodyBytes is the smallest [Options.MaxBodyBytes]: one largest value,
	// and the smaller buffer that it grows out of.
	MinBodyBytes = 2 * gcnode.MaxValueBytes
)

// bodies bounds the memory of all request bodies together.
type bodies struct {
	free atomic.Int64
	max  int64
}

func newBodies(maxBytes int64) *bodies {
	b := &bodies{max: maxBytes}
	b.free.Store(maxBytes)
	return b
}

// take reserves n bytes, or reports that there are not so many.
func (b *bodies) take(n int64) bool {
	if b.free.Add(-n) >= 0 {
		return true
	}
	b.give(n)
	return false
}

func (b *bodies) give(n int64) { b.free.Add(n) }

// body is what an application has sent, and holds its bytes of the bound until
// it is released.
type body struct {
	text  *strings.Builder
	of    *bodies
	taken int64
}

// release gives the memory back.
func (b *body) release() { b.of.give(b.taken) }

// String is the whole body.
func (b *body) String() string {
	text := b.text.String()
	if b.text.Cap()-len(text) > len(text)/8 { // the length was not known beforehand
		return strings.Clone(text)
	}
	return text
}

// refused is an error that is answered with its own failure.
type refused struct{ failure }

// Error implements the error interface.
func (r *refused) Error() string { return r.message }

// read reads the body of a request, which may have up to maxBytes; what names it
// in messages. A length that is announced is checked before anything is read, and
// memory is spent as the bytes come in. An error is a [*refused].
func (b *bodies) read(r *http.Request, what string, maxBytes int64) (*body, error) {
	if r.ContentLength > maxBytes {
		return nil, tooLarge("%s has %d bytes; at most %d are allowed", what, r.ContentLength, maxBytes)
	}
	got := &body{of: b, text: &strings.Builder{}}
	piece := make([]byte, min(pieceBytes, maxBytes+1))
	for {
		n, err := r.Body.Read(piece)
		if int64(got.text.Len()+n) > maxBytes {
			got.release()
			return nil, tooLarge("%s has more than %d bytes, which are allowed", what, maxBytes)
		}
		if !got.add(piece[:n], r.ContentLength, maxBytes) {
			got.release()
			return nil, &refused{failure{
				status: http.StatusServiceUnavailable, kind: kindName(gcnode.KindOverloaded), retryAfter: time.Second,
				message: fmt.Sprintf("the node is receiving %d bytes already, which is its limit", b.max),
			}}
		}
		switch {
		case errors.Is(err, io.EOF):
			return got, nil
		case err != nil:
			got.release()
			return nil, &refused{failure{
				status: http.StatusBadRequest, kind: kindBadRequest,
				message: fmt.Sprintf("%s broke off after %d bytes: %v", what, got.text.Len(), err),
			}}
		}
	}
}

// add appends a piece, and reports whether there was memory for it. The buffer
// doubles, up to the announced length if there is one.
func (b *body) add(piece []byte, announced, maxBytes int64) bool {
	need := int64(b.text.Len() + len(piece))
	if have := int64(b.text.Cap()); need > have {
		size := min(max(need, 2*have, pieceBytes), maxBytes)
		if announced >= need {
			size = min(size, announced)
		}
		if !b.of.take(size) {
			return false
		}
		larger := &strings.Builder{}
		larger.Grow(int(size))
		larger.WriteString(b.text.String())
		b.text = larger
		b.of.give(b.taken)
		b.taken = size
	}
	b.text.Write(piece)
	return true
}

// tooLarge refuses what is over a limit of the application's making.
func tooLarge(format string, args ...any) *refused {
	return &refused{failure{
		status: http.StatusRequestEntityTooLarge, kind: kindName(gcnode.KindTooLarge), message: fmt.Sprintf(format, args...),
	}}
}

// malformed refuses what cannot be understood.
func malformed(format string, args ...any) *refused {
	return &refused{failure{status: http.StatusBadRequest, kind: kindBadRequest, message: fmt.Sprintf(format, args...)}}
}
