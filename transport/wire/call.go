package wire

import "google.golang.org/protobuf/encoding/protowire"

// The fields of Call.
const (
	callExchange = 1
	callRequest  = 2
	callCancel   = 3
	callCredit   = 4
	callPiece    = 5
	callKey      = 6
)

// Call is what the asking member sends on a stream. One of its parts is set,
// or none: then it is of a kind that is unknown here.
type Call struct {
	// Exchange counts up from 1 on each stream.
	Exchange uint64
	// Request is for [DecodeRequest], and a part of the message. It is nil if
	// there is none.
	Request []byte
	// Cancel abandons the exchange.
	Cancel bool
	// Credit is how many more bytes of the answer the sender takes.
	Credit uint64
	// Piece is the next one of the request's value, and a part of the message.
	// It is nil if there is none.
	Piece []byte
	// Key is that of a request which is like the last one of the stream but for its
	// key, for [Incoming.StartLike], and a part of the message. It is nil if there is
	// none.
	Key []byte
}

// DecodeCall decodes a message of the asking member. It fails with
// [ErrMalformed].
func DecodeCall(b []byte) (Call, error) {
	var c Call
	parts := 0
	f := fields{rest: b}
	for f.next() {
		parts++
		switch f.tag {
		case callExchange<<3 | varint:
			c.Exchange = f.varint()
			parts--
		case callRequest<<3 | lengthDelimited:
			c.Request = f.bytes()
		case callCancel<<3 | lengthDelimited:
			c.Cancel = true
			f.err = skipAll(f.bytes(), f.err)
		case callCredit<<3 | varint:
			c.Credit = f.varint()
		case callPiece<<3 | lengthDelimited:
			piece := frame{piece: []byte{}}
			f.message(piece.decodePiece)
			c.Piece = piece.piece
		case callKey<<3 | lengthDelimited:
			c.Key = f.bytes()
		default:
			f.skip()
			parts-- // from a newer version
		}
		if parts > 1 {
			return Call{}, malformed("a call with two kinds of content")
		}
	}
	if f.err != nil {
		return Call{}, f.err
	}
	return c, nil
}

// skipAll checks a message without fields of its own, unless there is an error
// already.
func skipAll(b []byte, err error) error {
	if err != nil {
		return err
	}
	f := fields{rest: b}
	for f.next() {
		f.skip()
	}
	return f.err
}

// AppendCallRequest appends, with its length, the call that begins an exchange
// with a request from [AppendRequest].
func AppendCallRequest(b []byte, exchange uint64, request []byte) []byte {
	b = protowire.AppendVarint(b, uint64(sizeExchange(exchange)+sizeElement(callRequest, len(request))))
	b = appendVarint(b, callExchange, exchange)
	b = protowire.AppendTag(b, callRequest, protowire.BytesType)
	return protowire.AppendBytes(b, request)
}

// AppendCallKey appends, with its length, the call that begins an exchange with a
// request which is like the last one but for its key.
func AppendCallKey(b []byte, exchange uint64, key string) []byte {
	b = protowire.AppendVarint(b, uint64(sizeExchange(exchange)+sizeElement(callKey, len(key))))
	return appendElement(appendVarint(b, callExchange, exchange), callKey, key)
}

// AppendCallPiece appends, with its length, the call with the next piece of
// rest, and returns what further pieces have to carry.
func AppendCallPiece(b []byte, exchange uint64, rest string) (_ []byte, left string) {
	n := min(len(rest), PieceBytes)
	piece := protowire.SizeTag(pieceData) + protowire.SizeBytes(n)
	b = protowire.AppendVarint(b, uint64(sizeExchange(exchange)+protowire.SizeTag(callPiece)+protowire.SizeBytes(piece)))
	b = appendVarint(b, callExchange, exchange)
	b = protowire.AppendTag(b, callPiece, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(piece))
	return appendElement(b, pieceData, rest[:n]), rest[n:]
}

// AppendCallCancel appends, with its length, the call that abandons an
// exchange.
func AppendCallCancel(b []byte, exchange uint64) []byte {
	b = protowire.AppendVarint(b, uint64(sizeExchange(exchange)+protowire.SizeTag(callCancel)+1))
	b = appendVarint(b, callExchange, exchange)
	b = protowire.AppendTag(b, callCancel, protowire.BytesType)
	return append(b, 0)
}

// AppendCallCredit appends, with its length, the call that gives credit.
func AppendCallCredit(b []byte, exchange, credit uint64) []byte {
	size := sizeExchange(exchange) + protowire.SizeTag(callCredit) + protowire.SizeVarint(credit)
	b = protowire.AppendVarint(b, uint64(size))
	b = appendVarint(b, callExchange, exchange)
	return protowire.AppendVarint(protowire.AppendTag(b, callCredit, protowire.VarintType), credit)
}

// sizeElement is the size of a field with so many bytes.
func sizeElement(num protowire.Number, size int) int {
	return protowire.SizeTag(num) + protowire.SizeBytes(size)
}

// sizeExchange is the size of the field with the number of an exchange.
func sizeExchange(exchange uint64) int {
	if exchange == 0 {
		return 0
	}
	return protowire.SizeTag(callExchange) + protowire.SizeVarint(exchange)
}
