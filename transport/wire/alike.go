package wire

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"

	gcnode "github.com/gcnode/gcnode/core"
)

// requestKeys is the field of a request for its keys.
const requestKeys = 5

// alike is a request of one key, of which others differ in their key only, as most
// do that one group asks of one peer.
//
//	│        head        │  key  │      tail      │
//	 op from list group    "k"     timeout … to
//
// The zero value is like none.
type alike struct {
	req        gcnode.Request // without its key; that of no operation is none
	head, tail []byte         // of the encoding
}

// hasOneKey reports whether a request could differ from others in its key only.
func hasOneKey(req *gcnode.Request) bool {
	return len(req.Keys) == 1 && len(req.Removals) == 0 && len(req.Finished) == 0 && len(req.Digests) == 0 &&
		len(req.Known) == 0 && req.Value.Len() == 0
}

// like reports whether a request differs in its key only.
func (a *alike) like(req *gcnode.Request) bool {
	r := &a.req
	return hasOneKey(req) && req.Op == r.Op && req.ListHash == r.ListHash && req.Group == r.Group && req.To == r.To &&
		req.From == r.From && req.Timeout == r.Timeout && req.Heartbeat == r.Heartbeat && req.Keep == r.Keep &&
		req.Stamp == r.Stamp && req.Trace == r.Trace
}

// learn takes a request and its encoding, in which the element of the key goes from
// one offset to the other.
func (a *alike) learn(req *gcnode.Request, b []byte, from, to int) {
	a.req = *req
	a.req.Keys = nil
	a.head, a.tail = append(a.head[:0], b[:from]...), append(a.tail[:0], b[to:]...)
}

// key is the key of an encoded request that differs in that only.
func (a *alike) key(b []byte) (key []byte, ok bool) {
	if a.req.Op == 0 || len(b) < len(a.head)+len(a.tail) || !bytes.HasPrefix(b, a.head) || !bytes.HasSuffix(b, a.tail) {
		return nil, false
	}
	b = b[len(a.head) : len(b)-len(a.tail)]
	if len(b) == 0 || uint64(b[0]) != requestKeys<<3|lengthDelimited {
		return nil, false
	}
	size, n := protowire.ConsumeVarint(b[1:])
	if n < 0 || size != uint64(len(b)-1-n) || size > gcnode.MaxKeyBytes {
		return nil, false
	}
	return b[1+n:], true
}

// RequestEncoder encodes requests for the stream of one peer. Of one that differs
// from the last one in its key only no more than that is encoded. The zero value is
// ready for use. It is for one goroutine at a time.
type RequestEncoder struct {
	alike alike
	key   string // of the request that was set, if it is like that
	whole []byte // or all of it
}

// Set takes the request that is to be appended, of which it keeps strings only. Its
// errors are those of [AppendRequest].
func (e *RequestEncoder) Set(req *gcnode.Request) error {
	if e.alike.like(req) && len(req.Keys[0]) <= gcnode.MaxKeyBytes {
		e.key, e.whole = req.Keys[0], e.whole[:0]
		return nil
	}
	whole, err := AppendRequest(e.whole[:0], req)
	if err != nil {
		return err
	}
	e.whole = whole
	if hasOneKey(req) {
		before := gcnode.Request{Op: req.Op, From: req.From, ListHash: req.ListHash, Group: req.Group}
		head, _ := appendRequest(nil, &before, "") // what is a part of it is not over a limit
		e.alike.learn(req, whole, len(head), len(head)+sizeElement(requestKeys, len(req.Keys[0])))
	}
	return nil
}

// AppendCall appends, with its length, the call that begins an exchange with the
// request that was set last.
func (e *RequestEncoder) AppendCall(b []byte, exchange uint64) []byte {
	if len(e.whole) > 0 {
		return AppendCallRequest(b, exchange, e.whole)
	}
	a := &e.alike
	b = appendCallRequestHead(b, exchange, len(a.head)+sizeElement(requestKeys, len(e.key))+len(a.tail))
	return append(appendElement(append(b, a.head...), requestKeys, e.key), a.tail...)
}

// sizeElement is how many bytes an element of so many takes.
func sizeElement(num protowire.Number, size int) int {
	return protowire.SizeTag(num) + protowire.SizeBytes(size)
}
