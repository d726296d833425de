package flight

import (
	"math"
	"sync"
	"time"

	"github.com/gcnode/gcnode/core/internal/clock"
)

// never is when a timer rings that does not.
const never int64 = math.MaxInt64

// stripe holds the calls of some of the keys, and looks after their deadlines.
//
// There is one timer for all of them. It rings at the deadline of the first
// call that sets it, and then at the first one that is left: a call that ends
// before its deadline, as nearly all do, leaves it alone.
type stripe[T any] struct {
	// What each call needs lies in one cache line.
	mu     sync.Mutex
	calls  [roles]map[string]*Call[T] // those that can be joined
	flying []*Call[T]                 // all that have not ended
	alarm  int64                      // when the timer rings
	clock  *clock.Clock

	timer    *time.Timer
	patience time.Duration // of errands
	_        [48]byte      // two cache lines a stripe
}

func (s *stripe[T]) init(c *clock.Clock, patience time.Duration) {
	s.clock, s.patience, s.alarm = c, patience, never
	for role := range s.calls {
		s.calls[role] = map[string]*Call[T]{}
	}
}

// takeOff adds a call. The stripe is locked.
func (s *stripe[T]) takeOff(c *Call[T]) {
	c.slot = int32(len(s.flying))
	s.flying = append(s.flying, c)
	if at := c.alarm(); at < s.alarm {
		s.ringAt(at)
	}
}

// land takes a call away, and reports whether it was there. The stripe is
// locked.
func (s *stripe[T]) land(c *Call[T]) bool {
	if c.slot < 0 {
		return false
	}
	last := len(s.flying) - 1
	s.flying[c.slot], s.flying[last].slot = s.flying[last], c.slot
	s.flying[last], s.flying = nil, s.flying[:last]
	c.slot = -1
	c.detach()
	return true
}

// ringAt sets the alarm. The stripe is locked.
func (s *stripe[T]) ringAt(t int64) {
	s.alarm = t
	after := time.Duration(t - s.clock.Exact())
	if s.timer == nil {
		s.timer = time.AfterFunc(after, s.ring)
	} else {
		s.timer.Reset(after)
	}
}

// ring ends the calls whose deadline has passed: a function that ignores its
// context holds up nobody. Errands that are due are given up.
func (s *stripe[T]) ring() {
	s.mu.Lock()
	now := s.clock.Exact()
	var late []*Call[T]
	var overdue, cancelled []Errand
	next := never
	for _, c := range s.flying {
		if c.deadline <= now {
			late = append(late, c)
			continue
		}
		if e := c.overdue(now); e != nil {
			overdue = append(overdue, e)
		}
		next = min(next, c.alarm())
	}
	for _, c := range late {
		s.land(c)
		if c.entrusted {
			c.watched = true
			cancelled = append(cancelled, c.errand)
		}
	}
	if s.alarm = next; next != never {
		s.ringAt(next)
	}
	s.mu.Unlock()
	var none T
	for _, c := range late { // their contexts have the same deadline, and end by it
		c.publish(none, ErrDeadline)
	}
	for _, e := range cancelled {
		e.Cancel()
	}
	for _, e := range overdue {
		e.GiveUp()
	}
}
