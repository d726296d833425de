package gcnode

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"github.com/gcnode/gcnode/core/internal/clock"
	"github.com/gcnode/gcnode/core/internal/count"
	"github.com/gcnode/gcnode/core/internal/flight"
	"github.com/gcnode/gcnode/core/internal/limit"
	"github.com/gcnode/gcnode/core/internal/objects"
)

// CacheOptions describe a cache. Either MaxEntries is required, or MaxCost and
// Cost.
type CacheOptions[V any] struct {
	// Name is how errors and the log call the cache; it may be empty.
	Name string
	// MaxEntries bounds the number of entries.
	MaxEntries int64
	// MaxCost bounds the sum of what Cost returns for the entries.
	MaxCost int64
	// Cost is what an entry costs, at least 1, in the unit of MaxCost: its
	// bytes, say. It is called once for each value, and not for not-found
	// answers: these cost a hundred-thousandth of MaxCost, at least 1. The
	// cache itself needs some 150 bytes for an entry; add them where the limit
	// is to bound memory.
	Cost func(key string, v V) int64
	// TTL is how long a value is kept when the getter does not say; 0 is
	// [Forever].
	TTL Lifetime
	// TTLJitter cuts a random part off every life that ends, up to this part
	// of it, so that what was loaded at the same time is not reloaded at the
	// same time: 0.1 makes a minute 54 to 60 seconds. It is below 1.
	TTLJitter float64
	// NegativeTTL is how long it is remembered that a key has no value, when
	// the getter does not say; 0 is [DefaultNegativeTTL], a negative one means
	// not at all.
	NegativeTTL time.Duration
	// RefreshAhead reloads a value in the background when it is asked for and
	// less than this remains of its life, or less than half of a life that is
	// shorter than twice this.
	RefreshAhead time.Duration
	// StaleWhileRevalidate is for how long after its life a value is served
	// while it is reloaded in the background.
	StaleWhileRevalidate time.Duration
	// StaleOnError is for how long after its life a value is served when it
	// cannot be reloaded: each Get tries, and serves the old value if the load
	// fails or there are too many. The caller is not told of the failure;
	// [CacheStats] count it. Not found is an answer and no failure.
	StaleOnError time.Duration
	// LoadTimeout bounds one load, including the time that it waits for its
	// turn; 0 is [DefaultLoadTimeout].
	LoadTimeout time.Duration
	// MaxLoads bounds how many calls of the getter run at the same time; 0 is
	// no bound. A getter that asks this cache for other keys holds its own
	// place meanwhile.
	MaxLoads int
	// MaxQueuedLoads is how many more loads may wait for their turn. Beyond
	// that a Get gets [ErrOverloaded] at once. A batch that takes several loads
	// waits for each of them, however many others wait. Reloading in the
	// background does not wait: it is put off.
	MaxQueuedLoads int
	// ClockResolution is how much longer than its life a value may be served,
	// since reading the clock takes as long as a hit; the time that the
	// runtime takes to run a timer comes on top. 0 is
	// [DefaultClockResolution], and with a negative one the clock is read each
	// time, as it is on wasm. At most a second.
	ClockResolution time.Duration
	// Logger gets what no caller can be told: panics of the getter, and
	// background loads that failed. nil: nothing is logged.
	Logger *slog.Logger
}

const (
	// maxNegativeEntries is how many not-found answers fit into a cache with a
	// limit on cost.
	maxNegativeEntries = 100_000
	// guessedCost is what an entry may cost, to estimate how many there will be.
	guessedCost = 1 << 10
)

// Cache is a loading cache for Go values in this process. It has no peers, and
// needs no codec: what the getter returns is what is kept, so values are
// shared by all who get them and must not be changed.
//
// A load runs once for all who ask for its key, belongs to none of them, and
// never replaces what was set, nor brings back what was removed, after it
// began. The entries that are worth least are evicted when room is needed,
// expired ones first.
//
// A Cache is a [BatchGetter], so caches can be stacked. Its methods may be
// called from any goroutine. It has no background goroutines but for loads,
// and needs no closing.
type Cache[V any] struct {
	name      string
	getter    Getter[V]
	batch     BatchGetter[V] // the same, if it is one
	cost      func(key string, v V) int64
	negative  int64 // the cost of a not-found answer
	timeout   time.Duration
	log       *slog.Logger
	clock     *clock.Clock
	freshness freshness
	limit     *limit.Limit
	window    int // how many misses of one batch are under way at a time
	entries   *objects.Store[cached[V]]
	flights   *flight.Flights[found[V]]
	counts    *count.Set
}

// cached is what an entry holds.
type cached[V any] struct {
	value    V
	notFound *Error // the origin has no such key
}

type entry[V any] = objects.Entry[cached[V]]

// found is the answer to a key.
type found[V any] struct {
	cached[V]
	expires int64 // on the cache's clock; past: it must not be kept
}

// NewCache makes a cache.
func NewCache[V any](getter Getter[V], opts CacheOptions[V]) (*Cache[V], error) {
	if err := opts.check(getter); err != nil {
		if opts.Name != "" {
			return nil, fmt.Errorf("cache %q: %w", opts.Name, err)
		}
		return nil, fmt.Errorf("cache: %w", err)
	}
	loading := opts.loading()
	c := &Cache[V]{
		name:      opts.Name,
		getter:    getter,
		cost:      opts.Cost,
		negative:  max(opts.MaxCost/maxNegativeEntries, 1),
		timeout:   loading.timeout(),
		log:       opts.Logger,
		clock:     clock.New(opts.ClockResolution),
		freshness: loading.freshness(),
		limit:     loading.limit(),
		window:    loading.window(),
		counts:    count.New(),
	}
	c.batch, _ = getter.(BatchGetter[V])
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	store := objects.Options{Max: opts.MaxEntries, Entries: opts.MaxEntries, Grace: int64(c.freshness.grace())}
	if opts.MaxCost > 0 {
		store.Max, store.Entries = opts.MaxCost, opts.MaxCost/guessedCost
	}
	c.entries = objects.New[cached[V]](store)
	c.flights = flight.New(c.rules())
	return c, nil
}

func (o *CacheOptions[V]) loading() loading {
	return loading{
		ttl: o.TTL, jitter: o.TTLJitter, negative: o.NegativeTTL,
		refreshAhead: o.RefreshAhead, staleWhileRevalidate: o.StaleWhileRevalidate, staleOnError: o.StaleOnError,
		loadTimeout: o.LoadTimeout, maxLoads: o.MaxLoads, maxQueued: o.MaxQueuedLoads,
	}
}

func (o *CacheOptions[V]) check(getter Getter[V]) error {
	var errs []error
	refuse := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if getter == nil {
		refuse("there is no getter")
	}
	switch {
	case o.MaxEntries == 0 && o.MaxCost == 0:
		refuse("there is no limit; MaxEntries, or MaxCost with Cost, is required")
	case o.MaxEntries != 0 && o.MaxCost != 0:
		refuse("MaxEntries and MaxCost exclude each other")
	case o.MaxEntries < 0:
		refuse("MaxEntries %d is negative", o.MaxEntries)
	case o.MaxCost < 0:
		refuse("MaxCost %d is negative", o.MaxCost)
	}
	if (o.MaxCost != 0) != (o.Cost != nil) {
		refuse("MaxCost and Cost need each other")
	}
	errs = append(errs, o.loading().check(), checkResolution(o.ClockResolution))
	return errors.Join(errs...)
}

// Get returns the value of the key, loading it if need be. Errors are
// [*Error], except when ctx was cancelled: then its error is in the chain and
// the load goes on for the others who wait. [ErrNotFound] says that the key has
// no value.
func (c *Cache[V]) Get(ctx context.Context, key string) (V, error) {
	a, err := c.find(ctx, key)
	return a.value, err
}

// GetItem is Get with the remaining life of the value, which is also set
// beside [ErrNotFound]. It is [NoStore] for a value that is served beyond its
// life.
func (c *Cache[V]) GetItem(ctx context.Context, key string) (Item[V], error) {
	a, err := c.find(ctx, key)
	if err != nil && a.notFound == nil {
		return Item[V]{}, err
	}
	return Item[V]{Value: a.value, Keep: c.remaining(a.expires)}, err
}

// remaining is the rest of a life.
func (c *Cache[V]) remaining(expires int64) Lifetime {
	if expires == never {
		return Forever
	}
	return For(time.Duration(expires - c.clock.Exact()))
}

// Set stores a value in place of what is there, and overtakes loads that are
// under way. One that is not to be kept, or costs more than fits, only takes
// the place of the older one. An error, [ErrTooLarge], is about the key: one of
// more than [MaxKeyBytes].
func (c *Cache[V]) Set(key string, it Item[V]) error {
	if err := checkKey(key); err != nil {
		return fmt.Errorf("set %q: %w: %w", clip(key), ErrTooLarge, err)
	}
	now := c.clock.Exact()
	a := found[V]{cached[V]{value: it.Value}, c.freshness.expires(now, it.Keep)}
	cost := c.costOf(key, a)
	c.flights.Apply(key, func() bool {
		c.keep(key, a, cost, now)
		return true
	})
	return nil
}

// Remove takes the keys out. Loads under way still answer those who wait, but
// are not kept, and nobody joins them any more.
func (c *Cache[V]) Remove(keys ...string) {
	now := c.clock.Exact()
	for _, key := range keys {
		c.flights.Apply(key, func() bool {
			c.entries.Remove(key, now)
			return true
		})
	}
}

// Clear is Remove for all keys.
func (c *Cache[V]) Clear() {
	c.flights.ApplyAll(func() bool {
		c.entries.Clear()
		return true
	})
}

// All iterates over the values that are in the cache and have not expired, in
// no order, with their remaining lives. What is stored meanwhile may be left
// out; what is removed meanwhile is.
func (c *Cache[V]) All() iter.Seq2[string, Item[V]] {
	return func(yield func(string, Item[V]) bool) {
		for e := range c.entries.All() {
			keep := c.remaining(e.Expires)
			if e.Value.notFound == nil && keep != NoStore && !yield(e.Key, Item[V]{Value: e.Value.value, Keep: keep}) {
				return
			}
		}
	}
}

// costOf is what the cache takes the answer for.
func (c *Cache[V]) costOf(key string, a found[V]) int64 {
	switch {
	case c.cost == nil:
		return 1
	case a.notFound != nil:
		return c.negative
	default:
		return c.cost(key, a.value)
	}
}

// keep stores the answer in place of an older one, which goes even if the new
// one is not to be kept. It must be called in a flight's Keep, or in Apply.
func (c *Cache[V]) keep(key string, a found[V], cost, born int64) {
	e := &entry[V]{Key: key, Value: a.cached, Expires: a.expires, Brief: a.notFound != nil || a.expires <= born}
	e.Attend.Store(never)
	if a.notFound == nil {
		e.Attend.Store(c.freshness.due(born, a.expires))
	}
	c.entries.Set(e, cost, c.clock.Exact())
}
