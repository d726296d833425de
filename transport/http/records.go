package httptransport

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
)

const (
	// recordBytes is the most that a record carries.
	recordBytes = 16 << 10
	// lengthBytes go before what a record carries, and macBytes after it.
	lengthBytes = 2
	macBytes    = sha256.Size
	// sealedAtOnce is how much is made records of before they are written.
	sealedAtOnce = 4 * recordBytes
	// A stream reads ahead more than the one answer to a plain request.
	streamAhead = lengthBytes + recordBytes + macBytes
	plainAhead  = 1 << 10
	// fewInARow is after how many small writes the memory for large ones is given
	// back.
	fewInARow = 256
)

// recordMAC signs the records of one direction. It is used again for each, so
// that a record allocates nothing.
type recordMAC struct {
	mac hash.Hash
	seq [8]byte // of the next record
}

func newRecordMAC(key []byte) recordMAC { return recordMAC{mac: hmac.New(sha256.New, key)} }

// append appends the signature of the next record to b.
func (m *recordMAC) append(b, carried []byte) []byte {
	m.mac.Reset()
	m.mac.Write(m.seq[:])
	m.mac.Write(carried)
	binary.BigEndian.PutUint64(m.seq[:], binary.BigEndian.Uint64(m.seq[:])+1)
	return m.mac.Sum(b)
}

// sealer makes records of what is written to it. It is for one goroutine at a
// time.
//
// When writing stops in the middle because of a deadline, the records that were
// begun are not written anew, since they have their numbers: the next Write has
// to begin with what Write has not counted as written, and goes on with them.
type sealer struct {
	w    io.Writer
	sign recordMAC
	buf  []byte // records
	left []byte // of these, what is not written
	size int    // what they carry
	few  int    // how often in a row that was little
}

func newSealer(w io.Writer, key []byte) *sealer { return &sealer{w: w, sign: newRecordMAC(key)} }

// Write implements [io.Writer].
func (s *sealer) Write(b []byte) (int, error) {
	written := 0
	for written < len(b) {
		if len(s.left) == 0 {
			s.seal(b[written:])
		}
		n, err := s.w.Write(s.left)
		s.left = s.left[n:]
		if err != nil {
			return written, err
		}
		if len(s.left) > 0 {
			return written, io.ErrShortWrite
		}
		written += s.size
	}
	return written, nil
}

// seal makes records of the beginning of b.
func (s *sealer) seal(b []byte) {
	s.size = min(len(b), sealedAtOnce)
	if s.few++; s.size > recordBytes {
		s.few = 0
	} else if s.few > fewInARow && cap(s.buf) > 2*recordBytes {
		s.buf = nil
	}
	records := (s.size + recordBytes - 1) / recordBytes
	s.buf = slices.Grow(s.buf[:0], s.size+records*(lengthBytes+macBytes))
	for rest := b[:s.size]; len(rest) > 0; {
		n := min(len(rest), recordBytes)
		s.buf = binary.BigEndian.AppendUint16(s.buf, uint16(n))
		s.buf = append(s.buf, rest[:n]...)
		s.buf = s.sign.append(s.buf, rest[:n])
		rest = rest[n:]
	}
	s.left = s.buf
}

// errForged is what is wrong with a record that nobody with the key has made, or
// that comes in another place than its own.
var errForged = errors.New("a signature is wrong: what has come is not what was sent")

// opener reads records and returns what they carry, once it is known to be
// right. It is for one goroutine at a time.
type opener struct {
	r     io.Reader
	check recordMAC
	sum   [macBytes]byte
	buf   []byte
	// What has come and was not opened is from begin to end, and what is opened
	// and was not returned is in carried.
	begin, end int
	carried    []byte
	err        error // once it is broken
}

// newOpener reads ahead by so many bytes, and takes memory for more when a record
// has them.
func newOpener(r io.Reader, key []byte, ahead int) *opener {
	return &opener{r: r, check: newRecordMAC(key), buf: make([]byte, ahead)}
}

// begun reports whether a part of a record has come.
func (o *opener) begun() bool { return o.begin < o.end }

// Read implements [io.Reader]. What has come of a record is kept when the
// underlying reader fails, and Read can be called again.
func (o *opener) Read(b []byte) (int, error) {
	for len(o.carried) == 0 && o.err == nil {
		opened, err := o.open()
		o.err = err
		if opened || err != nil {
			continue
		}
		if n, err := o.fill(); n == 0 {
			return 0, err
		}
	}
	if o.err != nil {
		return 0, o.err
	}
	n := copy(b, o.carried)
	o.carried = o.carried[n:]
	return n, nil
}

// open opens the next record if all of it has come.
func (o *opener) open() (bool, error) {
	came := o.buf[o.begin:o.end]
	if len(came) < lengthBytes {
		return false, nil
	}
	size := int(binary.BigEndian.Uint16(came))
	if size == 0 || size > recordBytes {
		return false, fmt.Errorf("a record of %d bytes; 1 to %d are allowed: %w", size, recordBytes, errForged)
	}
	whole := lengthBytes + size + macBytes
	if len(came) < whole {
		return false, nil
	}
	carried := came[lengthBytes : lengthBytes+size]
	if !hmac.Equal(o.check.append(o.sum[:0], carried), came[lengthBytes+size:whole]) {
		return false, errForged
	}
	o.begin += whole
	o.carried = carried
	return true, nil
}

// fill reads more of what comes next.
func (o *opener) fill() (int, error) {
	came := o.buf[o.begin:o.end]
	if len(came) == len(o.buf) {
		o.buf = make([]byte, streamAhead)
	}
	o.begin, o.end = 0, copy(o.buf, came)
	n, err := o.r.Read(o.buf[o.end:])
	o.end += n
	if errors.Is(err, io.EOF) && o.begun() {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
