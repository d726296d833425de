package wasm

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"
)

var (
	errPoolClosed = errors.New("the plugin is closed")
	errQueueFull  = errors.New("too many callers wait for an instance")
)

// pool lends out at most limit items. The item that was used last is lent
// first, so that a lull leaves the others cold; those who find none wait in
// the order of their arrival. The pool does not make items: whoever is lent a
// place without one makes it, so that no lock is held meanwhile.
type pool[T any] struct {
	limit, maxWaiting int

	mu      sync.Mutex
	idle    []T       // the last one was used last
	places  int       // taken, idle ones included
	waiting list.List // of *waiter[T]
	closed  bool
	empty   chan struct{} // closed when closed and no place is taken
}

// waiter is a caller in the queue. Whoever takes it out of the queue sends it
// exactly one loan.
type waiter[T any] struct {
	ready chan loan[T] // has room for one
}

// loan is a place in the pool: with an item, or for a new one.
type loan[T any] struct {
	item   T
	filled bool
	err    error
}

func newPool[T any](limit, maxWaiting int) *pool[T] {
	return &pool[T]{limit: limit, maxWaiting: maxWaiting, empty: make(chan struct{})}
}

// acquire lends a place. When filled is false the caller makes an item for
// it. A place is given back with release, or with drop when its item is gone.
// onWait is called if the caller has to wait. Who is served at the moment when
// its time ends gets its place all the same.
func (p *pool[T]) acquire(ctx context.Context, deadline time.Time, onWait func()) (item T, filled bool, err error) {
	p.mu.Lock()
	switch {
	case p.closed:
		p.mu.Unlock()
		return item, false, errPoolClosed
	case len(p.idle) > 0:
		item = p.takeIdle()
		p.mu.Unlock()
		return item, true, nil
	case p.places < p.limit:
		p.places++
		p.mu.Unlock()
		return item, false, nil
	case p.waiting.Len() >= p.maxWaiting:
		p.mu.Unlock()
		return item, false, errQueueFull
	}
	w := &waiter[T]{ready: make(chan loan[T], 1)}
	place := p.waiting.PushBack(w)
	p.mu.Unlock()
	onWait()

	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case l := <-w.ready:
		return l.item, l.filled, l.err
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-timer.C:
		err = errQueueTime
	}
	if l, served := p.leave(w, place); served {
		return l.item, l.filled, l.err
	}
	return item, false, err
}

// leave takes a waiter out of the queue, unless it was served just now.
func (p *pool[T]) leave(w *waiter[T], place *list.Element) (l loan[T], served bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case l = <-w.ready:
		return l, true
	default:
		p.waiting.Remove(place)
		return l, false
	}
}

// takeIdle removes the item that was used last; p.mu is held.
func (p *pool[T]) takeIdle() T {
	var none T
	last := len(p.idle) - 1
	item := p.idle[last]
	p.idle[last] = none
	p.idle = p.idle[:last]
	return item
}

// release gives an item back. It returns false when the pool is closed: the
// caller then gets rid of the item and calls drop.
func (p *pool[T]) release(item T) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	if w := p.nextWaiter(); w != nil {
		w.ready <- loan[T]{item: item, filled: true}
		return true
	}
	p.idle = append(p.idle, item)
	return true
}

// drop gives back a place whose item is gone.
func (p *pool[T]) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free()
}

// free passes a place on to the first waiter, or frees it; p.mu is held.
func (p *pool[T]) free() {
	if w := p.nextWaiter(); w != nil {
		w.ready <- loan[T]{}
		return
	}
	p.places--
	if p.closed && p.places == 0 {
		close(p.empty)
	}
}

func (p *pool[T]) nextWaiter() *waiter[T] {
	first := p.waiting.Front()
	if first == nil {
		return nil
	}
	w, _ := p.waiting.Remove(first).(*waiter[T])
	return w
}

// close refuses everyone from now on, those who wait included.
func (p *pool[T]) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.closed = true
	for w := p.nextWaiter(); w != nil; w = p.nextWaiter() {
		w.ready <- loan[T]{err: errPoolClosed}
	}
	if p.places == 0 {
		close(p.empty)
	}
}

// drain returns the idle items of a closed pool, to which none come back.
// Their places stay taken until the caller drops them.
func (p *pool[T]) drain() []T {
	p.mu.Lock()
	defer p.mu.Unlock()
	items := p.idle
	p.idle = nil
	return items
}

// figures are the places that are taken, the idle items among them, and the
// callers that wait.
func (p *pool[T]) figures() (places, idle, waiting int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.places, len(p.idle), p.waiting.Len()
}
