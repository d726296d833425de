package gcnode

import "context"

// Item is a value together with the time that it may be kept.
type Item[V any] struct {
	Value V
	Keep  Lifetime
}

// Getter is where values come from: a database, a file, another service.
//
// GetItem is called from any number of goroutines for different keys, and at
// most once at a time per key and node, except that a call which a removal
// has overtaken, or which goes on after its context has ended, does not hold
// up the next one. Its context carries the values of the
// first caller's context but neither its deadline nor its cancellation: it
// ends at [GroupOptions.LoadTimeout], or when nobody waits for the answer any
// more.
//
// An error whose [KindOf] is [KindNotFound], like [ErrNotFound], says that the
// key has no value; it is remembered for Keep, by default
// [GroupOptions.NegativeTTL]. Other errors are handed to everyone who waits and
// are not remembered. An [*Error] keeps its Kind across the cluster; one of this
// package's sentinels in the chain decides the kind otherwise; any other error
// is [KindTransient], and so are the kinds that speak of a member (unreachable,
// draining, no such group, unsupported), because here they can only mean the
// getter's own origin. A panic is [KindInternal].
type Getter[V any] interface {
	GetItem(ctx context.Context, key string) (Item[V], error)
}

// GetterFunc is a function that is a [Getter].
type GetterFunc[V any] func(ctx context.Context, key string) (Item[V], error)

// GetItem calls f.
func (f GetterFunc[V]) GetItem(ctx context.Context, key string) (Item[V], error) {
	return f(ctx, key)
}
