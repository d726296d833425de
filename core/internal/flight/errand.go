package flight

import "context"

// Errand does the work of a call that needs no goroutine: somebody else brings
// the answer, with [Call.Return]. Its methods may be called at any time, also
// while Begin runs or when the answer has come.
type Errand interface {
	// Begin begins the work. If it cannot, it is false, and the call is run like
	// any other. It is called by who boards, outside of all locks.
	Begin() bool
	// Due is when it is to be given up, as far as is known now.
	Due() int64
	// GiveUp tells that this time has come.
	GiveUp()
	// Cancel tells that nobody waits any more, or that the deadline of the call
	// has passed.
	Cancel()
	// Recycle may come last: nobody refers any more to the errand nor to its call,
	// which is empty.
	Recycle()
}

// Return ends a call whose work an errand has done. Before that it calls store,
// unless that is nil, as [Call.Keep] does.
func (c *Call[T]) Return(value T, err error, store func()) { c.end(value, err, store) }

// Continue has a function do what an errand could not. It runs like
// [Rules.Run], which it stands in for.
func (c *Call[T]) Continue(run func(context.Context, *Call[T]) (T, error)) {
	c.distrust()
	c.run = run
	go c.fly()
}
