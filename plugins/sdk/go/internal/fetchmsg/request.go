package fetchmsg

import (
	"encoding/binary"
	"fmt"
	"math"
)

// A Request is a fetch request. TimeoutMillis and MaxBodyBytes are 0 for none.
type Request struct {
	Method        string
	URL           string
	Header        []Field
	Body          []byte
	TimeoutMillis uint32
	MaxBodyBytes  uint32
}

// Encode returns the message, or ErrMalformed if a part is too long for it.
func (r Request) Encode() ([]byte, error) {
	if len(r.Method) > math.MaxUint16 {
		return nil, fmt.Errorf("%w: method of %d bytes", ErrMalformed, len(r.Method))
	}
	if err := check32("URL", len(r.URL)); err != nil {
		return nil, err
	}
	if err := check32("body", len(r.Body)); err != nil {
		return nil, err
	}
	if err := checkFields(r.Header); err != nil {
		return nil, err
	}
	b := make([]byte, 0, requestHeaderBytes+len(r.Method)+len(r.URL)+len(r.Body))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(r.Method)))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(r.Header)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(r.URL)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(r.Body)))
	b = binary.LittleEndian.AppendUint32(b, r.TimeoutMillis)
	b = binary.LittleEndian.AppendUint32(b, r.MaxBodyBytes)
	b = append(b, r.Method...)
	b = append(b, r.URL...)
	b = appendFields(b, r.Header)
	return append(b, r.Body...), nil
}

// DecodeRequest reads a message. Body is a part of b.
func DecodeRequest(b []byte) (Request, error) {
	r := reader{rest: b}
	head := r.take(requestHeaderBytes)
	if r.failed {
		return Request{}, r.end("request")
	}
	request := Request{
		TimeoutMillis: binary.LittleEndian.Uint32(head[12:]),
		MaxBodyBytes:  binary.LittleEndian.Uint32(head[16:]),
	}
	request.Method = string(r.take(uint64(binary.LittleEndian.Uint16(head))))
	request.URL = string(r.take(uint64(binary.LittleEndian.Uint32(head[4:]))))
	request.Header = r.fields(binary.LittleEndian.Uint16(head[2:]))
	request.Body = r.take(uint64(binary.LittleEndian.Uint32(head[8:])))
	if err := r.end("request"); err != nil {
		return Request{}, err
	}
	return request, nil
}
