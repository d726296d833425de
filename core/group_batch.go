package gcnode

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gcnode/gcnode/core/internal/flight"
)

// groupReply is the answer to one key of a batch.
type groupReply struct {
	index int
	a     answer
	err   error
}

// Stream gets the values of all keys and yields each as soon as it is there:
// first what is in memory, in the order of the keys, and then the others in
// the order of their readiness. It yields once for each key, with an error as
// that of [Group.GetItem], or with the result. Owners are asked for many keys
// at once, and what they load is loaded with one call if the getter is a
// [BatchGetter], otherwise key by key, with at most 1000 loads at a time, and at
// most [GroupOptions.MaxLoads].
//
// The loads that nobody else waits for end when the iteration does, and no more
// begin.
func (g *Group) Stream(ctx context.Context, keys []string) iter.Seq2[Result[Value], error] {
	return func(yield func(Result[Value], error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var hits []groupReply
		var misses []int
		for i, key := range keys {
			if a, ok := g.cached(ctx, key); ok && !g.node.isClosed() {
				g.lookups.Add(lookupOf(a))
				r := groupReply{index: i}
				r.a, r.err = g.conclude(ctx, key, a, nil)
				hits = append(hits, r)
			} else {
				misses = append(misses, i)
			}
		}
		replies := make(chan groupReply, len(misses))
		g.fillAll(ctx, keys, misses, func(i int, a answer, err error) {
			r := groupReply{index: i}
			r.a, r.err = g.conclude(ctx, keys[i], a, err)
			replies <- r
		})
		for _, r := range hits {
			if !yield(g.result(keys, r)) {
				return
			}
		}
		for range misses {
			if !yield(g.result(keys, <-replies)) {
				return
			}
		}
	}
}

func (g *Group) result(keys []string, r groupReply) (Result[Value], error) {
	res := Result[Value]{Index: r.index, Key: keys[r.index]}
	if r.err == nil || r.a.notFound {
		res.Value, res.Keep = r.a.item(), g.node.remaining(r.a.expires)
	}
	return res, r.err
}

// GetMany returns the values of those keys that have one. The error joins
// those of the keys that could not be loaded; the map has the others
// nevertheless. It waits for all: [Group.Stream] does not.
func (g *Group) GetMany(ctx context.Context, keys []string) (map[string]Value, error) {
	return collect(ctx, len(keys), g.Stream(ctx, keys))
}

// GetItems implements [BatchGetter]: it yields what [Group.Stream] yields.
func (g *Group) GetItems(ctx context.Context, keys []string, yield func(i int, it Item[Value], err error)) error {
	for r, err := range g.Stream(ctx, keys) {
		yield(r.Index, r.Item, err)
	}
	return nil
}

// fillAll begins to get the keys with the given indices, which this node does
// not have, and calls take once for each, from any goroutine.
func (g *Group) fillAll(ctx context.Context, keys []string, indices []int, take func(i int, a answer, err error)) {
	if len(indices) == 0 {
		return
	}
	ended := g.settleIn(ctx)
	indices = g.admit(keys, indices, take)
	if len(indices) == 0 {
		return
	}
	defer g.node.end()
	if ended != nil {
		for _, i := range indices {
			take(i, answer{}, ended)
		}
		return
	}
	if g.node.is(joining) {
		g.each(ctx, &pick{keys: keys, indices: indices}, maxBatchLoads, func(key string) (answer, error) { return g.fill(ctx, key) }, take)
		return
	}
	v := g.node.view.Load()
	mine := pick{keys: keys}
	owners := map[*peer]*pick{}
	var order []*peer
	for _, i := range indices {
		key := keys[i]
		owner := v.peers[v.owner(key)]
		if owner == nil || owner.ID == g.node.cfg.Self.ID {
			mine.indices = append(mine.indices, i)
			continue
		}
		g.popularity.add(key, g.node.clock.Now())
		if owners[owner] == nil {
			owners[owner] = &pick{keys: keys}
			order = append(order, owner)
		}
		owners[owner].indices = append(owners[owner].indices, i)
	}
	for _, p := range order {
		g.askMany(ctx, v, p, owners[p], take)
	}
	g.loadMany(ctx, v, &mine, take)
}

// admit begins a piece of work, and refuses keys that are too large, or all of
// them on a closed node. If none is left there is no work.
func (g *Group) admit(keys []string, indices []int, take func(i int, a answer, err error)) (good []int) {
	begun := g.node.begin()
	for _, i := range indices {
		err := checkKey(keys[i])
		switch {
		case err != nil:
			take(i, answer{}, &Error{Kind: KindTooLarge, Group: g.name, Key: clip(keys[i]), Err: err})
		case !begun:
			take(i, answer{}, ErrDraining)
		default:
			g.lookups.Add(lookupMiss)
			good = append(good, i)
		}
	}
	if begun && len(good) == 0 {
		g.node.end()
	}
	return good
}

// pick is some keys of a batch, by their indices.
type pick struct {
	keys    []string
	indices []int
}

// pieces cuts it into what fits into a request.
func (p *pick) pieces() (pieces [][]int) {
	picked := make([]string, len(p.indices))
	for n, i := range p.indices {
		picked[n] = p.keys[i]
	}
	for _, b := range batches(picked) {
		pieces = append(pieces, p.indices[b.from:b.to])
	}
	return pieces
}

// askMany asks the owner of the keys for all of them.
func (g *Group) askMany(ctx context.Context, v *view, owner *peer, of *pick, take func(i int, a answer, err error)) {
	timeout := g.timeout + (maxLine+1)*g.node.cfg.PeerTimeout
	for _, indices := range of.pieces() {
		g.boardMany(ctx, flight.Ask, timeout, of.keys, indices, take, func(ctx context.Context, b *flight.Batch[answer]) error {
			g.fetchMany(ctx, b, v, owner)
			return nil
		})
	}
}

// boardMany joins or starts a flight for each of the keys. Those that are
// started are answered together by run.
func (g *Group) boardMany(ctx context.Context, role flight.Role, timeout time.Duration, keys []string, indices []int,
	take func(i int, a answer, err error), run func(context.Context, *flight.Batch[answer]) error,
) {
	b := flight.NewBatch[answer](ctx, timeout)
	begun := g.node.now()
	for _, i := range indices {
		key := keys[i]
		seat := g.flights.Board(ctx, flight.Plan[answer]{Role: role, Key: key, Batch: b})
		g.node.beginMore()
		go func() {
			defer g.node.end()
			a, err := g.wait(ctx, seat, key, timeout)
			switch {
			case errors.Is(err, errNotHeld):
				a, err = g.load(ctx, key)
			case err != nil && role == flight.Load:
				a, err = g.instead(ctx, key, err)
			case err == nil && role == flight.Ask && a.endedBy(begun):
				a, err = g.fill(ctx, key)
			}
			take(i, a, err)
		}()
	}
	if len(b.Keys()) > 0 {
		g.node.beginMore()
	}
	b.Run(func(ctx context.Context) error {
		defer g.node.end()
		return run(ctx, b)
	}, func(err error) { g.reportDefect(keys[indices[0]], err) })
}

// fetchMany is the piece of work that asks the owner for many keys. Those that it
// cannot answer go down their lines.
func (g *Group) fetchMany(ctx context.Context, b *flight.Batch[answer], v *view, owner *peer) {
	all := make([]int, len(b.Keys()))
	for i := range all {
		all[i] = i
	}
	rest := g.fetchFrom(ctx, b, v, owner, all)
	if len(rest) == 0 {
		return
	}
	lines := make([][]*peer, len(all))
	for _, i := range rest {
		lines[i] = slices.DeleteFunc(g.line(v, b.Keys()[i]), func(p *peer) bool { return p == owner })
	}
	g.fetchOn(ctx, b, v, rest, lines)
}

// fetchOn asks the next in the lines of the keys with the given indices, each
// for all of its keys at once, and loads those whose lines have ended.
func (g *Group) fetchOn(ctx context.Context, b *flight.Batch[answer], v *view, indices []int, lines [][]*peer) {
	var wg sync.WaitGroup
	defer wg.Wait()
	ended := pick{keys: b.Keys()}
	next := map[*peer][]int{}
	var order []*peer
	for _, i := range indices {
		if len(lines[i]) == 0 {
			ended.indices = append(ended.indices, i)
			continue
		}
		p := lines[i][0]
		lines[i] = lines[i][1:]
		if next[p] == nil {
			order = append(order, p)
		}
		next[p] = append(next[p], i)
	}
	for _, p := range order {
		wg.Go(func() {
			if rest := g.fetchFrom(ctx, b, v, p, next[p]); len(rest) > 0 {
				g.fetchOn(ctx, b, v, rest, lines)
			}
		})
	}
	wg.Add(len(ended.indices))
	g.loadMany(ctx, v, &ended, func(i int, a answer, err error) {
		b.Answer(i, a, err, nil)
		wg.Done()
	})
}

// fetchFrom asks a member for the keys of the batch with the given indices, and
// returns those about which it could say nothing.
func (g *Group) fetchFrom(ctx context.Context, b *flight.Batch[answer], v *view, p *peer, indices []int) (rest []int) {
	if p.down.Load() || g.node.strangers.has(p.ID) {
		g.counts.failovers.Add(uint64(len(indices)))
		return indices
	}
	req := &Request{Op: OpFetch, Group: g.name, Keys: make([]string, len(indices))}
	for n, i := range indices {
		req.Keys[n] = b.Keys()[i]
	}
	removals, ok := g.node.removals.active(g.name, req.Keys...)
	if !ok && len(indices) > 1 { // too many to be carried at once
		half := len(indices) / 2
		return slices.Concat(g.fetchFrom(ctx, b, v, p, indices[:half]), g.fetchFrom(ctx, b, v, p, indices[half:]))
	}
	req.Removals = removals // too many for one key: its flight is alone
	sent := g.node.now()
	old := make([]answer, len(indices))
	told, answered := make([]bool, len(indices)), make([]bool, len(indices))
	for n, key := range req.Keys {
		if a, digest := g.aged(key); digest != (Digest{}) {
			if req.Digests == nil {
				req.Digests = make([]Digest, len(req.Keys))
			}
			old[n], req.Digests[n] = a, digest
		}
	}
	g.counts.fetches.Add(1)
	err := g.node.ask(ctx, p, req, func(r Reply) error {
		if r.Key < 0 || r.Key >= len(req.Keys) || told[r.Key] || r.Value.Len() > MaxValueBytes {
			return fmt.Errorf("a reply to key %d that was not asked for", r.Key)
		}
		if r.NotModified {
			if req.Digests == nil || req.Digests[r.Key] == (Digest{}) {
				return errors.New("not modified, but it was not asked that")
			}
			g.vouched(&r, old[r.Key])
		}
		key := req.Keys[r.Key]
		a, e := g.answerOfReply(&r, sent)
		if e != nil {
			e.Key, e.Peer = key, cmp.Or(e.Peer, p.ID)
		}
		told[r.Key] = true
		g.fetchEnded(p, key, sent, a, e)
		switch {
		case e == nil:
			answered[r.Key] = true
			b.Answer(indices[r.Key], a, nil, func() {
				if r.ListHash == v.ring.Hash() && v.owner(key) == p.ID {
					g.keepFetched(v, key, a, sent)
				}
			})
		case !goesOn(e.Kind):
			answered[r.Key] = true
			g.counts.fetchErrors.Add(1)
			b.Answer(indices[r.Key], answer{}, e, nil)
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		g.counts.fetchErrors.Add(1)
		g.node.log.LogAttrs(ctx, levelWarn, "peer cannot answer a batch, asking the next in line", peerAttr(p.Peer), errAttr(err))
	}
	for n, key := range req.Keys {
		if !told[n] {
			g.fetchEnded(p, key, sent, answer{}, g.noAnswer(p, key, err))
		}
		if !answered[n] {
			rest = append(rest, indices[n])
		}
	}
	g.counts.failovers.Add(uint64(len(rest)))
	return rest
}

// askOthers asks the line of a key but for its owner, and loads in the end.
func (g *Group) askOthers(ctx context.Context, v *view, owner *peer, key string) (answer, error) {
	for _, p := range g.line(v, key) {
		if p == owner {
			continue
		}
		if a, err := g.askOne(ctx, nil, v, p, key); !errors.Is(err, errGoOn) {
			return a, err
		}
	}
	return g.load(ctx, key)
}

// loadMany loads keys here: together if the getter can do that and no previous
// owner is to be asked first, and otherwise each on its own. A batch that takes
// several loads is a queue of its own.
func (g *Group) loadMany(ctx context.Context, v *view, of *pick, take func(i int, a answer, err error)) {
	if g.batch == nil || v.estate.open(g.node.now()) {
		run := flightFunc(nil)
		if len(of.keys) > 1 {
			run = g.flyInBatch
		}
		g.each(ctx, of, g.window, func(key string) (answer, error) { return g.loadBy(ctx, key, run) }, take)
		return
	}
	pieces, acquire := of.pieces(), g.acquire
	if len(pieces) > 1 {
		acquire = g.acquireInBatch
	}
	for _, indices := range pieces {
		g.boardMany(ctx, flight.Load, g.timeout, of.keys, indices, take, func(ctx context.Context, b *flight.Batch[answer]) error {
			return g.loadBatch(ctx, b, acquire)
		})
	}
}

// each gets the keys one by one, some at a time, and begins nothing more when ctx
// has ended.
func (g *Group) each(ctx context.Context, of *pick, window int, get func(key string) (answer, error), take func(i int, a answer, err error)) {
	var next atomic.Int64
	for range min(len(of.indices), window) {
		g.node.beginMore()
		go func() {
			defer g.node.end()
			for n := next.Add(1); n <= int64(len(of.indices)); n = next.Add(1) {
				i := of.indices[n-1]
				a, err := answer{}, ctx.Err()
				if err == nil {
					a, err = get(of.keys[i])
				}
				take(i, a, err)
			}
		}()
	}
}

// loadBatch calls the getter for a batch, and keeps what it says.
func (g *Group) loadBatch(ctx context.Context, b *flight.Batch[answer], acquire acquireFunc) error {
	keys := b.Keys()
	if err := acquire(ctx, len(keys)); err != nil {
		return err
	}
	defer g.limit.Release()
	v := g.node.view.Load()
	g.counts.loads.Add(uint64(len(keys)))
	answered, begun := make([]atomic.Bool, len(keys)), g.node.now()
	err := error(errNoReturn) // it panics, or ends its goroutine
	defer func() {
		for i := range answered {
			if !answered[i].Load() {
				g.counts.loadErrors.Add(1)
				g.loadEnded(keys[i], begun, answer{}, cmp.Or(err, flight.ErrUnanswered))
			}
		}
	}()
	err = g.batch.GetItems(ctx, keys, func(i int, it Item[Value], err error) {
		if i < 0 || i >= len(keys) || answered[i].Swap(true) {
			return
		}
		a, err := g.judge(v, keys[i], it, err)
		g.loadEnded(keys[i], begun, a, err)
		b.Answer(i, a, err, func() {
			if err == nil {
				g.keepLoaded(v, keys[i], a)
			}
		})
	})
	return err
}
