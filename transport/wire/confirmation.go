package wire

import (
	"errors"

	gcnode "github.com/gcnode/gcnode/core"
)

// Confirmation answers a request that was broadcast.
type Confirmation struct {
	// Peer is who answers: its ID, and the address of this life.
	Peer gcnode.Peer
	// Reply has an Ack, or an error.
	Reply gcnode.Reply
	// Number is the one that the reply subject of the request ends with.
	Number uint64
}

var errNoConfirmation = errors.New("a reply that confirms nothing does not answer a broadcast")

// confirms reports whether the reply can answer a broadcast.
func confirms(r *gcnode.Reply) bool {
	return (r.Ack != nil || r.Err != nil) && r.Value.Len() == 0 && !r.Pending && len(r.Keys) == 0
}

// AppendConfirmation appends a confirmation. It fails if the reply confirms
// nothing, and with [gcnode.KindTooLarge] if something is over a limit.
func AppendConfirmation(b []byte, c *Confirmation) ([]byte, error) {
	if !confirms(&c.Reply) {
		return b, errNoConfirmation
	}
	if err := checkReply(&c.Reply); err != nil {
		return b, err
	}
	b = appendMessage(b, 1, func(b []byte) []byte { return appendPeer(b, &c.Peer) })
	b = appendMessage(b, 2, func(b []byte) []byte { return appendReply(b, &c.Reply) })
	return appendVarint(b, 3, c.Number), nil
}

// ConfirmationDecoder decodes confirmations by the same peers again and again,
// whose names it does not allocate anew. The zero value is ready for use. It is for
// one goroutine at a time.
type ConfirmationDecoder struct{ names names }

// Decode decodes a confirmation. It fails with [ErrMalformed], or with
// [gcnode.KindTooLarge] when something is over a limit.
func (d *ConfirmationDecoder) Decode(b []byte) (Confirmation, error) {
	if d.names == nil {
		d.names = names{}
	}
	var c Confirmation
	var reply frame
	f := fields{rest: b}
	for f.next() {
		switch f.tag {
		case 1<<3 | lengthDelimited:
			f.message(func(b []byte) error { return decodePeer(b, &c.Peer, d.names) })
		case 2<<3 | lengthDelimited:
			f.message(reply.decodeReply)
		case 3<<3 | varint:
			c.Number = f.varint()
		default:
			f.skip()
		}
	}
	c.Reply = reply.reply
	switch {
	case f.err != nil:
		return Confirmation{}, f.err
	case c.Peer.ID == "" || reply.total != 0 || len(reply.value) > 0 || !confirms(&c.Reply):
		return Confirmation{}, malformed("a confirmation of nobody, or of nothing")
	default:
		return c, nil
	}
}
