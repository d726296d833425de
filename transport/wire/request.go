package wire

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	gcnode "github.com/gcnode/gcnode/core"
)

// AppendRequest appends the encoded request to b. It fails with
// [gcnode.KindTooLarge] when the request is over a limit, and b is unchanged.
func AppendRequest(b []byte, req *gcnode.Request) ([]byte, error) {
	if err := checkRequest(req); err != nil {
		return b, err
	}
	start := len(b)
	out := appendVarint(b, 1, uint64(req.Op))
	if req.From != (gcnode.Sender{}) {
		out = appendMessage(out, 2, func(b []byte) []byte {
			return appendFixed64(appendString(b, 1, req.From.ID), 2, req.From.Incarnation)
		})
	}
	out = appendFixed64(out, 3, req.ListHash)
	out = appendString(out, 4, req.Group)
	for _, key := range req.Keys {
		out = appendElement(out, 5, key)
	}
	for i := range req.Removals {
		out = appendMessage(out, 6, func(b []byte) []byte { return appendRemoval(b, &req.Removals[i]) })
	}
	for _, id := range req.Finished {
		out = appendMessage(out, 7, func(b []byte) []byte { return appendRemovalID(b, id) })
	}
	out = appendVarint(out, 8, uint64(req.Timeout))
	out = appendVarint(out, 9, uint64(req.Heartbeat))
	out = appendString(out, 10, req.To)
	if size := len(out) - start; size > MaxFrameBytes {
		return b, tooLarge("the request has %d bytes; at most %d are allowed: send fewer keys at once", size, MaxFrameBytes)
	}
	return out, nil
}

func appendRemovalID(b []byte, id gcnode.RemovalID) []byte {
	b = appendString(b, 1, id.Sender)
	b = appendFixed64(b, 2, id.Incarnation)
	return appendVarint(b, 3, id.Seq)
}

func appendRemoval(b []byte, r *gcnode.Removal) []byte {
	if r.ID != (gcnode.RemovalID{}) {
		b = appendMessage(b, 1, func(b []byte) []byte { return appendRemovalID(b, r.ID) })
	}
	if r.Stamp != (gcnode.Stamp{}) {
		b = appendMessage(b, 2, func(b []byte) []byte {
			b = appendFixed64(b, 1, uint64(r.Stamp.Time))
			b = appendString(b, 2, r.Stamp.Node)
			return appendFixed64(b, 3, r.Stamp.Incarnation)
		})
	}
	b = appendString(b, 3, r.Group)
	for _, key := range r.Keys {
		b = appendElement(b, 4, key)
	}
	return b
}

// checkRequest finds what is over a limit before anything is encoded.
func checkRequest(req *gcnode.Request) error {
	if len(req.Removals) > MaxRemovals {
		return tooMany("removals", MaxRemovals)
	}
	if len(req.Finished) > MaxRemovals {
		return tooMany("finished removals", MaxRemovals)
	}
	check := limitCheck{}
	check.id("the sender's ID", req.From.ID)
	check.id("the receiver's ID", req.To)
	check.id("the group's name", req.Group)
	check.keys("keys", req.Keys)
	check.batch = batch{}
	for i := range req.Removals {
		r := &req.Removals[i]
		check.id("a removal's sender", r.ID.Sender)
		check.id("a stamp's node", r.Stamp.Node)
		check.id("the name of a removal's group", r.Group)
		check.keys("keys to remove", r.Keys)
	}
	for _, id := range req.Finished {
		check.id("a finished removal's sender", id.Sender)
	}
	return check.err
}

// limitCheck remembers the first thing that is over a limit.
type limitCheck struct {
	batch batch
	err   error
}

func (c *limitCheck) id(what, id string) {
	if len(id) > gcnode.MaxIDBytes && c.err == nil {
		c.err = tooLarge("%s has %d bytes; at most %d are allowed", what, len(id), gcnode.MaxIDBytes)
	}
}

func (c *limitCheck) keys(what string, keys []string) {
	for _, key := range keys {
		if c.err != nil {
			return
		}
		c.err = c.batch.add(what, len(key))
	}
}

// batch counts keys that belong together.
type batch struct{ keys, bytes int }

// add counts a key; what names the batch in the error.
func (b *batch) add(what string, size int) error {
	b.keys++
	b.bytes += size
	switch {
	case size > gcnode.MaxKeyBytes:
		return tooLarge("one of the %s has %d bytes; at most %d are allowed", what, size, gcnode.MaxKeyBytes)
	case b.keys > gcnode.MaxBatchKeys:
		return tooMany(what, gcnode.MaxBatchKeys)
	case b.bytes > gcnode.MaxBatchBytes:
		return tooLarge("the %s have more than %d bytes together", what, gcnode.MaxBatchBytes)
	default:
		return nil
	}
}

func tooMany(what string, limit int) error {
	return tooLarge("there are more than %d %s", limit, what)
}

// DecodeRequest decodes a request. Its memory does not share with b. It fails
// with [ErrMalformed]; with [gcnode.KindTooLarge] when the request is over a
// limit; or with [gcnode.KindUnsupported] when it asks for something unknown.
func DecodeRequest(b []byte) (*gcnode.Request, error) {
	req := &gcnode.Request{}
	var op uint64
	var keys, removed batch
	f := fields{rest: b}
	for f.next() {
		switch {
		case f.is(1, protowire.VarintType):
			op = f.varint()
		case f.is(2, protowire.BytesType):
			f.message(func(b []byte) error { return decodeSender(b, &req.From) })
		case f.is(3, protowire.Fixed64Type):
			req.ListHash = f.fixed64()
		case f.is(4, protowire.BytesType):
			req.Group = f.limited("the group's name", gcnode.MaxIDBytes)
		case f.is(5, protowire.BytesType):
			req.Keys = f.key("keys", req.Keys, &keys)
		case f.is(6, protowire.BytesType):
			if len(req.Removals) == MaxRemovals {
				return nil, tooMany("removals", MaxRemovals)
			}
			var r gcnode.Removal
			f.message(func(b []byte) error { return decodeRemoval(b, &r, &removed) })
			req.Removals = append(req.Removals, r)
		case f.is(7, protowire.BytesType):
			if len(req.Finished) == MaxRemovals {
				return nil, tooMany("finished removals", MaxRemovals)
			}
			var id gcnode.RemovalID
			f.message(func(b []byte) error { return decodeRemovalID(b, &id) })
			req.Finished = append(req.Finished, id)
		case f.is(8, protowire.VarintType):
			req.Timeout = time.Duration(f.varint())
		case f.is(9, protowire.VarintType):
			req.Heartbeat = time.Duration(f.varint())
		case f.is(10, protowire.BytesType):
			req.To = f.limited("the receiver's ID", gcnode.MaxIDBytes)
		default:
			f.skip()
		}
	}
	if f.err != nil {
		return nil, f.err
	}
	switch op := int32(op); op {
	case int32(gcnode.OpFetch), int32(gcnode.OpRemove), int32(gcnode.OpFinish):
		req.Op = gcnode.Op(op)
		return req, nil
	default:
		return nil, &gcnode.Error{
			Kind: gcnode.KindUnsupported,
			Err:  fmt.Errorf("this member does not know operation %d", op),
		}
	}
}

// key appends a key to a batch.
func (f *fields) key(what string, keys []string, count *batch) []string {
	b := f.bytes()
	if f.err == nil {
		f.err = count.add(what, len(b))
	}
	if f.err != nil {
		return keys
	}
	return append(keys, string(b))
}

func decodeSender(b []byte, s *gcnode.Sender) error {
	f := fields{rest: b}
	for f.next() {
		switch {
		case f.is(1, protowire.BytesType):
			s.ID = f.limited("the sender's ID", gcnode.MaxIDBytes)
		case f.is(2, protowire.Fixed64Type):
			s.Incarnation = f.fixed64()
		default:
			f.skip()
		}
	}
	return f.err
}

func decodeRemovalID(b []byte, id *gcnode.RemovalID) error {
	f := fields{rest: b}
	for f.next() {
		switch {
		case f.is(1, protowire.BytesType):
			id.Sender = f.limited("a removal's sender", gcnode.MaxIDBytes)
		case f.is(2, protowire.Fixed64Type):
			id.Incarnation = f.fixed64()
		case f.is(3, protowire.VarintType):
			id.Seq = f.varint()
		default:
			f.skip()
		}
	}
	return f.err
}

func decodeStamp(b []byte, s *gcnode.Stamp) error {
	f := fields{rest: b}
	for f.next() {
		switch {
		case f.is(1, protowire.Fixed64Type):
			s.Time = int64(f.fixed64())
		case f.is(2, protowire.BytesType):
			s.Node = f.limited("a stamp's node", gcnode.MaxIDBytes)
		case f.is(3, protowire.Fixed64Type):
			s.Incarnation = f.fixed64()
		default:
			f.skip()
		}
	}
	return f.err
}

func decodeRemoval(b []byte, r *gcnode.Removal, keys *batch) error {
	f := fields{rest: b}
	for f.next() {
		switch {
		case f.is(1, protowire.BytesType):
			f.message(func(b []byte) error { return decodeRemovalID(b, &r.ID) })
		case f.is(2, protowire.BytesType):
			f.message(func(b []byte) error { return decodeStamp(b, &r.Stamp) })
		case f.is(3, protowire.BytesType):
			r.Group = f.limited("the name of a removal's group", gcnode.MaxIDBytes)
		case f.is(4, protowire.BytesType):
			r.Keys = f.key("keys to remove", r.Keys, keys)
		default:
			f.skip()
		}
	}
	return f.err
}
