package getter

import (
	"context"
	"fmt"
	"runtime/debug"
	"strconv"
	"time"
)

// A Status is the first thing a node learns about an answer. The numbers are
// those of the guest ABI.
type Status int32

// The statuses of the guest ABI.
const (
	StatusOK         Status = 0
	StatusNotFound   Status = 1
	StatusTransient  Status = 2
	StatusPermanent  Status = 3
	StatusDenied     Status = 4
	StatusOverloaded Status = 5
)

// String returns the name of the status.
func (s Status) String() string {
	switch s {
	case StatusOK:
		return "ok"
	case StatusNotFound:
		return "not found"
	case StatusTransient:
		return "transient error"
	case StatusPermanent:
		return "permanent error"
	case StatusDenied:
		return "denied"
	case StatusOverloaded:
		return "overloaded"
	default:
		return "status " + strconv.Itoa(int(s))
	}
}

// An Answer is what a node is told about one key.
type Answer struct {
	Status Status
	// TTL has the meaning of Item.TTL. It is 0 with errors but not found.
	TTL time.Duration
	// Value is the value if Status is StatusOK, and nil otherwise.
	Value []byte
	// Message is the error's text if Status is not StatusOK.
	Message string
	// Stack is the stack of the panic that ended the getter, if one did. It is
	// for the log, not for callers.
	Stack string
}

// Answer runs the getter for one key and says what the node is told. It does
// not panic when the getter does: a panic is a permanent error, because the
// same key would most likely cause it again. The instance goes on to live, so
// a getter that keeps state between keys must leave it consistent, just as
// under net/http.
func (f Func) Answer(ctx context.Context, key string) Answer {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return f.answer(ctx, key)
}

// answer is Answer with a context that ends by itself.
func (f Func) answer(ctx context.Context, key string) (answer Answer) {
	defer func() {
		if r := recover(); r != nil {
			answer = Answer{
				Status:  StatusPermanent,
				Message: fmt.Sprintf("getter panicked: %v", r),
				Stack:   string(debug.Stack()),
			}
		}
	}()
	item, err := f(ctx, key)
	status := statusOf(err)
	switch status {
	case StatusOK:
		return Answer{Status: status, TTL: item.TTL, Value: item.Value}
	case StatusNotFound:
		return Answer{Status: status, TTL: item.TTL, Message: err.Error()}
	default:
		return Answer{Status: status, Message: err.Error()}
	}
}

// ttlMillis returns the TTL in the terms of the guest ABI.
func ttlMillis(ttl time.Duration) int64 {
	switch {
	case ttl == 0:
		return -1
	case ttl < 0:
		return 0
	default:
		return ttl.Milliseconds()
	}
}

// open calls the getter's Open and turns a panic, or a missing Func, into an
// error.
func (o Open) open(env *Env) (get Func, err error) {
	defer func() {
		if r := recover(); r != nil {
			get, err = nil, fmt.Errorf("getter panicked while it was opened: %v\n%s", r, debug.Stack())
		}
	}()
	get, err = o(env)
	if err == nil && get == nil {
		return nil, fmt.Errorf("%w: the getter opened without a function to call", ErrPermanent)
	}
	return get, err
}
