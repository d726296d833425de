package access

import (
	"time"

	"golang.org/x/time/rate"
)

// caller is a rule and how much of its rate is left.
type caller struct {
	rule    Rule
	limiter *rate.Limiter // nil: no limit
}

// newCaller makes a caller. One that was there before with the same rate goes
// on with what it has left of it.
func newCaller(rule Rule, before *caller) *caller {
	c := &caller{rule: rule}
	switch {
	case rule.Rate == 0:
	case before != nil && before.rule.Rate == rule.Rate:
		c.limiter = before.limiter
	default:
		c.limiter = rate.NewLimiter(rate.Limit(rule.Rate), rule.Rate)
	}
	return c
}

// take counts a request. More than 0 is how long to wait before another
// attempt, because there were too many.
func (c *caller) take() time.Duration {
	if c.limiter == nil || c.limiter.Allow() {
		return 0
	}
	return time.Second
}
