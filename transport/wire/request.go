package wire

import (
	"fmt"
	"slices"
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
	if req.Value.Len() > PieceBytes {
		return b, tooLarge("the value has %d bytes; more than %d travel in pieces", req.Value.Len(), PieceBytes)
	}
	return appendRequest(b, req, req.Value.String())
}

// AppendRequestStart appends the encoded request with the first piece of its
// value, and returns what further pieces have to carry. It fails as
// [AppendRequest] does, but takes a value of any size that is allowed.
func AppendRequestStart(b []byte, req *gcnode.Request) (_ []byte, rest string, _ error) {
	if err := checkRequest(req); err != nil {
		return b, "", err
	}
	value := req.Value.String()
	first := value[:min(len(value), PieceBytes)]
	b, err := appendRequest(b, req, first)
	return b, value[len(first):], err
}

// appendRequest appends the request with the first piece of its value.
func appendRequest(b []byte, req *gcnode.Request, value string) ([]byte, error) {
	start := len(b)
	out := appendVarint(b, 1, uint64(req.Op))
	if req.From != (gcnode.Sender{}) {
		out = appendMessage(out, 2, func(b []byte) []byte { return appendSender(b, req.From) })
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
	out = appendVarint(out, 11, protowire.EncodeZigZag(int64(req.Keep)))
	out = appendStamp(out, 12, req.Stamp)
	for _, d := range req.Digests {
		if d == (gcnode.Digest{}) {
			out = appendElement(out, 13, "")
		} else {
			out = appendElement(out, 13, string(d[:]))
		}
	}
	for i := range req.Known {
		out = appendMessage(out, 14, func(b []byte) []byte { return appendKnown(b, &req.Known[i]) })
	}
	if req.Value.Len() > len(value) {
		out = appendVarint(out, 15, uint64(req.Value.Len()))
	}
	out = appendString(out, 16, value)
	out = appendString(out, 17, req.Trace.Parent)
	out = appendString(out, 18, req.Trace.State)
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
	b = appendStamp(b, 2, r.Stamp)
	b = appendString(b, 3, r.Group)
	for _, key := range r.Keys {
		b = appendElement(b, 4, key)
	}
	return appendVarint(b, 5, protowire.EncodeBool(r.All))
}

func appendStamp(b []byte, num protowire.Number, s gcnode.Stamp) []byte {
	if s == (gcnode.Stamp{}) {
		return b
	}
	return appendMessage(b, num, func(b []byte) []byte {
		return appendFixed64(appendFixed64(b, 1, uint64(s.Time)), 2, s.Incarnation)
	})
}

func appendSender(b []byte, s gcnode.Sender) []byte {
	return appendFixed64(appendString(b, 1, s.ID), 2, s.Incarnation)
}

func appendKnown(b []byte, k *gcnode.Known) []byte {
	if k.Sender != (gcnode.Sender{}) {
		b = appendMessage(b, 1, func(b []byte) []byte { return appendSender(b, k.Sender) })
	}
	return appendVarint(b, 2, k.Seq)
}

// checkRequest finds what is over a limit before anything is encoded.
func checkRequest(req *gcnode.Request) error {
	if len(req.Removals) > MaxRemovals {
		return tooMany("removals", MaxRemovals)
	}
	if len(req.Finished) > MaxRemovals {
		return tooMany("finished removals", MaxRemovals)
	}
	if len(req.Digests) > gcnode.MaxBatchKeys {
		return tooMany("digests", gcnode.MaxBatchKeys)
	}
	if req.Value.Len() > gcnode.MaxValueBytes {
		return tooLarge("the value has %d bytes; at most %d are allowed", req.Value.Len(), gcnode.MaxValueBytes)
	}
	check := limitCheck{}
	check.id("the sender's ID", req.From.ID)
	check.id("the receiver's ID", req.To)
	check.id("the group's name", req.Group)
	check.atMost("the trace's parent", req.Trace.Parent, gcnode.MaxTraceParentBytes)
	check.atMost("the trace's state", req.Trace.State, gcnode.MaxTraceStateBytes)
	check.keys("keys", req.Keys)
	check.removals(req.Removals)
	check.known(req.Known)
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

func (c *limitCheck) id(what, id string) { c.atMost(what, id, gcnode.MaxIDBytes) }

func (c *limitCheck) atMost(what, text string, limit int) {
	if len(text) > limit && c.err == nil {
		c.err = tooLarge("%s has %d bytes; at most %d are allowed", what, len(text), limit)
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

func (c *limitCheck) removals(removals []gcnode.Removal) {
	c.batch = batch{}
	for i := range removals {
		r := &removals[i]
		c.id("a removal's sender", r.ID.Sender)
		c.id("the name of a removal's group", r.Group)
		c.keys("keys to remove", r.Keys)
	}
}

func (c *limitCheck) known(known []gcnode.Known) {
	if len(known) > MaxKnown && c.err == nil {
		c.err = tooMany("known lives", MaxKnown)
	}
	for i := range known {
		c.id("the ID of a known life", known[i].ID)
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

// DecodeRequest decodes a request without further pieces. Its memory does not
// share with b. It fails with [ErrMalformed]; with [gcnode.KindTooLarge] when
// the request is over a limit; or with [gcnode.KindUnsupported] when it asks for
// something unknown.
func DecodeRequest(b []byte) (*gcnode.Request, error) {
	req := &gcnode.Request{}
	if err := new(RequestDecoder).Decode(b, req); err != nil {
		return nil, err
	}
	return req, nil
}

// RequestDecoder decodes requests in which names come again and again, as in
// those of one peer: those of the last request are not allocated anew. The zero value
// is ready for use. It is for one goroutine at a time.
type RequestDecoder struct {
	// Reuse has Decode use the memory of all lists of removals again, too.
	Reuse bool

	from, to, group string
	sender, removed string // of a removal: its sender and group
}

// Decode is [DecodeRequest] into a request that may have been used before, of
// whose memory only that of the list of its keys is used again, unless there is
// more to be reused.
func (d *RequestDecoder) Decode(b []byte, req *gcnode.Request) error {
	value, total, err := d.decode(b, req)
	switch {
	case err != nil:
		return err
	case total != 0:
		return malformed("%d of the %d bytes of a value are missing", total-len(value), total)
	default:
		req.Value = gcnode.BytesValue(value)
		return nil
	}
}

// decode decodes a request but for its value, of which it returns the first
// piece, a part of b, and the size of all of them, or 0. The value comes also
// with an error of gcnode.KindUnsupported.
func (d *RequestDecoder) decode(b []byte, req *gcnode.Request) (value []byte, total int, _ error) {
	again := gcnode.Request{Keys: req.Keys[:0]}
	if d.Reuse {
		again.Removals, again.Finished = req.Removals[:0], req.Finished[:0]
	}
	*req = again
	var op uint64
	var size uint64
	var keys, removed batch
	f := fields{rest: b}
	for f.next() {
		switch f.tag {
		case 1<<3 | varint:
			op = f.varint()
		case 2<<3 | lengthDelimited:
			f.message(func(b []byte) error { return decodeSender(b, &req.From, &d.from) })
			d.sender = d.from // most often it tells of its own removals
		case 3<<3 | fixed64:
			req.ListHash = f.fixed64()
		case 4<<3 | lengthDelimited:
			req.Group = f.name(&d.group, "the group's name")
		case 5<<3 | lengthDelimited:
			req.Keys = f.key("keys", req.Keys, &keys)
		case 6<<3 | lengthDelimited:
			if len(req.Removals) == MaxRemovals {
				return nil, 0, tooMany("removals", MaxRemovals)
			}
			var r *gcnode.Removal
			req.Removals, r = another(req.Removals)
			f.message(func(b []byte) error { return decodeRemoval(b, r, &removed, &d.sender, &d.removed) })
		case 7<<3 | lengthDelimited:
			if len(req.Finished) == MaxRemovals {
				return nil, 0, tooMany("finished removals", MaxRemovals)
			}
			var id gcnode.RemovalID
			f.message(func(b []byte) error { return decodeRemovalID(b, &id, &d.sender) })
			req.Finished = append(req.Finished, id)
		case 8<<3 | varint:
			req.Timeout = time.Duration(f.varint())
		case 9<<3 | varint:
			req.Heartbeat = time.Duration(f.varint())
		case 10<<3 | lengthDelimited:
			req.To = f.name(&d.to, "the receiver's ID")
		case 11<<3 | varint:
			req.Keep = gcnode.Lifetime(protowire.DecodeZigZag(f.varint()))
		case 12<<3 | lengthDelimited:
			f.message(func(b []byte) error { return decodeStamp(b, &req.Stamp) })
		case 13<<3 | lengthDelimited:
			req.Digests = f.digest(req.Digests)
		case 14<<3 | lengthDelimited:
			req.Known = f.known(req.Known)
		case 15<<3 | varint:
			size = f.varint()
		case 16<<3 | lengthDelimited:
			value = f.bytes()
		case 17<<3 | lengthDelimited:
			req.Trace.Parent = f.limited("the trace's parent", gcnode.MaxTraceParentBytes)
		case 18<<3 | lengthDelimited:
			req.Trace.State = f.limited("the trace's state", gcnode.MaxTraceStateBytes)
		default:
			f.skip()
		}
	}
	switch {
	case f.err != nil:
		return nil, 0, f.err
	case size > gcnode.MaxValueBytes:
		return nil, 0, tooLarge("a value of %d bytes was announced; at most %d are allowed", size, gcnode.MaxValueBytes)
	case size != 0 && uint64(len(value)) >= size:
		return nil, 0, malformed("the first piece of a value of %d bytes has %d", size, len(value))
	}
	if op := int32(op); op < int32(gcnode.OpFetch) || op > int32(gcnode.OpReport) {
		return value, int(size), &gcnode.Error{
			Kind: gcnode.KindUnsupported,
			Err:  fmt.Errorf("this member does not know operation %d", op),
		}
	}
	if n := len(req.Digests); n != 0 && n != len(req.Keys) {
		return nil, 0, malformed("%d digests for %d keys; there is one for each, or none", n, len(req.Keys))
	}
	req.Op = gcnode.Op(op)
	return value, int(size), nil
}

// another appends an empty removal, whose list of keys has the memory of the one
// that was there before.
func another(list []gcnode.Removal) ([]gcnode.Removal, *gcnode.Removal) {
	list = slices.Grow(list, 1)[:len(list)+1]
	r := &list[len(list)-1]
	*r = gcnode.Removal{Keys: r.Keys[:0]}
	return list, r
}

// digest appends a digest, which may be empty.
func (f *fields) digest(list []gcnode.Digest) []gcnode.Digest {
	b := f.bytes()
	var d gcnode.Digest
	switch {
	case f.err != nil:
		return list
	case len(list) == gcnode.MaxBatchKeys:
		f.err = tooMany("digests", gcnode.MaxBatchKeys)
		return list
	case len(b) != 0 && len(b) != len(d):
		f.err = malformed("a digest of %d bytes; it has %d or none", len(b), len(d))
		return list
	}
	copy(d[:], b)
	return append(list, d)
}

// known appends what is known of a life.
func (f *fields) known(list []gcnode.Known) []gcnode.Known {
	if len(list) == MaxKnown {
		f.err = tooMany("known lives", MaxKnown)
		return list
	}
	var k gcnode.Known
	f.message(func(b []byte) error { return decodeKnown(b, &k) })
	return append(list, k)
}

func decodeKnown(b []byte, k *gcnode.Known) error {
	f := fields{rest: b}
	for f.next() {
		switch f.tag {
		case 1<<3 | lengthDelimited:
			f.message(func(b []byte) error { return decodeSender(b, &k.Sender, new(string)) })
		case 2<<3 | varint:
			k.Seq = f.varint()
		default:
			f.skip()
		}
	}
	return f.err
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

// decodeSender decodes a sender whose ID is likely to be the last one.
func decodeSender(b []byte, s *gcnode.Sender, last *string) error {
	f := fields{rest: b}
	for f.next() {
		switch f.tag {
		case 1<<3 | lengthDelimited:
			s.ID = f.name(last, "the sender's ID")
		case 2<<3 | fixed64:
			s.Incarnation = f.fixed64()
		default:
			f.skip()
		}
	}
	return f.err
}

// decodeRemovalID decodes an identity whose sender is likely to be the last one.
func decodeRemovalID(b []byte, id *gcnode.RemovalID, sender *string) error {
	f := fields{rest: b}
	for f.next() {
		switch f.tag {
		case 1<<3 | lengthDelimited:
			id.Sender = f.name(sender, "a removal's sender")
		case 2<<3 | fixed64:
			id.Incarnation = f.fixed64()
		case 3<<3 | varint:
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
		switch f.tag {
		case 1<<3 | fixed64:
			s.Time = int64(f.fixed64())
		case 2<<3 | fixed64:
			s.Incarnation = f.fixed64()
		default:
			f.skip()
		}
	}
	return f.err
}

// decodeRemoval decodes a removal whose sender and group are likely to be the
// last ones.
func decodeRemoval(b []byte, r *gcnode.Removal, keys *batch, sender, group *string) error {
	f := fields{rest: b}
	for f.next() {
		switch f.tag {
		case 1<<3 | lengthDelimited:
			f.message(func(b []byte) error { return decodeRemovalID(b, &r.ID, sender) })
		case 2<<3 | lengthDelimited:
			f.message(func(b []byte) error { return decodeStamp(b, &r.Stamp) })
		case 3<<3 | lengthDelimited:
			r.Group = f.name(group, "the name of a removal's group")
		case 4<<3 | lengthDelimited:
			r.Keys = f.key("keys to remove", r.Keys, keys)
		case 5<<3 | varint:
			r.All = protowire.DecodeBool(f.varint())
		default:
			f.skip()
		}
	}
	return f.err
}
