package flight

import (
	"context"
	"errors"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// ErrUnanswered is the error of a call that its batch has passed over.
var ErrUnanswered = errors.New("the batch ended without an answer")

// Batch is one piece of work that answers several calls, each when it can. It
// is filled by boarding plans that name it, from one goroutine, and then run.
//
// It is cancelled when nobody waits for any of its calls any more.
type Batch[T any] struct {
	ctx    context.Context
	cancel context.CancelFunc
	calls  []*Call[T]
	open   atomic.Int64 // calls that somebody waits for, and one more before Run
}

// NewBatch makes an empty batch, whose timeout counts from now. It has the
// values of ctx.
func NewBatch[T any](ctx context.Context, timeout time.Duration) *Batch[T] {
	b := &Batch[T]{}
	b.ctx, b.cancel = context.WithTimeout(context.WithoutCancel(ctx), timeout)
	b.open.Store(1)
	return b
}

func (b *Batch[T]) add(c *Call[T]) {
	b.calls = append(b.calls, c)
	b.open.Add(1)
	c.batch = b
	deadline, _ := b.ctx.Deadline()
	c.deadline = c.stripe.clock.At(deadline)
}

// leave takes one of those away for whom the batch is run.
func (b *Batch[T]) leave() {
	if b.open.Add(-1) == 0 {
		b.cancel()
	}
}

// Keys are those of its calls.
func (b *Batch[T]) Keys() []string {
	keys := make([]string, len(b.calls))
	for i, c := range b.calls {
		keys[i] = c.key
	}
	return keys
}

// Run starts the work, if there are calls: run in a goroutine of its own. It
// answers the calls with [Batch.Answer]; those that it has passed over get its
// error, or [ErrUnanswered]. Report is as in [Rules], but for the key.
func (b *Batch[T]) Run(run func(context.Context) error, report func(error)) {
	if b.leave(); len(b.calls) == 0 {
		return
	}
	go func() {
		err, returned := ErrExited, false
		defer func() {
			if v := recover(); v != nil {
				err = &PanicError{Value: v, Stack: debug.Stack()}
			}
			if !returned {
				report(err)
			}
			var none T
			for _, c := range b.calls {
				c.end(none, err, nil)
			}
		}()
		if err = run(b.ctx); err == nil {
			err = ErrUnanswered
		}
		returned = true
	}()
}

// Answer ends the i-th call, unless it has ended; before that it calls store
// as [Call.Keep] does. It may be called from any goroutine.
func (b *Batch[T]) Answer(i int, value T, err error, store func()) {
	b.calls[i].end(value, err, store)
}
