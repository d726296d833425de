package transporttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// Beginning is a transport whose requests of one key are begun where that is
// possible: with it [Run] is the conformance kit of Begin.
type Beginning struct {
	gcnode.Beginner

	begun atomic.Int64
}

// Begun is how many requests were begun.
func (b *Beginning) Begun() int64 { return b.begun.Load() }

// RoundTrip implements [gcnode.Transport].
func (b *Beginning) RoundTrip(ctx context.Context, to gcnode.Peer, req *gcnode.Request, w gcnode.ReplyWriter) error {
	// Begin does not look at ctx, and of many replies nobody holds up the sender.
	if ctx.Err() != nil || len(req.Keys) > 1 {
		return b.Beginner.RoundTrip(ctx, to, req, w)
	}
	q := NewQueue()
	sent := *req
	sent.Keys, sent.Digests = slices.Clone(req.Keys), slices.Clone(req.Digests)
	ticket, ok := b.Begin(ctx, to, &sent, q)
	clear(sent.Keys) // Begin keeps nothing
	clear(sent.Digests)
	sent = gcnode.Request{}
	if !ok {
		return b.Beginner.RoundTrip(ctx, to, req, w)
	}
	b.begun.Add(1)
	for {
		replies, ended, err := q.take()
		_, repeat := errors.AsType[*gcnode.RepeatError](err)
		for _, r := range replies {
			if err := w.WriteReply(r); err != nil {
				ticket.Cancel()
				return err
			}
		}
		switch {
		case ended && repeat:
			return b.Beginner.RoundTrip(ctx, to, req, w)
		case ended:
			return err
		}
		select {
		case <-q.news:
		case <-ctx.Done():
			ticket.Cancel()
			return fmt.Errorf("peer %q: %w", to.ID, endOf(ctx))
		}
	}
}

// Queue is a [gcnode.Exchange] whose replies wait until somebody wants them. A
// second end is a panic.
type Queue struct {
	news chan struct{} // holds one element when something has come

	mu      sync.Mutex
	replies []gcnode.Reply
	ended   bool
	err     error
}

// NewQueue makes the exchange of one request.
func NewQueue() *Queue { return &Queue{news: make(chan struct{}, 1)} }

// WriteReply implements [gcnode.Exchange].
func (q *Queue) WriteReply(r gcnode.Reply) error {
	q.change(func() { q.replies = append(q.replies, r) })
	return nil
}

// End implements [gcnode.Exchange].
func (q *Queue) End(err error) {
	q.change(func() {
		if q.ended {
			panic("a second end") //nolint:forbidigo // it must not pass unnoticed, and there is no test at hand
		}
		q.ended, q.err = true, err
	})
}

// Ended reports whether the exchange has ended.
func (q *Queue) Ended() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ended
}

// Wait returns the replies and the error of the exchange, once it has ended.
func (q *Queue) Wait(t *testing.T) (replies []gcnode.Reply, _ error) {
	t.Helper()
	for {
		more, ended, err := q.take()
		replies = append(replies, more...)
		if ended {
			return replies, err
		}
		select {
		case <-q.news:
		case <-time.After(patience):
			t.Fatal("the exchange does not end")
		}
	}
}

// take takes the replies that have come.
func (q *Queue) take() (replies []gcnode.Reply, ended bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	replies, q.replies = q.replies, nil
	return replies, q.ended, q.err
}

// change changes the queue, and wakes who waits for it.
func (q *Queue) change(change func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	change()
	select {
	case q.news <- struct{}{}:
	default:
	}
}
