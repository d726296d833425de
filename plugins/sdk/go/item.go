package getter

import (
	"context"
	"math"
	"time"
)

// NoStore is the TTL of an answer that is served but not kept.
const NoStore time.Duration = math.MinInt64

// An Item is a value together with the time it may be kept for.
//
// A TTL of 0 leaves the decision to the group's default, and a positive one is
// how long to keep the answer; the node counts in milliseconds, and what is
// shorter than one is served but not kept. NoStore, and every other negative
// TTL, serves the answer without keeping it. Beside an error that is
// ErrNotFound, TTL is the life of the negative entry and Value is ignored;
// beside any other error the item is ignored.
type Item struct {
	Value []byte
	TTL   time.Duration
}

// A Func answers one key. The key is an arbitrary sequence of bytes.
//
// It is called in a goroutine of its own for each key, and for other keys while
// it waits for a fetch, so it has to be as safe for concurrent use as an
// http.Handler. Context ctx is that request: it is what Fetch needs, and it is
// cancelled when the Func returns or nobody waits for the answer any more. It
// has no deadline: a request that takes too long is over, and an instance that
// computes for it is discarded. Value must not be changed afterwards.
//
// The kind of the error decides what the node tells its callers: see
// ErrNotFound, ErrTransient, ErrPermanent, ErrDenied and ErrOverloaded. An
// error that is none of these counts as transient, and a panic as permanent.
type Func func(ctx context.Context, key string) (Item, error)

// An Open makes the Func of one instance. It is called once, before the first
// key. An error refuses the module, and its text appears in the node's log.
// Open cannot fetch: there is no request yet.
type Open func(env *Env) (Func, error)

// An Env is what the node gives to one instance.
type Env struct {
	// Config holds the settings that the node's operator wrote for this getter.
	Config Config

	sink logSink
	host platform
}
