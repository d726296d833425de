package groupcache

import (
	"errors"
	"fmt"

	"github.com/gcnode/gcnode/compat/mailgun/internal/legacy"
	gcnode "github.com/gcnode/gcnode/core"
)

// ErrNotFound is for a getter to say that the key has no value. It is the same
// error on whichever member the value is asked for: errors.Is(err,
// &ErrNotFound{}) holds whatever the message.
//
// It is not remembered: the next Get calls the getter again. Groups of package
// gcnode remember it for a time of its own, [gcnode.GroupOptions].NegativeTTL.
type ErrNotFound struct { //nolint:errname // the name is that of the old library
	Msg string
}

// Error implements the error interface.
func (e *ErrNotFound) Error() string { return e.Msg }

// Is reports whether target is one of these, too.
func (e *ErrNotFound) Is(target error) bool {
	_, ok := target.(*ErrNotFound)
	return ok
}

// ErrRemoteCall is the error of another member's getter. That of this process is
// returned as it is. The getter was called once, by the owner of the key; it is
// not called again here.
type ErrRemoteCall struct { //nolint:errname // the name is that of the old library
	Msg string
}

// Error implements the error interface.
func (e *ErrRemoteCall) Error() string { return e.Msg }

// Is reports whether target is one of these, too.
func (e *ErrRemoteCall) Is(target error) bool {
	_, ok := target.(*ErrRemoteCall)
	return ok
}

var (
	errNilSink  = errors.New("groupcache: the sink is nil")
	errEmptyKey = errors.New("groupcache: set needs a key that is not empty")
)

// getterError is an error of the getter in this process on its way through the
// core to whoever waits for it. The core sees its kind and its text alone: what
// is in its chain is no matter of the cluster.
type getterError struct{ err error }

// Error implements the error interface.
func (e *getterError) Error() string { return e.err.Error() }

// toCore is the error of a getter for the core.
func toCore(err error) error {
	kind := gcnode.KindOf(err)
	if errors.Is(err, &ErrNotFound{}) {
		kind = gcnode.KindNotFound
	}
	return &gcnode.Error{Kind: kind, Err: &getterError{err}}
}

// fromCore is what a caller of this package gets for an error of the core.
func fromCore(err error) error {
	if own, ok := errors.AsType[*getterError](err); ok {
		return own.err
	}
	if said, ok := errors.AsType[*legacy.RemoteError](err); ok {
		return &ErrRemoteCall{Msg: said.Text}
	}
	e, ok := errors.AsType[*gcnode.Error](err)
	switch {
	case !ok:
		return err
	case e.Kind == gcnode.KindNotFound:
		return &ErrNotFound{Msg: text(e)}
	case e.Peer != "":
		return &ErrRemoteCall{Msg: text(e)}
	default:
		return fmt.Errorf("groupcache: %w", err)
	}
}

// saysSomething reports whether an error of another member is about the key. If it
// is about the member, others are asked.
func saysSomething(kind gcnode.Kind) bool {
	switch kind {
	case gcnode.KindUnreachable, gcnode.KindDraining, gcnode.KindNoSuchGroup, gcnode.KindUnsupported:
		return false
	default:
		return true
	}
}

// text is what the getter has said, if it has.
func text(e *gcnode.Error) string {
	for {
		cause, ok := errors.AsType[*gcnode.Error](e.Err)
		switch {
		case e.Err == nil:
			return e.Kind.String()
		case !ok:
			return e.Err.Error()
		}
		e = cause
	}
}
