package flight

import (
	"context"
	"time"
)

// Errand does the work of a call that needs no goroutine: somebody else brings
// the answer, with [Call.Return]. Its methods may be called at any time, also
// when the answer has come.
type Errand interface {
	// Due is when it is to be given up, as far as is known now.
	Due() time.Time
	// GiveUp tells that this time has come.
	GiveUp()
	// Cancel tells that nobody waits any more, or that the deadline of the call
	// has passed.
	Cancel()
}

// Entrust says who does the work. It is called by [Rules.Begin].
func (c *Call[T]) Entrust(e Errand) { c.ctx.entrust(e) }

// Context is that of the call.
func (c *Call[T]) Context() context.Context { return &c.ctx }

// Return ends a call whose work an errand has done.
func (c *Call[T]) Return(value T, err error) {
	c.ctx.entrust(nil)
	c.end(value, err)
}

// Continue has a function do what an errand could not. It runs like
// [Rules.Run], which it stands in for.
func (c *Call[T]) Continue(run func(context.Context, *Call[T]) (T, error)) {
	c.ctx.entrust(nil)
	c.run = run
	go c.fly()
}
