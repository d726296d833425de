package flight

import (
	"sync"
	"time"
)

// stripe holds the calls of some of the keys, and looks after their deadlines.
//
// There is one timer for all of them. It rings at the deadline of the first
// call that sets it, and then at the first one that is left: a call that ends
// before its deadline, as nearly all do, leaves it alone.
type stripe[T any] struct {
	mu     sync.Mutex
	calls  [roles]map[string]*Call[T] // those that can be joined
	flying []*Call[T]                 // all that have not ended
	timer  *time.Timer
	alarm  time.Time // when the timer rings; zero: it does not
	_      [40]byte  // two cache lines a stripe
}

func (s *stripe[T]) init() {
	for role := range s.calls {
		s.calls[role] = map[string]*Call[T]{}
	}
}

// takeOff adds a call. The stripe is locked.
func (s *stripe[T]) takeOff(c *Call[T]) {
	c.slot = len(s.flying)
	s.flying = append(s.flying, c)
	if at := c.alarm(); s.alarm.IsZero() || at.Before(s.alarm) {
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
func (s *stripe[T]) ringAt(t time.Time) {
	s.alarm = t
	if s.timer == nil {
		s.timer = time.AfterFunc(time.Until(t), s.ring)
	} else {
		s.timer.Reset(time.Until(t))
	}
}

// ring ends the calls whose deadline has passed: a function that ignores its
// context holds up nobody. Errands that are due are given up.
func (s *stripe[T]) ring() {
	s.mu.Lock()
	now := time.Now()
	var late []*Call[T]
	var overdue []Errand
	var next time.Time
	for _, c := range s.flying {
		if !c.ctx.deadline.After(now) {
			late = append(late, c)
			continue
		}
		if e := c.overdue(now); e != nil {
			overdue = append(overdue, e)
		}
		if at := c.alarm(); next.IsZero() || at.Before(next) {
			next = at
		}
	}
	for _, c := range late {
		s.land(c)
	}
	if s.alarm = next; !next.IsZero() {
		s.ringAt(next)
	}
	s.mu.Unlock()
	var none T
	for _, c := range late { // their contexts have the same deadline, and end by it
		c.publish(none, ErrDeadline)
		c.ctx.expire()
	}
	for _, e := range overdue {
		e.GiveUp()
	}
}
