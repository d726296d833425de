// Package clock is a clock that costs next to nothing to read.
//
// Reading the machine's clock takes about as long as finding an entry in a
// cache. A [Clock] reads it once and answers from memory until a timer says
// that the answer is too old.
package clock

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultResolution is how far a clock may be behind when nothing else is
// asked for.
const DefaultResolution = 5 * time.Millisecond

// unknown is what a clock shows when it has to be read anew.
const unknown = -1

// Clock shows nanoseconds since its start. It never goes back.
//
// Now is behind Exact by at most the clock's resolution plus the time that the
// runtime takes to run a timer that is due; it is never ahead of it. So what
// is served while Now is before the end of its life is served no later than
// that end plus the resolution, plus the runtime's delay.
//
// Nothing runs while nobody reads the clock: the reader who brings it up to
// date starts a timer, and what the timer does is to have the next reader
// bring it up to date again. Where timers cannot fire while a goroutine is
// busy, which is so on wasm, Now is Exact.
type Clock struct {
	start      time.Time
	resolution time.Duration // not positive: exact

	shown atomic.Int64 // unknown: it has to be read

	mu    sync.Mutex
	timer *time.Timer // runs, or waits for mu, only while the time is shown
}

// New starts a clock; a resolution of 0 is [DefaultResolution], and with a
// negative one Now is Exact.
func New(resolution time.Duration) *Clock {
	if resolution == 0 {
		resolution = DefaultResolution
	}
	if runtime.GOARCH == "wasm" {
		resolution = -1
	}
	c := &Clock{start: time.Now(), resolution: resolution}
	c.shown.Store(unknown)
	return c
}

// Now is the time, as exact as the clock's resolution.
func (c *Clock) Now() int64 {
	if now := c.shown.Load(); now != unknown {
		return now
	}
	return c.read()
}

// Exact is the time.
func (c *Clock) Exact() int64 { return int64(time.Since(c.start)) }

// At is what an exact clock shows at a time.
func (c *Clock) At(t time.Time) int64 { return int64(t.Sub(c.start)) }

// Time is when an exact clock shows now.
func (c *Clock) Time(now int64) time.Time { return c.start.Add(time.Duration(now)) }

// read brings the clock up to date.
func (c *Clock) read() int64 {
	if c.resolution <= 0 {
		return c.Exact()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.shown.Load(); now != unknown { // another reader was faster
		return now
	}
	// The timer counts from before the reading, so that it is not late.
	if c.timer == nil {
		c.timer = time.AfterFunc(c.resolution, c.forget)
	} else {
		c.timer.Reset(c.resolution)
	}
	now := c.Exact()
	c.shown.Store(now)
	return now
}

// forget makes the next reader bring the clock up to date. It waits for one
// who is at it, whose reading would stay for good otherwise.
func (c *Clock) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shown.Store(unknown)
}
