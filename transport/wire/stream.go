package wire

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	gcnode "github.com/gcnode/gcnode/core"
)

const (
	// inlineBytes is the size up to which a value is written together with
	// what comes before it.
	inlineBytes = 4 << 10
	// maxHeader is the most that a frame has beside the fields in it and the
	// bytes of the last one: tags and lengths.
	maxHeader = 32
	// frameCost is what a frame costs its receiver beside its bytes.
	frameCost = 256
	// maxReplyFields bounds what a reply has beside its value, so that it
	// fits into a frame together with a piece.
	maxReplyFields = MaxFrameBytes - PieceBytes - maxHeader
	// eagerBytes is how much memory is taken for a frame of which nothing has
	// arrived yet.
	eagerBytes = 16 << 10
)

// Writer writes frames. After an error of the underlying writer nothing more
// is written. It is for one goroutine at a time.
type Writer struct {
	w      io.Writer
	broken error
}

// NewWriter returns a Writer to w. Each frame is written in one or two calls.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// WriteRequest writes a request. Nothing is written of one that is over a
// limit; the error is of [gcnode.KindTooLarge] then.
func (w *Writer) WriteRequest(req *gcnode.Request) error {
	if err := checkRequest(req); err != nil {
		return err
	}
	value := req.Value.String()
	first := value[:min(len(value), PieceBytes)]
	msg, err := appendRequest(nil, req, first)
	if err != nil {
		return err
	}
	var length [10]byte
	if err := w.write(protowire.AppendVarint(length[:0], uint64(len(msg)))); err != nil {
		return err
	}
	if err := w.write(msg); err != nil {
		return err
	}
	return w.pieces(value[len(first):])
}

// pieces writes the rest of a value.
func (w *Writer) pieces(rest string) error {
	for len(rest) > 0 {
		n := min(len(rest), PieceBytes)
		if err := w.frame(framePiece, nil, pieceData, rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// WriteReply writes a reply, in pieces if its value is large. Nothing is
// written of one that is over a limit; the error is of [gcnode.KindTooLarge]
// then, and the stream can be used further.
func (w *Writer) WriteReply(r gcnode.Reply) error {
	if err := checkReply(&r); err != nil {
		return err
	}
	value := r.Value.String()
	first := value[:min(len(value), PieceBytes)]
	fields := appendReply(nil, &r)
	if len(fields) > maxReplyFields {
		return tooLarge("the reply has %d bytes beside its value; at most %d are allowed", len(fields), maxReplyFields)
	}
	if err := w.frame(frameReply, fields, replyValue, first); err != nil {
		return err
	}
	return w.pieces(value[len(first):])
}

// WriteRefusal says that the request was not begun, and ends the exchange.
func (w *Writer) WriteRefusal(e *gcnode.Error) error {
	return w.frame(frameRefusal, appendError(nil, e), 0, "")
}

// WriteEnd ends the exchange, with an error or without.
func (w *Writer) WriteEnd(e *gcnode.Error) error {
	var end []byte
	if e != nil {
		end = appendMessage(nil, 1, func(b []byte) []byte { return appendError(b, e) })
	}
	return w.frame(frameEnd, end, 0, "")
}

// frame writes a frame: its kind, the encoded fields, and the last field with
// its bytes, which are not copied when they are many.
func (w *Writer) frame(kind protowire.Number, fields []byte, last protowire.Number, data string) error {
	size := len(fields)
	if data != "" {
		size += protowire.SizeTag(last) + protowire.SizeBytes(len(data))
	}
	b := make([]byte, 0, maxHeader+len(fields)+min(len(data), inlineBytes))
	b = protowire.AppendVarint(b, uint64(protowire.SizeTag(kind)+protowire.SizeBytes(size)))
	b = protowire.AppendTag(b, kind, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	b = append(b, fields...)
	if data != "" {
		b = protowire.AppendTag(b, last, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(len(data)))
	}
	if len(data) <= inlineBytes {
		return w.write(append(b, data...))
	}
	if err := w.write(b); err != nil {
		return err
	}
	_, err := gcnode.StringValue(data).WriteTo(w.w)
	return w.note(err)
}

func (w *Writer) write(b []byte) error {
	if w.broken != nil {
		return w.broken
	}
	_, err := w.w.Write(b)
	return w.note(err)
}

// note remembers that the stream is broken.
func (w *Writer) note(err error) error {
	if err != nil {
		w.broken = fmt.Errorf("write a frame: %w", err)
	}
	return w.broken
}

// Reader reads frames. Its memory grows with what has arrived, not with what
// was announced: a value takes at most eight times what has come of it. It is
// for one goroutine at a time.
type Reader struct {
	r       *bufio.Reader
	buf     bytes.Buffer
	replies Collector
}

// NewReader returns a Reader from r, from which it may read more than it
// returns.
func NewReader(r io.Reader) *Reader { return &Reader{r: bufio.NewReaderSize(r, 4<<10)} }

// ReadRequest reads a request, with all of its value. Its errors are those of
// [DecodeRequest], and those of the underlying reader; [io.ErrUnexpectedEOF]
// when it ends too early. One of [gcnode.KindUnsupported] leaves the stream at
// the end of the request.
func (r *Reader) ReadRequest() (*gcnode.Request, error) {
	b, err := r.next()
	if err != nil {
		return nil, fmt.Errorf("read the request: %w", unexpected(err))
	}
	req := &gcnode.Request{}
	value, total, err := new(RequestDecoder).decode(b, req)
	unsupported := errors.Is(err, gcnode.ErrUnsupported)
	if err != nil && !unsupported {
		return nil, err
	}
	// What is unknown may have a large value, too.
	whole := growing{discard: unsupported}
	if err := r.pieces(&whole, value, total); err != nil {
		return nil, err
	}
	if unsupported {
		return nil, err
	}
	req.Value = whole.take()
	return req, nil
}

// pieces reads the value that begins with first and has total bytes, or the one
// that is all in first when total is 0.
func (r *Reader) pieces(whole *growing, first []byte, total int) error {
	if err := whole.start(cmp.Or(total, len(first)), first); err != nil {
		return err
	}
	for whole.missing() > 0 {
		b, err := r.next()
		if err != nil {
			return fmt.Errorf("read a piece: %w", unexpected(err))
		}
		var f frame
		if err := f.decode(b); err != nil {
			return err
		}
		if err := whole.add(f.piece); err != nil {
			return err
		}
	}
	return nil
}

// ReadEOF fails with [ErrMalformed] unless the stream has come to its end.
func (r *Reader) ReadEOF() error {
	switch _, err := r.r.ReadByte(); {
	case err == nil:
		return malformed("there are bytes after the end")
	case errors.Is(err, io.EOF):
		return nil
	default:
		return fmt.Errorf("read the end: %w", err)
	}
}

// ReadReply reads the next reply, with all of its value. The end of the
// exchange is [io.EOF], or an [*EndError] if the peer says that something
// went wrong. It fails with [ErrMalformed], [gcnode.KindTooLarge],
// [io.ErrUnexpectedEOF] when the stream ends before the exchange does, or the
// error of the underlying reader; nothing more can be read after an error.
func (r *Reader) ReadReply() (gcnode.Reply, error) {
	for {
		b, err := r.next()
		if err != nil {
			return gcnode.Reply{}, fmt.Errorf("read a reply: %w", unexpected(err))
		}
		reply, complete, err := r.replies.Add(b)
		if complete || err != nil {
			return reply, err
		}
	}
}

// next reads a frame, which is valid until the next call. It fails with io.EOF
// only at the end of the stream.
func (r *Reader) next() ([]byte, error) {
	size, err := r.length()
	if err != nil {
		return nil, err
	}
	if r.buf.Cap() > 2*PieceBytes {
		r.buf = bytes.Buffer{} // after a rare large frame
	}
	r.buf.Reset()
	r.buf.Grow(min(size, eagerBytes) + bytes.MinRead)
	if _, err := io.CopyN(&r.buf, r.r, int64(size)); err != nil {
		return nil, unexpected(err)
	}
	return r.buf.Bytes(), nil
}

// length reads the length of a frame. It looks at the bytes one by one, so
// that garbage is recognised without waiting for more.
func (r *Reader) length() (int, error) {
	var size uint64
	for shift := 0; ; shift += 7 {
		c, err := r.r.ReadByte()
		if err != nil {
			if shift > 0 {
				err = unexpected(err)
			}
			return 0, err
		}
		size |= uint64(c&math.MaxInt8) << shift
		switch {
		case size > MaxFrameBytes:
			return 0, tooLarge("a frame of %d bytes or more; at most %d are allowed", size, MaxFrameBytes)
		case c <= math.MaxInt8:
			return int(size), nil
		case shift >= 21:
			return 0, malformed("the length of a frame is not in its shortest form")
		}
	}
}

// unexpected turns the end of the stream into an error.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
