package guest

import (
	"context"
	"runtime"
	"time"
)

// slice is how long a request computes before the node calls for others.
const slice = time.Millisecond

// Yield lets the node call for other requests if the one that ctx belongs to has
// computed for a while. It waits for the node like a fetch does.
func Yield(ctx context.Context) error {
	r, ok := ctx.Value(requestKey{}).(*request)
	if !ok {
		return ErrNoRequest
	}
	now := time.Now()
	if r.yielded.IsZero() {
		r.yielded = now
	}
	if r.over || now.Sub(r.yielded) < slice {
		return ctx.Err()
	}
	call := yieldStart(r.id)
	if call <= 0 { // another goroutine of the request does already
		runtime.Gosched()
		return ctx.Err()
	}
	select {
	case <-running.begun(call, r).answer:
	case <-r.Done():
	}
	r.yielded = time.Now()
	return ctx.Err()
}
