package wire

import (
	"fmt"
	"io"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	// readAhead is how much is read at once where that much has come.
	readAhead = 16 << 10
	// smallInARow is after how many messages that fit into readAhead the
	// memory for larger ones is given back.
	smallInARow = 256
	// maxLength is how many bytes the length of a message has.
	maxLength = 4
	// maxEmptyReads is how often a reader may return nothing.
	maxEmptyReads = 100
)

// MessageReader reads the messages of a stream, each after its length. What
// has come of a message is kept when the underlying reader fails, and Next can
// be called again, for example after a deadline. Its memory grows with what
// has arrived. It is for one goroutine at a time.
type MessageReader struct {
	r          io.Reader
	limit      int
	buf        []byte
	begin, end int // what has arrived and was not returned
	small      int // messages in a row that were small
}

// NewMessageReader returns a reader from r of messages of up to limit bytes.
// It may read more than it returns.
func NewMessageReader(r io.Reader, limit int) *MessageReader {
	return &MessageReader{r: r, limit: limit, buf: make([]byte, readAhead)}
}

// Next is the next message, which is valid until the call after it. It fails
// with [ErrMalformed], [gcnode.KindTooLarge], [io.EOF] between two messages,
// [io.ErrUnexpectedEOF] in one, or the error of the underlying reader.
func (m *MessageReader) Next() ([]byte, error) {
	for {
		start, size, err := m.header()
		if err != nil {
			return nil, err
		}
		if start > 0 && m.end-m.begin >= start+size {
			b := m.buf[m.begin+start : m.begin+start+size]
			m.begin += start + size
			return b, nil
		}
		if err := m.fill(start + size); err != nil {
			if m.Begun() {
				err = unexpected(err)
			}
			return nil, fmt.Errorf("read a message: %w", err)
		}
	}
}

// CutMessage returns the message that b begins with, after its length, and what
// comes after it. It fails with [ErrMalformed].
func CutMessage(b []byte) (message, rest []byte, _ error) {
	size, n := protowire.ConsumeVarint(b)
	switch {
	case n < 0:
		return nil, nil, malformed("the length of a message: %w", protowire.ParseError(n))
	case size > uint64(len(b)-n):
		return nil, nil, malformed("a message of %d bytes, of which %d are there", size, len(b)-n)
	default:
		return b[n : n+int(size)], b[n+int(size):], nil
	}
}

// Ready reports whether Next will return without reading.
func (m *MessageReader) Ready() bool {
	start, size, err := m.header()
	return err != nil || start > 0 && m.end-m.begin >= start+size
}

// Begun reports whether a part of a message has come that Next has not
// returned.
func (m *MessageReader) Begun() bool { return m.begin < m.end }

// Size is how much memory is held for messages.
func (m *MessageReader) Size() int { return len(m.buf) }

// header is where the next message starts after its length, and its size. The
// start is 0 while that is not known.
func (m *MessageReader) header() (start, size int, _ error) {
	var length uint64
	for i, c := range m.buf[m.begin:m.end] {
		length |= uint64(c&math.MaxInt8) << (7 * i)
		switch {
		case length > uint64(m.limit):
			return 0, 0, tooLarge("a message of %d bytes or more; at most %d are allowed", length, m.limit)
		case c <= math.MaxInt8:
			return i + 1, int(length), nil
		case i == maxLength-1:
			return 0, 0, malformed("the length of a message is not in its shortest form")
		}
	}
	return 0, 0, nil
}

// fill reads more of a message that has need bytes with its length, or 0 if
// that is not known.
func (m *MessageReader) fill(need int) error {
	if m.begin == m.end {
		m.begin, m.end = 0, 0
	}
	m.fit(need)
	for range maxEmptyReads {
		n, err := m.r.Read(m.buf[m.end:])
		m.end += n
		if n > 0 {
			return nil // the reader fails again if it has
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// fit makes room for what comes next of a message with need bytes.
func (m *MessageReader) fit(need int) {
	if need > readAhead {
		m.small = 0
	} else if m.small++; m.small > smallInARow && len(m.buf) > readAhead && m.end-m.begin < readAhead {
		m.move(readAhead)
		return
	}
	switch {
	case m.begin+max(need, 1) <= len(m.buf) && m.end < len(m.buf):
	case need <= len(m.buf) && m.begin > 0:
		copy(m.buf, m.buf[m.begin:m.end])
		m.begin, m.end = 0, m.end-m.begin
	default:
		m.move(min(need+readAhead, 2*len(m.buf)))
	}
}

// move goes on with memory of another size.
func (m *MessageReader) move(size int) {
	buf := make([]byte, size)
	m.begin, m.end = 0, copy(buf, m.buf[m.begin:m.end])
	m.buf = buf
}
