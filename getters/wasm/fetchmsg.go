package wasm

import (
	"encoding/binary"
	"errors"
	"math"
)

const (
	fetchRequestHead = 20
	fetchAnswerHead  = 12
	fetchFieldHead   = 6 // u16 length of the name, u32 length of the value
)

// fetchFailure is why an exchange has no answer; the numbers are part of the
// guest ABI.
type fetchFailure uint16

const (
	fetchMalformed   fetchFailure = 1
	fetchDenied      fetchFailure = 2
	fetchUnreachable fetchFailure = 3
	fetchTimeout     fetchFailure = 4
	fetchTooLarge    fetchFailure = 5
	fetchTooMany     fetchFailure = 6
)

func (f fetchFailure) String() string {
	names := [...]string{"", "malformed", "denied", "unreachable", "timeout", "too large", "too many"}
	if int(f) < len(names) {
		return names[f]
	}
	return "unknown"
}

var errFetchMessage = errors.New("malformed fetch request")

// headerField is one field of a request or an answer.
type headerField struct {
	name, value string
}

// fetchRequest is what a guest asks for. Nothing of it refers to the memory
// of the guest.
type fetchRequest struct {
	method, url   string
	header        []headerField
	body          []byte
	timeoutMillis uint32 // 0: none of its own
	maxBodyBytes  uint32 // 0: the host's limit
	held          int64  // bytes of the budget that it has, whether it is sent or not
}

// fetchAnswer is what the guest is told. A failure has a message as its body.
type fetchAnswer struct {
	status  uint16
	failure fetchFailure
	header  []headerField
	body    []byte
}

// fieldBytes is what a header field takes of our memory beside its text.
const fieldBytes = 64

// heldBytes is how much of our memory a message takes when it is parsed.
func heldBytes(msg []byte) int64 {
	if len(msg) < fetchRequestHead {
		return 0 // it is malformed
	}
	return int64(len(msg)) + fieldBytes*int64(binary.LittleEndian.Uint16(msg[2:]))
}

// parseFetchRequest reads the message of a guest. The parts must fill it
// exactly.
func parseFetchRequest(msg []byte) (*fetchRequest, error) {
	if len(msg) < fetchRequestHead {
		return nil, errFetchMessage
	}
	le := binary.LittleEndian
	methodLen := uint64(le.Uint16(msg[0:]))
	fields := int(le.Uint16(msg[2:]))
	urlLen := uint64(le.Uint32(msg[4:]))
	bodyLen := uint64(le.Uint32(msg[8:]))
	req := &fetchRequest{timeoutMillis: le.Uint32(msg[12:]), maxBodyBytes: le.Uint32(msg[16:])}

	rest := msg[fetchRequestHead:]
	if methodLen+urlLen+bodyLen+uint64(fields)*fetchFieldHead > uint64(len(rest)) {
		return nil, errFetchMessage
	}
	req.method, rest = string(rest[:methodLen]), rest[methodLen:]
	req.url, rest = string(rest[:urlLen]), rest[urlLen:]
	req.header = make([]headerField, 0, fields)
	for range fields {
		if len(rest) < fetchFieldHead {
			return nil, errFetchMessage
		}
		nameLen, valueLen := uint64(le.Uint16(rest)), uint64(le.Uint32(rest[2:]))
		rest = rest[fetchFieldHead:]
		if nameLen+valueLen > uint64(len(rest)) {
			return nil, errFetchMessage
		}
		req.header = append(req.header, headerField{
			name:  string(rest[:nameLen]),
			value: string(rest[nameLen : nameLen+valueLen]),
		})
		rest = rest[nameLen+valueLen:]
	}
	if uint64(len(rest)) != bodyLen {
		return nil, errFetchMessage
	}
	req.body = append([]byte(nil), rest...)
	return req, nil
}

// size is how many bytes of a request are the guest's.
func (r *fetchRequest) size() int64 {
	n := len(r.method) + len(r.url) + len(r.body)
	for _, f := range r.header {
		n += len(f.name) + len(f.value)
	}
	return int64(n)
}

// encode is the message that the guest reads.
func (a *fetchAnswer) encode() []byte {
	fields := a.header[:min(len(a.header), math.MaxUint16)]
	size := fetchAnswerHead + len(a.body)
	for _, f := range fields {
		size += fetchFieldHead + len(f.name) + len(f.value)
	}
	le := binary.LittleEndian
	b := make([]byte, 0, size)
	b = le.AppendUint16(b, a.status)
	b = le.AppendUint16(b, uint16(a.failure))
	b = le.AppendUint16(b, uint16(len(fields)))
	b = le.AppendUint16(b, 0)
	b = le.AppendUint32(b, uint32(len(a.body)))
	for _, f := range fields {
		b = le.AppendUint16(b, uint16(len(f.name)))
		b = le.AppendUint32(b, uint32(len(f.value)))
		b = append(b, f.name...)
		b = append(b, f.value...)
	}
	return append(b, a.body...)
}
