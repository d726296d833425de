package flight

import (
	"context"
	"time"
)

// lazyContext is the context of a call. It is made when somebody needs it:
// making one, with its timer, costs as much as the rest of a call, and a
// function that finds its answer at once needs none. Contexts that derive from
// it find the one that was made.
type lazyContext[T any] Call[T]

// madeContext is one that was made.
type madeContext struct {
	context.Context

	end context.CancelFunc
}

// Context is that of the call.
func (c *Call[T]) Context() context.Context { return (*lazyContext[T])(c) }

// Deadline implements [context.Context].
func (l *lazyContext[T]) Deadline() (time.Time, bool) { return l.stripe.clock.Time(l.deadline), true }

// Done implements [context.Context].
func (l *lazyContext[T]) Done() <-chan struct{} { return l.make().Done() }

// Err implements [context.Context]. As long as there is no error, it takes no
// context to know.
func (l *lazyContext[T]) Err() error {
	l.stripe.mu.Lock()
	unmade := l.made == nil && !l.cancelled
	l.stripe.mu.Unlock()
	if unmade && l.stripe.clock.Exact() < l.deadline {
		return nil
	}
	return l.make().Err()
}

// Value implements [context.Context].
func (l *lazyContext[T]) Value(key any) any { return l.make().Value(key) }

func (l *lazyContext[T]) make() context.Context {
	l.stripe.mu.Lock()
	defer l.stripe.mu.Unlock()
	if l.made != nil {
		return l.made
	}
	made, values := new(madeContext), context.WithoutCancel(l.values)
	if l.cancelled { // before its deadline, whatever the time is now
		made.Context, made.end = context.WithCancel(values)
		made.end()
	} else {
		deadline, _ := l.Deadline()
		made.Context, made.end = context.WithDeadline(values, deadline)
	}
	l.made = made
	return made
}
