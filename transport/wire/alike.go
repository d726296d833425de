package wire

import gcnode "github.com/gcnode/gcnode/core"

// maxKeptRequest is for how large an encoded request memory is kept.
const maxKeptRequest = 64 << 10

// hasOneKey reports whether others could differ from a request in its key only.
func hasOneKey(req *gcnode.Request) bool {
	return len(req.Keys) == 1 && len(req.Removals) == 0 && len(req.Finished) == 0 && len(req.Digests) == 0 &&
		len(req.Known) == 0 && req.Value.Len() == 0
}

// alike reports whether a request differs from one that had one key in that only.
func alike(req, last *gcnode.Request) bool {
	return hasOneKey(req) && req.Op == last.Op && req.ListHash == last.ListHash && req.Group == last.Group &&
		req.To == last.To && req.From == last.From && req.Timeout == last.Timeout && req.Heartbeat == last.Heartbeat &&
		req.Keep == last.Keep && req.Stamp == last.Stamp && req.Trace == last.Trace
}

// RequestEncoder encodes requests for a stream, one of which differs from the last
// one in its key only, as a rule: that is all that is sent of it then. The zero value
// is ready for use. It is for one goroutine at a time.
type RequestEncoder struct {
	last  gcnode.Request // without its key; that of no operation is none
	key   string         // of the request that was set, if it is like that
	whole []byte         // or all of it
}

// Set takes the request that is to be appended, of which it keeps strings only. Its
// errors are those of [AppendRequest].
func (e *RequestEncoder) Set(req *gcnode.Request) error {
	if e.last.Op != 0 && alike(req, &e.last) && len(req.Keys[0]) <= gcnode.MaxKeyBytes {
		e.key, e.whole = req.Keys[0], e.whole[:0]
		return nil
	}
	e.Forget()
	if cap(e.whole) > maxKeptRequest {
		e.whole = nil
	}
	whole, err := AppendRequest(e.whole[:0], req)
	if err != nil {
		return err
	}
	e.whole = whole
	if hasOneKey(req) {
		e.last = *req
		e.last.Keys = nil
	}
	return nil
}

// AppendCall appends, with its length, the call that begins an exchange with the
// request that was set.
func (e *RequestEncoder) AppendCall(b []byte, exchange uint64) []byte {
	if len(e.whole) > 0 {
		return AppendCallRequest(b, exchange, e.whole)
	}
	return AppendCallKey(b, exchange, e.key)
}

// Forget has the next request be sent as a whole, because one was sent that was not
// set here.
func (e *RequestEncoder) Forget() { e.last.Op = 0 }
