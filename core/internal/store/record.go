package store

import (
	"encoding/binary"

	"github.com/gcnode/gcnode/core/internal/alias"
)

// A record is an entry in a slab: a head of eight bytes, the time at which it
// expires unless it never does, the stamp unless it is zero, the key and the
// value.
//
//	 63  55        54     46        45       44         17           0
//	| 0  | stamped | life | expires | absent | value bytes | key bytes |
const (
	keyBits   = 17 // a key of 64 KiB has 2^16 bytes
	valueBits = 27 // a value of 64 MiB has 2^26 bytes

	absentBit  = 1 << (keyBits + valueBits)
	expiresBit = absentBit << 1
	lifeShift  = keyBits + valueBits + 2
	lifeMask   = 0xff
	stampedBit = 1 << (lifeShift + 8)

	headBytes    = 8
	expiresBytes = 8
	stampBytes   = 16

	maxKey   = 1<<keyBits - 1
	maxValue = 1<<valueBits - 1
)

// record is the encoded form of an entry, and everything behind it.
type record []byte

func (r record) head() uint64 { return binary.LittleEndian.Uint64(r) }

// start is where the key begins.
func start(head uint64) int {
	at := headBytes
	if head&expiresBit != 0 {
		at += expiresBytes
	}
	if head&stampedBit != 0 {
		at += stampBytes
	}
	return at
}

// key is the record's key, without copying.
func (r record) key() string {
	head := r.head()
	at := start(head)
	return alias.String(r[at : at+int(head&maxKey)])
}

// expires is when the record expires.
func (r record) expires() int64 {
	if r.head()&expiresBit == 0 {
		return Never
	}
	return int64(binary.LittleEndian.Uint64(r[headBytes:]))
}

// size is what the record takes in its slab.
func (r record) size() int {
	head := r.head()
	return aligned(start(head) + int(head&maxKey) + int(head>>keyBits&maxValue))
}

// entry is the record if it has the key, without copying.
func (r record) entry(key string) (e Entry, ok bool) {
	head := r.head()
	at := start(head)
	if int(head&maxKey) != len(key) || alias.String(r[at:at+len(key)]) != key {
		return e, false
	}
	e.Expires = Never
	if head&expiresBit != 0 {
		e.Expires = int64(binary.LittleEndian.Uint64(r[headBytes:]))
		e.Life = lifeOf(int16(head >> lifeShift & lifeMask))
	}
	if head&stampedBit != 0 {
		e.Stamp.Time = int64(binary.LittleEndian.Uint64(r[at-stampBytes:]))
		e.Stamp.Incarnation = binary.LittleEndian.Uint64(r[at-stampBytes/2:])
	}
	at += len(key)
	e.Value = alias.String(r[at : at+int(head>>keyBits&maxValue)])
	e.NotFound = head&absentBit != 0
	return e, true
}

// sizeOf is the size of the record of an entry.
func sizeOf(key string, e Entry) int {
	size := headBytes + len(key) + len(e.Value)
	if e.Expires != Never {
		size += expiresBytes
	}
	if e.Stamp != (Stamp{}) {
		size += stampBytes
	}
	return aligned(size)
}

// put writes the record of an entry, for which there is room.
func (r record) put(key string, e Entry) {
	head := uint64(len(key)) | uint64(len(e.Value))<<keyBits
	if e.NotFound {
		head |= absentBit
	}
	if e.Expires != Never {
		head |= expiresBit | uint64(bucketOf(e.Life))<<lifeShift
		binary.LittleEndian.PutUint64(r[headBytes:], uint64(e.Expires))
	}
	if e.Stamp != (Stamp{}) {
		head |= stampedBit
	}
	at := start(head)
	if head&stampedBit != 0 {
		binary.LittleEndian.PutUint64(r[at-stampBytes:], uint64(e.Stamp.Time))
		binary.LittleEndian.PutUint64(r[at-stampBytes/2:], e.Stamp.Incarnation)
	}
	binary.LittleEndian.PutUint64(r, head)
	at += copy(r[at:], key)
	copy(r[at:], e.Value)
}

func aligned(n int) int { return (n + align - 1) &^ (align - 1) }
