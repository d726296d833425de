package wire

import (
	"cmp"
	"strings"

	gcnode "github.com/gcnode/gcnode/core"
)

// Incoming puts requests together whose values may come in pieces, one after the
// other, with the memory of a [RequestDecoder]. The zero value is ready for use.
// It is for one goroutine at a time.
type Incoming struct {
	names RequestDecoder
	req   gcnode.Request
	begun bool // and not returned
	value growing
}

// Start takes the next request, of which it keeps nothing. Its errors are those
// of [DecodeRequest].
func (i *Incoming) Start(b []byte) error {
	value, total, err := i.names.decode(b, &i.req)
	i.begun = err == nil
	if err != nil {
		return err
	}
	return i.value.start(cmp.Or(total, len(value)), value)
}

// StartLent is Start for who needs most requests for a moment only: as long as Own
// is not called, the keys are valid as long as b.
func (i *Incoming) StartLent(b []byte) error {
	i.names.lends = true
	err := i.Start(b)
	i.names.lends = false
	return err
}

// Own has keys that are a part of the message become strings of their own.
func (i *Incoming) Own() {
	if i.names.lent {
		i.names.lent = false
		i.req.Keys[0] = strings.Clone(i.req.Keys[0])
	}
}

// Add takes the next piece of the value, of which it keeps nothing. It fails
// with [ErrMalformed].
func (i *Incoming) Add(piece []byte) error { return i.value.add(piece) }

// Complete is the request, once, or nil as long as something of its value is
// missing. It and the list of its keys are valid until the next one is started.
func (i *Incoming) Complete() *gcnode.Request {
	if !i.begun || i.value.missing() > 0 {
		return nil
	}
	i.begun = false
	i.req.Value = i.value.take()
	return &i.req
}
