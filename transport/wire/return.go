package wire

import (
	"google.golang.org/protobuf/encoding/protowire"

	gcnode "github.com/gcnode/gcnode/core"
)

// The fields of Return.
const (
	returnExchange = 1
	returnFrame    = 2
	returnGoAway   = 3
	returnApart    = 4
)

// Return is what the answering member sends on a stream, or for each call of a
// bundle. One of its parts is set, or none: then it is of a kind that is unknown
// here.
type Return struct {
	// Exchange is the number that the asking member has given it.
	Exchange uint64
	// Frame is for [Collector.Add], and a part of the message. It is nil if
	// there is none.
	Frame []byte
	// GoAway says that the stream will be closed once the exchanges under way
	// have ended.
	GoAway bool
	// Apart says that the call of a bundle was not begun, and is to be asked in
	// a request of its own.
	Apart bool
}

// DecodeReturn decodes a message of the answering member. It fails with
// [ErrMalformed].
func DecodeReturn(b []byte) (Return, error) {
	var r Return
	parts := 0
	f := fields{rest: b}
	for f.next() {
		parts++
		switch f.tag {
		case returnExchange<<3 | varint:
			r.Exchange = f.varint()
			parts--
		case returnFrame<<3 | lengthDelimited:
			r.Frame = f.bytes()
		case returnGoAway<<3 | lengthDelimited:
			r.GoAway = true
			f.err = skipAll(f.bytes(), f.err)
		case returnApart<<3 | lengthDelimited:
			r.Apart = true
			f.err = skipAll(f.bytes(), f.err)
		default:
			f.skip()
			parts-- // from a newer version
		}
		if parts > 1 {
			return Return{}, malformed("a return with two kinds of content")
		}
	}
	if f.err != nil {
		return Return{}, f.err
	}
	return r, nil
}

// PieceAhead looks at the beginning of a message of so many bytes, all of which
// but its data may still be to come: if it is a piece of a value, whose data ends
// the message, it is the number of the exchange and the size of the data.
func PieceAhead(beginning []byte, message int) (exchange uint64, data int, ok bool) {
	at := 0
	for i, want := range [...]protowire.Number{returnExchange, returnFrame, framePiece, pieceData} {
		num, typ, n := protowire.ConsumeTag(beginning[at:])
		if n < 0 || num != want {
			return 0, 0, false
		}
		at += n
		v, n := protowire.ConsumeVarint(beginning[at:])
		if n < 0 {
			return 0, 0, false
		}
		at += n
		switch {
		case i == 0 && typ == protowire.VarintType:
			exchange = v
		case i > 0 && typ == protowire.BytesType && v == uint64(message-at):
		default:
			return 0, 0, false
		}
	}
	return exchange, message - at, true
}

// Cost is what a message takes out of the window of its exchange: its size
// without its length, and something for what it costs the receiver beside.
func Cost(message int) int { return message + frameCost }

// Outgoing is a frame on its way into a stream.
type Outgoing struct {
	// Head is the buffer with the message appended, but for Data, which ends it.
	Head []byte
	Data string
	// Rest is what further pieces have to carry of the value.
	Rest string
	// Cost is what the message takes out of the window.
	Cost int
}

// AppendReply appends to b, with its length, the message with a reply, or with
// the beginning of one whose value travels in pieces. It fails with
// [gcnode.KindTooLarge] if something is over a limit.
func AppendReply(b []byte, exchange uint64, r *gcnode.Reply) (Outgoing, error) {
	if err := checkReply(r); err != nil {
		return Outgoing{}, err
	}
	value := r.Value.String()
	first := value[:min(len(value), PieceBytes)]
	start := len(b)
	b = appendReply(b, r)
	if size := len(b) - start; size > maxReplyFields {
		return Outgoing{}, tooLarge("the reply has %d bytes beside its value; at most %d are allowed", size, maxReplyFields)
	}
	out := appendReturn(b, start, exchange, frameReply, replyValue, first)
	out.Rest = value[len(first):]
	return out, nil
}

// AppendPiece appends to b the message with the next piece of rest.
func AppendPiece(b []byte, exchange uint64, rest string) Outgoing {
	n := min(len(rest), PieceBytes)
	out := appendReturn(b, len(b), exchange, framePiece, pieceData, rest[:n])
	out.Rest = rest[n:]
	return out
}

// AppendRefusal appends to b the message that says that the request was not
// begun.
func AppendRefusal(b []byte, exchange uint64, e *gcnode.Error) []byte {
	return appendReturn(appendError(b, e), len(b), exchange, frameRefusal, 0, "").Head
}

// AppendEnd appends to b the message that ends an exchange, with an error or
// without.
func AppendEnd(b []byte, exchange uint64, e *gcnode.Error) []byte {
	if e != nil {
		start := len(b)
		b = appendMessage(b, 1, func(b []byte) []byte { return appendError(b, e) })
		return appendReturn(b, start, exchange, frameEnd, 0, "").Head
	}
	b = append(b, byte(sizeExchange(exchange)+2+len(plainEnd)))
	b = appendVarint(b, returnExchange, exchange)
	return appendElement(b, returnFrame, plainEnd)
}

// AppendApart appends to b the message that says that a call is to be asked in a
// request of its own.
func AppendApart(b []byte, exchange uint64) []byte {
	b = protowire.AppendVarint(b, uint64(sizeExchange(exchange)+protowire.SizeTag(returnApart)+1))
	b = appendVarint(b, returnExchange, exchange)
	return append(protowire.AppendTag(b, returnApart, protowire.BytesType), 0)
}

// AppendGoAway appends to b the message that announces the end of the stream.
func AppendGoAway(b []byte) []byte {
	b = append(b, byte(protowire.SizeTag(returnGoAway)+1))
	return append(protowire.AppendTag(b, returnGoAway, protowire.BytesType), 0)
}

// appendReturn makes a message of the fields of a frame's content, which are
// in b from start on, and its last field, whose bytes stay apart.
func appendReturn(b []byte, start int, exchange uint64, kind, last protowire.Number, data string) Outgoing {
	fields := len(b) - start
	content := fields
	if data != "" {
		content += protowire.SizeTag(last) + protowire.SizeBytes(len(data))
	}
	frame := protowire.SizeTag(kind) + protowire.SizeBytes(content)
	message := sizeExchange(exchange) + protowire.SizeTag(returnFrame) + protowire.SizeBytes(frame)
	var room [2 * maxHeader]byte
	prefix := protowire.AppendVarint(room[:0], uint64(message))
	prefix = appendVarint(prefix, returnExchange, exchange)
	prefix = protowire.AppendTag(prefix, returnFrame, protowire.BytesType)
	prefix = protowire.AppendVarint(prefix, uint64(frame))
	prefix = protowire.AppendTag(prefix, kind, protowire.BytesType)
	prefix = protowire.AppendVarint(prefix, uint64(content))
	b = append(b, prefix...)
	copy(b[start+len(prefix):], b[start:start+fields])
	copy(b[start:], prefix)
	if data != "" {
		b = protowire.AppendTag(b, last, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(len(data)))
	}
	return Outgoing{Head: b, Data: data, Cost: Cost(message)}
}
