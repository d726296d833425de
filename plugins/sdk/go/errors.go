package getter

import (
	"errors"
	"fmt"
)

// The kinds of failure that a node distinguishes. Return one of them as it is,
// or wrapped with a message: fmt.Errorf("%w: user %q", getter.ErrNotFound, id).
var (
	// ErrNotFound says that the origin has no such key. The node may keep this
	// answer too: see Item.TTL.
	ErrNotFound = errors.New("not found")
	// ErrTransient says that a later attempt may succeed.
	ErrTransient = errors.New("transient error")
	// ErrPermanent says that trying again is of no use.
	ErrPermanent = errors.New("permanent error")
	// ErrDenied says that the origin refuses to give the value.
	ErrDenied = errors.New("denied")
	// ErrOverloaded asks callers to come back later.
	ErrOverloaded = errors.New("overloaded")
)

// errNoRequest is the error of a fetch that belongs to no request.
var errNoRequest = fmt.Errorf("%w: no request to fetch for: pass on the context that the getter was called with", ErrPermanent)

// statusOf returns the status that an error stands for.
func statusOf(err error) Status {
	switch {
	case err == nil:
		return StatusOK
	case errors.Is(err, ErrNotFound):
		return StatusNotFound
	case errors.Is(err, ErrDenied):
		return StatusDenied
	case errors.Is(err, ErrOverloaded):
		return StatusOverloaded
	case errors.Is(err, ErrPermanent):
		return StatusPermanent
	default:
		return StatusTransient
	}
}
