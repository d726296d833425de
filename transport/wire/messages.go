package wire

import (
	"bytes"
	"fmt"
	"io"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	// readAhead is how much is read at once where that much has come.
	readAhead = 16 << 10
	// smallInARow is after how many reads for messages that fit into readAhead
	// the memory for more is given back.
	smallInARow = 256
	// maxLength is how many bytes the length of a message has.
	maxLength = 4
	// aheadBytes is how much of a message has come before [MessageReader.Place] is
	// asked.
	aheadBytes = 64
	// maxEmptyReads is how often a reader may return nothing.
	maxEmptyReads = 100
)

// MessageReader reads the messages of a stream, each after its length. What
// has come of a message is kept when the underlying reader fails, and Next can
// be called again, for example after a deadline. Its memory grows with what
// has arrived. It is for one goroutine at a time.
type MessageReader struct {
	// Place, if it is not nil, is asked once where the end of a message can be read
	// into that is larger than what is read ahead, of which the beginning has come.
	// It returns nil to have the message as any other. Otherwise Next returns the
	// rest, which is the beginning, when the end is there.
	Place func(beginning []byte, message int) []byte
	// Ahead, if it is not 0, is how much is read at once while so much comes at
	// once.
	Ahead int

	r          io.Reader
	limit      int
	buf        []byte
	begin, end int  // what has arrived and was not returned
	small      int  // reads in a row that were for small messages, and not full
	full       bool // the last read was

	asked  bool   // Place was, for the message that comes next
	placed bool   // and there is a place
	head   int    // beside placed: the size of the beginning
	place  []byte // beside placed: what is not filled
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
		if m.placed {
			return m.fillPlace()
		}
		start, size, err := m.header()
		if err != nil {
			return nil, err
		}
		if m.findPlace(start, size) {
			continue
		}
		if start > 0 && m.end-m.begin >= start+size {
			m.asked = false
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

// WholeMessage returns the message that b begins with, after its length, and what
// comes after it, if all of it is there.
func WholeMessage(b []byte) (message, rest []byte, ok bool) {
	size, n := protowire.ConsumeVarint(b)
	if n < 0 || n > maxLength || size > uint64(len(b)-n) {
		return nil, nil, false
	}
	return b[n : n+int(size)], b[n+int(size):], true
}

// Ready reports whether Next will return without reading.
func (m *MessageReader) Ready() bool {
	if m.placed {
		return false
	}
	start, size, err := m.header()
	return err != nil || start > 0 && m.end-m.begin >= start+size
}

// Skip takes the next message if it has come and is this one, with its length. The
// message before it remains valid.
func (m *MessageReader) Skip(message []byte) bool {
	if m.placed || !bytes.HasPrefix(m.buf[m.begin:m.end], message) {
		return false
	}
	m.begin += len(message)
	m.asked = false
	return true
}

// Begun reports whether a part of a message has come that Next has not
// returned.
func (m *MessageReader) Begun() bool { return m.begin < m.end || m.placed }

// findPlace asks for a place for the end of a large message, and reports whether
// there is one. Then the beginning is at the end of the buffer.
func (m *MessageReader) findPlace(start, size int) bool {
	came := m.end - m.begin - start
	if m.asked || m.Place == nil || start == 0 || size <= readAhead || came < aheadBytes || came >= size {
		return false
	}
	m.asked = true
	place := m.Place(m.buf[m.begin+start:m.end], size)
	if place == nil {
		return false
	}
	m.placed, m.head = true, size-len(place)
	m.begin += start
	m.place = place[copy(place, m.buf[m.begin+m.head:m.end]):]
	m.end = m.begin + m.head
	return true
}

// fillPlace reads the end of a message into its place, and returns the beginning.
func (m *MessageReader) fillPlace() ([]byte, error) {
	for empty := 0; len(m.place) > 0; {
		n, err := m.r.Read(m.place)
		m.place = m.place[n:]
		switch {
		case n > 0:
			empty = 0
		case err != nil:
			return nil, fmt.Errorf("read a message: %w", unexpected(err))
		case empty == maxEmptyReads:
			return nil, fmt.Errorf("read a message: %w", io.ErrNoProgress)
		default:
			empty++
		}
	}
	b := m.buf[m.begin:m.end]
	m.begin = m.end
	m.placed, m.asked, m.place = false, false, nil
	return b, nil
}

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
			m.full = m.end == len(m.buf)
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
	if need > readAhead || m.full && m.Ahead > 0 {
		m.small = 0
	} else if m.small++; m.small > smallInARow && len(m.buf) > readAhead && m.end-m.begin < readAhead {
		m.move(readAhead)
		return
	}
	if m.full && 2*len(m.buf) <= m.Ahead {
		m.move(2 * len(m.buf))
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
