package gcnode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/gcnode/gcnode/core/internal/flight"
	"github.com/gcnode/gcnode/core/internal/limit"
)

// find is the answer, together with its error if it says not found.
func (c *Cache[V]) find(ctx context.Context, key string) (found[V], error) {
	if a, ok := c.hit(ctx, key); ok {
		return a.orNotFound()
	}
	if err := checkKey(key); err != nil {
		return found[V]{}, &Error{Kind: KindTooLarge, Group: c.name, Key: key, Err: err}
	}
	c.counts.Add(countMisses)
	return c.settle(ctx, key, c.flights.Board(ctx, c.plan(key)))
}

func (a found[V]) orNotFound() (found[V], error) {
	if a.notFound != nil {
		return a, a.notFound
	}
	return a, nil
}

// hit answers from memory. A value whose time has come is reloaded in the
// background.
func (c *Cache[V]) hit(ctx context.Context, key string) (found[V], bool) {
	e := c.entries.Get(key)
	if e == nil {
		return found[V]{}, false
	}
	if e.Expires != never { // the clock costs more than a look
		if now := c.clock.Now(); now >= e.Expires || now >= e.Attend.Load() {
			return c.late(ctx, e, now)
		}
	}
	e.Touch()
	counter := countHits
	if e.Value.notFound != nil {
		counter = countNegativeHits
	}
	c.counts.Add(counter)
	return found[V]{e.Value, e.Expires}, true
}

// late is hit for an entry whose life has ended or comes near to its end.
func (c *Cache[V]) late(ctx context.Context, e *entry[V], now int64) (found[V], bool) {
	p := c.freshness.phase(e.Expires, now)
	if p > phaseStale || p == phaseStale && e.Value.notFound != nil {
		return found[V]{}, false
	}
	e.Touch()
	counter := countHits
	if p == phaseStale {
		counter = countStaleHits
	}
	c.counts.Add(counter)
	c.refresh(ctx, e, now)
	return found[V]{e.Value, e.Expires}, true
}

// rules are those of the cache's flights.
func (c *Cache[V]) rules() flight.Rules[found[V]] {
	return flight.Rules[found[V]]{Clock: c.clock, Look: c.fresh, Run: c.fly, Report: c.reportLoadDefect}
}

// plan is how a key is loaded.
func (c *Cache[V]) plan(key string) flight.Plan[found[V]] {
	return flight.Plan[found[V]]{Role: flight.Load, Key: key, Timeout: c.timeout}
}

// fresh is the answer that is in memory and whose life has not ended.
func (c *Cache[V]) fresh(key string) (found[V], bool) {
	e := c.entries.Get(key)
	if e == nil || e.Expires <= c.clock.Now() {
		return found[V]{}, false
	}
	return found[V]{e.Value, e.Expires}, true
}

// fly is a flight of one key.
func (c *Cache[V]) fly(ctx context.Context, call *flight.Call[found[V]]) (found[V], error) {
	return c.loadInTurn(ctx, call, c.acquire)
}

// flyInBatch is fly for a key of a batch that is loaded in several parts.
func (c *Cache[V]) flyInBatch(ctx context.Context, call *flight.Call[found[V]]) (found[V], error) {
	return c.loadInTurn(ctx, call, c.acquireInBatch)
}

func (c *Cache[V]) loadInTurn(ctx context.Context, call *flight.Call[found[V]], acquire acquireFunc) (found[V], error) {
	if err := acquire(ctx, 1); err != nil {
		return found[V]{}, err
	}
	defer c.limit.Release()
	return c.load(ctx, call)
}

// acquire waits for the turn of a load of some keys; see [Group.acquire].
func (c *Cache[V]) acquire(ctx context.Context, keys int) error {
	err := c.limit.Acquire(ctx)
	if errors.Is(err, limit.ErrFull) {
		for range keys {
			c.counts.Add(countOverloaded)
		}
		running, waiting := c.limit.Load()
		return &Error{Kind: KindOverloaded, Group: c.name, Err: fmt.Errorf("%d loads are running and %d are waiting", running, waiting)}
	}
	return err
}

func (c *Cache[V]) acquireInBatch(ctx context.Context, _ int) error { return c.limit.Wait(ctx) }

// load calls the getter and keeps what it says.
func (c *Cache[V]) load(ctx context.Context, call *flight.Call[found[V]]) (found[V], error) {
	c.counts.Add(countLoads)
	it, err := c.getter.GetItem(ctx, call.Key())
	a, cost, born, err := c.answer(call.Key(), it, err)
	if err == nil {
		call.Keep(func() { c.keep(call.Key(), a, cost, born) })
	}
	return a, err
}

// answer is what the getter said, what the cache takes it for, and when it
// was said. There is nothing to be kept beside an error.
func (c *Cache[V]) answer(key string, it Item[V], err error) (a found[V], cost, born int64, _ error) {
	born = c.clock.Exact()
	switch {
	case err == nil:
		a.value, a.expires = it.Value, c.freshness.expires(born, it.Keep)
	case KindOf(err) == KindNotFound:
		c.counts.Add(countNotFound)
		a.notFound, a.expires = c.named(key, err), c.freshness.negativeExpires(born, it.Keep)
	default:
		c.counts.Add(countLoadErrors)
		return found[V]{}, 0, 0, err
	}
	return a, c.costOf(key, a), born, nil
}

// settle waits for a flight. If it fails, an older value may do.
func (c *Cache[V]) settle(ctx context.Context, key string, seat flight.Seat[found[V]]) (found[V], error) {
	a, joined, err := seat.Wait(ctx)
	if joined {
		c.counts.Add(countJoined)
	}
	if err == nil {
		return a.orNotFound()
	}
	if c.freshness.onError > 0 && ctx.Err() == nil {
		if e := c.entries.Get(key); e != nil && e.Value.notFound == nil && c.freshness.usableOnError(e.Expires, c.clock.Now()) {
			e.Touch()
			c.counts.Add(countStaleOnError)
			return found[V]{e.Value, e.Expires}, nil
		}
	}
	return found[V]{}, c.failure(ctx, key, err)
}

// failure is err as an *Error about the key, or as it is when the caller's
// context was cancelled.
func (c *Cache[V]) failure(ctx context.Context, key string, err error) error {
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return fmt.Errorf("%v %q: %w", OpGet, clip(key), err)
	}
	if p, ok := errors.AsType[*flight.PanicError](err); ok {
		return &Error{Kind: KindInternal, Group: c.name, Key: key, Err: fmt.Errorf("the getter panicked: %v", p.Value)}
	}
	switch {
	case errors.Is(err, flight.ErrExited):
		return &Error{Kind: KindInternal, Group: c.name, Key: key, Err: errors.New("the getter ended its goroutine")}
	case errors.Is(err, flight.ErrDeadline):
		return &Error{Kind: KindTimeout, Group: c.name, Key: key, Err: fmt.Errorf("the load took longer than %v", c.timeout)}
	case errors.Is(err, flight.ErrUnanswered):
		return &Error{Kind: KindTransient, Group: c.name, Key: key, Err: errors.New("the getter passed the key over")}
	}
	return c.named(key, err)
}

// named is err as an *Error that names the key.
func (c *Cache[V]) named(key string, err error) *Error {
	if e, ok := err.(*Error); ok && (e.Key == "" || e.Key == key) { //nolint:errorlint // one further down does not say it all
		if e.Key == key && e.Group != "" {
			return e
		}
		named := *e
		named.Group, named.Key = c.name, key
		return &named
	}
	named := &Error{Kind: KindOf(err), Group: c.name, Key: key, Err: err}
	if e, ok := errors.AsType[*Error](err); ok {
		named.RetryAfter = e.RetryAfter
	}
	if err == named.Kind.sentinel() { //nolint:errorlint // the bare sentinel says nothing more; a wrapped one does
		named.Err = nil
	}
	return named
}

// refresh reloads the entry in the background, unless that is being done, has
// just failed, or would be one load too many.
func (c *Cache[V]) refresh(ctx context.Context, e *entry[V], now int64) {
	at := e.Attend.Load()
	// The claim ends by itself, for a getter that ends nothing.
	if at > now || !e.Attend.CompareAndSwap(at, now+int64(c.timeout+refreshPause)) {
		return
	}
	if !c.limit.TryAcquire() {
		c.counts.Add(countOverloaded)
		e.Attend.Store(now + int64(refreshPause))
		return
	}
	plan := c.plan(e.Key)
	plan.Look = func() (found[V], bool) { return found[V]{}, c.entries.Get(e.Key) != e } // replaced or removed
	plan.Run = func(ctx context.Context, call *flight.Call[found[V]]) (a found[V], err error) {
		pause := refreshPause
		defer func() {
			c.limit.Release()
			e.Attend.Store(c.clock.Exact() + int64(pause)) // of no effect if it was replaced
		}()
		if a, err = c.load(ctx, call); err != nil {
			if told, ok := errors.AsType[*Error](err); ok {
				pause = min(max(pause, told.RetryAfter), maxDuration)
			}
			c.log.LogAttrs(ctx, levelWarn, "background load failed", append(c.attrs(e.Key), errAttr(err))...)
		}
		return a, err
	}
	if !c.flights.Start(ctx, plan) {
		c.limit.Release()
		e.Attend.Store(now + int64(refreshPause))
		return
	}
	c.counts.Add(countRefreshes)
}

// reportLoadDefect takes note of a load that did not return.
func (c *Cache[V]) reportLoadDefect(key string, err error) {
	c.counts.Add(countLoadErrors)
	c.reportDefect(key, err)
}

// reportDefect logs what the getter should not have done.
func (c *Cache[V]) reportDefect(key string, err error) {
	attrs := append(c.attrs(key), errAttr(err))
	if p, ok := errors.AsType[*flight.PanicError](err); ok {
		attrs = append(attrs, slog.String("stack", string(p.Stack)))
	}
	c.log.LogAttrs(context.Background(), levelError, "getter did not return", attrs...)
}

func (c *Cache[V]) attrs(key string) []slog.Attr {
	return []slog.Attr{slog.String("cache", c.name), slog.String("key", clip(key))}
}
