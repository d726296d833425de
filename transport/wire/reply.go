package wire

import (
	"errors"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	gcnode "github.com/gcnode/gcnode/core"
)

// The fields of Frame.
const (
	frameReply   = 1
	framePiece   = 2
	frameRefusal = 3
	frameEnd     = 4
)

// plainEnd is the frame that ends nearly every exchange: without an error.
const plainEnd = "\x22\x00"

// The fields of Reply and Piece whose bytes are written apart.
const (
	replyValue = 15
	pieceData  = 1
)

// checkReply finds what is over a limit before anything is written.
func checkReply(r *gcnode.Reply) error {
	if r.Key < 0 || r.Key >= gcnode.MaxBatchKeys {
		return tooLarge("a reply to key %d; a request has at most %d keys", r.Key, gcnode.MaxBatchKeys)
	}
	if r.Value.Len() > gcnode.MaxValueBytes {
		return tooLarge("the value has %d bytes; at most %d are allowed", r.Value.Len(), gcnode.MaxValueBytes)
	}
	var check limitCheck
	check.keys("keys", r.Keys)
	if r.Ack == nil {
		return check.err
	}
	if len(r.Ack.Members) > MaxMembers {
		return tooMany("members", MaxMembers)
	}
	if len(r.Ack.Left) > MaxMembers {
		return tooMany("members that left", MaxMembers)
	}
	if len(r.Ack.Lives) > MaxMembers {
		return tooMany("lives of members", MaxMembers)
	}
	if len(r.Ack.Removals) > MaxRemovals {
		return tooMany("removals", MaxRemovals)
	}
	check.known(r.Ack.Known)
	check.removals(r.Ack.Removals)
	for _, s := range r.Ack.Left {
		check.id("the ID of a member that left", s.ID)
	}
	for _, s := range r.Ack.Lives {
		check.id("the ID of a member's life", s.ID)
	}
	for _, p := range r.Ack.Members {
		check.id("a member's ID", p.ID)
		if len(p.Addr) > MaxAddrBytes && check.err == nil {
			check.err = tooLarge("the address of member %q has %d bytes; at most %d are allowed", p.ID, len(p.Addr), MaxAddrBytes)
		}
	}
	return check.err
}

// appendReply appends all of a reply but its value.
func appendReply(b []byte, r *gcnode.Reply) []byte {
	b = appendVarint(b, 1, uint64(r.Key))
	b = appendVarint(b, 2, protowire.EncodeBool(r.Pending))
	b = appendVarint(b, 3, protowire.EncodeZigZag(int64(r.Keep)))
	b = appendVarint(b, 4, uint64(r.Source))
	b = appendFixed64(b, 5, r.ListHash)
	if r.Err != nil {
		b = appendMessage(b, 6, func(b []byte) []byte { return appendError(b, r.Err) })
	}
	if r.Ack != nil {
		b = appendMessage(b, 7, func(b []byte) []byte { return appendAck(b, r.Ack) })
	}
	if r.Value.Len() > PieceBytes {
		b = appendVarint(b, 8, uint64(r.Value.Len()))
	}
	b = appendVarint(b, 9, protowire.EncodeBool(r.NotModified))
	for _, key := range r.Keys {
		b = appendElement(b, 10, key)
	}
	return b
}

// appendError appends what another member can use of an error: its operation,
// group, key and peer are known there.
func appendError(b []byte, e *gcnode.Error) []byte {
	b = appendVarint(b, 1, uint64(e.Kind))
	if e.Err != nil {
		b = appendString(b, 2, cut(strings.ToValidUTF8(e.Err.Error(), "\uFFFD")))
	}
	return appendVarint(b, 3, uint64(e.RetryAfter))
}

// cut shortens a text to MaxMessageBytes without splitting a character.
func cut(s string) string {
	if len(s) <= MaxMessageBytes {
		return s
	}
	n := MaxMessageBytes
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func appendPeer(b []byte, p *gcnode.Peer) []byte {
	b = appendString(b, 1, p.ID)
	b = appendString(b, 2, p.Addr)
	return appendVarint(b, 3, uint64(p.Weight))
}

func appendAck(b []byte, a *gcnode.Ack) []byte {
	b = appendFixed64(b, 1, a.Incarnation)
	for i := range a.Members {
		b = appendMessage(b, 2, func(b []byte) []byte { return appendPeer(b, &a.Members[i]) })
	}
	for _, s := range a.Left {
		b = appendMessage(b, 3, func(b []byte) []byte { return appendSender(b, s) })
	}
	b = appendFixed64(b, 4, uint64(a.Time))
	for i := range a.Known {
		b = appendMessage(b, 5, func(b []byte) []byte { return appendKnown(b, &a.Known[i]) })
	}
	for i := range a.Removals {
		b = appendMessage(b, 6, func(b []byte) []byte { return appendRemoval(b, &a.Removals[i]) })
	}
	for _, s := range a.Lives {
		b = appendMessage(b, 7, func(b []byte) []byte { return appendSender(b, s) })
	}
	return b
}

// frame is a decoded frame. One of its parts is set, or none: then it is of a
// kind that is unknown here.
type frame struct {
	isReply bool
	reply   gcnode.Reply
	// value is beside reply, part of the frame and not a copy; total is the
	// size of all the pieces, or 0.
	value []byte
	total uint64

	piece   []byte // not nil, part of the frame
	refusal *gcnode.Error
	end     bool
	failure *gcnode.Error // beside end
}

// decode decodes a frame. It fails with ErrMalformed, or with
// gcnode.KindTooLarge when something is over a limit.
func (out *frame) decode(b []byte) error {
	parts := 0
	f := fields{rest: b}
	for f.next() {
		parts++
		switch f.tag {
		case frameReply<<3 | lengthDelimited:
			out.isReply = true
			f.message(out.decodeReply)
		case framePiece<<3 | lengthDelimited:
			out.piece = []byte{}
			f.message(out.decodePiece)
		case frameRefusal<<3 | lengthDelimited:
			out.refusal = &gcnode.Error{}
			f.message(func(b []byte) error { return decodeError(b, out.refusal) })
		case frameEnd<<3 | lengthDelimited:
			out.end = true
			f.message(out.decodeEnd)
		default:
			f.skip()
			parts-- // from a newer version
		}
		if parts > 1 {
			return malformed("a frame with two kinds of content")
		}
	}
	return f.err
}

func (out *frame) decodeReply(b []byte) error {
	r := &out.reply
	var keys, removed batch
	f := fields{rest: b}
	for f.next() {
		switch f.tag {
		case 1<<3 | varint:
			r.Key = int(min(f.varint(), math.MaxInt32))
		case 2<<3 | varint:
			r.Pending = protowire.DecodeBool(f.varint())
		case 3<<3 | varint:
			r.Keep = gcnode.Lifetime(protowire.DecodeZigZag(f.varint()))
		case 4<<3 | varint:
			r.Source = source(f.varint())
		case 5<<3 | fixed64:
			r.ListHash = f.fixed64()
		case 6<<3 | lengthDelimited:
			if r.Err == nil {
				r.Err = &gcnode.Error{}
			}
			f.message(func(b []byte) error { return decodeError(b, r.Err) })
		case 7<<3 | lengthDelimited:
			if r.Ack == nil {
				r.Ack = &gcnode.Ack{}
			}
			f.message(func(b []byte) error { return decodeAck(b, r.Ack, &removed) })
		case 8<<3 | varint:
			out.total = f.varint()
		case 9<<3 | varint:
			r.NotModified = protowire.DecodeBool(f.varint())
		case 10<<3 | lengthDelimited:
			r.Keys = f.key("keys", r.Keys, &keys)
		case replyValue<<3 | lengthDelimited:
			out.value = f.bytes()
		default:
			f.skip()
		}
	}
	switch {
	case f.err != nil:
		return f.err
	case r.Key >= gcnode.MaxBatchKeys:
		return malformed("a reply to key %d; a request has at most %d keys", r.Key, gcnode.MaxBatchKeys)
	case out.total > gcnode.MaxValueBytes:
		return tooLarge("a value of %d bytes was announced; at most %d are allowed", out.total, gcnode.MaxValueBytes)
	case out.total != 0 && uint64(len(out.value)) >= out.total:
		return malformed("the first piece of a value of %d bytes has %d", out.total, len(out.value))
	default:
		return nil
	}
}

func (out *frame) decodePiece(b []byte) error {
	f := fields{rest: b}
	for f.next() {
		if f.tag == pieceData<<3|lengthDelimited {
			out.piece = f.bytes()
		} else {
			f.skip()
		}
	}
	return f.err
}

func (out *frame) decodeEnd(b []byte) error {
	f := fields{rest: b}
	for f.next() {
		if f.tag == 1<<3|lengthDelimited {
			if out.failure == nil {
				out.failure = &gcnode.Error{}
			}
			f.message(func(b []byte) error { return decodeError(b, out.failure) })
		} else {
			f.skip()
		}
	}
	return f.err
}

// source is SourceHit to SourceLoaded, or 0 for one that is unknown here. As
// in all of protobuf, an enum has 32 bits.
func source(v uint64) gcnode.Source {
	if uint32(v) > uint32(gcnode.SourceLoaded) {
		return 0
	}
	return gcnode.Source(v)
}

// kind is the kind with this number; unknown ones are internal.
func kind(v uint64) gcnode.Kind {
	if uint32(v) > uint32(gcnode.KindDraining) {
		return gcnode.KindInternal
	}
	return gcnode.Kind(v)
}

func decodeError(b []byte, e *gcnode.Error) error {
	f := fields{rest: b}
	for f.next() {
		switch f.tag {
		case 1<<3 | varint:
			e.Kind = kind(f.varint())
		case 2<<3 | lengthDelimited:
			text := f.bytes()
			if !utf8.Valid(text) {
				return malformed("the text of an error is not UTF-8")
			}
			e.Err = nil
			if len(text) > 0 {
				e.Err = errors.New(cut(string(text[:min(len(text), MaxMessageBytes+utf8.UTFMax)])))
			}
		case 3<<3 | varint:
			e.RetryAfter = time.Duration(f.varint())
		default:
			f.skip()
		}
	}
	return f.err
}

func decodeAck(b []byte, a *gcnode.Ack, removed *batch) error {
	f := fields{rest: b}
	var sender, group string // of the last removal
	for f.next() {
		switch f.tag {
		case 1<<3 | fixed64:
			a.Incarnation = f.fixed64()
		case 2<<3 | lengthDelimited:
			if len(a.Members) == MaxMembers {
				return tooMany("members", MaxMembers)
			}
			var p gcnode.Peer
			f.message(func(b []byte) error { return decodePeer(b, &p, nil) })
			a.Members = append(a.Members, p)
		case 3<<3 | lengthDelimited:
			if len(a.Left) == MaxMembers {
				return tooMany("members that left", MaxMembers)
			}
			var s gcnode.Sender
			f.message(func(b []byte) error { return decodeSender(b, &s, new(string)) })
			a.Left = append(a.Left, s)
		case 4<<3 | fixed64:
			a.Time = int64(f.fixed64())
		case 5<<3 | lengthDelimited:
			a.Known = f.known(a.Known)
		case 6<<3 | lengthDelimited:
			if len(a.Removals) == MaxRemovals {
				return tooMany("removals", MaxRemovals)
			}
			var r gcnode.Removal
			f.message(func(b []byte) error { return decodeRemoval(b, &r, removed, &sender, &group) })
			a.Removals = append(a.Removals, r)
		case 7<<3 | lengthDelimited:
			if len(a.Lives) == MaxMembers {
				return tooMany("lives of members", MaxMembers)
			}
			var s gcnode.Sender
			f.message(func(b []byte) error { return decodeSender(b, &s, new(string)) })
			a.Lives = append(a.Lives, s)
		default:
			f.skip()
		}
	}
	return f.err
}

// decodePeer decodes a peer whose ID and address may be among the names.
func decodePeer(b []byte, p *gcnode.Peer, known names) error {
	f := fields{rest: b}
	for f.next() {
		switch f.tag {
		case 1<<3 | lengthDelimited:
			p.ID = f.limitedOf("a member's ID", gcnode.MaxIDBytes, known)
		case 2<<3 | lengthDelimited:
			p.Addr = f.limitedOf("a member's address", MaxAddrBytes, known)
		case 3<<3 | varint:
			w := f.varint()
			if w > math.MaxUint16 && f.err == nil {
				return malformed("the weight %d of a member; at most %d is allowed", w, math.MaxUint16)
			}
			p.Weight = uint16(w)
		default:
			f.skip()
		}
	}
	return f.err
}
