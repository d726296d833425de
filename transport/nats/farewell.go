package natstransport

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// farewell is a subscription with a message of the member to itself, which nobody
// takes until the member has told its peers that it goes. A connection that is
// drained can publish until all messages that have come are taken, but does not
// say so before it begins: without this one, a member that is not scheduled for
// some milliseconds could tell nobody any more.
type farewell struct{ sub *nats.Subscription }

func newFarewell(nc *nats.Conn, names subjects) (*farewell, error) {
	subject := names.at(rand.Text(), streamToken(0))
	sub, err := nc.SubscribeSync(subject)
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", subject, err)
	}
	if err := nc.Publish(subject, nil); err != nil {
		_ = sub.Unsubscribe() // the connection may be closed
		return nil, fmt.Errorf("publish on %s: %w", subject, err)
	}
	return &farewell{sub}, nil
}

// said lets the connection go on, if it is drained. There is nothing to take
// where a connection does not hear itself ([nats.NoEcho]).
func (f *farewell) said() {
	_, _ = f.sub.NextMsg(time.Nanosecond)
	_ = f.sub.Unsubscribe() // the connection may be closed
}
