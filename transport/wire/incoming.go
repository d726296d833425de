package wire

import (
	"cmp"

	gcnode "github.com/gcnode/gcnode/core"
)

// Incoming puts a request together whose value may come in pieces. The zero
// value is ready for use. It is for one goroutine at a time.
type Incoming struct {
	req   *gcnode.Request
	value growing
}

// Start takes the request, of which it keeps nothing. Its errors are those of
// [DecodeRequest].
func (i *Incoming) Start(b []byte) error {
	req := &gcnode.Request{}
	value, total, err := new(RequestDecoder).decode(b, req)
	if err != nil {
		return err
	}
	i.req = req
	return i.value.start(cmp.Or(total, len(value)), value)
}

// Add takes the next piece of the value, of which it keeps nothing. It fails
// with [ErrMalformed].
func (i *Incoming) Add(piece []byte) error { return i.value.add(piece) }

// Complete is the request, or nil as long as something of its value is missing.
func (i *Incoming) Complete() *gcnode.Request {
	if i.req == nil || i.value.missing() > 0 {
		return nil
	}
	req := i.req
	req.Value = i.value.take()
	i.req = nil
	return req
}
