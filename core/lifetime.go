package gcnode

import (
	"math"
	"time"
)

// Lifetime says how long a value may be kept, in nanoseconds. The zero value
// leaves it to the group ([GroupOptions.TTL]).
type Lifetime int64

const (
	// Forever keeps a value until it is removed or evicted.
	Forever Lifetime = math.MaxInt64
	// NoStore serves a value to those who wait for it and keeps nothing.
	NoStore Lifetime = -1
)

// For is the lifetime that lasts d. A d of zero or less is [NoStore], so that
// a computed remaining time that has run out never means "the default".
func For(d time.Duration) Lifetime {
	if d <= 0 {
		return NoStore
	}
	return Lifetime(d)
}

// Duration is the length of the lifetime; ok is false for the zero value,
// [NoStore] and [Forever], which have none.
func (l Lifetime) Duration() (d time.Duration, ok bool) {
	if l <= 0 || l == Forever {
		return 0, false
	}
	return time.Duration(l), true
}

// String implements fmt.Stringer.
func (l Lifetime) String() string {
	switch {
	case l == 0:
		return "default"
	case l < 0:
		return "no-store"
	case l == Forever:
		return "forever"
	default:
		return time.Duration(l).String()
	}
}

// or resolves the zero value to def.
func (l Lifetime) or(def Lifetime) Lifetime {
	if l == 0 {
		return def
	}
	return max(l, NoStore)
}
