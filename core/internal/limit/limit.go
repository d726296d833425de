// Package limit bounds how many pieces of work run at the same time, and how
// many wait for their turn.
package limit

import (
	"container/list"
	"context"
	"errors"
	"math"
	"sync"
)

// ErrFull says that as many pieces of work are running and waiting as may.
var ErrFull = errors.New("too many are running and waiting")

// Limit hands out places, to those who wait in the order of their coming. A
// nil *Limit has room for everyone.
type Limit struct {
	max, maxQueue int

	mu      sync.Mutex
	running int
	queue   list.List // of chan struct{}, which is closed when its owner has got a place
}

// New makes a limit of max places, more than 0, and of queue who may wait.
func New(maximum, queue int) *Limit { return &Limit{max: maximum, maxQueue: queue} }

// Acquire takes a place, waiting for one if need be. Without room to wait it
// returns [ErrFull] at once, and when ctx ends first its error. After nil,
// [Limit.Release] must follow.
func (l *Limit) Acquire(ctx context.Context) error {
	if l == nil {
		return nil
	}
	return l.acquire(ctx, l.maxQueue)
}

// Wait is Acquire for those who are few, and may wait beside the queue's bound.
func (l *Limit) Wait(ctx context.Context) error {
	if l == nil {
		return nil
	}
	return l.acquire(ctx, math.MaxInt)
}

func (l *Limit) acquire(ctx context.Context, maxQueue int) error {
	l.mu.Lock()
	if l.running < l.max {
		l.running++
		l.mu.Unlock()
		return nil
	}
	if l.queue.Len() >= maxQueue {
		l.mu.Unlock()
		return ErrFull
	}
	turn := make(chan struct{})
	place := l.queue.PushBack(turn)
	l.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-turn: // it came at the same time, and goes to the next one
		l.release()
	default:
		l.queue.Remove(place)
	}
	return ctx.Err()
}

// TryAcquire takes a place if one is free, and never waits. After true,
// [Limit.Release] must follow.
func (l *Limit) TryAcquire() bool {
	if l == nil {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running >= l.max {
		return false
	}
	l.running++
	return true
}

// Release gives a place back.
func (l *Limit) Release() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.release()
}

// release gives a place to the next in the queue, or leaves it free. There is
// a queue only while all places are taken.
func (l *Limit) release() {
	if next := l.queue.Front(); next != nil {
		if turn, ok := l.queue.Remove(next).(chan struct{}); ok {
			close(turn)
		}
		return
	}
	l.running--
}

// Load is how many are running and waiting.
func (l *Limit) Load() (running, waiting int) {
	if l == nil {
		return 0, 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.running, l.queue.Len()
}
