package wasm

import (
	"sync"
	"time"
)

// The time for which nothing is asked of a module that loses its instances. It
// doubles each time that a request which is let through then loses one too.
const (
	shortestBreak = time.Second
	longestBreak  = 30 * time.Second
)

// brokenError is that a request has to wait because instances are lost.
type brokenError time.Duration

func (e brokenError) Error() string {
	return "instances were lost one after the other: no request is let through for a while"
}

// breaker keeps requests from a module that loses one instance after the other. It
// is safe for concurrent use.
type breaker struct {
	after int // how many in a row; 0: never

	mu    sync.Mutex
	lost  int           // in a row
	pause time.Duration // 0: requests are let through
	until time.Time     // when one is let through; others wait as long once more
}

// pass returns nil if a request may begin. It is not called if after is 0.
func (b *breaker) pass(now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.pause == 0:
		return nil
	case now.Before(b.until):
		return brokenError(b.until.Sub(now))
	default:
		b.until = now.Add(b.pause)
		return nil
	}
}

// worked notes that a guest returned as it should.
func (b *breaker) worked() {
	if b.after == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lost, b.pause = 0, 0
}

// discarded notes that an instance was discarded, or could not be started.
func (b *breaker) discarded(reason discardReason, now time.Time) {
	if b.after == 0 || !reason.isFault() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lost++
	if b.lost >= b.after {
		b.pause = min(max(2*b.pause, shortestBreak), longestBreak)
		b.until = now.Add(b.pause)
	}
}
