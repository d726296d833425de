package gcnode_test

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
)

// wantStats compares the figures of a group about freshness and load limits.
func wantStats(t *testing.T, g *gcnode.Group, loads, refreshes, stale, onError, overloaded uint64) {
	t.Helper()
	st := g.Stats()
	if st.Loads != loads || st.Refreshes != refreshes || st.StaleHits != stale || st.StaleOnError != onError || st.Overloaded != overloaded {
		t.Errorf("loads %d, refreshes %d, stale hits %d, stale on error %d, overloaded %d; want %d, %d, %d, %d, %d",
			st.Loads, st.Refreshes, st.StaleHits, st.StaleOnError, st.Overloaded, loads, refreshes, stale, onError, overloaded)
	}
}

// version is that of the key as a node serves it.
func (c *cluster) version(node int, key string) int {
	c.t.Helper()
	v, err := c.groups[node].Get(c.t.Context(), key)
	if err != nil {
		c.t.Fatal(err)
	}
	n, err := strconv.Atoi(v.String())
	if err != nil {
		c.t.Fatal(err)
	}
	return n
}

func TestACoarseClockServesAGroupsValuesNoLongerThanItsResolution(t *testing.T) {
	const life, resolution = time.Second, 10 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{
			t: t, net: transporttest.NewNetwork(), origin: newOrigin(),
			config: func(cfg *gcnode.Config) { cfg.ClockResolution = resolution },
		}
		c.start("n0", defaultOptions)
		c.origin.keep = gcnode.For(life)
		longest := time.Duration(0)
		for version := range 20 {
			c.origin.write("k", version)
			for c.version(0, "k") != version {
				time.Sleep(time.Millisecond)
			}
			begun := time.Now()
			c.origin.write("k", version+1)
			for c.version(0, "k") == version {
				longest = max(longest, time.Since(begun))
				time.Sleep(time.Duration(version+1) * 100 * time.Microsecond)
			}
		}
		if longest < life-2*time.Millisecond || longest > life+resolution {
			t.Errorf("a value with a life of %v was served for %v", life, longest)
		}
	})
}

func TestAnOwnedValueIsReloadedAheadOfItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, gcnode.GroupOptions{MaxBytes: 1 << 20, RefreshAhead: 10 * time.Second})
		key := c.keyOf(0)
		c.origin.keep = gcnode.For(time.Minute)
		c.want(0, key, 0, gcnode.SourceLoaded)
		c.origin.write(key, 1)
		c.origin.takes = time.Second
		time.Sleep(50*time.Second - 1)
		c.want(0, key, 0, gcnode.SourceHit)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		wantStats(t, c.groups[0], 1, 0, 0, 0, 0)
		c.want(0, key, 0, gcnode.SourceHit)
		c.want(0, key, 0, gcnode.SourceHit) // one reload is enough
		c.want(1, key, 0, gcnode.SourceOwner)
		time.Sleep(time.Second)
		synctest.Wait()
		c.want(0, key, 1, gcnode.SourceHit)
		wantStats(t, c.groups[0], 2, 1, 0, 0, 0)
	})
}

// A life that is shorter than the time ahead is not reloaded all the time.
func TestAShortLifeIsReloadedInItsSecondHalf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrigin()
		o.keep = gcnode.For(time.Second)
		g := local(t, o, gcnode.GroupOptions{MaxBytes: 1 << 20, RefreshAhead: time.Minute})
		for range 1000 {
			if _, err := g.Get(t.Context(), "k"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		// 10 s, and a reload in each half second.
		if n := o.loaded("k"); n < 15 || n > 21 {
			t.Errorf("%d loads", n)
		}
	})
}

func TestAStaleOwnedValueIsServedWhileItIsReloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, gcnode.GroupOptions{MaxBytes: 1 << 20, StaleWhileRevalidate: 10 * time.Second})
		key := c.keyOf(0)
		c.origin.keep = gcnode.For(time.Minute)
		c.want(0, key, 0, gcnode.SourceLoaded)
		c.origin.write(key, 1)
		c.origin.takes = time.Second
		time.Sleep(time.Minute)
		a, err := c.groups[0].Lookup(t.Context(), key)
		if err != nil || a.Value.String() != "0" || a.Keep != gcnode.NoStore {
			t.Errorf("%+v, %v", a, err)
		}
		// Another member gets it, and does not keep it.
		c.want(1, key, 0, gcnode.SourceOwner)
		c.want(1, key, 0, gcnode.SourceOwner)
		time.Sleep(time.Second)
		synctest.Wait()
		c.want(0, key, 1, gcnode.SourceHit)
		c.want(1, key, 1, gcnode.SourceOwner)
		c.want(1, key, 1, gcnode.SourceHot)
		wantStats(t, c.groups[0], 2, 1, 1, 0, 0)

		// Beyond the time that is allowed everyone waits.
		c.origin.write(key, 2)
		time.Sleep(time.Minute + 10*time.Second)
		c.want(0, key, 2, gcnode.SourceLoaded)
	})
}

func TestAnOwnedValueIsServedWhenItCannotBeReloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, gcnode.GroupOptions{MaxBytes: 1 << 20, StaleOnError: time.Hour})
		key := c.keyOf(0)
		c.origin.keep = gcnode.For(time.Minute)
		c.want(0, key, 0, gcnode.SourceLoaded)
		c.origin.write(key, 1)
		c.origin.fail = errors.New("the origin is down")
		time.Sleep(time.Minute)
		if v := c.version(0, key); v != 0 {
			t.Errorf("version %d", v)
		}
		if v := c.version(1, key); v != 0 {
			t.Errorf("version %d at another member", v)
		}
		wantStats(t, c.groups[0], 3, 0, 0, 2, 0)
		time.Sleep(time.Hour)
		if _, err := c.groups[0].Get(t.Context(), key); !errors.Is(err, gcnode.ErrTransient) {
			t.Errorf("beyond the time that is allowed: %v", err)
		}
		c.origin.fail = gcnode.ErrNotFound // is an answer
		c.origin.keep = 0
		if _, err := c.groups[0].Get(t.Context(), key); !errors.Is(err, gcnode.ErrNotFound) {
			t.Error(err)
		}
	})
}

// What the origin did not have it may have by now: such an answer is of no use
// beyond its life, whatever is allowed for values.
func TestNotFoundIsNeverServedBeyondItsLife(t *testing.T) {
	for name, opts := range map[string]gcnode.GroupOptions{
		"while revalidate": {MaxBytes: 1 << 20, StaleWhileRevalidate: time.Hour},
		"on error":         {MaxBytes: 1 << 20, StaleOnError: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 2, opts)
				key := c.keyOf(0)
				want := func(what string, target error, loads int) {
					t.Helper()
					for i := range c.groups {
						if v, err := c.groups[i].Get(t.Context(), key); !errors.Is(err, target) {
							t.Errorf("%s: n%d got %q, %v", what, i, v, err)
						}
					}
					synctest.Wait()
					c.wantLoads(key, loads)
				}
				c.origin.keep, c.origin.fail = gcnode.For(time.Minute), gcnode.ErrNotFound
				want("not there", gcnode.ErrNotFound, 1)
				time.Sleep(time.Minute)
				c.origin.fail = errors.New("the origin is down")
				want("the origin is down", gcnode.ErrTransient, 3)
				c.origin.fail = nil
				want("it is there now", nil, 4)
				if st := c.groups[0].Stats(); st.StaleHits != 0 || st.StaleOnError != 0 || st.Refreshes != 0 {
					t.Errorf("stats %+v", st)
				}
			})
		})
	}
}

func TestNotFoundIsNotReloadedAheadOfItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrigin()
		o.keep, o.fail = gcnode.For(time.Minute), gcnode.ErrNotFound
		g := local(t, o, gcnode.GroupOptions{MaxBytes: 1 << 20, RefreshAhead: 20 * time.Second})
		for range 60 {
			if _, err := g.Get(t.Context(), "k"); !errors.Is(err, gcnode.ErrNotFound) {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if n := o.loaded("k"); n != 1 {
			t.Errorf("%d loads in one life", n)
		}
	})
}

func TestWhatWasRemovedIsNotServedStale(t *testing.T) {
	for name, opts := range map[string]gcnode.GroupOptions{
		"while revalidate": {MaxBytes: 1 << 20, StaleWhileRevalidate: time.Hour},
		"on error":         {MaxBytes: 1 << 20, StaleOnError: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 2, opts)
				key := c.keyOf(0)
				c.origin.keep = gcnode.For(time.Minute)
				c.want(0, key, 0, gcnode.SourceLoaded)
				time.Sleep(time.Minute)
				if err := c.groups[1].Remove(t.Context(), key); err != nil {
					t.Fatal(err)
				}
				c.origin.fail = errors.New("the origin is down")
				for i := range c.groups {
					if v, err := c.groups[i].Get(t.Context(), key); err == nil {
						t.Errorf("n%d served %q", i, v)
					}
				}
			})
		})
	}
}

// A removal overtakes a background load too.
func TestABackgroundLoadOfAGroupBringsNothingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, gcnode.GroupOptions{MaxBytes: 1 << 20, StaleWhileRevalidate: time.Hour})
		key := c.keyOf(0)
		c.origin.keep = gcnode.For(time.Minute)
		c.want(0, key, 0, gcnode.SourceLoaded)
		time.Sleep(time.Minute)
		c.origin.takes = time.Second
		c.want(0, key, 0, gcnode.SourceHit) // the reload reads version 0
		synctest.Wait()
		c.origin.write(key, 1)
		if err := c.groups[1].Remove(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		c.want(0, key, 1, gcnode.SourceLoaded)
		time.Sleep(time.Minute / 2)
		c.want(0, key, 1, gcnode.SourceHit)
	})
}

func TestABackgroundLoadThatFailsPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrigin()
		o.keep = gcnode.For(time.Minute)
		g := local(t, o, gcnode.GroupOptions{MaxBytes: 1 << 20, StaleWhileRevalidate: time.Hour})
		if _, err := g.Get(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		o.fail = &gcnode.Error{Kind: gcnode.KindTransient, RetryAfter: 5 * time.Second}
		for range 100 {
			if _, err := g.Get(t.Context(), "k"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		if n := o.loaded("k"); n != 1+2 { // at once, and after 5 s
			t.Errorf("%d loads", n)
		}
	})
}

// pausing is a group whose values are stale, and whose origin is down.
type pausing struct {
	t *testing.T
	g *gcnode.Group
}

func newPausing(t *testing.T, keys int) pausing {
	t.Helper()
	o := newOrigin()
	o.keep = gcnode.For(time.Minute)
	p := pausing{t, local(t, o, gcnode.GroupOptions{MaxBytes: 8 << 20, StaleWhileRevalidate: time.Hour})}
	p.get(0, keys)
	time.Sleep(time.Minute)
	o.fail = errors.New("the origin is down")
	return p
}

// get gets some of the keys, and returns how many of them it began to reload.
func (p pausing) get(from, to int) uint64 {
	p.t.Helper()
	before := p.g.Stats().Refreshes
	for i := from; i < to; i++ {
		if _, err := p.g.Get(p.t.Context(), strconv.Itoa(i)); err != nil {
			p.t.Fatal(err)
		}
	}
	synctest.Wait()
	return p.g.Stats().Refreshes - before
}

// What is forgotten is tried again, so that memory has a bound.
func TestPausesTakeBoundedMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPausing(t, 2500)
		if n := p.get(0, 2500); n != 2500 {
			t.Errorf("%d background loads of 2500 keys", n)
		}
		// 1000 are remembered, and each of the others takes the place of one.
		if n := p.get(0, 2500); n < 1500 || n >= 2500 {
			t.Errorf("%d background loads of 2500 keys that have just been tried", n)
		}
	})
}

// Whatever becomes of a load, and whoever it was for, the next one finds its
// place free, and Close does not wait for it.
func TestLoadsGiveBackWhatTheyTook(t *testing.T) {
	type outcome = func() (gcnode.Item[gcnode.Value], error)
	there := func() (gcnode.Item[gcnode.Value], error) {
		return gcnode.Item[gcnode.Value]{Keep: gcnode.For(time.Minute)}, nil
	}
	fails := func() (gcnode.Item[gcnode.Value], error) {
		return gcnode.Item[gcnode.Value]{}, errors.New("the origin is down")
	}
	outcomes := map[string]outcome{
		"it has a value": there,
		"it fails":       fails,
		"it panics":      func() (gcnode.Item[gcnode.Value], error) { panic("boom") },
		"it never returns": func() (gcnode.Item[gcnode.Value], error) {
			runtime.Goexit()
			return fails()
		},
		"it ignores its deadline": func() (gcnode.Item[gcnode.Value], error) {
			time.Sleep(time.Minute)
			return there()
		},
		"its value must not be kept": func() (gcnode.Item[gcnode.Value], error) {
			return gcnode.Item[gcnode.Value]{Keep: gcnode.NoStore}, nil
		},
		"there is no such key": func() (gcnode.Item[gcnode.Value], error) {
			return gcnode.Item[gcnode.Value]{}, gcnode.ErrNotFound
		},
	}
	for how, outcome := range outcomes {
		for _, way := range []struct {
			name  string
			node  int
			many  bool // more than one at once
			stale bool // a value is reloaded in the background
			full  bool // all places are taken
		}{
			{name: "a load"},
			{name: "a load for another member", node: 1},
			{name: "a batch", many: true},
			{name: "a batch for another member", node: 1, many: true},
			{name: "a background load", stale: true},
			{name: "a background load for another member", node: 1, stale: true},
			{name: "a background load without a place", stale: true, full: true},
		} {
			t.Run(way.name+"/"+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					answer := there
					c := newCluster(t, 2, defaultOptions)
					for _, node := range c.nodes {
						_, err := node.Group("limited", stackedGetter[gcnode.Value]{gcnode.GetterFunc[gcnode.Value](func(_ context.Context, key string) (gcnode.Item[gcnode.Value], error) {
							answer := answer
							if key == "slow" {
								time.Sleep(time.Second)
							} else {
								time.Sleep(time.Millisecond)
							}
							return answer()
						})}, gcnode.GroupOptions{
							MaxBytes: 1 << 20, StaleWhileRevalidate: time.Hour,
							MaxLoads: 1, MaxQueuedLoads: 3, LoadTimeout: 10 * time.Second,
						})
						if err != nil {
							t.Fatal(err)
						}
					}
					owner, _ := c.nodes[0].Lookup("limited")
					asked, _ := c.nodes[way.node].Lookup("limited")
					key := c.keyOf(0)
					if way.stale {
						if _, err := owner.Get(t.Context(), key); err != nil {
							t.Fatal(err)
						}
						time.Sleep(time.Minute)
					}
					var waiting sync.WaitGroup
					if way.full {
						waiting.Go(func() { _, _ = owner.Get(t.Context(), "slow") })
						synctest.Wait()
					}
					answer = outcome
					for range 3 { // the first one loads, and the others have nothing to load
						waiting.Go(func() {
							if way.many {
								_, _ = asked.GetMany(t.Context(), []string{key})
							} else {
								_, _ = asked.Get(t.Context(), key)
							}
						})
						synctest.Wait()
					}
					waiting.Wait()
					time.Sleep(5 * time.Minute)
					answer = there
					st := owner.Stats()
					if st.Loading != 0 || st.Queued != 0 {
						t.Errorf("%d loading, %d queued", st.Loading, st.Queued)
					}
					if (st.Refreshes > 0) != (way.stale && !way.full) {
						t.Errorf("%d background loads", st.Refreshes)
					}
					if _, err := owner.Get(t.Context(), "new "+key); err != nil {
						t.Errorf("the next load: %v", err)
					}
					for _, node := range c.nodes {
						ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
						if err := node.Close(ctx); err != nil {
							t.Fatal(err)
						}
						cancel()
					}
				})
			})
		}
	}
}

// An answer that comes between a look-up and the load is one as any other.
func TestHammerCloseWaitsForNoAnswerThatCameMeanwhile(t *testing.T) {
	node, err := gcnode.NewNode(gcnode.Config{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := node.Group(groupName, gcnode.GetterFunc[gcnode.Value](func(context.Context, string) (gcnode.Item[gcnode.Value], error) {
		return gcnode.Item[gcnode.Value]{}, nil
	}), defaultOptions)
	if err != nil {
		t.Fatal(err)
	}
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for i := range 2000 {
				if _, err := g.Get(t.Context(), strconv.Itoa(i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	callers.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := node.Close(ctx); err != nil {
		t.Error(err)
	}
}

func TestTheLoadsOfAGroupAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, gcnode.GroupOptions{MaxBytes: 1 << 20, MaxLoads: 2, MaxQueuedLoads: 1, LoadTimeout: time.Minute})
		c.origin.takes = time.Second
		var keys []string
		for i := 0; len(keys) < 4; i++ {
			if key := strconv.Itoa(i); c.groups[0].Owner(key).ID == "n0" {
				keys = append(keys, key)
			}
		}
		done := make(chan error, 3)
		for _, key := range keys[:3] {
			go func() {
				_, err := c.groups[0].Get(t.Context(), key)
				done <- err
			}()
			synctest.Wait()
		}
		if st := c.groups[0].Stats(); st.Loading != 2 || st.Queued != 1 {
			t.Errorf("%d loading, %d queued", st.Loading, st.Queued)
		}
		for i := range c.groups { // here, and asked from another member
			_, err := c.groups[i].Get(t.Context(), keys[3])
			if !errors.Is(err, gcnode.ErrOverloaded) || !strings.Contains(err.Error(), "2 loads are running and 1 are waiting") {
				t.Errorf("n%d: %v", i, err)
			}
		}
		begun := time.Now()
		for range 3 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if d := time.Since(begun); d != 2*time.Second {
			t.Errorf("three loads took %v", d)
		}
		wantStats(t, c.groups[0], 3, 0, 0, 0, 2)
	})
}

// A load that waits for its turn ends with its last waiter, and makes room.
func TestALoadThatNobodyWaitsForLeavesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrigin()
		o.takes = time.Second
		g := local(t, o, gcnode.GroupOptions{MaxBytes: 1 << 20, MaxLoads: 1, MaxQueuedLoads: 1})
		go func() { _, _ = g.Get(t.Context(), "first") }()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _, _ = g.Get(ctx, "second") }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		if _, err := g.Get(t.Context(), "third"); err != nil {
			t.Error(err)
		}
		if n := o.loaded("second"); n != 0 {
			t.Errorf("%d loads of what nobody waits for", n)
		}
	})
}

func TestTheLivesOfAGroupAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := local(t, newOrigin(), gcnode.GroupOptions{MaxBytes: 1 << 20, TTL: gcnode.For(time.Minute), TTLJitter: 0.5})
		shortest, longest := time.Hour, time.Duration(0)
		for i := range 1000 {
			it, err := g.GetItem(t.Context(), strconv.Itoa(i))
			if err != nil {
				t.Fatal(err)
			}
			d, _ := it.Keep.Duration()
			shortest, longest = min(shortest, d), max(longest, d)
		}
		if shortest < 30*time.Second || shortest > 33*time.Second || longest > time.Minute || longest < 57*time.Second {
			t.Errorf("lives from %v to %v", shortest, longest)
		}
	})
}

// What the origin has said since must not be forgotten for what it said before,
// even if it was not to be kept.
func TestAnAnswerThatMustNotBeKeptTakesTheOlderOneWithIt(t *testing.T) {
	for name, opts := range map[string]gcnode.GroupOptions{
		"while revalidate": {MaxBytes: 1 << 20, StaleWhileRevalidate: time.Hour},
		"on error":         {MaxBytes: 1 << 20, StaleOnError: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOrigin()
				o.keep = gcnode.For(time.Minute)
				g := local(t, o, opts)
				get := func() string {
					v, err := g.Get(t.Context(), "k")
					synctest.Wait()
					if err != nil {
						return err.Error()
					}
					return v.String()
				}
				get()
				time.Sleep(time.Minute)
				o.write("k", 1)
				o.keep = gcnode.NoStore
				get() // or what it reloads in the background
				o.fail = errors.New("the origin is down")
				if got := get(); got == "0" {
					t.Errorf("got %q, which the origin had replaced", got)
				}
			})
		})
	}
}

// A new owner may have a copy from before. It goes when the owner has a value of
// its own, and does not come back when that ends.
func TestACopyFromBeforeDoesNotOutliveTheOwnersValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{
			t: t, net: transporttest.NewNetwork(), origin: newOrigin(),
			config: func(cfg *gcnode.Config) { cfg.HotTTL = time.Hour },
		}
		opts := gcnode.GroupOptions{MaxBytes: 1 << 20, RefreshAhead: 20 * time.Second}
		for i := range 2 {
			c.start(id(i), opts)
		}
		for _, node := range c.nodes {
			c.setPeers(node, 2)
		}
		t.Cleanup(c.close)
		c.join()
		key := c.keyOf(1)
		c.origin.keep = gcnode.For(time.Minute)
		c.want(0, key, 0, gcnode.SourceLoaded)
		c.want(0, key, 0, gcnode.SourceHot)
		if err := c.nodes[1].Close(t.Context()); err != nil { // n0 inherits the value
			t.Fatal(err)
		}
		if st := c.groups[0].Stats(); st.Inherited != 1 || st.Owned.Entries != 1 || st.Hot.Entries != 0 {
			t.Errorf("%d inherited, %d owned, %d copies", st.Inherited, st.Owned.Entries, st.Hot.Entries)
		}
		time.Sleep(50 * time.Second)
		c.origin.write(key, 1)
		c.origin.keep = gcnode.NoStore
		c.want(0, key, 0, gcnode.SourceHit) // and is reloaded
		synctest.Wait()
		c.want(0, key, 1, gcnode.SourceLoaded)
	})
}

func TestABackgroundLoadThatPanicsPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		g := local(t, gcnode.GetterFunc[gcnode.Value](func(context.Context, string) (gcnode.Item[gcnode.Value], error) {
			if calls++; calls > 1 {
				panic("boom")
			}
			return gcnode.Item[gcnode.Value]{Keep: gcnode.For(time.Minute)}, nil
		}), gcnode.GroupOptions{MaxBytes: 1 << 20, StaleWhileRevalidate: time.Hour})
		get := func() {
			if _, err := g.Get(t.Context(), "k"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		get()
		time.Sleep(time.Minute)
		for range 100 {
			get()
		}
		if st := g.Stats(); calls != 2 || st.LoadErrors != 1 {
			t.Errorf("%d calls in an instant, %d load errors", calls, st.LoadErrors)
		}
	})
}

// A pause is for a value: what comes in its place has nothing to do with it.
func TestAPauseEndsWithItsValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, gcnode.GroupOptions{MaxBytes: 1 << 20, StaleWhileRevalidate: time.Hour})
		c.origin.keep = gcnode.For(time.Minute)
		c.want(0, "k", 0, gcnode.SourceLoaded)
		time.Sleep(time.Minute)
		c.origin.fail = &gcnode.Error{Kind: gcnode.KindTransient, RetryAfter: 2 * time.Hour}
		c.want(0, "k", 0, gcnode.SourceHit)
		synctest.Wait()
		c.origin.fail = nil
		c.mustRemove(0, "k")
		c.want(0, "k", 0, gcnode.SourceLoaded)
		c.origin.write("k", 1)
		time.Sleep(time.Minute)
		c.want(0, "k", 0, gcnode.SourceHit)
		synctest.Wait()
		c.want(0, "k", 1, gcnode.SourceHit)
	})
}

// A reload that is under way is not one too many.
func TestALoadUnderWayIsNoOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrigin()
		o.keep = gcnode.For(time.Minute)
		g := local(t, o, gcnode.GroupOptions{MaxBytes: 1 << 20, StaleWhileRevalidate: time.Hour, MaxLoads: 1})
		for range 3 {
			if _, err := g.Get(t.Context(), "k"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			o.takes = time.Second
			for range 5 { // the first begins to reload it
				if _, err := g.Get(t.Context(), "k"); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if st := g.Stats(); st.Overloaded != 0 || st.Loading != 0 {
				t.Errorf("%d overloaded, %d loading", st.Overloaded, st.Loading)
			}
		}
		if st := g.Stats(); st.Refreshes != 3 {
			t.Errorf("%d refreshes", st.Refreshes)
		}
	})
}
