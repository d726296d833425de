package gcnode_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// ledger is a getter of all kinds of answers that keeps books of them. Every load
// takes a second.
type ledger struct {
	rng                            *rand.Rand
	mu                             sync.Mutex
	loads, kept, missing, failures uint64
}

func (l *ledger) GetItem(context.Context, string) (gcnode.Item[string], error) {
	l.mu.Lock()
	what, keep, size := l.rng.IntN(12), l.keep(), l.rng.IntN(3000)
	l.loads++
	switch {
	case what < 3:
		l.failures++
	case what < 5:
		l.missing++
		fallthrough
	default:
		if keep != gcnode.NoStore {
			l.kept++
		}
	}
	l.mu.Unlock()
	time.Sleep(time.Second)
	switch what {
	case 0:
		panic("boom")
	case 1:
		runtime.Goexit()
	case 2:
		return gcnode.Item[string]{}, errors.New("down")
	case 3, 4:
		return gcnode.Item[string]{Keep: keep}, gcnode.ErrNotFound
	case 5:
		size *= 10 // perhaps too large for a small group
	}
	return gcnode.Item[string]{Value: strings.Repeat("v", size), Keep: keep}, nil
}

func (l *ledger) keep() gcnode.Lifetime {
	return []gcnode.Lifetime{0, gcnode.NoStore, gcnode.For(5 * time.Second), gcnode.Forever}[l.rng.IntN(4)]
}

// passing is a ledger that takes batches, and passes over some keys.
type passing struct{ *ledger }

func (p passing) GetItems(ctx context.Context, keys []string, yield func(int, gcnode.Item[string], error)) error {
	for i, key := range keys {
		p.mu.Lock()
		over := p.rng.IntN(5) == 0
		if over {
			p.loads++
			p.failures++
		}
		p.mu.Unlock()
		if over {
			continue
		}
		done := make(chan struct{})
		go func() { // which may end
			defer close(done)
			answered := false
			defer func() {
				if _ = recover(); !answered {
					yield(i, gcnode.Item[string]{}, errors.New("it did not return"))
				}
			}()
			it, err := p.GetItem(ctx, key)
			answered = true
			yield(i, it, err)
		}()
		<-done
	}
	return nil
}

// figures are those that caches and groups have in common.
type figures struct {
	gets, hits, negative, stale, joined, loads, notFound, loadErrors, refreshes, overloaded, staleOnError uint64
	loading, queued                                                                                       int
	entries                                                                                               int
	evicted, expired, removed, replaced, rejected                                                         uint64
}

// bookkept is a cache or a group of which a history is made.
type bookkept struct {
	gcnode.BatchGetter[string]
	get    func(ctx context.Context, key string) (string, error)
	set    func(key string, it gcnode.Item[string]) error
	remove func(keys ...string)
	clear  func()
	stats  func() figures
}

// history does things with it at random, and compares the figures with the books
// after each of them.
func (b bookkept) history(t *testing.T, l *ledger, rng *rand.Rand) {
	t.Helper()
	var gets uint64
	key := func() string { return strconv.Itoa(rng.IntN(40)) }
	for step := range 150 {
		switch rng.IntN(10) {
		case 0:
			l.mu.Lock()
			it := gcnode.Item[string]{Value: "set", Keep: l.keep()}
			if it.Keep != gcnode.NoStore {
				l.kept++
			}
			l.mu.Unlock()
			if err := b.set(key(), it); err != nil {
				t.Fatal(err)
			}
		case 1:
			b.remove(key(), key())
		case 2:
			if rng.IntN(8) == 0 {
				b.clear()
			}
			time.Sleep(time.Duration(rng.IntN(20)) * time.Second)
		default: // some look-ups at the same time
			var callers sync.WaitGroup
			for range rng.IntN(4) {
				var keys []string
				for range rng.IntN(6) {
					keys = append(keys, key())
				}
				if rng.IntN(10) == 0 {
					keys = append(keys, strings.Repeat("k", gcnode.MaxKeyBytes+1))
				}
				single := key()
				gets += uint64(len(keys)) + 1
				for _, key := range keys {
					if len(key) > gcnode.MaxKeyBytes {
						gets-- // it is refused, and no look-up
					}
				}
				callers.Go(func() { _, _ = b.get(t.Context(), single) })
				callers.Go(func() {
					_ = b.GetItems(t.Context(), keys, func(int, gcnode.Item[string], error) {})
				})
			}
			callers.Wait()
		}
		time.Sleep(3 * time.Second) // what is loaded in the background
		f := b.stats()
		for what, pair := range map[string][2]uint64{
			"look-ups":                        {f.gets, gets},
			"misses, and what became of them": {f.gets - f.hits, f.joined + f.loads - f.refreshes + f.overloaded},
			"loads":                           {f.loads, l.loads},
			"keys without a value":            {f.notFound, l.missing},
			"loads that failed":               {f.loadErrors, l.failures},
			"what was stored, and what became of that": {l.kept, uint64(f.entries) + f.evicted + f.expired + f.removed + f.replaced + f.rejected},
			"what is under way":                        {uint64(f.loading + f.queued), 0},
		} {
			if pair[0] != pair[1] {
				t.Fatalf("step %d: %s: %d and %d; %+v", step, what, pair[0], pair[1], f)
			}
		}
		if f.hits > f.gets || f.negative+f.stale > f.hits {
			t.Fatalf("step %d: %+v", step, f)
		}
	}
}

// Every look-up, load and entry is in one of the figures, and in no more.
func TestFiguresAddUp(t *testing.T) {
	for name, freshness := range map[string]gcnode.GroupOptions{
		"plain":      {},
		"attentive":  {RefreshAhead: 2 * time.Second, StaleWhileRevalidate: 3 * time.Second, StaleOnError: time.Minute},
		"overloaded": {StaleOnError: 10 * time.Second, MaxLoads: 2, MaxQueuedLoads: 1},
	} {
		for seed := range uint64(6) {
			for _, batch := range []bool{false, true} {
				for what, of := range map[string]func(*testing.T, gcnode.Getter[string], gcnode.GroupOptions) bookkept{"cache": bookkeptCache, "group": bookkeptGroup} {
					t.Run(what+"/"+name+"/"+strconv.FormatUint(seed, 10), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							l := &ledger{rng: rand.New(rand.NewPCG(seed, 1))}
							var getter gcnode.Getter[string] = l
							if batch {
								getter = passing{l}
							}
							of(t, getter, freshness).history(t, l, rand.New(rand.NewPCG(seed, 2)))
						})
					})
				}
			}
		}
	}
}

const ledgerTTL = 10 * time.Second

func bookkeptCache(t *testing.T, getter gcnode.Getter[string], o gcnode.GroupOptions) bookkept {
	t.Helper()
	c := newCache(t, getter, stringCacheO{
		MaxEntries: 20, TTL: gcnode.For(ledgerTTL), RefreshAhead: o.RefreshAhead, StaleWhileRevalidate: o.StaleWhileRevalidate,
		StaleOnError: o.StaleOnError, MaxLoads: o.MaxLoads, MaxQueuedLoads: o.MaxQueuedLoads,
	})
	return bookkept{c, c.Get, c.Set, c.Remove, c.Clear, func() figures {
		s := c.Stats()
		if int64(s.Entries) != s.Cost {
			t.Errorf("%d entries cost %d", s.Entries, s.Cost)
		}
		return figures{
			s.Gets, s.Hits, s.NegativeHits, s.StaleHits, s.Joined, s.Loads, s.NotFound, s.LoadErrors, s.Refreshes, s.Overloaded, s.StaleOnError,
			s.Loading, s.Queued, s.Entries, s.Evicted, s.Expired, s.Removed, s.Replaced, s.Rejected,
		}
	}}
}

func bookkeptGroup(t *testing.T, getter gcnode.Getter[string], o gcnode.GroupOptions) bookkept {
	t.Helper()
	o.MaxBytes, o.TTL = gcnode.MinBytes, gcnode.For(ledgerTTL)
	node, err := gcnode.NewNode(gcnode.Config{ClockResolution: exact})
	if err != nil {
		t.Fatal(err)
	}
	g, err := gcnode.Of(node, groupName, gcnode.String(), getter, o)
	if err != nil {
		t.Fatal(err)
	}
	check := func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
	return bookkept{
		g, g.Get,
		func(key string, it gcnode.Item[string]) error { return g.Set(t.Context(), key, it) },
		func(keys ...string) { check(g.Remove(t.Context(), keys...)) },
		func() { check(g.Clear(t.Context())) },
		func() figures {
			s := g.Stats()
			if s.LoadTime.Count() != s.Loads {
				t.Errorf("%d loads, %d of them timed", s.Loads, s.LoadTime.Count())
			}
			e := s.Owned
			return figures{
				s.Gets, s.Hits, s.NegativeHits, s.StaleHits, s.Joined, s.Loads, s.NotFound, s.LoadErrors, s.Refreshes, s.Overloaded, s.StaleOnError,
				s.Loading, s.Queued, e.Entries, e.Evicted, e.Expired, e.Removed, e.Replaced, e.Rejected,
			}
		},
	}
}
