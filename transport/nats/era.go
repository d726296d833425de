package natstransport

import "github.com/nats-io/nats.go"

// era tells what was begun on the connection that is there from what was begun
// before an interruption. What happens to a connection is told a little later,
// when there may be another one that is in use already:
//
//	the connection       the watch              a request
//	is lost
//	is back                                     begins a stream
//	                     hears that it is lost
//
// Whoever uses it has a lock.
type era struct {
	nc         *nats.Conn
	reconnects uint64
	first      uint64 // number since then
}

// begin takes note that what has this number, the highest so far, is begun.
func (e *era) begin(number uint64) {
	if now := e.nc.Stats().Reconnects; e.first == 0 || now != e.reconnects {
		e.reconnects, e.first = now, number
	}
}

// over returns the number below which everything is lost when a status is heard
// of, and from which on nothing is.
func (e *era) over(status nats.Status) uint64 {
	interrupted := status == nats.DISCONNECTED || status == nats.RECONNECTING
	if interrupted && e.nc.IsConnected() && e.nc.Stats().Reconnects == e.reconnects {
		return e.first
	}
	return ^uint64(0)
}
