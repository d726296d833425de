package flight

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// ErrExited is the error of a call whose goroutine exited without returning.
var ErrExited = errors.New("the function ended its goroutine (runtime.Goexit)")

// PanicError is the error of a call that panicked.
type PanicError struct {
	Value any
	Stack []byte
}

// Error implements the error interface.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Call is one call under way.
type Call[T any] struct {
	flights  *Flights[T]
	stripe   *stripe[T]
	key      string
	run      func(context.Context, *Call[T]) (T, error)
	errand   Errand          // who may do the work instead
	batch    *Batch[T]       // in place of run, timeout and values
	values   context.Context // the first caller's
	timeout  time.Duration   // from the start to the deadline
	deadline int64

	// Guarded by stripe.mu.
	due       int64        // when to look after the errand; 0: there is none
	made      *madeContext // nil: nobody has needed it
	slot      int32        // the place among those under way, -1: it has ended
	waiters   int32        // a call that nobody asked for waits for itself
	role      Role         // it does not change
	detached  bool         // or it is the one that its key leads to
	cancelled bool         // it has ended before its deadline
	entrusted bool         // to the errand, which has not returned
	watched   bool         // somebody who looked after the call refers to it

	// first wakes who has begun the call, and done all who have joined it. Both
	// are guarded by stripe.mu until the call has ended; nil: nobody waits so.
	first chan struct{}
	done  chan struct{}
	value T     // valid after these
	err   error // valid after these
}

// Role is the call's role.
func (c *Call[T]) Role() Role { return c.role }

// Key is the key that the call is for.
func (c *Call[T]) Key() string { return c.key }

// Start is when the call was begun, unless a batch answers it.
func (c *Call[T]) Start() int64 { return c.deadline - int64(c.timeout) }

// Timeout is the time from then to its deadline.
func (c *Call[T]) Timeout() time.Duration { return c.timeout }

// Values is the context of the first caller.
func (c *Call[T]) Values() context.Context { return c.values }

// launch begins the work of a new call.
func (c *Call[T]) launch() {
	switch {
	case c.errand == nil:
	case c.errand.Begin():
		return
	default:
		c.distrust()
	}
	go c.fly()
}

// distrust leaves the call to its function.
func (c *Call[T]) distrust() {
	c.stripe.mu.Lock()
	defer c.stripe.mu.Unlock()
	c.entrusted = false
}

// alarm is when to look after the call. The stripe is locked.
func (c *Call[T]) alarm() int64 {
	if c.due != 0 {
		return min(c.due, c.deadline)
	}
	return c.deadline
}

// overdue is the errand if it is to be given up. The stripe is locked.
func (c *Call[T]) overdue(now int64) Errand {
	if c.due == 0 || c.due > now {
		return nil
	}
	c.due = now + int64(c.stripe.patience)
	if !c.entrusted {
		return nil
	}
	if due := c.errand.Due(); due > now {
		c.due = due
		return nil
	}
	c.watched = true
	return c.errand
}

// fly runs the function and publishes what it returned.
func (c *Call[T]) fly() {
	var value T
	err, returned := ErrExited, false
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
		if !returned {
			c.flights.rules.Report(c.key, err)
		}
		c.end(value, err, nil)
	}()
	growStack()
	value, err = c.run(c.Context(), c)
	returned = true
}

// growStack has the stack of a new goroutine grow while there is next to
// nothing on it. It would have to grow in the middle of a load otherwise, when
// there is more to be copied. Getters in WebAssembly need more than 4 KiB.
//
//go:noinline
func growStack() {
	var room [5 << 10]byte
	use(&room)
}

//go:noinline
func use(*[5 << 10]byte) {}

// end gives everyone who waits the answer, unless they have got one already.
// Before that it calls store, unless that is nil, as [Call.Keep] does.
func (c *Call[T]) end(value T, err error, store func()) {
	f, first := c.finish(store)
	if first {
		c.publish(value, err)
		f.end()
	}
}

// function is what has to learn that a call has ended: the context of its own, or
// its batch. Either may be nil.
type function[T any] struct {
	made  *madeContext
	batch *Batch[T]
}

func (f function[T]) end() {
	switch {
	case f.batch != nil:
		f.batch.leave()
	case f.made != nil:
		f.made.end()
	}
}

// finish calls store and takes the call away. It returns its function, and whether
// it was there.
func (c *Call[T]) finish(store func()) (f function[T], first bool) {
	c.stripe.mu.Lock()
	defer c.stripe.mu.Unlock()
	if store != nil {
		c.keep(store)
	}
	first = c.stripe.land(c)
	c.cancelled = c.cancelled || first
	return function[T]{c.made, c.batch}, first
}

// publish gives the answer of a call that has just ended. With that who has begun
// it may use it again.
func (c *Call[T]) publish(value T, err error) {
	c.value, c.err = value, err
	first, done := c.first, c.done
	if first != nil {
		first <- struct{}{} // there is room for one
	}
	if done != nil {
		close(done)
	}
}

// detach parts the call from its key. The stripe is locked.
func (c *Call[T]) detach() {
	if !c.detached {
		c.detached = true
		delete(c.stripe.calls[c.role], c.key)
	}
}

// Keep calls store unless the call has been detached, and reports whether it
// did. The lock of the key's stripe is held.
func (c *Call[T]) Keep(store func()) bool {
	c.stripe.mu.Lock()
	defer c.stripe.mu.Unlock()
	return c.keep(store)
}

// keep is Keep when the stripe is locked.
func (c *Call[T]) keep(store func()) bool {
	if c.detached {
		return false
	}
	store()
	return true
}

// Seat is a place among those who wait for a call, or the answer that came
// meanwhile.
type Seat[T any] struct {
	call   *Call[T]
	joined bool
	wake   chan struct{} // of who has begun the call
}

// Joined reports whether the place is in somebody else's call, or there is an
// answer already.
func (seat Seat[T]) Joined() bool { return seat.joined }

// Wait returns the answer of the call, and whether it was spared a call of its
// own. When ctx ends first, Wait returns its error at once.
func (seat Seat[T]) Wait(ctx context.Context) (value T, joined bool, err error) {
	c, ended := seat.call, seat.wake
	if ended == nil {
		ended = c.done // which stays what it is once somebody has joined
	}
	switch cancelled := ctx.Done(); {
	case ended == nil: // the answer was there
	case cancelled == nil: // waiting for one thing costs less
		<-ended
	default:
		select {
		case <-ended:
		case <-cancelled:
			c.leave() // and with it the channel, into which something may come
			return value, seat.joined, ctx.Err()
		}
	}
	value, err = c.value, c.err
	switch {
	case seat.wake == nil:
	case c.reusable():
		c.recycle()
	default:
		c.flights.wakes.Put(seat.wake)
	}
	return value, seat.joined, err
}

// reusable reports whether nobody else refers to a call that has ended.
func (c *Call[T]) reusable() bool { return c.entrusted && !c.watched && c.done == nil && c.made == nil }

// recycle gives the memory of a call back to who has made it.
func (c *Call[T]) recycle() {
	e := c.errand
	*c = Call[T]{first: c.first}
	e.Recycle()
}

// leave takes one waiter away. With the last one the call is of no use: it is
// cancelled, and a newcomer starts afresh instead of joining the corpse.
func (c *Call[T]) leave() {
	c.stripe.mu.Lock()
	c.waiters--
	last := c.waiters == 0 && c.stripe.land(c)
	c.cancelled = c.cancelled || last
	f, entrusted := function[T]{c.made, c.batch}, c.entrusted
	c.stripe.mu.Unlock()
	if !last {
		return
	}
	f.end()
	if entrusted {
		c.errand.Cancel()
	}
}
