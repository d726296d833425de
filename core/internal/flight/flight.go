// Package flight lets one call a key run while everyone who asks for the key
// waits for its answer.
//
// A call belongs to none of its callers: it has a deadline of its own, and is
// cancelled when the last waiter leaves. It can be detached from its key, and
// then nobody new joins it and nothing it found is kept.
package flight

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"runtime/debug"
	"sync"
	"time"
)

// Role separates the calls that ask other members from those that load from
// the origin. A request from a peer joins loads only: if it could join a call
// that asks, two nodes that each take the other for the owner would wait for
// one another.
type Role uint8

const (
	// Ask is a call to other members.
	Ask Role = iota
	// Load is a call to the origin.
	Load
	roles
)

// ErrDeadline is the error of a call that took longer than its timeout.
var ErrDeadline = errors.New("the call took longer than its timeout")

// ErrExited is the error of a call whose goroutine exited without returning.
var ErrExited = errors.New("the function ended its goroutine (runtime.Goexit)")

// PanicError is the error of a call that panicked.
type PanicError struct {
	Value any
	Stack []byte
}

// Error implements the error interface.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

const stripes = 64

// Flights holds the calls under way. The zero value is not usable; see [New].
type Flights[T any] struct {
	seed    maphash.Seed
	stripes [stripes]stripe[T]
}

type stripe[T any] struct {
	mu    sync.Mutex
	calls [roles]map[string]*Call[T]
	_     [40]byte // one stripe a cache line
}

// Call is one call under way.
type Call[T any] struct {
	stripe   *stripe[T]
	role     Role
	key      string
	ctx      context.Context
	cancel   context.CancelFunc
	waiters  int  // guarded by stripe.mu; a call that nobody asked for waits for itself
	watched  bool // guarded by stripe.mu; one of those who wait looks after the deadline
	detached bool // guarded by stripe.mu
	ended    bool // guarded by stripe.mu
	done     chan struct{}
	value    T     // valid after done
	err      error // valid after done
}

// New makes an empty set of flights.
func New[T any]() *Flights[T] {
	f := &Flights[T]{seed: maphash.MakeSeed()}
	for i := range f.stripes {
		for role := range f.stripes[i].calls {
			f.stripes[i].calls[role] = map[string]*Call[T]{}
		}
	}
	return f
}

func (f *Flights[T]) stripe(key string) *stripe[T] {
	return &f.stripes[maphash.String(f.seed, key)%stripes]
}

// Plan says which call is wanted.
type Plan[T any] struct {
	Role Role
	Key  string
	// Timeout is the call's own deadline, counted from its start.
	Timeout time.Duration
	// Alone, under the lock of the key's stripe, asks for a call that nobody
	// joins and whose answer is not kept, and that joins none.
	Alone func() bool
	// Look is the caller's look-up once more, under the lock of the key's
	// stripe: between the first one and Do
	//
	//	this caller                   another one
	//	look-up: nothing
	//	                              its call ends, the answer is kept
	//	Do: no call under way
	//
	// the answer may have come.
	Look func() (T, bool)
	// Run does the work, in a goroutine of its own. Its context has the values
	// of the first caller's.
	Run func(ctx context.Context, c *Call[T]) (T, error)
	// Batch, instead of Timeout, Run and Report, answers the call together
	// with others.
	Batch *Batch[T]
	// Report is told, once, of a call that panicked ([*PanicError]) or ended
	// its goroutine ([ErrExited]), whether or not somebody still waits for it.
	Report func(error)
}

// Do returns the answer of the call under way for the key, or else of a new
// one, and whether it was spared a call of its own. When ctx ends first, Do
// returns its error at once.
func (f *Flights[T]) Do(ctx context.Context, p Plan[T]) (value T, joined bool, err error) {
	return f.Board(ctx, p).Wait(ctx)
}

// Seat is a place among those who wait for a call, or the answer that came
// meanwhile.
type Seat[T any] struct {
	call   *Call[T] // nil: value is the answer
	value  T
	joined bool
	watch  bool // the one who looks after the call's deadline
}

// Join takes a place in the call under way for the key, unless there is none or
// alone, which is as in [Plan], is true. It is Board for those who need no
// plan, and costs less; [Seat.Wait] must follow.
func (f *Flights[T]) Join(role Role, key string, alone func() bool) (seat Seat[T], ok bool) {
	s := f.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.calls[role][key]
	if c == nil || alone() || c.ctx.Err() != nil {
		return seat, false
	}
	return c.take(), true
}

// Board is the first half of Do; [Seat.Wait] must follow.
func (f *Flights[T]) Board(ctx context.Context, p Plan[T]) Seat[T] {
	s := f.stripe(p.Key)
	s.mu.Lock()
	defer s.mu.Unlock()
	alone := p.Alone()
	if c := s.calls[p.Role][p.Key]; c != nil && !alone {
		if c.ctx.Err() == nil {
			return c.take()
		}
		c.detach() // its deadline has passed, its waiters are about to leave
	}
	if v, ok := p.Look(); ok {
		return Seat[T]{value: v, joined: true}
	}
	c := s.start(ctx, p)
	if c.detached = alone; !alone {
		s.calls[p.Role][p.Key] = c
	}
	c.watched = true
	return Seat[T]{call: c, watch: true}
}

// take is a place among those who wait. The stripe is locked.
func (c *Call[T]) take() Seat[T] {
	c.waiters++
	watch := !c.watched
	c.watched = true
	return Seat[T]{call: c, joined: true, watch: watch}
}

// Joined reports whether the place is in somebody else's call, or there is an
// answer already.
func (seat Seat[T]) Joined() bool { return seat.joined }

// Wait is the second half of Do.
func (seat Seat[T]) Wait(ctx context.Context) (value T, joined bool, err error) {
	c, joined := seat.call, seat.joined
	if c == nil {
		return seat.value, joined, nil
	}
	// One of those who wait is enough to look after the deadline: waiting for
	// fewer things at a time costs less.
	var deadline <-chan struct{}
	if seat.watch {
		deadline = c.ctx.Done()
	}
	if ctx.Done() == nil && deadline == nil {
		<-c.done
		return c.value, joined, c.err
	}
	select {
	case <-c.done:
	case <-deadline: // a function that ignores its context holds up nobody
		c.end(value, ErrDeadline)
		<-c.done
	case <-ctx.Done():
		seat.leave()
		return value, joined, ctx.Err()
	}
	return c.value, joined, c.err
}

// Start begins a call that nobody waits for, and reports whether it did: not
// if one is under way, nor if Alone or Look, which looks for a reason to do
// without, is true. Whoever asks for the key joins the call; it does not end
// with the last of them.
func (f *Flights[T]) Start(ctx context.Context, p Plan[T]) bool {
	s := f.stripe(p.Key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.calls[p.Role][p.Key]; c != nil {
		if c.ctx.Err() == nil {
			return false
		}
		c.detach()
	}
	if p.Alone() {
		return false
	}
	if _, ok := p.Look(); ok {
		return false
	}
	s.calls[p.Role][p.Key] = s.start(ctx, p)
	return true
}

// start begins a call with one who waits. The stripe is locked until it is
// known to those who are to join it.
func (s *stripe[T]) start(ctx context.Context, p Plan[T]) *Call[T] {
	c := &Call[T]{stripe: s, role: p.Role, key: p.Key, waiters: 1, done: make(chan struct{})}
	if p.Batch != nil {
		p.Batch.add(c)
		return c
	}
	c.ctx, c.cancel = context.WithTimeout(context.WithoutCancel(ctx), p.Timeout)
	go c.fly(p)
	return c
}

// fly runs the function and publishes what it returned.
func (c *Call[T]) fly(p Plan[T]) {
	var value T
	err, returned := ErrExited, false
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
		if !returned {
			p.Report(err)
		}
		c.end(value, err)
	}()
	value, err = p.Run(c.ctx, c)
	returned = true
}

// end gives everyone who waits the answer, unless they have got one already.
func (c *Call[T]) end(value T, err error) {
	c.stripe.mu.Lock()
	again := c.ended
	c.ended = true
	c.detach()
	c.stripe.mu.Unlock()
	if again {
		return
	}
	c.value, c.err = value, err
	close(c.done)
	c.cancel()
}

// leave takes one waiter away, perhaps the one who watched. With the last one
// the call is of no use: it is cancelled, and a newcomer starts afresh instead
// of joining the corpse.
func (seat Seat[T]) leave() {
	c := seat.call
	c.stripe.mu.Lock()
	defer c.stripe.mu.Unlock()
	c.waiters--
	if c.waiters == 0 || c.ctx.Err() != nil {
		c.detach()
		c.cancel()
	}
	if seat.watch && c.waiters > 0 {
		go func() {
			var none T
			<-c.ctx.Done()
			c.end(none, ErrDeadline)
		}()
	}
}

// detach parts the call from its key. The stripe is locked.
func (c *Call[T]) detach() {
	c.detached = true
	if calls := c.stripe.calls[c.role]; calls[c.key] == c {
		delete(calls, c.key)
	}
}

// Keep calls store unless the call has been detached, and reports whether it
// did. The lock of the key's stripe is held.
func (c *Call[T]) Keep(store func()) bool {
	c.stripe.mu.Lock()
	defer c.stripe.mu.Unlock()
	if c.detached {
		return false
	}
	store()
	return true
}

// Apply calls change under the lock of the key's stripe, and if it returns
// true detaches the calls of the key, in both roles. Those who wait still get
// their answer.
func (f *Flights[T]) Apply(key string, change func() bool) {
	s := f.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !change() {
		return
	}
	for _, calls := range s.calls {
		if c := calls[key]; c != nil {
			c.detach()
		}
	}
}

// ApplyAll calls change under the locks of all stripes, and detaches all calls.
func (f *Flights[T]) ApplyAll(change func()) {
	for i := range f.stripes {
		f.stripes[i].mu.Lock()
		defer f.stripes[i].mu.Unlock()
	}
	change()
	for i := range f.stripes {
		for _, calls := range f.stripes[i].calls {
			for _, c := range calls {
				c.detach()
			}
		}
	}
}

// Settle returns when every Keep and Apply that was running has ended.
func (f *Flights[T]) Settle() {
	for i := range f.stripes {
		f.stripes[i].mu.Lock()
		f.stripes[i].mu.Unlock() //nolint:staticcheck // the empty section is the point: whoever held the lock has left
	}
}
