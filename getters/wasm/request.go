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

// request is one call of gcnode_get and what was answered to it. An instance
// has one at a time and uses it again.
type request struct {
	id       int32 // 0: there is none
	key      string
	deadline deadline
	budget   fetchBudget
	answers  map[int32][]byte // of fetches, by call number
	lastCall int32            // the number of the latest fetch

	answered bool
	item     gcnode.Item[gcnode.Value]
	err      *gcnode.Error // nil after statusOK
}

// open reports whether id is a request that waits for its answer.
func (r *request) open(id int32) bool { return id > 0 && id == r.id && !r.answered }

// answer records the answer. bytes is not kept.
func (r *request) answer(status int32, ttlMillis int64, bytes []byte) {
	r.finish()
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
	r.finish()
	r.err = &gcnode.Error{
		Kind: gcnode.KindTooLarge, Op: gcnode.OpGet, Key: r.key,
		Err: fmt.Errorf("the module's value has %d bytes; at most %d are allowed", size, limit),
	}
}

// finish closes the request; answers to its fetches are not valid any more.
func (r *request) finish() {
	r.answered = true
	clear(r.answers)
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
