package wasm

import (
	"context"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// deadlineError says where the time of a request ran out.
type deadlineError string

const (
	errDeadline  deadlineError = "the deadline has passed"
	errQueueTime deadlineError = "no instance was free before the deadline"
)

func (e deadlineError) Error() string { return string(e) }

// Is makes the error recognisable without its type.
func (e deadlineError) Is(target error) bool {
	return target == gcnode.ErrTimeout || target == context.DeadlineExceeded
}

// deadline is when a request has to be over: at a point in time, or when its
// caller is gone, or when the plugin is stopped. Checking it does not allocate.
type deadline struct {
	at     time.Time
	seen   time.Time // the last look at the clock: nobody waited for anything since
	caller context.Context
	plugin context.Context // done when everything has to stop at once
}

// newDeadline is the earlier one of the caller's deadline and the plugin's limit
// from now.
func (p *Plugin) newDeadline(caller context.Context) deadline {
	now := p.now()
	left := p.opts.Timeout
	if at, ok := caller.Deadline(); ok {
		left = min(left, time.Until(at)) // which is right for deadlines without a monotonic clock
	}
	return deadline{at: now.Add(left), seen: now, caller: caller, plugin: p.life}
}

// now is the time without a look at the wall clock, which would take as long again.
func (p *Plugin) now() time.Time { return p.epoch.Add(time.Since(p.epoch)) }

// look sees what time it is.
func (d *deadline) look() { d.seen = time.Now() }

// check returns why the request has to stop, or nil.
func (d *deadline) check() error { return d.checkAt(time.Now()) }

// checkAt is check for who knows what time it is.
func (d *deadline) checkAt(now time.Time) error {
	switch {
	case !now.Before(d.at):
		return errDeadline
	case d.plugin.Err() != nil:
		return errPoolClosed
	default:
		return d.caller.Err()
	}
}

// context is one that ends with the request.
func (d *deadline) context() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithDeadline(d.caller, d.at)
	stop := context.AfterFunc(d.plugin, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// sleep waits for length, or until the request has to stop.
func (d *deadline) sleep(length time.Duration) {
	timer := time.NewTimer(min(length, time.Until(d.at)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-d.caller.Done():
	case <-d.plugin.Done():
	}
}
