package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// network carries the requests of a world's nodes, one message at a time: the
// world decides which one arrives next.
type network struct {
	mu      sync.Mutex
	arrived []*message // sent since the world has last looked
	open    map[*exchange]bool
	count   map[string]int // exchanges between two nodes
	news    chan struct{}  // holds one element when something was sent
}

// message is a request, a reply, or the end of an exchange, on its way.
type message struct {
	x       *exchange
	from    string
	to      string
	content string // what tells it from others
	req     *gcnode.Request
	reply   *gcnode.Reply
	end     bool
	err     error // beside end
	copy    bool  // a request that is delivered once more

	at    time.Time // when it arrives
	order int       // among those that arrive at the same time
}

// exchange is one request and its answers.
type exchange struct {
	from, to *life
	toID     string
	name     string
	inbox    chan *message
	lost     chan struct{} // closed when the connection breaks
	once     sync.Once
	last     time.Time // the arrival of the last answer: answers keep their order
}

func (x *exchange) lose() { x.once.Do(func() { close(x.lost) }) }

var (
	errLost    = errors.New("connection lost")
	errCrashed = errors.New("the node has crashed")
)

// inboxSize is more than an exchange has answers.
const inboxSize = 4096

func newNetwork() *network {
	return &network{open: map[*exchange]bool{}, count: map[string]int{}, news: make(chan struct{}, 1)}
}

// transport is the network as a life of a node sees it.
type transport struct {
	net  *network
	from *life
}

// RoundTrip implements [gcnode.Transport].
func (t *transport) RoundTrip(ctx context.Context, to gcnode.Peer, req *gcnode.Request, w gcnode.ReplyWriter) error {
	unreachable := func(err error) error {
		return &gcnode.Error{Kind: gcnode.KindUnreachable, Op: req.Op, Group: req.Group, Peer: to.ID, Err: err}
	}
	if t.from.dead.Load() {
		return unreachable(errCrashed)
	}
	x := &exchange{from: t.from, toID: to.ID, inbox: make(chan *message, inboxSize), lost: make(chan struct{})}
	t.net.send(x, &message{from: t.from.id, to: to.ID, req: clone(req)})
	defer t.net.close(x)
	for {
		select {
		case m := <-x.inbox:
			switch {
			case m.end && m.err != nil:
				return unreachable(m.err)
			case m.end:
				return nil
			}
			if err := w.WriteReply(*m.reply); err != nil {
				return err
			}
		case <-x.lost:
			return unreachable(errLost)
		case <-ctx.Done():
			return fmt.Errorf("peer %q: %w", to.ID, context.Cause(ctx))
		}
	}
}

// send puts a message on its way.
func (n *network) send(x *exchange, m *message) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m.x = x
	if m.req != nil {
		x.name = m.from + ">" + m.to + " " + describe(m.req)
		n.count[x.name]++
		x.name += fmt.Sprintf(" #%d", n.count[x.name])
		n.open[x] = true
		m.content = x.name
	} else {
		m.content = x.name + " < " + describeReply(m)
	}
	n.arrived = append(n.arrived, m)
	select {
	case n.news <- struct{}{}:
	default:
	}
}

func (n *network) close(x *exchange) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.open, x)
	x.lose()
}

// cut breaks the exchanges that match.
func (n *network) cut(match func(*exchange) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for x := range n.open {
		if match(x) {
			x.lose()
		}
	}
}

// take returns what was sent since the last time, in an order that depends on
// nothing but its content.
func (n *network) take() []*message {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := n.arrived
	n.arrived = nil
	slices.SortStableFunc(list, func(a, b *message) int { return cmp.Compare(a.content, b.content) })
	return list
}

// answers is where the handler of an exchange puts its replies.
type answers struct {
	net *network
	x   *exchange
	ctx context.Context
}

// WriteReply implements [gcnode.ReplyWriter].
func (a *answers) WriteReply(r gcnode.Reply) error {
	if a.ctx.Err() != nil {
		return errLost
	}
	a.net.send(a.x, &message{from: a.x.toID, to: a.x.from.id, reply: &r})
	return nil
}

// serve lets a node answer a request. Its answers go nowhere for a copy.
func (n *network) serve(m *message, to *life) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	x := m.x
	if m.copy {
		_ = to.node.ServePeer(ctx, clone(m.req), discard{})
		return
	}
	go func() {
		select {
		case <-x.lost:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := to.node.ServePeer(ctx, m.req, &answers{net: n, x: x, ctx: ctx})
	if ctx.Err() == nil {
		n.send(x, &message{from: x.toID, to: x.from.id, end: true, err: err})
	}
}

type discard struct{}

// WriteReply implements [gcnode.ReplyWriter].
func (discard) WriteReply(gcnode.Reply) error { return nil }

// clone is what the receiver gets: memory of its own.
func clone(req *gcnode.Request) *gcnode.Request {
	c := *req
	c.Keys = slices.Clone(req.Keys)
	c.Removals = slices.Clone(req.Removals)
	c.Finished = slices.Clone(req.Finished)
	c.Digests = slices.Clone(req.Digests)
	c.Known = slices.Clone(req.Known)
	return &c
}

// describe tells a request from others, without what is random.
func describe(req *gcnode.Request) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %s %q", req.Op, req.Group, req.Keys)
	for _, r := range req.Removals {
		fmt.Fprintf(&b, " -%s/%d%q", r.ID.Sender, r.ID.Seq, r.Keys)
	}
	for _, id := range req.Finished {
		fmt.Fprintf(&b, " .%s/%d", id.Sender, id.Seq)
	}
	for _, k := range req.Known {
		fmt.Fprintf(&b, " %s:%d", k.ID, k.Seq)
	}
	if req.Value.Len() > 0 {
		fmt.Fprintf(&b, " =%v", req.Value)
	}
	return b.String()
}

func describeReply(m *message) string {
	if m.end {
		return fmt.Sprintf("z end %v", m.err)
	}
	r := m.reply
	if r.Pending {
		return "pending"
	}
	return fmt.Sprintf("%05d %v %q %v", r.Key, r.Value, r.Keys, r.Err)
}
