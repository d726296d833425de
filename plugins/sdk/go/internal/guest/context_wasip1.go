package guest

import (
	"context"
	"time"
)

// requestKey is the context key of a request.
type requestKey struct{}

// A request is the context of its getter: one that costs nothing unless it is
// waited for or derived from. Goroutines of an instance take turns, so it needs
// no lock.
var _ context.Context = (*request)(nil)

// Deadline implements context.Context. A node does not tell it.
func (*request) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }

// Done implements context.Context.
func (r *request) Done() <-chan struct{} {
	if r.done == nil {
		r.done = make(chan struct{})
		if r.over {
			close(r.done)
		}
	}
	return r.done
}

// Err implements context.Context.
func (r *request) Err() error {
	if r.over {
		return context.Canceled
	}
	return nil
}

// Value implements context.Context.
func (r *request) Value(key any) any {
	if key == (requestKey{}) {
		return r
	}
	return nil
}

// AfterFunc is what package context looks for, so that a context that is
// derived from this one needs no goroutine.
func (r *request) AfterFunc(f func()) (stop func() bool) {
	if r.over {
		go f()
		return func() bool { return false }
	}
	if r.after == nil {
		r.after = map[*func()]bool{}
	}
	r.after[&f] = true
	return func() bool {
		waiting := r.after[&f]
		delete(r.after, &f)
		return waiting
	}
}

// finish ends the context.
func (r *request) finish() {
	r.over = true
	if r.done != nil {
		close(r.done)
	}
	if r.after == nil { // ranging over it takes time even so
		return
	}
	for f := range r.after {
		go (*f)()
	}
	r.after = nil
}
