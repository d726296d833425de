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
	"hash/maphash"
	"sync"
	"time"

	"github.com/gcnode/gcnode/core/internal/clock"
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

// Rules are the same for all calls of a set of flights.
type Rules[T any] struct {
	// Clock is that of plans and errands, whose times are what it shows. nil: one
	// of their own.
	Clock *clock.Clock
	// Alone, under the lock of the key's stripe, asks for a call that nobody
	// joins and whose answer is not kept, and that joins none and does not Look.
	// nil: never.
	Alone func(role Role, key string) bool
	// Look is the caller's look-up once more, under the lock of the key's
	// stripe: between the first one and Board
	//
	//	this caller                   another one
	//	look-up: nothing
	//	                              its call ends, the answer is kept
	//	Board: no call under way
	//
	// the answer may have come.
	Look func(key string) (T, bool)
	// Run does the work, in a goroutine of its own. Its context has the values
	// of the first caller's.
	Run func(ctx context.Context, c *Call[T]) (T, error)
	// Errand makes the call of a plan that asks for it, empty or given back by
	// [Errand.Recycle], and who may do its work without a goroutine: they can be one
	// piece of memory. The lock of the key's stripe is held.
	Errand func() (*Call[T], Errand)
	// Patience is how long after its start an errand may be due at the earliest.
	Patience time.Duration
	// Report is told, once, of a call that panicked ([*PanicError]) or ended
	// its goroutine ([ErrExited]), whether or not somebody still waits for it.
	Report func(key string, err error)
}

// Plan says which call is wanted.
type Plan[T any] struct {
	Role Role
	Key  string
	// Timeout is the call's own deadline, counted from its start.
	Timeout time.Duration
	// Start is the time of its start, for who has just looked at the clock; 0: it
	// is looked at.
	Start int64
	// Errand asks for [Rules.Errand].
	Errand bool
	// Look and Run stand in for those of the [Rules], unless they are nil.
	Look func() (T, bool)
	Run  func(ctx context.Context, c *Call[T]) (T, error)
	// Batch, instead of Timeout and Run, answers the call together with
	// others.
	Batch *Batch[T]
}

const stripes = 64

// Flights holds the calls under way. The zero value is not usable; see [New].
type Flights[T any] struct {
	rules   Rules[T]
	seed    maphash.Seed
	stripes *[stripes]stripe[T] // apart, so that their timers hold nothing else in memory
	// wakes are channels of first waiters, to be used again. They are not shared by
	// all flights, since one that was made in a bubble of testing/synctest is of no
	// use outside.
	wakes sync.Pool
}

// New makes an empty set of flights.
func New[T any](rules Rules[T]) *Flights[T] {
	if rules.Clock == nil {
		rules.Clock = clock.New(0)
	}
	f := &Flights[T]{rules: rules, seed: maphash.MakeSeed(), stripes: new([stripes]stripe[T])}
	for i := range f.stripes {
		f.stripes[i].init(rules.Clock, rules.Patience)
	}
	return f
}

func (f *Flights[T]) stripe(key string) *stripe[T] {
	return &f.stripes[maphash.String(f.seed, key)%stripes]
}

func (f *Flights[T]) alone(role Role, key string) bool {
	return f.rules.Alone != nil && f.rules.Alone(role, key)
}

func (f *Flights[T]) look(p *Plan[T]) (T, bool) {
	if p.Look != nil {
		return p.Look()
	}
	return f.rules.Look(p.Key)
}

// Board takes a place among those who wait for the call under way for the key,
// or else for a new one; [Seat.Wait] must follow.
func (f *Flights[T]) Board(ctx context.Context, p Plan[T]) Seat[T] {
	seat := f.board(ctx, &p)
	if !seat.joined && p.Batch == nil {
		seat.call.launch()
	}
	return seat
}

// board is Board but for launching a new call.
func (f *Flights[T]) board(ctx context.Context, p *Plan[T]) Seat[T] {
	s := f.stripe(p.Key)
	s.mu.Lock()
	defer s.mu.Unlock()
	alone := f.alone(p.Role, p.Key)
	if c := s.calls[p.Role][p.Key]; c != nil && !alone {
		c.waiters++
		if c.done == nil {
			c.done = make(chan struct{})
		}
		return Seat[T]{call: c, joined: true}
	}
	if !alone { // whoever is finds nothing that others have found meanwhile
		if v, ok := f.look(p); ok {
			return Seat[T]{call: &Call[T]{value: v}, joined: true}
		}
	}
	c := f.start(ctx, s, p)
	c.entrusted = c.errand != nil
	if c.first == nil { // it is not used again
		if c.first, _ = f.wakes.Get().(chan struct{}); c.first == nil {
			c.first = make(chan struct{}, 1)
		}
	}
	if c.detached = alone; !alone {
		s.calls[p.Role][p.Key] = c
	}
	return Seat[T]{call: c, wake: c.first}
}

// Start begins a call that nobody waits for, and reports whether it did: not
// if one is under way, nor if Alone or Look, which looks for a reason to do
// without, is true. Whoever asks for the key joins the call; it does not end
// with the last of them.
func (f *Flights[T]) Start(ctx context.Context, p Plan[T]) bool {
	s := f.stripe(p.Key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls[p.Role][p.Key] != nil || f.alone(p.Role, p.Key) {
		return false
	}
	if _, ok := f.look(&p); ok {
		return false
	}
	c := f.start(ctx, s, &p)
	s.calls[p.Role][p.Key] = c
	if p.Batch == nil {
		go c.fly()
	}
	return true
}

// start makes a call with one who waits. The stripe is locked until it is known
// to those who are to join it.
func (f *Flights[T]) start(ctx context.Context, s *stripe[T], p *Plan[T]) *Call[T] {
	var c *Call[T]
	var errand Errand
	if p.Errand {
		c, errand = f.rules.Errand()
	} else {
		c = new(Call[T])
	}
	c.flights, c.stripe, c.role, c.key, c.errand, c.waiters = f, s, p.Role, p.Key, errand, 1
	if p.Batch != nil {
		p.Batch.add(c)
		s.takeOff(c)
		return c
	}
	begun := p.Start
	if begun == 0 {
		begun = s.clock.Exact()
	}
	c.values, c.timeout, c.deadline = ctx, p.Timeout, begun+int64(p.Timeout)
	if c.run = p.Run; c.run == nil {
		c.run = f.rules.Run
	}
	if p.Errand {
		c.due = begun + int64(s.patience)
	}
	s.takeOff(c)
	return c
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

// ApplyAll calls change under the locks of all stripes, and if it returns true
// detaches all calls.
func (f *Flights[T]) ApplyAll(change func() bool) {
	for i := range f.stripes {
		f.stripes[i].mu.Lock()
		defer f.stripes[i].mu.Unlock()
	}
	if !change() {
		return
	}
	for i := range f.stripes {
		for _, c := range f.stripes[i].flying {
			c.detach()
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
