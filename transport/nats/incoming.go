package natstransport

import (
	"errors"

	"github.com/gcnode/gcnode/transport/wire"
)

// incoming finds the messages in the data of packets.
type incoming struct {
	r    *wire.MessageReader
	rest []byte // of a packet
}

func newIncoming(limit int) *incoming {
	in := &incoming{}
	in.r = wire.NewMessageReader(in, limit)
	return in
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
	for len(in.rest) > 0 || in.r.Ready() {
		b, err := in.r.Next()
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
	return nil
}
