package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
)

// maxInTransit is how many replies wait for the receiver.
const maxInTransit = 64

var (
	errLost    = errors.New("connection lost")
	errNobody  = errors.New("connection refused")
	errCrashed = errors.New("the sender has crashed")
)

// network carries the messages of a world.
type network struct {
	w *world
	// exchanges under way, by their begin.
	exchanges []*exchange
	blocked   map[link]bool
	faults    Faults
	// steer, when not nil, sees every message when it is sent, and may delay it
	// or lose it.
	steer func(m *Message) Fate
	// again, when not nil, says which requests are delivered a second time when
	// they are released.
	again func(m *Message) *Hold
	// latest is when the last of the messages sent so far arrives.
	latest time.Duration
}

// link is one direction between two members.
type link struct{ from, to string }

// Faults are the probabilities of what may happen to a message, and how long
// things take.
type Faults struct {
	// Drop loses a message, of which the sender of the request is told.
	Drop float64
	// Hang loses a message in silence.
	Hang float64
	// Twice delivers a request a second time, up to Late afterwards.
	Twice float64
	// Long delays a message for up to Late.
	Long float64
	Late time.Duration
	// Delay is how long a message takes at most.
	Delay time.Duration
}

// Message is a request or a reply that is sent.
type Message struct {
	From, To string
	Request  *gcnode.Request
	// Reply is nil for a request, and Last is set for the end of an exchange.
	Reply *gcnode.Reply
	Last  bool
}

// Fate is what becomes of a message.
type Fate struct {
	Delay time.Duration
	Lose  bool // in silence
	// Refuse loses it, and tells the sender of the request.
	Refuse bool
	Twice  time.Duration
	// By, when not nil, holds the message until it is released.
	By *Hold
}

// Hold is where things wait that are held.
type Hold struct {
	w    *world
	held []func()
	over bool
}

// Release lets go of what is held, and of what is to come.
func (h *Hold) Release() {
	h.over = true
	for _, run := range h.held {
		h.w.after(time.Microsecond, run)
	}
	h.held = nil
}

// pass lets something happen at a time, or when it is released.
func (f *Fate) pass(w *world, at time.Duration, run func()) {
	if f.By != nil && !f.By.over {
		f.By.held = append(f.By.held, run)
		return
	}
	w.at(at, run)
}

// exchange is one request with its replies.
type exchange struct {
	w    *world
	from *life
	to   string
	req  *gcnode.Request
	tag  string // of whoever wanted it
	sent time.Duration
	in   chan frame
	// What follows belongs to the world.
	last     time.Duration // when the last frame arrives
	serving  []serving
	mute     bool // what follows is lost
	finished bool
}

// serving is a handler at work on a request.
type serving struct {
	by     *life
	cancel context.CancelFunc
}

// frame is a reply, or the end.
type frame struct {
	reply gcnode.Reply
	end   bool
	err   error
}

// RoundTrip implements [gcnode.Transport].
func (l *life) RoundTrip(ctx context.Context, to gcnode.Peer, req *gcnode.Request, rw gcnode.ReplyWriter) error {
	if ctx.Err() != nil { // whether a node that ends still tries is left to chance by its selects
		return fmt.Errorf("peer %q: %w: %w", to.ID, ctx.Err(), context.Cause(ctx))
	}
	x := &exchange{w: l.w, from: l, to: to.ID, req: transporttest.CopyRequest(req), tag: tagOf(ctx), in: make(chan frame, maxInTransit)}
	l.w.post(&request{x})
	for {
		select {
		case f := <-x.in:
			if f.end {
				return x.failed(f.err)
			}
			if err := rw.WriteReply(f.reply); err != nil {
				l.w.post(&leave{x, err})
				x.drain()
				return err
			}
		case <-ctx.Done():
			l.w.post(&leave{x, ctx.Err()})
			x.drain()
			return fmt.Errorf("peer %q: %w: %w", x.to, ctx.Err(), context.Cause(ctx))
		}
	}
}

// Begin implements [gcnode.Beginner], for some keys.
func (l *life) Begin(ctx context.Context, to gcnode.Peer, req *gcnode.Request, x gcnode.Exchange) (gcnode.Ticket, bool) {
	if key := req.Keys[0]; key == "" || key[len(key)-1]%2 == 0 {
		return gcnode.Ticket{}, false
	}
	return transporttest.Begin(ctx, l, to, req, x), true
}

// drain waits for the end.
func (x *exchange) drain() {
	for f := range x.in {
		if f.end {
			return
		}
	}
}

// failed is the error of RoundTrip.
func (x *exchange) failed(err error) error {
	if err == nil {
		return nil
	}
	failure := &gcnode.Error{Kind: gcnode.KindUnreachable, Op: x.req.Op, Group: x.req.Group, Peer: x.to, Err: err}
	if said, ok := errors.AsType[*gcnode.Error](err); ok {
		failure.Kind, failure.RetryAfter, failure.Err = said.Kind, said.RetryAfter, said.Err
	}
	return failure
}

func (x *exchange) content() string {
	r := x.req
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d %s %v %q", x.from.id, x.from.n, x.to, r.Op, r.Keys)
	for _, rm := range r.Removals {
		fmt.Fprintf(&b, " %s/%d", rm.ID.Sender, rm.ID.Seq)
	}
	for _, id := range r.Finished {
		fmt.Fprintf(&b, " -%s/%d", id.Sender, id.Seq)
	}
	b.WriteString(" " + x.tag)
	return b.String()
}

// request is a request that is sent.
type request struct{ x *exchange }

func (r *request) content() string { return "1 " + r.x.content() }

func (r *request) accept() {
	x, w := r.x, r.x.w
	n := &w.net
	if x.from.dead.Load() { // whose goroutines all end at once, in any order: it must change nothing
		x.finish(errCrashed)
		return
	}
	x.sent = w.now()
	n.exchanges = append(n.exchanges, x)
	w.counts[x.req.Op.String()+" requests"]++
	fate, told := n.fate(&Message{From: x.from.id, To: x.to, Request: x.req})
	switch {
	case told:
		w.after(fate.Delay, func() { x.finish(errLost) })
	case !fate.Lose:
		fate.pass(w, w.now()+fate.Delay, func() { x.deliver(once) })
	}
	if n.again != nil {
		if h := n.again(&Message{From: x.from.id, To: x.to, Request: x.req}); h != nil {
			twice := Fate{By: h}
			twice.pass(w, w.now(), func() { x.deliver(again) })
		}
	}
	if fate.Twice > 0 && !told {
		w.counts["duplicates"]++
		w.after(fate.Delay+fate.Twice, func() { x.deliver(again) })
	}
}

// fate decides what becomes of a message. told says that it is lost, and that
// the sender of the request hears of it after the delay.
func (n *network) fate(m *Message) (fate Fate, told bool) {
	w, f := n.w, &n.faults
	if n.steer != nil {
		fate = n.steer(m)
	}
	fate.Delay += w.between(time.Microsecond, max(f.Delay, 10*time.Microsecond))
	if fate.Refuse {
		return fate, true
	}
	if n.blocked[link{m.From, m.To}] {
		w.counts["messages into a partition"]++
		fate.Lose = true
		return fate, m.Reply == nil && !m.Last && w.chance(0.3)
	}
	switch {
	case w.chance(f.Drop):
		w.counts["drops"]++
		return fate, true
	case w.chance(f.Hang):
		w.counts["silent drops"]++
		fate.Lose = true
	case w.chance(f.Long):
		w.counts["long delays"]++
		fate.Delay += w.between(f.Late/10, f.Late)
	}
	if m.Reply == nil && !m.Last && w.chance(f.Twice) {
		fate.Twice = w.between(time.Microsecond, f.Late)
		if w.chance(0.5) {
			fate.Twice = w.between(time.Microsecond, 4*f.Delay)
		}
	}
	n.latest = max(n.latest, w.now()+fate.Delay+fate.Twice)
	return fate, false
}

// delivery says whether a request arrives for the first time.
type delivery int

const (
	once delivery = iota
	again
)

// deliver hands the request to the member. The second time, the replies are
// lost.
func (x *exchange) deliver(which delivery) {
	w := x.w
	if keepLogs {
		w.logf("request arrives %s", x.content())
	}
	if w.net.blocked[link{x.from.id, x.to}] {
		return
	}
	to := w.alive(x.to)
	if to == nil {
		if which == once {
			w.after(w.between(time.Microsecond, time.Millisecond), func() { x.finish(errNobody) })
		}
		return
	}
	w.hears(to, x.from, x.req.Op)
	tag := x.tag
	if which == again {
		tag += " again"
	}
	ctx, cancel := context.WithCancel(withTag(to.ctx, tag))
	x.serving = append(x.serving, serving{to, cancel})
	req := transporttest.CopyRequest(x.req)
	rw := &replyWriter{x: x, by: to, ctx: ctx, which: which}
	go func() {
		defer cancel()
		err := transporttest.Serve(ctx, to.node, req, rw)
		w.post(&reply{rw: rw, seq: rw.seq, end: true, err: transporttest.CopyFailure(err)})
	}()
}

// replyWriter takes the replies of a handler.
type replyWriter struct {
	x     *exchange
	by    *life
	ctx   context.Context //nolint:containedctx // that of one call
	which delivery
	seq   int
}

// WriteReply implements [gcnode.ReplyWriter].
func (rw *replyWriter) WriteReply(r gcnode.Reply) error {
	if rw.ctx.Err() != nil {
		return fmt.Errorf("the peer %q is gone: %w", rw.x.from.id, rw.ctx.Err())
	}
	r = transporttest.CopyReply(r)
	slices.Sort(r.Keys) // whose order says nothing, and differs from run to run
	rw.x.w.post(&reply{rw: rw, seq: rw.seq, reply: r})
	rw.seq++
	return nil
}

// reply is a reply that is sent, or the end.
type reply struct {
	rw    *replyWriter
	seq   int
	reply gcnode.Reply
	end   bool
	err   error
}

func (r *reply) content() string {
	return fmt.Sprintf("2 %s %v %06d %d", r.rw.x.content(), r.rw.which == once, r.seq, r.reply.Key)
}

func (r *reply) accept() {
	x := r.rw.x
	w := x.w
	if r.rw.which == again || x.finished || x.mute || r.rw.by.dead.Load() {
		return
	}
	m := &Message{From: x.to, To: x.from.id, Request: x.req, Last: r.end}
	if !r.end {
		m.Reply = &r.reply
	}
	fate, told := w.net.fate(m)
	x.last = max(x.last+1, w.now()+fate.Delay)
	switch {
	case told:
		x.mute = true
		w.at(x.last, func() { x.finish(errLost) })
	case fate.Lose:
		x.mute = true
	case r.end:
		fate.pass(w, x.last, func() { x.arrive(frame{end: true, err: r.err}) })
	default:
		fate.pass(w, x.last, func() { x.arrive(frame{reply: r.reply}) })
	}
}

// arrive hands a reply to the sender of the request.
func (x *exchange) arrive(f frame) {
	if keepLogs {
		x.w.logf("reply arrives %s: %v %v", x.content(), f.reply.Value, f.err)
	}
	switch {
	case x.finished:
	case x.w.net.blocked[link{x.to, x.from.id}]:
		x.mute = true
	case f.end:
		x.finish(f.err)
	case len(x.in) >= maxInTransit-1:
		x.last = max(x.last, x.w.now()+time.Millisecond)
		x.w.at(x.last, func() { x.arrive(f) })
	default:
		for _, s := range x.serving {
			x.w.hearsBack(x.from, s.by, x.req.Op)
		}
		x.in <- f
	}
}

// finish ends the exchange for the sender of the request.
func (x *exchange) finish(err error) {
	if x.finished {
		return
	}
	x.finished = true
	if x.req.Op == gcnode.OpPeek && len(x.req.Keys) == 1 {
		x.w.origin.peeked = peeked{by: x.from, key: x.req.Keys[0], tag: x.tag, from: x.sent, to: x.w.now()}
	}
	x.in <- frame{end: true, err: err}
	n := &x.w.net
	if i := slices.Index(n.exchanges, x); i >= 0 {
		n.exchanges = slices.Delete(n.exchanges, i, i+1)
	}
}

// leave is a sender that does not wait any more.
type leave struct {
	x   *exchange
	err error
}

func (l *leave) content() string { return "3 " + l.x.content() }

// accept lets the sender go. The request may be on its way, and is delivered
// nevertheless; one that is being served is told, if that is not lost.
func (l *leave) accept() {
	x, w := l.x, l.x.w
	if x.from.dead.Load() {
		x.finish(l.err)
		return
	}
	w.after(0, func() { x.finish(l.err) })
	if !w.net.blocked[link{x.from.id, x.to}] && !w.chance(w.net.faults.Hang) {
		w.after(w.between(time.Microsecond, max(w.net.faults.Delay, 10*time.Microsecond)), func() {
			for _, s := range x.serving {
				s.cancel()
			}
		})
	}
}

// crash ends what a life was doing. Requests that it has sent arrive.
func (n *network) crash(l *life) {
	for _, x := range slices.Clone(n.exchanges) {
		if x.from == l {
			x.finish(errCrashed)
		}
		for _, s := range x.serving {
			if x.from == l {
				s.cancel()
			} else if s.by == l && n.w.chance(0.6) { // otherwise the machine is silent
				n.w.after(n.w.between(time.Microsecond, time.Millisecond), func() { x.finish(errLost) })
			}
		}
	}
}

// block begins or ends the loss of all messages from one member to another.
func (n *network) block(from, to string) { n.blocked[link{from, to}] = true }

// heal ends all faults.
func (n *network) heal() {
	clear(n.blocked)
	n.faults = Faults{Delay: n.faults.Delay}
	n.steer = nil
}
