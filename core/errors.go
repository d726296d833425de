package gcnode

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"
)

// Kind is the class of an error. It is the same in Go, on the wire and for
// getters in a sandbox, so that a caller can tell what happened on another
// member. The numbers are part of the protocol.
type Kind uint8

const (
	// KindInternal is a defect: a panic, a broken invariant.
	KindInternal Kind = 0
	// KindNotFound says that the key has no value.
	KindNotFound Kind = 1
	// KindTransient is a failed load that may succeed later.
	KindTransient Kind = 2
	// KindPermanent is a failed load that will fail again.
	KindPermanent Kind = 3
	// KindDenied is a refused access.
	KindDenied Kind = 4
	// KindOverloaded is a load that was not tried because too many are waiting.
	KindOverloaded Kind = 5
	// KindTooLarge is a key, value or batch over its limit.
	KindTooLarge Kind = 6
	// KindNoSuchGroup says that the member does not have the group.
	KindNoSuchGroup Kind = 7
	// KindUnsupported is a request that the member does not understand.
	KindUnsupported Kind = 8
	// KindTimeout is a deadline that passed.
	KindTimeout Kind = 9
	// KindUnreachable is a member that did not answer.
	KindUnreachable Kind = 10
	// KindDraining is a member that is shutting down.
	KindDraining Kind = 11
)

// The sentinels of the kinds, for [errors.Is]. A getter may return or wrap
// them to decide the kind of its error.
var (
	ErrInternal    = errors.New("internal error")
	ErrNotFound    = errors.New("not found")
	ErrTransient   = errors.New("transient failure")
	ErrPermanent   = errors.New("permanent failure")
	ErrDenied      = errors.New("denied")
	ErrOverloaded  = errors.New("overloaded, try later")
	ErrTooLarge    = errors.New("too large")
	ErrNoSuchGroup = errors.New("no such group")
	ErrUnsupported = errors.New("unsupported")
	ErrTimeout     = errors.New("timed out")
	ErrUnreachable = errors.New("unreachable")
	ErrDraining    = errors.New("shutting down")
)

// sentinel is the error that stands for the kind; kinds from a newer peer
// are internal.
func (k Kind) sentinel() error {
	switch k {
	case KindNotFound:
		return ErrNotFound
	case KindTransient:
		return ErrTransient
	case KindPermanent:
		return ErrPermanent
	case KindDenied:
		return ErrDenied
	case KindOverloaded:
		return ErrOverloaded
	case KindTooLarge:
		return ErrTooLarge
	case KindNoSuchGroup:
		return ErrNoSuchGroup
	case KindUnsupported:
		return ErrUnsupported
	case KindTimeout:
		return ErrTimeout
	case KindUnreachable:
		return ErrUnreachable
	case KindDraining:
		return ErrDraining
	default:
		return ErrInternal
	}
}

// String is the text of the kind's sentinel.
func (k Kind) String() string { return k.sentinel().Error() }

// Error is how every failure of this package is reported. It is immutable:
// all who waited for one load share it.
type Error struct {
	Kind  Kind
	Op    Op     // what was attempted
	Group string // may be empty
	Key   string // may be empty
	Peer  string // the ID of the member where it happened; empty: here
	// RetryAfter is how long to wait before another attempt, if that is known.
	RetryAfter time.Duration
	Err        error // the cause; nil when the kind says it all
}

// maxKeyInMessage bounds how much of a key, in bytes, an error message shows.
const maxKeyInMessage = 128

// Error implements the error interface.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op.String())
	if e.Key != "" {
		key, cut := e.Key, ""
		if len(key) > maxKeyInMessage {
			key, cut = key[:maxKeyInMessage], "…"
		}
		b.WriteString(" " + strconv.Quote(key) + cut)
	}
	if e.Group != "" {
		b.WriteString(" in group " + strconv.Quote(e.Group))
	}
	if e.Peer != "" {
		b.WriteString(" at peer " + strconv.Quote(e.Peer))
	}
	b.WriteString(": " + e.reason())
	return b.String()
}

// reason is the message without what was attempted and where, which the error
// of a transport says too.
func (e *Error) reason() string {
	if e.Err == nil {
		return e.Kind.String()
	}
	if cause, ok := e.Err.(*Error); ok && cause.Kind == e.Kind { //nolint:errorlint // what wraps an error further down says more
		return cause.reason()
	}
	cause := e.Err.Error()
	if strings.Contains(cause, e.Kind.String()) { // it need not be said twice
		return cause
	}
	return e.Kind.String() + ": " + cause
}

// Reason is the message without operation, group, key and peer: what another
// member, or a client that knows what it asked for, needs to be told.
func (e *Error) Reason() string { return e.reason() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is the sentinel of the error's kind.
func (e *Error) Is(target error) bool { return target == e.Kind.sentinel() }

// KindOf is the kind of any error: that of the [*Error] in its chain, that of
// a sentinel in its chain, [KindTimeout] for [context.DeadlineExceeded], and
// [KindTransient] for everything else.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	for k := KindInternal; k <= KindDraining; k++ {
		if errors.Is(err, k.sentinel()) {
			return k
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return KindTimeout
	}
	return KindTransient
}

// PeerErrors says which members did not confirm a removal. They are tried
// again in the background for as long as they are members.
type PeerErrors struct {
	Peers []*Error // ordered by peer
}

// Error implements the error interface.
func (e *PeerErrors) Error() string {
	msgs := make([]string, len(e.Peers))
	for i, p := range e.Peers {
		msgs[i] = strconv.Quote(p.Peer) + " " + p.reason()
	}
	return "not confirmed by all peers (they are told again in the background): " + strings.Join(msgs, "; ")
}

// Unwrap returns the errors of the single members.
func (e *PeerErrors) Unwrap() []error {
	errs := make([]error, len(e.Peers))
	for i, p := range e.Peers {
		errs[i] = p
	}
	return errs
}
