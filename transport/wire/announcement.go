package wire

import (
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	gcnode "github.com/gcnode/gcnode/core"
)

// MaxAnnouncementBytes bounds an announcement.
const MaxAnnouncementBytes = gcnode.MaxIDBytes + MaxAddrBytes + 3*maxHeader

// Announcement says that a life of a member is there.
type Announcement struct {
	Peer gcnode.Peer
	// Started is when the life began, in nanoseconds since 1970.
	Started int64
	// Heartbeat is when the next one comes at the latest.
	Heartbeat time.Duration
	// Goodbye says that the life ends.
	Goodbye bool
}

// DecodeAnnouncement decodes an announcement. It fails with [ErrMalformed], or
// with [gcnode.KindTooLarge] when something is over a limit.
func DecodeAnnouncement(b []byte) (Announcement, error) {
	var a Announcement
	f := fields{rest: b}
	for f.next() {
		switch f.tag {
		case 1<<3 | lengthDelimited:
			f.message(func(b []byte) error { return decodePeer(b, &a.Peer, nil) })
		case 2<<3 | fixed64:
			a.Started = int64(f.fixed64())
		case 3<<3 | varint:
			a.Heartbeat = time.Duration(f.varint())
		case 4<<3 | varint:
			a.Goodbye = protowire.DecodeBool(f.varint())
		default:
			f.skip()
		}
	}
	if f.err != nil {
		return Announcement{}, f.err
	}
	return a, nil
}

// AppendAnnouncement appends an announcement.
func AppendAnnouncement(b []byte, a *Announcement) []byte {
	if a.Peer != (gcnode.Peer{}) {
		b = appendMessage(b, 1, func(b []byte) []byte { return appendPeer(b, &a.Peer) })
	}
	b = appendFixed64(b, 2, uint64(a.Started))
	b = appendVarint(b, 3, uint64(a.Heartbeat))
	return appendVarint(b, 4, protowire.EncodeBool(a.Goodbye))
}
