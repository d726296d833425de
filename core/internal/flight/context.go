package flight

import (
	"context"
	"sync"
	"time"
)

// lazyContext is the context of a call. It is made when somebody needs it:
// making one, with its timer, costs as much as the rest of a call, and a
// function that finds its answer at once needs none. Contexts that derive from
// it find the one that was made.
type lazyContext struct {
	values   context.Context // the first caller's
	deadline time.Time

	mu        sync.Mutex
	made      context.Context
	end       context.CancelFunc
	cancelled bool
	expired   bool   // the deadline has passed for the errand
	errand    Errand // ends with the context
}

// Deadline implements [context.Context].
func (l *lazyContext) Deadline() (time.Time, bool) { return l.deadline, true }

// Done implements [context.Context].
func (l *lazyContext) Done() <-chan struct{} { return l.make().Done() }

// Err implements [context.Context]. As long as there is no error, it takes no
// context to know.
func (l *lazyContext) Err() error {
	l.mu.Lock()
	unmade := l.made == nil && !l.cancelled
	l.mu.Unlock()
	if unmade && time.Now().Before(l.deadline) {
		return nil
	}
	return l.make().Err()
}

// Value implements [context.Context].
func (l *lazyContext) Value(key any) any { return l.make().Value(key) }

func (l *lazyContext) make() context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.made != nil {
		return l.made
	}
	values := context.WithoutCancel(l.values)
	if l.cancelled { // before its deadline, whatever the time is now
		l.made, l.end = context.WithCancel(values)
		l.end()
	} else {
		l.made, l.end = context.WithDeadline(values, l.deadline)
	}
	return l.made
}

func (l *lazyContext) cancel() {
	l.mu.Lock()
	l.cancelled = true
	end, errand := l.end, l.errand
	l.errand = nil
	l.mu.Unlock()
	if end != nil {
		end()
	}
	if errand != nil {
		errand.Cancel()
	}
}

// entrust sets the errand, nil for none any more.
func (l *lazyContext) entrust(e Errand) {
	l.mu.Lock()
	l.errand = e
	over := l.cancelled || l.expired
	l.mu.Unlock()
	if over && e != nil {
		e.Cancel()
	}
}

// expire tells the errand of the deadline; the context looks after itself.
func (l *lazyContext) expire() {
	l.mu.Lock()
	l.expired = true
	errand := l.errand
	l.errand = nil
	l.mu.Unlock()
	if errand != nil {
		errand.Cancel()
	}
}

// entrusted is the errand.
func (l *lazyContext) entrusted() Errand {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.errand
}
