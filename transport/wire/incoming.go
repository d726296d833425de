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

	last    gcnode.Request // without its key, if it has one and nothing that others have not; that of no operation is none
	refused error          // or why it was refused
	lent    bool           // the key of the request is a part of the message
}

// Start takes the next request, of which it keeps nothing. Its errors are those
// of [DecodeRequest].
func (i *Incoming) Start(b []byte) error {
	value, total, err := i.names.decode(b, &i.req)
	i.begun, i.lent, i.refused = err == nil, false, err
	i.last.Op = 0
	if err != nil {
		return err
	}
	if total == 0 && len(value) == 0 && hasOneKey(&i.req) {
		i.last = i.req
		i.last.Keys = nil
	}
	return i.value.start(cmp.Or(total, len(value)), value)
}

// StartLike takes a request that is like the last one but for its key, from
// [Call.Key]. The key is valid as long as that is, unless Own is called. It fails as
// Start did with the last one, or with [ErrMalformed] if there is none with one key
// and nothing else that is not in all requests.
func (i *Incoming) StartLike(key []byte) error {
	i.begun = false
	switch {
	case i.refused != nil:
		return i.refused
	case i.last.Op == 0:
		return malformed("a request like another one, which there is not")
	case len(key) > gcnode.MaxKeyBytes:
		return new(batch).add("keys", len(key))
	}
	keys := i.req.Keys[:0]
	i.req = i.last
	i.req.Keys = append(keys, stringOf(key))
	i.begun, i.lent = true, true
	return i.value.start(0, nil)
}

// Own has the key of the request become a string of its own.
func (i *Incoming) Own() {
	if i.lent {
		i.lent = false
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
