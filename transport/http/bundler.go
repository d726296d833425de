package httptransport

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

const (
	// maxTurns is how many POSTs to a peer are under way before a fetch waits for
	// others to go with.
	maxTurns = 2
	// turnTime is how long it waits, at most: a POST that takes longer keeps
	// nobody waiting.
	turnTime = time.Millisecond
	// maxSharedBytes is the size of a request that may share a POST, and
	// maxShared how many of them do.
	maxSharedBytes = 4 << 10
	maxShared      = 256
)

// bundler sends fetches to a peer to which there is no stream. While POSTs are
// under way, those that come wait, and go together as the next one, a bundle:
//
//	A: takes a turn ┄┄ POST(A) ┄┄ answered
//	B:   takes a turn ┄┄ POST(B) ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄ answered
//	C:        waits ┄┄┄┄┄┄┄┄┄┄┄┄┄ POST(C, D) ┄┄┄┄┄┄┄ answered
//	D:            waits ┄┄┄┄┄┄┄┄┄                ┄┄┄ answered
//
// A fetch that goes alone is a request as any other, and is answered when the
// value is loaded. A bundle is answered at once, with what the peer has in memory:
// what it does not have, or what is large, is asked for again, alone. So nobody
// waits for another one's value, whatever is between the two.
type bundler struct {
	p *peer

	off     spell // the peer takes no bundles
	bundles atomic.Uint64
	bundled atomic.Uint64

	mu      sync.Mutex
	turns   [maxTurns]turn
	waiting []*bundle // the last one takes more
	timer   *time.Timer
	armed   bool // the timer will end the waiting
}

// turn is the right to have a POST under way.
type turn struct {
	taken  bool
	since  time.Time
	number uint64 // how often it was taken
}

// ticket is for a turn that was taken; the zero value is for none.
type ticket struct {
	turn   int
	number uint64
}

// mayShare reports whether a request may go in a bundle: those that a peer may
// answer at once.
func mayShare(req *gcnode.Request) bool {
	return req.Op == gcnode.OpFetch && len(req.Keys) == 1 && len(req.Removals) == 0 && req.Value.Len() == 0 &&
		req.Trace == gcnode.Trace{}
}

// takes reports whether an encoded request that may share a POST is to do so.
func (b *bundler) takes(request []byte) bool {
	return len(request) <= maxSharedBytes && b.off.over()
}

// exchange sends a request, alone or with others, and hands the reply to w.
func (b *bundler) exchange(ctx context.Context, request []byte, req *gcnode.Request, w gcnode.ReplyWriter) error {
	if ctx.Err() != nil { // the answer may be there before that is looked at
		return endOf(ctx)
	}
	f := &fetch{b: b, done: make(chan outcome, 1)}
	b.add(f, request)
	var got outcome
	select {
	case got = <-f.done:
	case <-ctx.Done():
		if f.leave() {
			return endOf(ctx)
		}
		got = <-f.done
	}
	if got.apart {
		defer b.release(got.ticket)
		return b.p.post(ctx, req, w)
	}
	return finish(got.reply, got.err, req, w)
}

// begin sends a request for which nobody waits.
func (b *bundler) begin(ctx context.Context, request []byte, to gcnode.Peer, req *gcnode.Request, x gcnode.Exchange) gcnode.Ticket {
	f := &fetch{b: b, ctx: ctx, to: to, exchange: x}
	f.keep(req)
	b.add(f, request)
	return gcnode.Ticket{Of: f}
}

// add has a fetch wait, unless there is a turn for it.
func (b *bundler) add(f *fetch, request []byte) {
	b.mu.Lock()
	f.in = b.open(len(request))
	f.in.calls = wire.AppendCallRequest(f.in.calls, uint64(len(f.in.fetches)+1), request)
	f.in.fetches = append(f.in.fetches, f)
	f.in.left++
	t, ok := b.take()
	if !ok {
		b.arm()
	}
	b.mu.Unlock()
	if ok {
		runtime.Gosched() // others that are ready to run may go with it
		b.send(t)
	}
}

// open is the bundle with room for a request. The bundler is locked.
func (b *bundler) open(size int) *bundle {
	if n := len(b.waiting); n > 0 {
		last := b.waiting[n-1]
		if len(last.fetches) < maxShared && len(last.calls)+size+callBytes <= wire.MaxBundleBytes {
			return last
		}
	}
	next := &bundle{b: b}
	b.waiting = append(b.waiting, next)
	return next
}

// take takes a turn, if there is one that is free or was taken long ago. The
// bundler is locked.
func (b *bundler) take() (ticket, bool) {
	now := time.Now()
	for i := range b.turns {
		t := &b.turns[i]
		if !t.taken || now.Sub(t.since) >= turnTime {
			*t = turn{taken: true, since: now, number: t.number + 1}
			return ticket{i, t.number}, true
		}
	}
	return ticket{}, false
}

// release gives a turn back, or to who waits.
func (b *bundler) release(t ticket) {
	b.mu.Lock()
	if held := &b.turns[t.turn]; held.number == t.number {
		held.taken = false
	}
	var next ticket
	ok := false
	if len(b.waiting) > 0 {
		next, ok = b.take()
	}
	b.mu.Unlock()
	if ok {
		b.send(next)
	}
}

// arm sees to it that who waits does not wait for long. The bundler is locked.
func (b *bundler) arm() {
	switch {
	case b.armed:
	case b.timer == nil:
		b.armed = true
		b.timer = time.AfterFunc(turnTime, b.tick)
	default:
		b.armed = true
		b.timer.Reset(turnTime)
	}
}

// tick ends the waiting.
func (b *bundler) tick() {
	b.mu.Lock()
	b.armed = false
	var t ticket
	ok := false
	if len(b.waiting) > 0 {
		if t, ok = b.take(); !ok {
			b.arm()
		}
	}
	b.mu.Unlock()
	if ok {
		b.send(t)
	}
}

// send sends what waits, with a turn that was taken for it.
func (b *bundler) send(t ticket) {
	b.mu.Lock()
	var c *bundle
	for c == nil && len(b.waiting) > 0 {
		c, b.waiting = b.waiting[0], b.waiting[1:]
		if c.left == 0 { // nobody wants it any more
			c = nil
		}
	}
	switch {
	case len(b.waiting) > 0:
		b.arm()
	case b.armed:
		b.armed = !b.timer.Stop()
	}
	var alone *fetch
	if c != nil && len(c.fetches) == 1 && c.fetches[0].takeApart() {
		alone = c.fetches[0]
	}
	b.mu.Unlock()
	switch {
	case c == nil:
		b.release(t)
	case alone != nil:
		alone.goApart(t)
	default:
		go c.carry(t)
	}
}
