package gcnode

import (
	"context"
	"iter"
	"sync/atomic"

	"github.com/gcnode/gcnode/core/internal/flight"
)

// maxBatchLoads is how many misses of one batch are under way at a time when
// the getter takes single keys only.
const maxBatchLoads = 1000

// reply is what a batch yields for one key.
type reply[V any] struct {
	index int
	found[V]
	err error
}

// Stream gets the values of all keys and yields each as soon as it is there:
// first what is in memory, in the order of the keys, and then the others in
// the order of their readiness. It yields once for each key, with an error as
// that of [Cache.GetItem], or with the result. It loads what is missing with
// one call if the getter is a [BatchGetter], otherwise key by key, with at
// most 1000 loads at a time, and at most [CacheOptions.MaxLoads].
//
// The loads that nobody else waits for end when the iteration does, and no more
// begin.
func (c *Cache[V]) Stream(ctx context.Context, keys []string) iter.Seq2[Result[V], error] {
	return func(yield func(Result[V], error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var hits []reply[V]
		var misses []int
		for i, key := range keys {
			if a, ok := c.hit(ctx, key); ok {
				r := reply[V]{index: i}
				r.found, r.err = a.orNotFound()
				hits = append(hits, r)
			} else {
				misses = append(misses, i)
			}
		}
		replies := make(chan reply[V], len(misses))
		c.loadAll(ctx, keys, misses, replies)
		for _, r := range hits {
			if !yield(c.result(keys, r)) {
				return
			}
		}
		for range misses {
			if !yield(c.result(keys, <-replies)) {
				return
			}
		}
	}
}

func (c *Cache[V]) result(keys []string, r reply[V]) (Result[V], error) {
	res := Result[V]{Index: r.index, Key: keys[r.index]}
	if r.err == nil || r.notFound != nil {
		res.Value, res.Keep = r.value, c.remaining(r.expires)
	}
	return res, r.err
}

// GetMany returns the values of those keys that have one. The error joins
// those of the keys that could not be loaded; the map has the others
// nevertheless. It waits for all: [Cache.Stream] does not.
func (c *Cache[V]) GetMany(ctx context.Context, keys []string) (map[string]V, error) {
	return collect(ctx, len(keys), c.Stream(ctx, keys))
}

// GetItems implements [BatchGetter]: it yields what [Cache.Stream] yields.
func (c *Cache[V]) GetItems(ctx context.Context, keys []string, yield func(i int, it Item[V], err error)) error {
	for r, err := range c.Stream(ctx, keys) {
		yield(r.Index, r.Item, err)
	}
	return nil
}

// loadAll begins to load the keys with the given indices. It sends a reply for
// each, for which there is room.
func (c *Cache[V]) loadAll(ctx context.Context, keys []string, indices []int, replies chan<- reply[V]) {
	missing := make([]int, 0, len(indices))
	for _, i := range indices {
		if checkKey(keys[i]) == nil {
			missing = append(missing, i)
			continue
		}
		_, err := c.find(ctx, keys[i])
		replies <- reply[V]{index: i, err: err}
	}
	if c.batch != nil {
		c.loadBatches(ctx, keys, missing, replies)
		return
	}
	var next atomic.Int64
	for range min(len(missing), c.window) {
		go func() {
			for n := next.Add(1); n <= int64(len(missing)); n = next.Add(1) {
				r := reply[V]{index: missing[n-1]}
				key := keys[r.index]
				c.counts.Add(countMisses)
				if err := ctx.Err(); err != nil { // begin nothing more
					r.err = c.failure(ctx, key, err)
					replies <- r
					continue
				}
				plan := c.plan(key)
				plan.Run = c.flyInBatch
				r.found, r.err = c.settle(ctx, key, c.flights.Board(ctx, plan))
				replies <- r
			}
		}()
	}
}

// loadBatches begins to load the keys together, but for those that are being
// loaded already.
func (c *Cache[V]) loadBatches(ctx context.Context, keys []string, indices []int, replies chan<- reply[V]) {
	missing := make([]string, len(indices))
	for n, i := range indices {
		missing[n] = keys[i]
	}
	pieces, acquire := batches(missing), c.acquire
	if len(pieces) > 1 {
		acquire = c.acquireInBatch
	}
	for _, p := range pieces {
		b := flight.NewBatch[found[V]](ctx, c.timeout)
		for n := p.from; n < p.to; n++ {
			plan := c.plan(missing[n])
			plan.Batch = b
			c.counts.Add(countMisses)
			seat := c.flights.Board(ctx, plan)
			go func() {
				r := reply[V]{index: indices[n]}
				r.found, r.err = c.settle(ctx, missing[n], seat)
				replies <- r
			}()
		}
		b.Run(func(ctx context.Context) error { return c.loadBatch(ctx, b, acquire) }, func(err error) { c.reportDefect(missing[p.from], err) })
	}
}

// loadBatch calls the getter for a batch, and keeps what it says.
func (c *Cache[V]) loadBatch(ctx context.Context, b *flight.Batch[found[V]], acquire acquireFunc) error {
	keys := b.Keys()
	if err := acquire(ctx, len(keys)); err != nil {
		return err
	}
	defer c.limit.Release()
	for range keys {
		c.counts.Add(countLoads)
	}
	answered := make([]atomic.Bool, len(keys))
	defer func() {
		for i := range answered {
			if !answered[i].Load() {
				c.counts.Add(countLoadErrors)
			}
		}
	}()
	return c.batch.GetItems(ctx, keys, func(i int, it Item[V], err error) {
		if i < 0 || i >= len(keys) || answered[i].Swap(true) {
			return
		}
		a, cost, born, err := c.answer(keys[i], it, err)
		if err != nil {
			b.Answer(i, a, err, nil)
			return
		}
		b.Answer(i, a, nil, func() { c.keep(keys[i], a, cost, born) })
	})
}
