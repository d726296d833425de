package fetchmsg

import (
	"encoding/binary"
	"fmt"
)

// An Answer is a fetch answer. Status is 0 if the exchange failed; then Failure
// is not 0 and Body is a message.
type Answer struct {
	Status  uint16
	Failure uint16
	Header  []Field
	Body    []byte
}

// Encode returns the message, or ErrMalformed if a part is too long for it.
func (a Answer) Encode() ([]byte, error) {
	if err := checkFields(a.Header); err != nil {
		return nil, err
	}
	if err := check32("body", len(a.Body)); err != nil {
		return nil, err
	}
	b := make([]byte, 0, answerHeaderBytes+len(a.Body))
	b = binary.LittleEndian.AppendUint16(b, a.Status)
	b = binary.LittleEndian.AppendUint16(b, a.Failure)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(a.Header)))
	b = binary.LittleEndian.AppendUint16(b, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(a.Body)))
	b = appendFields(b, a.Header)
	return append(b, a.Body...), nil
}

// DecodeAnswer reads a message. Body is a part of b.
func DecodeAnswer(b []byte) (Answer, error) {
	r := reader{rest: b}
	head := r.take(answerHeaderBytes)
	if r.failed {
		return Answer{}, r.end("answer")
	}
	answer := Answer{
		Status:  binary.LittleEndian.Uint16(head),
		Failure: binary.LittleEndian.Uint16(head[2:]),
	}
	answer.Header = r.fields(binary.LittleEndian.Uint16(head[4:]))
	answer.Body = r.take(uint64(binary.LittleEndian.Uint32(head[8:])))
	if err := r.end("answer"); err != nil {
		return Answer{}, err
	}
	if (answer.Status == 0) == (answer.Failure == 0) {
		return Answer{}, fmt.Errorf("%w: status %d with failure %d", ErrMalformed, answer.Status, answer.Failure)
	}
	return answer, nil
}
