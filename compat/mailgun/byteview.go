package groupcache

import (
	"errors"
	"io"
	"strings"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// ByteView is an immutable view of bytes, to be passed by value.
//
// One that was got from a group lies in the memory of the cache, which stays for
// as long as the view is kept: keep the bytes of a small one
// ([ByteView.ByteSlice], [ByteView.String]) rather than the view.
type ByteView struct {
	v gcnode.Value
	// e is when it expires, in nanoseconds of Unix time; 0 is never. A time.Time
	// would be twice as much for each hit to allocate.
	e int64
}

// viewOf is a view of a value that expires at a time, the zero one for never.
func viewOf(v gcnode.Value, expire time.Time) ByteView { return ByteView{v, unixOf(expire)} }

// Expire is when the value expires; the zero time is never. Lives travel between
// members as durations, so that it may be some milliseconds from what the getter
// has said. Of a copy of what another member owns it is when the copy ends, after
// [gcnode.DefaultHotTTL] at most, and the owner is asked whether it is still right.
func (v ByteView) Expire() time.Time { return timeOf(v.e) }

// Len is the number of bytes.
func (v ByteView) Len() int { return v.v.Len() }

// ByteSlice is a copy of the bytes.
func (v ByteView) ByteSlice() []byte { return v.v.Bytes() }

// String is a copy of the bytes.
func (v ByteView) String() string { return strings.Clone(v.v.String()) }

// At is the byte with an index.
func (v ByteView) At(i int) byte { return v.v.String()[i] }

// Slice is the part of the view between two indices.
func (v ByteView) Slice(from, to int) ByteView {
	return ByteView{v: gcnode.StringValue(v.v.String()[from:to]), e: v.e}
}

// SliceFrom is the part of the view from an index on.
func (v ByteView) SliceFrom(from int) ByteView { return v.Slice(from, v.Len()) }

// Copy copies bytes to dest, and returns how many.
func (v ByteView) Copy(dest []byte) int { return copy(dest, v.v.String()) }

// Equal reports whether two views have the same bytes.
func (v ByteView) Equal(b2 ByteView) bool { return v.v == b2.v }

// EqualString reports whether the bytes are those of s.
func (v ByteView) EqualString(s string) bool { return v.v.String() == s }

// EqualBytes reports whether the bytes are those of b2.
func (v ByteView) EqualBytes(b2 []byte) bool { return v.v.String() == string(b2) }

// Reader reads the bytes.
func (v ByteView) Reader() io.ReadSeeker { return v.v.Reader() }

// ReadAt implements [io.ReaderAt].
func (v ByteView) ReadAt(p []byte, off int64) (n int, err error) {
	switch {
	case off < 0:
		return 0, errors.New("groupcache: read a view at a negative offset")
	case off >= int64(v.Len()):
		return 0, io.EOF
	}
	if n = copy(p, v.v.String()[off:]); n < len(p) {
		err = io.EOF
	}
	return n, err
}

// WriteTo implements [io.WriterTo].
func (v ByteView) WriteTo(w io.Writer) (n int64, err error) {
	n, err = v.v.WriteTo(w)
	if err == nil && n < int64(v.Len()) {
		err = io.ErrShortWrite
	}
	return n, err
}
