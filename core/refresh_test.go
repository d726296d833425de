package gcnode_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
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

func TestPausesTakeBoundedMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrigin()
		o.keep = gcnode.For(time.Minute)
		g := local(t, o, gcnode.GroupOptions{MaxBytes: 8 << 20, StaleWhileRevalidate: time.Hour})
		get := func() {
			for i := range 2500 {
				if _, err := g.Get(t.Context(), strconv.Itoa(i)); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
		}
		get()
		time.Sleep(time.Minute)
		o.fail = errors.New("the origin is down")
		get()
		get()
		st := g.Stats()
		if st.Refreshes < 2500 || st.Refreshes >= 5000 {
			t.Errorf("%d background loads of 2500 keys that were asked for twice", st.Refreshes)
		}
	})
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
