package wasm

import (
	"container/list"
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

var (
	errPoolClosed = errors.New("the plugin is closed")
	errQueueFull  = errors.New("too many callers wait for an instance")
	errSlotGone   = errors.New("the instance is gone")
)

// pool lends out at most limit items, each to one holder at a time. A request
// may be open longer than its first loan: its holder then releases the item,
// which serves others meanwhile, and takes it again when there is something to
// do. An item has at most share open requests.
//
// The item that was used last is lent first, so that a lull leaves the others
// cold; those who find none wait in the order of their arrival. The pool does
// not make items: whoever is lent a slot without one makes it, so that no lock
// is held meanwhile.
type pool[T any] struct {
	limit, share, maxWaiting int

	mu      sync.Mutex
	idle    []*slot[T] // open for another request; the last one was used last
	places  int        // taken, idle ones included
	waiting list.List  // of *waiter[T]: new requests
	closed  bool
	empty   chan struct{} // closed when closed and no place is taken
}

// slot is a place in the pool with its item. item and filled belong to the
// holder, the rest to the pool.
type slot[T any] struct {
	item   T
	filled bool // there is an item

	requests  int       // that are not over
	lent      bool      // somebody holds it
	retired   bool      // it takes no new request
	back      bool      // the request that it was lent to last had come back
	gone      bool      // it is no part of the pool any more
	returning list.List // of *waiter[T]: requests that come back
}

// waiter is somebody in a queue. Whoever takes it out of the queue sends it
// exactly one loan.
type waiter[T any] struct {
	ready chan loan[T] // has room for one
}

type loan[T any] struct {
	slot *slot[T]
	err  error
}

func newPool[T any](limit, share, maxWaiting int) *pool[T] {
	return &pool[T]{limit: limit, share: share, maxWaiting: maxWaiting, empty: make(chan struct{})}
}

// acquire lends a slot for a new request. When it is not filled the caller
// makes an item for it. A slot is given back with release, or with discard
// when its item is of no use any more. onWait is called if the caller has to
// wait. Who is served at the moment when its time ends gets the slot all the
// same.
func (p *pool[T]) acquire(ctx context.Context, deadline time.Time, onWait func()) (*slot[T], error) {
	p.mu.Lock()
	switch {
	case p.closed:
		p.mu.Unlock()
		return nil, errPoolClosed
	case len(p.idle) > 0:
		s := p.idle[len(p.idle)-1]
		p.lend(s)
		s.requests++
		p.mu.Unlock()
		return s, nil
	case p.places < p.limit:
		p.places++
		p.mu.Unlock()
		return &slot[T]{lent: true, requests: 1}, nil
	case p.waiting.Len() >= p.maxWaiting:
		p.mu.Unlock()
		return nil, errQueueFull
	}
	w, place := enqueue[T](&p.waiting)
	p.mu.Unlock()
	onWait()
	l := p.wait(ctx, deadline, w, &p.waiting, place)
	return l.slot, l.err
}

// reacquire lends the slot of an open request again.
func (p *pool[T]) reacquire(ctx context.Context, deadline time.Time, s *slot[T]) error {
	p.mu.Lock()
	switch {
	case s.gone:
		p.mu.Unlock()
		return errSlotGone
	case !s.lent:
		p.lend(s)
		p.mu.Unlock()
		return nil
	}
	w, place := enqueue[T](&s.returning)
	p.mu.Unlock()
	return p.wait(ctx, deadline, w, &s.returning, place).err
}

func enqueue[T any](queue *list.List) (*waiter[T], *list.Element) {
	w := &waiter[T]{ready: make(chan loan[T], 1)}
	return w, queue.PushBack(w)
}

func (p *pool[T]) wait(ctx context.Context, deadline time.Time, w *waiter[T], queue *list.List, place *list.Element) loan[T] {
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	var err error
	select {
	case l := <-w.ready:
		return l
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-timer.C:
		err = errQueueTime
	}
	if l, served := p.giveUp(w, queue, place); served {
		return l
	}
	return loan[T]{err: err}
}

// giveUp takes a waiter out of its queue, unless it was served just now.
func (p *pool[T]) giveUp(w *waiter[T], queue *list.List, place *list.Element) (l loan[T], served bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case l = <-w.ready:
		return l, true
	default:
		queue.Remove(place)
		return l, false
	}
}

// lend takes a slot that rests; p.mu is held.
func (p *pool[T]) lend(s *slot[T]) {
	s.lent = true
	if i := slices.Index(p.idle, s); i >= 0 {
		p.idle = slices.Delete(p.idle, i, i+1)
	}
}

// release gives a slot back. ended is how many of its requests are over, and
// retire says that it shall serve no new ones. When release returns true the
// slot was the pool's for the last time: the caller gets rid of the item and
// calls drop.
func (p *pool[T]) release(s *slot[T], ended int, retire bool) (spent bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.requests -= ended
	s.retired = s.retired || retire
	return p.rest(s)
}

// leave ends an open request of a slot that its caller does not hold. Its
// result is that of release.
func (p *pool[T]) leave(s *slot[T]) (spent bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.requests--
	if s.gone || s.lent {
		return false
	}
	p.lend(s)
	return p.rest(s)
}

// rest lends a slot to the next who wants it, or keeps it; p.mu is held.
// Requests that come back and new ones take turns: those of a guest that yields
// come back at once.
func (p *pool[T]) rest(s *slot[T]) (spent bool) {
	open := s.requests < p.share && !s.retired && !p.closed
	if open && s.back && p.lendAnew(s) {
		return false
	}
	if w := next[T](&s.returning); w != nil {
		s.back = true
		w.ready <- loan[T]{slot: s}
		return false
	}
	if open && p.lendAnew(s) {
		return false
	}
	s.lent = false
	if s.requests == 0 && (s.retired || p.closed) {
		s.gone = true
		return true
	}
	if open {
		p.idle = append(p.idle, s)
	}
	return false
}

// lendAnew lends a slot that is lent, and open for it, to a new request that
// waits, if there is one; p.mu is held.
func (p *pool[T]) lendAnew(s *slot[T]) bool {
	w := next[T](&p.waiting)
	if w == nil {
		return false
	}
	s.back = false
	s.requests++
	w.ready <- loan[T]{slot: s}
	return true
}

// discard takes a slot out of the pool that the caller holds, whatever
// requests it has: those that come back get errSlotGone. The caller gets rid
// of the item and calls drop.
func (p *pool[T]) discard(s *slot[T]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.gone = true
	for w := next[T](&s.returning); w != nil; w = next[T](&s.returning) {
		w.ready <- loan[T]{err: errSlotGone}
	}
}

// drop passes the place of a slot that is gone on to the first waiter, or
// frees it.
func (p *pool[T]) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w := next[T](&p.waiting); w != nil {
		w.ready <- loan[T]{slot: &slot[T]{lent: true, requests: 1}}
		return
	}
	p.places--
	if p.closed && p.places == 0 {
		close(p.empty)
	}
}

func next[T any](queue *list.List) *waiter[T] {
	first := queue.Front()
	if first == nil {
		return nil
	}
	w, _ := queue.Remove(first).(*waiter[T])
	return w
}

// close refuses new requests from now on, those who wait included. It returns
// the slots without a request; the others are spent when their last request
// is over. Their places stay taken until the caller drops them.
func (p *pool[T]) close() (spent []*slot[T]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	for w := next[T](&p.waiting); w != nil; w = next[T](&p.waiting) {
		w.ready <- loan[T]{err: errPoolClosed}
	}
	for _, s := range p.idle {
		if s.requests == 0 {
			s.gone = true
			spent = append(spent, s)
		}
	}
	p.idle = nil
	if p.places == 0 {
		close(p.empty)
	}
	return spent
}

// figures are the places that are taken, the slots without a request among
// them, and the callers that wait.
func (p *pool[T]) figures() (places, idle, waiting int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.idle {
		if s.requests == 0 {
			idle++
		}
	}
	return p.places, idle, p.waiting.Len()
}
