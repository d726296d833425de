package transporttest

import (
	"context"
	"sync"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// Any stands for every member in [Network.SetFault] and [Network.Sent].
const Any = ""

// Network connects members in memory. Requests and replies are copied on the
// way, errors lose their chain, and what is over a limit of package gcnode is
// refused, as on a real network. Its methods may be called from any number of
// goroutines, at any time.
type Network struct {
	mu        sync.Mutex
	handlers  map[string]gcnode.Handler
	lives     map[string]uint64 // counts the crashes of a member
	faults    map[link]Fault
	intercept func(Message) Fault
	exchanges map[*exchange]struct{}
	sent      map[flow]int
	// broadcasts are counted by operation.
	broadcasts map[gcnode.Op]int
	met        Faults
}

// link is one direction between two members.
type link struct{ from, to string }

// flow is one operation on a link.
type flow struct {
	link
	op gcnode.Op
}

// Message is a request on its way from one member to another, or a reply to
// it, which goes the other way. It is a copy, which nobody changes.
type Message struct {
	From, To string // IDs
	Request  *gcnode.Request
	// Reply is nil for the request itself.
	Reply *gcnode.Reply
	// Broadcast says that others were sent the same request.
	Broadcast bool
}

// Fault is what happens to a message. The zero value delivers it at once.
// The first of Drop and Hang that is set decides; Delay and Until are waited
// for before a message is delivered. The replies to one request keep their
// order: one that is held back holds back those after it.
type Fault struct {
	// Drop loses the message and the connection, and the sender of the
	// request is told at once that the peer is unreachable.
	Drop bool
	// Hang loses the message in silence: the request is answered when its
	// context ends.
	Hang bool
	// Delay is how long the message is on its way.
	Delay time.Duration
	// Until, when not nil, holds the message until the channel is closed.
	Until <-chan struct{}
}

// fate is all the faults that a message meets.
type fate struct {
	drop, hang bool
	delay      time.Duration
	until      []<-chan struct{}
}

// add adds a fault.
func (f *fate) add(fault Fault) {
	f.drop = f.drop || fault.Drop
	f.hang = f.hang || fault.Hang
	f.delay += max(fault.Delay, 0)
	if fault.Until != nil {
		f.until = append(f.until, fault.Until)
	}
}

// Faults counts the messages that met a fault.
type Faults struct {
	Dropped int
	Hung    int
	Delayed int
	Held    int // by [Fault.Until]
}

// NewNetwork is a network without members and without faults.
func NewNetwork() *Network {
	return &Network{
		handlers:  map[string]gcnode.Handler{},
		lives:     map[string]uint64{},
		faults:    map[link]Fault{},
		exchanges: map[*exchange]struct{}{},
		sent:      map[flow]int{}, broadcasts: map[gcnode.Op]int{},
	}
}

// Attach lets the member with this ID be reached at h, in place of an earlier
// handler.
func (n *Network) Attach(id string, h gcnode.Handler) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.handlers[id] = h
}

// Detach makes the member unreachable: requests to it fail at once, and the
// connections of those that it is answering are lost, so that the contexts of
// its handler end. It can still send.
func (n *Network) Detach(id string) {
	n.cut(func(x *exchange) bool { return x.to == id }, func() {
		delete(n.handlers, id)
	})
}

// Crash is [Network.Detach], and also loses the connections of the requests
// that the member has sent. The transports that it has had so far send nothing
// any more; take a new one for its next life.
func (n *Network) Crash(id string) {
	n.cut(func(x *exchange) bool { return x.to == id || x.from == id }, func() {
		delete(n.handlers, id)
		n.lives[id]++
	})
}

// cut changes the network and then breaks the exchanges that match.
func (n *Network) cut(match func(*exchange) bool, change func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change()
	for x := range n.exchanges {
		if match(x) {
			x.cancel(errConnectionLost)
		}
	}
}

// Transport is the transport of the member with this ID. The addresses of
// peers do not matter: requests go to their IDs.
func (n *Network) Transport(from string) gcnode.Transport {
	n.mu.Lock()
	defer n.mu.Unlock()
	return &transport{net: n, from: from, life: n.lives[from]}
}

// SetFault sets what happens to the messages from one member to another that
// are sent from now on: to requests of the one, and to replies to requests of
// the other. [Any] stands for every member, and a message meets all faults
// that match. The zero fault heals the link.
//
// A fault in one direction only is a one-way partition: with Hang from a to
// b, a request of a never arrives at b, and a request of b is served by a and
// its answer lost.
func (n *Network) SetFault(from, to string, f Fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if f == (Fault{}) {
		delete(n.faults, link{from, to})
		return
	}
	n.faults[link{from, to}] = f
}

// Partition hangs all messages between the members a and the members b, in
// both directions.
func (n *Network) Partition(a, b []string) {
	for _, x := range a {
		for _, y := range b {
			n.SetFault(x, y, Fault{Hang: true})
			n.SetFault(y, x, Fault{Hang: true})
		}
	}
}

// Isolate hangs all messages from and to the member.
func (n *Network) Isolate(id string) {
	n.SetFault(id, Any, Fault{Hang: true})
	n.SetFault(Any, id, Fault{Hang: true})
}

// Heal removes all faults. Messages that were lost stay lost.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.faults)
}

// Intercept calls f for each message that is sent from now on; the fault that
// it returns comes on top of those that are set. f is called from many
// goroutines at once and must not block: return a Fault with Until to hold a
// message. A nil f ends it.
func (n *Network) Intercept(f func(Message) Fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.intercept = f
}

// Sent is the number of requests for op that were sent from one member to
// another, whatever happened to them. [Any] stands for every member.
func (n *Network) Sent(from, to string, op gcnode.Op) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	total := 0
	for f, count := range n.sent {
		if f.op == op && f.matches(from, to) {
			total += count
		}
	}
	return total
}

// Requests is the number of requests that were sent, by operation.
func (n *Network) Requests() map[gcnode.Op]int {
	n.mu.Lock()
	defer n.mu.Unlock()
	ops := map[gcnode.Op]int{}
	for f, count := range n.sent {
		ops[f.op] += count
	}
	return ops
}

// Met is the number of messages that met each kind of fault so far.
func (n *Network) Met() Faults {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.met
}

// Running is the number of requests that are not finished: sent, and their
// RoundTrip has not returned.
func (n *Network) Running() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.exchanges)
}

// matches reports whether the link is one of those from one member to another,
// where [Any] stands for every member.
func (l link) matches(from, to string) bool {
	return (from == Any || from == l.from) && (to == Any || to == l.to)
}

// send decides what happens to a message.
func (n *Network) send(m Message) fate {
	n.mu.Lock()
	if m.Reply == nil && !m.Broadcast {
		n.sent[flow{link{m.From, m.To}, m.Request.Op}]++
	}
	intercept := n.intercept
	n.mu.Unlock()
	var hook Fault
	if intercept != nil {
		hook = intercept(m)
	}
	return n.meet(link{m.From, m.To}, hook)
}

// meet adds up the faults that are set for a link and extra, and counts them.
func (n *Network) meet(l link, extra Fault) fate {
	n.mu.Lock()
	defer n.mu.Unlock()
	var f fate
	for at, fault := range n.faults {
		if l.matches(at.from, at.to) {
			f.add(fault)
		}
	}
	f.add(extra)
	switch {
	case f.drop:
		n.met.Dropped++
	case f.hang:
		n.met.Hung++
	default:
		if f.delay > 0 {
			n.met.Delayed++
		}
		if f.until != nil {
			n.met.Held++
		}
	}
	return f
}

// start registers an exchange. It fails for a sender that has crashed.
func (n *Network) start(x *exchange, life uint64) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.lives[x.from] != life {
		return errCrashed
	}
	n.exchanges[x] = struct{}{}
	return nil
}

// end removes an exchange.
func (n *Network) end(x *exchange) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.exchanges, x)
	x.cancel(context.Canceled)
}

// handler is the one that is attached under the ID, or nil.
func (n *Network) handler(id string) gcnode.Handler {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.handlers[id]
}
