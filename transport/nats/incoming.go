package natstransport

import (
	"bytes"
	"errors"

	"github.com/gcnode/gcnode/transport/wire"
)

// incoming finds the messages in the data of packets. The zero value is ready
// for use. Those that lie in one packet are not copied.
type incoming struct {
	r    *wire.MessageReader // of those that lie in several; nil: there was none
	rest []byte              // of a packet
}

// Read implements [io.Reader], of what has come.
func (in *incoming) Read(b []byte) (int, error) {
	if len(in.rest) == 0 {
		return 0, errAgain
	}
	n := copy(b, in.rest)
	in.rest = in.rest[n:]
	return n, nil
}

// feed calls take for each message that data completes.
func (in *incoming) feed(data []byte, take func([]byte) error) error {
	in.rest = data
	for {
		b, err := in.next()
		switch {
		case errors.Is(err, errAgain):
			return nil
		case err != nil:
			return err
		}
		if err := take(b); err != nil {
			return err
		}
	}
}

// next is the next message, or fails with errAgain.
func (in *incoming) next() ([]byte, error) {
	if b, rest, ok := in.whole(); ok {
		in.rest = rest
		return b, nil
	}
	if in.inside() {
		return in.r.Next()
	}
	if len(in.rest) == 0 {
		return nil, errAgain
	}
	if in.r == nil {
		in.r = wire.NewMessageReader(in, wire.MaxReturnBytes)
	}
	return in.r.Next()
}

// whole is the next message if all of it lies in what is left of a packet, and what
// comes after it.
func (in *incoming) whole() (b, rest []byte, ok bool) {
	if in.inside() {
		return nil, nil, false
	}
	return wire.WholeMessage(in.rest)
}

// inside reports whether a message has come in part.
func (in *incoming) inside() bool { return in.r != nil && in.r.Begun() }

// skip takes the next message if it has come and is this one, with its length.
// The message before it remains valid.
func (in *incoming) skip(message []byte) bool {
	if in.inside() {
		return in.r.Skip(message)
	}
	rest, ok := bytes.CutPrefix(in.rest, message)
	in.rest = rest
	return ok
}
