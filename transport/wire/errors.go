package wire

import (
	"errors"
	"fmt"

	gcnode "github.com/gcnode/gcnode/core"
)

// ErrMalformed is what is wrong with bytes that are not of this protocol, or
// break one of its rules or limits.
var ErrMalformed = errors.New("malformed message")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrMalformed, fmt.Errorf(format, args...))
}

// EndError is how the peer says that a request was not answered.
type EndError struct {
	// Refused says that the request was not begun, and Cause is the answer to
	// each of its keys. Otherwise the answers that came before are valid.
	Refused bool
	// Cause has a kind, the time to wait and perhaps a text.
	Cause *gcnode.Error
}

// Error implements the error interface.
func (e *EndError) Error() string {
	if e.Refused {
		return "the peer refused the request: " + e.Cause.Reason()
	}
	return "the peer failed to answer: " + e.Cause.Reason()
}

// Unwrap returns the cause.
func (e *EndError) Unwrap() error { return e.Cause }

// tooLarge is the error of something that is over a limit.
func tooLarge(format string, args ...any) error {
	return &gcnode.Error{Kind: gcnode.KindTooLarge, Err: fmt.Errorf(format, args...)}
}
