package wire

import (
	"google.golang.org/protobuf/encoding/protowire"

	gcnode "github.com/gcnode/gcnode/core"
)

// The fields of Packet.
const (
	packetNumber = 1
	packetTaken  = 2
	packetPing   = 3
	packetAt     = 4
	packetClose  = 5
	packetData   = 15
)

// MaxPacketFields bounds what a packet has beside its data, if it has neither
// At nor Close.
const MaxPacketFields = maxHeader + 8

// Packet is a part of a stream on a carrier of messages, which may lose some.
type Packet struct {
	// Number counts the packets of one direction from 1.
	Number uint64
	// Taken is how many bytes of the other direction the sender has taken.
	Taken uint64
	// Ping asks for a packet in return.
	Ping bool
	// At is where the other side is to send its next packets; empty: where it
	// has sent them so far.
	At string
	// Close says that the stream has ended, and why.
	Close *gcnode.Error
	// Data are the next bytes of the stream: a part of what was decoded.
	Data []byte
}

// DecodePacket decodes a packet. It fails with [ErrMalformed].
func DecodePacket(b []byte) (Packet, error) {
	var p Packet
	f := fields{rest: b}
	for f.next() {
		switch f.tag {
		case packetNumber<<3 | varint:
			p.Number = f.varint()
		case packetTaken<<3 | varint:
			p.Taken = f.varint()
		case packetPing<<3 | varint:
			p.Ping = protowire.DecodeBool(f.varint())
		case packetAt<<3 | lengthDelimited:
			p.At = f.limited("the place for packets", gcnode.MaxIDBytes)
		case packetClose<<3 | lengthDelimited:
			if p.Close == nil {
				p.Close = &gcnode.Error{}
			}
			f.message(func(b []byte) error { return decodeError(b, p.Close) })
		case packetData<<3 | lengthDelimited:
			p.Data = f.bytes()
		default:
			f.skip()
		}
	}
	if f.err != nil {
		return Packet{}, f.err
	}
	return p, nil
}

// AppendPacket appends a packet.
func AppendPacket(b []byte, p *Packet) []byte {
	return append(AppendPacketHead(b, p, len(p.Data)), p.Data...)
}

// AppendPacketHead appends all of a packet but its data, of which there are
// size bytes, and which have to follow.
func AppendPacketHead(b []byte, p *Packet, size int) []byte {
	b = appendVarint(b, packetNumber, p.Number)
	b = appendVarint(b, packetTaken, p.Taken)
	b = appendVarint(b, packetPing, protowire.EncodeBool(p.Ping))
	b = appendString(b, packetAt, p.At)
	if p.Close != nil {
		b = appendMessage(b, packetClose, func(b []byte) []byte { return appendError(b, p.Close) })
	}
	if size > 0 {
		b = protowire.AppendTag(b, packetData, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(size))
	}
	return b
}
