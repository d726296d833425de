package gcnode

import (
	"sync"
	"time"
)

// stampClock is a hybrid logical clock: the wall clock, but never behind a
// stamp that was taken or seen.
type stampClock struct {
	wall func() time.Time
	mu   sync.Mutex
	last int64
}

// take returns a stamp later than all that were taken or merged.
func (c *stampClock) take(incarnation uint64) Stamp {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(c.last+1, c.wall().UnixNano())
	return Stamp{Time: c.last, Incarnation: incarnation}
}

// merge takes note of another member's stamp.
func (c *stampClock) merge(s Stamp) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(c.last, s.Time)
}

// now is the clock's time.
func (c *stampClock) now() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(c.last, c.wall().UnixNano())
}

// seen is the latest time that was taken or merged.
func (c *stampClock) seen() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}
