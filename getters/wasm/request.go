package wasm

import (
	"fmt"
	"math"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// The statuses of an answer; the numbers are part of the guest ABI.
const (
	statusOK         = 0
	statusNotFound   = 1
	statusTransient  = 2
	statusPermanent  = 3
	statusDenied     = 4
	statusOverloaded = 5
)

// The lifetimes of an answer that are no duration.
const (
	ttlNoStore = 0
	ttlDefault = -1
)

// request is one key that the guest was asked for, and what it answered. It
// belongs to whoever holds the instance.
type request struct {
	id       int32
	key      string
	budget   *fetchBudget // nil until something is fetched
	fuel     int64        // that it was given, if that is bounded
	calls    []int32      // fetches whose answers the instance keeps
	lastCall int32        // the number of the latest fetch
	inFlight int          // fetches that the guest did not wait for, and yields
	yielding int32        // the number of the yield in flight, or 0
	visit    *visit       // nil until something outlasts a turn

	answered bool
	item     gcnode.Item[gcnode.Value]
	err      *gcnode.Error // nil after statusOK
}

// answer records the answer. bytes is not kept.
func (r *request) answer(status int32, ttlMillis int64, bytes []byte) {
	r.answered = true
	if status == statusOK || status == statusNotFound {
		r.item.Keep = lifetimeOf(ttlMillis)
	}
	if status == statusOK {
		r.item.Value = gcnode.BytesValue(bytes)
		return
	}
	r.err = &gcnode.Error{Kind: kindOfStatus(status), Op: gcnode.OpGet, Key: r.key}
	if message := oneLine(string(bytes[:min(len(bytes), maxMessageBytes)]), maxMessageBytes); message != "" {
		r.err.Err = guestError(message)
	}
}

// refuse records that the value is larger than the node accepts.
func (r *request) refuse(size, limit int) {
	r.answered = true
	r.err = &gcnode.Error{
		Kind: gcnode.KindTooLarge, Op: gcnode.OpGet, Key: r.key,
		Err: fmt.Errorf("the module's value has %d bytes; at most %d are allowed", size, limit),
	}
}

// refused reports whether the guest was told that its value is too large.
func (r *request) refused() bool { return r.err != nil && r.err.Kind == gcnode.KindTooLarge }

// failure is the error of an answer, if it is one.
func (r *request) failure() error {
	if r.err != nil {
		return r.err
	}
	return nil
}

// guestError is a message of a guest.
type guestError string

func (e guestError) Error() string { return string(e) }

func kindOfStatus(status int32) gcnode.Kind {
	switch status {
	case statusNotFound:
		return gcnode.KindNotFound
	case statusTransient:
		return gcnode.KindTransient
	case statusDenied:
		return gcnode.KindDenied
	case statusOverloaded:
		return gcnode.KindOverloaded
	default:
		return gcnode.KindPermanent
	}
}

func lifetimeOf(ttlMillis int64) gcnode.Lifetime {
	switch {
	case ttlMillis == ttlDefault:
		return 0
	case ttlMillis == ttlNoStore:
		return gcnode.NoStore
	case ttlMillis > math.MaxInt64/int64(time.Millisecond):
		return gcnode.Forever
	default:
		return gcnode.For(time.Duration(ttlMillis) * time.Millisecond)
	}
}
