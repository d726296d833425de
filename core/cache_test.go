package gcnode_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// source is a getter whose values are "key#n": the n-th load of the key.
type source struct {
	mu    sync.Mutex
	loads map[string]int
	takes time.Duration
	keep  gcnode.Lifetime
	fail  error
}

func newSource() *source { return &source{loads: map[string]int{}} }

func (s *source) GetItem(ctx context.Context, key string) (gcnode.Item[string], error) {
	s.mu.Lock()
	s.loads[key]++
	n, takes, keep, fail := s.loads[key], s.takes, s.keep, s.fail
	s.mu.Unlock()
	if err := pause(ctx, takes); err != nil {
		return gcnode.Item[string]{}, err
	}
	if fail != nil {
		return gcnode.Item[string]{Keep: keep}, fail
	}
	return gcnode.Item[string]{Value: key + "#" + strconv.Itoa(n), Keep: keep}, nil
}

func (s *source) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *source) loaded(key string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loads[key]
}

type (
	stringCache  = gcnode.Cache[string]
	stringCacheO = gcnode.CacheOptions[string]
)

// newCache makes a cache with an exact clock, of 1000 entries if opts have no
// limit.
func newCache(t *testing.T, getter gcnode.Getter[string], opts stringCacheO) *stringCache {
	t.Helper()
	if opts.MaxEntries == 0 && opts.MaxCost == 0 {
		opts.MaxEntries = 1000
	}
	if opts.ClockResolution == 0 {
		opts.ClockResolution = -1
	}
	c, err := gcnode.NewCache(getter, opts)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func wantGet(t *testing.T, c *stringCache, key, value string) {
	t.Helper()
	if v, err := c.Get(t.Context(), key); v != value || err != nil {
		t.Errorf("got %q, %v; want %q", v, err, value)
	}
}

func wantFailure(t *testing.T, c *stringCache, key string, target error) {
	t.Helper()
	if v, err := c.Get(t.Context(), key); v != "" || !errors.Is(err, target) {
		t.Errorf("got %q, %v; want %v", v, err, target)
	}
}

func TestACachedValueLivesAsLongAsItsGetterSays(t *testing.T) {
	for _, test := range []struct {
		keep, ttl gcnode.Lifetime
		after     time.Duration // is it gone; 0: never
	}{
		{gcnode.For(time.Second), 0, time.Second},
		{gcnode.For(time.Nanosecond), gcnode.Forever, 1},
		{0, gcnode.For(time.Minute), time.Minute},
		{0, 0, 0},
		{gcnode.Forever, gcnode.For(time.Minute), 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSource()
			s.keep = test.keep
			c := newCache(t, s, stringCacheO{TTL: test.ttl})
			wantGet(t, c, "k", "k#1")
			if test.after == 0 {
				time.Sleep(1e6 * time.Hour)
				if it, err := c.GetItem(t.Context(), "k"); it.Value != "k#1" || it.Keep != gcnode.Forever || err != nil {
					t.Errorf("%+v: %+v, %v", test, it, err)
				}
				return
			}
			time.Sleep(test.after - 1)
			if it, err := c.GetItem(t.Context(), "k"); it.Value != "k#1" || it.Keep != gcnode.For(1) || err != nil {
				t.Errorf("%+v, a nanosecond before its end: %+v, %v", test, it, err)
			}
			time.Sleep(time.Nanosecond)
			wantGet(t, c, "k", "k#2")
			if st := c.Stats(); st.Expired != 1 || st.Replaced != 0 || st.Entries != 1 {
				t.Errorf("%+v", st)
			}
		})
	}
}

func TestACoarseClockServesNothingLongerThanItsResolution(t *testing.T) {
	const life, resolution = time.Second, 5 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, newSource(), stringCacheO{TTL: gcnode.For(life), ClockResolution: gcnode.DefaultClockResolution})
		wantGet(t, c, "k", "k#1")
		served := time.Duration(0)
		for begun := time.Now(); ; time.Sleep(time.Millisecond / 3) {
			if v, err := c.Get(t.Context(), "k"); err != nil {
				t.Fatal(err)
			} else if v != "k#1" {
				if age := time.Since(begun); age < life {
					t.Errorf("gone after %v", age)
				}
				break
			}
			served = time.Since(begun)
		}
		if served >= life+resolution {
			t.Errorf("served after %v", served)
		}
	})
}

func TestCachedNoStoreServesThoseWhoWaitAndKeepsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		s.keep, s.takes = gcnode.NoStore, time.Second
		c := newCache(t, s, stringCacheO{StaleOnError: time.Hour, StaleWhileRevalidate: time.Hour})
		for n := range 2 {
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() {
					it, err := c.GetItem(t.Context(), "k")
					if err != nil || it.Value != fmt.Sprint("k#", n+1) || it.Keep != gcnode.NoStore {
						t.Errorf("%+v, %v", it, err)
					}
				})
			}
			wg.Wait()
		}
		// What is not kept takes the place of what was.
		if err := c.Set("k", gcnode.Item[string]{Value: "set"}); err != nil {
			t.Error(err)
		}
		wantGet(t, c, "k", "set")
		if err := c.Set("k", gcnode.Item[string]{Value: "x", Keep: gcnode.NoStore}); err != nil {
			t.Error(err)
		}
		wantGet(t, c, "k", "k#3")
		if st := c.Stats(); st.Entries != 0 || st.Joined != 18 {
			t.Errorf("%+v", st)
		}
	})
}

func TestNotFoundIsCachedForItsOwnTime(t *testing.T) {
	missing := errors.New("no such row")
	for _, test := range []struct {
		keep gcnode.Lifetime
		ttl  time.Duration
		want time.Duration
	}{
		{0, 0, gcnode.DefaultNegativeTTL},
		{0, time.Minute, time.Minute},
		{gcnode.For(time.Second), time.Minute, time.Second},
		{0, -1, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSource()
			s.fail, s.keep = fmt.Errorf("%w: %w", gcnode.ErrNotFound, missing), test.keep
			// Neither reloaded ahead nor served beyond its life.
			c := newCache(t, s, stringCacheO{
				TTL: gcnode.For(time.Hour), NegativeTTL: test.ttl,
				RefreshAhead: time.Minute, StaleWhileRevalidate: time.Hour, StaleOnError: time.Hour,
			})
			wantFailure(t, c, "k", gcnode.ErrNotFound)
			loads := 1
			if test.want > 0 {
				time.Sleep(test.want - 1)
				it, err := c.GetItem(t.Context(), "k")
				if e, ok := errors.AsType[*gcnode.Error](err); !ok || e.Kind != gcnode.KindNotFound || e.Key != "k" || !errors.Is(err, missing) || it.Keep != gcnode.For(1) {
					t.Errorf("%+v, %v", it, err)
				}
				time.Sleep(time.Nanosecond)
			}
			synctest.Wait()
			if s.loaded("k") != loads {
				t.Errorf("%d loads", s.loaded("k"))
			}
			wantFailure(t, c, "k", gcnode.ErrNotFound)
			if loads++; s.loaded("k") != loads {
				t.Errorf("%d loads", s.loaded("k"))
			}
			if st := c.Stats(); st.NotFound != 2 || st.LoadErrors != 0 || test.want > 0 && (st.Hits != 1 || st.NegativeHits != 1) {
				t.Errorf("%+v", st)
			}
		})
	}
}

func TestJitterCutsLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, newSource(), stringCacheO{TTL: gcnode.For(time.Minute), TTLJitter: 0.1})
		least, most := gcnode.Forever, gcnode.NoStore
		for i := range 1000 {
			it, err := c.GetItem(t.Context(), strconv.Itoa(i))
			if err != nil {
				t.Fatal(err)
			}
			least, most = min(least, it.Keep), max(most, it.Keep)
		}
		if minute := gcnode.For(time.Minute); least < minute*9/10 || least > minute*91/100 || most > minute || most < minute*99/100 {
			t.Errorf("lives from %v to %v", least, most)
		}
	})
}

func TestAValueIsReloadedAheadOfItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		c := newCache(t, s, stringCacheO{TTL: gcnode.For(time.Minute), RefreshAhead: 10 * time.Second})
		wantGet(t, c, "k", "k#1")
		time.Sleep(50*time.Second - 1)
		wantGet(t, c, "k", "k#1")
		synctest.Wait()
		if s.loaded("k") != 1 {
			t.Error("reloaded too early")
		}
		s.set(func() { s.takes = 5 * time.Second })
		time.Sleep(time.Nanosecond)
		for range 100 { // one load, however many ask
			wantGet(t, c, "k", "k#1")
		}
		time.Sleep(5*time.Second - 1)
		wantGet(t, c, "k", "k#1")
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if it, err := c.GetItem(t.Context(), "k"); it.Value != "k#2" || it.Keep != gcnode.For(time.Minute) || err != nil {
			t.Errorf("%+v, %v", it, err)
		}
		if st := c.Stats(); st.Loads != 2 || st.Refreshes != 1 || st.Replaced != 1 || st.Hits != st.Gets-1 || st.StaleHits != 0 {
			t.Errorf("%+v", st)
		}
		// A life that is shorter than that is not reloaded all the time.
		s.set(func() { s.keep, s.takes = gcnode.For(4*time.Second), 0 })
		wantGet(t, c, "short", "short#1")
		time.Sleep(2*time.Second - 1)
		wantGet(t, c, "short", "short#1")
		synctest.Wait()
		if n := s.loaded("short"); n != 1 {
			t.Errorf("%d loads", n)
		}
		time.Sleep(time.Nanosecond)
		wantGet(t, c, "short", "short#1")
		synctest.Wait()
		wantGet(t, c, "short", "short#2")
	})
}

func TestAMissJoinsTheBackgroundLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		c := newCache(t, s, stringCacheO{TTL: gcnode.For(time.Minute), RefreshAhead: time.Second})
		wantGet(t, c, "k", "k#1")
		time.Sleep(time.Minute - 1)
		s.set(func() { s.takes = 10 * time.Second })
		wantGet(t, c, "k", "k#1")
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Get(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) { // whose leaving does not end it
			t.Error(err)
		}
		wantGet(t, c, "k", "k#2")
		if n := s.loaded("k"); n != 2 {
			t.Errorf("%d loads", n)
		}
	})
}

func TestABackgroundLoadThatFailsIsTriedAgainAfterAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := newSource()
		c := newCache(t, s, stringCacheO{
			TTL: gcnode.For(time.Minute), RefreshAhead: 20 * time.Second,
			Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		wantGet(t, c, "k", "k#1")
		time.Sleep(40 * time.Second)
		s.set(func() { s.fail = errors.New("down") })
		for range 10 {
			wantGet(t, c, "k", "k#1")
			synctest.Wait()
		}
		if n := s.loaded("k"); n != 2 {
			t.Errorf("%d loads", n)
		}
		if !strings.Contains(log.String(), "background load failed") || !strings.Contains(log.String(), "down") {
			t.Errorf("the log says %q", log.String())
		}
		time.Sleep(time.Second - 1)
		wantGet(t, c, "k", "k#1")
		synctest.Wait()
		if n := s.loaded("k"); n != 2 {
			t.Errorf("%d loads", n)
		}
		s.set(func() { s.fail = &gcnode.Error{Kind: gcnode.KindOverloaded, RetryAfter: 10 * time.Second} })
		time.Sleep(time.Nanosecond)
		wantGet(t, c, "k", "k#1")
		synctest.Wait()
		s.set(func() { s.fail = nil })
		time.Sleep(10*time.Second - 1) // as the origin has asked for
		wantGet(t, c, "k", "k#1")
		synctest.Wait()
		if n := s.loaded("k"); n != 3 {
			t.Errorf("%d loads", n)
		}
		time.Sleep(time.Nanosecond)
		wantGet(t, c, "k", "k#1")
		synctest.Wait()
		wantGet(t, c, "k", "k#4")
		if st := c.Stats(); st.LoadErrors != 2 || st.Refreshes != 3 {
			t.Errorf("%+v", st)
		}
	})
}

func TestABackgroundLoadBringsNothingBack(t *testing.T) {
	for name, change := range map[string]func(*stringCache) (want string){
		"remove": func(c *stringCache) string { c.Remove("k"); return "" },
		"clear":  func(c *stringCache) string { c.Clear(); return "" },
		"set": func(c *stringCache) string {
			if err := c.Set("k", gcnode.Item[string]{Value: "set"}); err != nil {
				t.Error(err)
			}
			return "set"
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSource()
			c := newCache(t, s, stringCacheO{TTL: gcnode.For(time.Minute), RefreshAhead: 10 * time.Second})
			wantGet(t, c, "k", "k#1")
			s.set(func() { s.takes = time.Second })
			time.Sleep(55 * time.Second)
			wantGet(t, c, "k", "k#1")
			want := change(c)
			time.Sleep(2 * time.Second)
			got := ""
			for key, it := range c.All() {
				got = it.Value
				if key != "k" {
					t.Errorf("%s: key %q", name, key)
				}
			}
			if got != want || s.loaded("k") != 2 {
				t.Errorf("%s: %q is there after %d loads, want %q", name, got, s.loaded("k"), want)
			}
		})
	}
}

func TestAStaleValueIsServedWhileItIsReloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		c := newCache(t, s, stringCacheO{TTL: gcnode.For(time.Minute), StaleWhileRevalidate: 10 * time.Second})
		wantGet(t, c, "k", "k#1")
		time.Sleep(time.Minute - 1)
		wantGet(t, c, "k", "k#1")
		synctest.Wait()
		if s.loaded("k") != 1 {
			t.Error("reloaded too early")
		}
		s.set(func() { s.takes = time.Second })
		time.Sleep(time.Nanosecond)
		for range 10 {
			if it, err := c.GetItem(t.Context(), "k"); it.Value != "k#1" || it.Keep != gcnode.NoStore || err != nil {
				t.Errorf("%+v, %v", it, err)
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		wantGet(t, c, "k", "k#2")
		if st := c.Stats(); st.Loads != 2 || st.Refreshes != 1 || st.StaleHits != 10 {
			t.Errorf("%+v", st)
		}
		// Up to the end of its time, and not beyond.
		time.Sleep(time.Minute + 10*time.Second - 1)
		s.set(func() { s.fail = errors.New("down") })
		wantGet(t, c, "k", "k#2")
		time.Sleep(time.Nanosecond)
		wantFailure(t, c, "k", gcnode.ErrTransient)
	})
}

func TestAStaleValueIsServedWhenItCannotBeReloaded(t *testing.T) {
	for name, fail := range map[string]func(*source){
		"error":   func(s *source) { s.fail = gcnode.ErrPermanent },
		"timeout": func(s *source) { s.takes = time.Hour },
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSource()
			c := newCache(t, s, stringCacheO{TTL: gcnode.For(time.Minute), StaleOnError: time.Hour, LoadTimeout: time.Second})
			wantGet(t, c, "k", "k#1")
			time.Sleep(time.Minute)
			wantGet(t, c, "k", "k#2") // no error, nothing stale
			time.Sleep(time.Minute)
			s.set(func() { fail(s) })
			if it, err := c.GetItem(t.Context(), "k"); it.Value != "k#2" || it.Keep != gcnode.NoStore || err != nil {
				t.Errorf("%s: %+v, %v", name, it, err)
			}
			wantGet(t, c, "k", "k#2") // each one tries
			time.Sleep(0)
			synctest.Wait()
			if st := c.Stats(); st.StaleOnError != 2 || st.LoadErrors != 2 || st.Loads != 4 || st.Hits != 0 {
				t.Errorf("%s: %+v", name, st)
			}
			// The caller's own end is none of the load's failures.
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			s.set(func() { s.takes = time.Hour })
			if _, err := c.Get(ctx, "k"); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
			s.set(func() { s.takes, s.fail = 0, gcnode.ErrNotFound })
			wantFailure(t, c, "k", gcnode.ErrNotFound) // an answer
			s.set(func() { s.takes, s.fail = 0, nil })
			time.Sleep(time.Minute)
			if v, err := c.Get(t.Context(), "k"); !strings.HasPrefix(v, "k#") || err != nil {
				t.Errorf("%s: %q, %v", name, v, err)
			}
			s.set(func() { fail(s) })
			time.Sleep(time.Minute + time.Hour)
			if _, err := c.Get(t.Context(), "k"); err == nil {
				t.Errorf("%s: served beyond its time", name)
			}
			// What was removed is not served.
			s.set(func() { s.takes, s.fail = 0, nil })
			if v, err := c.Get(t.Context(), "k"); !strings.HasPrefix(v, "k#") || err != nil {
				t.Errorf("%s: %q, %v", name, v, err)
			}
			s.set(func() { fail(s) })
			c.Remove("k")
			if _, err := c.Get(t.Context(), "k"); err == nil {
				t.Errorf("%s: served after its removal", name)
			}
		})
	}
}

func TestLoadsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		s.takes = time.Second
		c := newCache(t, s, stringCacheO{
			TTL: gcnode.For(time.Minute), StaleOnError: time.Hour, RefreshAhead: 30 * time.Second, MaxLoads: 2, MaxQueuedLoads: 1,
		})
		wantGet(t, c, "old", "old#1")
		wantGet(t, c, "fresh", "fresh#1")
		time.Sleep(59 * time.Second)
		var wg sync.WaitGroup
		begun := time.Now()
		for i, after := range []time.Duration{time.Second, time.Second, 2 * time.Second} {
			wg.Go(func() {
				if _, err := c.Get(t.Context(), strconv.Itoa(i)); err != nil || time.Since(begun) != after {
					t.Errorf("load %d: %v after %v", i, err, time.Since(begun))
				}
			})
			synctest.Wait()
		}
		if st := c.Stats(); st.Loading != 2 || st.Queued != 1 {
			t.Errorf("%+v", st)
		}
		_, err := c.Get(t.Context(), "4")
		if !errors.Is(err, gcnode.ErrOverloaded) || time.Since(begun) != 0 {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		if want := `get "4": overloaded, try later: 2 loads are running and 1 are waiting`; err == nil || err.Error() != want {
			t.Errorf("the error is %v", err)
		}
		wantGet(t, c, "old", "old#1") // stale, rather than nothing
		wantGet(t, c, "fresh", "fresh#1")
		if time.Since(begun) != 0 {
			t.Errorf("it took %v", time.Since(begun))
		}
		if st := c.Stats(); st.Overloaded != 3 || st.StaleOnError != 1 || st.Refreshes != 0 || s.loaded("4") != 0 {
			t.Errorf("%+v", st)
		}
		wg.Wait()
		// One that gives up leaves the queue.
		if st := c.Stats(); st.Loading != 0 || st.Queued != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// Whatever becomes of a background load, the next load finds its place free.
func TestBackgroundLoadsOfACacheGiveBackTheirPlace(t *testing.T) {
	value := func() (gcnode.Item[string], error) {
		return gcnode.Item[string]{Keep: gcnode.For(time.Minute)}, nil
	}
	for name, outcome := range map[string]func() (gcnode.Item[string], error){
		"it has a value":   value,
		"it fails":         func() (gcnode.Item[string], error) { return gcnode.Item[string]{}, errors.New("down") },
		"it panics":        func() (gcnode.Item[string], error) { panic("boom") },
		"it never returns": func() (gcnode.Item[string], error) { runtime.Goexit(); return value() },
		"it ignores its deadline": func() (gcnode.Item[string], error) {
			time.Sleep(time.Minute)
			return value()
		},
		"there is no such key": func() (gcnode.Item[string], error) { return gcnode.Item[string]{}, gcnode.ErrNotFound },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				answer := value
				c := newCache(t, gcnode.GetterFunc[string](func(context.Context, string) (gcnode.Item[string], error) {
					return answer()
				}), stringCacheO{StaleWhileRevalidate: time.Hour, MaxLoads: 1, LoadTimeout: time.Second})
				wantGet(t, c, "k", "")
				time.Sleep(time.Minute)
				answer = outcome
				wantGet(t, c, "k", "")
				synctest.Wait()
				time.Sleep(2 * time.Minute)
				answer = value
				if st := c.Stats(); st.Refreshes != 1 || st.Loading != 0 {
					t.Errorf("%d background loads, %d loading", st.Refreshes, st.Loading)
				}
				wantGet(t, c, "another", "")
			})
		})
	}
}

func TestALoadThatAWriteOvertookIsNotKept(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*stringCache)
		want   string
	}{
		"set":    {func(c *stringCache) { c.Set("k", gcnode.Item[string]{Value: "set"}) }, "set"},
		"remove": {func(c *stringCache) { c.Remove("other", "k") }, "k#2"},
		"clear":  {func(c *stringCache) { c.Clear() }, "k#2"},
	} {
		for _, batch := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				s := newSource()
				s.takes = time.Second
				var getter gcnode.Getter[string] = s
				if batch {
					getter = batchSource{s}
				}
				c := newCache(t, getter, stringCacheO{})
				old := make(chan string, 1)
				go func() {
					for r, err := range c.Stream(t.Context(), []string{"k"}) {
						if err != nil {
							t.Error(err)
						}
						old <- r.Value
					}
				}()
				synctest.Wait()
				test.change(c)
				wantGet(t, c, "k", test.want)
				if v := <-old; v != "k#1" {
					t.Errorf("%s: whoever waited got %q", name, v)
				}
				wantGet(t, c, "k", test.want)
			})
		}
	}
}

func TestACachedLoadBelongsToNoCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		s.takes = time.Second
		c := newCache(t, s, stringCacheO{LoadTimeout: time.Minute})
		ctx, cancel := context.WithCancel(t.Context())
		first := make(chan error, 1)
		go func() {
			_, err := c.Get(ctx, "k")
			first <- err
		}()
		synctest.Wait()
		time.AfterFunc(time.Second/2, cancel)
		wantGet(t, c, "k", "k#1")
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		begun := time.Now()
		s.set(func() { s.takes = time.Hour })
		wantFailure(t, c, "slow", gcnode.ErrTimeout)
		if time.Since(begun) != time.Minute {
			t.Errorf("the load took %v", time.Since(begun))
		}
		deadline, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer stop()
		begun = time.Now()
		if _, err := c.Get(deadline, "slow"); !errors.Is(err, gcnode.ErrTimeout) || time.Since(begun) != 50*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
	})
}

func TestAPanicOfTheGetterIsAnErrorAndInTheLog(t *testing.T) {
	for _, batch := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			bad := gcnode.GetterFunc[string](func(_ context.Context, key string) (gcnode.Item[string], error) {
				if key == "exit" {
					runtime.Goexit()
				}
				panic("boom")
			})
			var getter gcnode.Getter[string] = bad
			if batch {
				getter = batchSource{bad}
			}
			c := newCache(t, getter, stringCacheO{Name: "users", Logger: slog.New(slog.NewTextHandler(&log, nil)), MaxLoads: 1})
			for key, want := range map[string]string{"k": "the getter panicked: boom", "exit": "the getter ended its goroutine"} {
				for range 3 {
					for _, err := range c.Stream(t.Context(), []string{key}) {
						if !errors.Is(err, gcnode.ErrInternal) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `in group "users"`) {
							t.Errorf("got %v", err)
						}
					}
				}
			}
			if !strings.Contains(log.String(), "cache_test.go") || !strings.Contains(log.String(), "boom") {
				t.Errorf("the log says %q", log.String())
			}
			if st := c.Stats(); st.LoadErrors != 6 || st.Loads != 6 || st.Loading != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

func TestAValueThatCostsTooMuchIsServedAndEvictsNothing(t *testing.T) {
	calls := 0
	c := newCache(t, newSource(), stringCacheO{MaxCost: 100, Cost: func(key, v string) int64 {
		calls++
		if strings.HasPrefix(key, "big") {
			return 101
		}
		return 1
	}})
	for i := range 100 {
		wantGet(t, c, strconv.Itoa(i), fmt.Sprint(i, "#1"))
	}
	wantGet(t, c, "big", "big#1")
	wantGet(t, c, "big", "big#2")
	if st := c.Stats(); st.Entries != 100 || st.Evicted != 0 || st.Rejected != 2 || st.Cost != 100 || st.MaxCost != 100 || calls != 102 {
		t.Errorf("%+v after %d calls of Cost", st, calls)
	}
}

func TestNotFoundAnswersAreBoundedToo(t *testing.T) {
	s := newSource()
	s.fail = gcnode.ErrNotFound
	c := newCache(t, s, stringCacheO{MaxCost: 20_000_000, Cost: func(string, string) int64 { t.Error("asked for the cost of nothing"); return 0 }})
	wantFailure(t, c, "k", gcnode.ErrNotFound)
	if st := c.Stats(); st.Cost != 200 {
		t.Errorf("%+v", st)
	}
}

func TestCacheOptionsAreRefusedAllAtOnce(t *testing.T) {
	cost := func(string, string) int64 { return 1 }
	for _, test := range []struct {
		opts  stringCacheO
		wants []string
	}{
		{stringCacheO{
			Name: "users", MaxEntries: -1, TTL: gcnode.For(time.Second), TTLJitter: 1, NegativeTTL: math.MaxInt64, RefreshAhead: time.Second,
			StaleWhileRevalidate: -1, StaleOnError: math.MaxInt64, LoadTimeout: -1, MaxLoads: -1, MaxQueuedLoads: -1, ClockResolution: time.Minute,
		}, []string{
			`cache "users"`, "no getter", "MaxEntries -1", "TTLJitter 1", "NegativeTTL", "RefreshAhead 1s", "StaleWhileRevalidate", "StaleOnError",
			"LoadTimeout", "MaxLoads -1", "MaxQueuedLoads -1", "ClockResolution 1m0s",
		}},
		{stringCacheO{MaxQueuedLoads: 1, TTLJitter: math.NaN()}, []string{"no limit", "MaxQueuedLoads 1 is of no use", "TTLJitter NaN"}},
		{stringCacheO{MaxEntries: 1, Cost: cost}, []string{"MaxCost and Cost"}},
		{stringCacheO{MaxCost: 1}, []string{"MaxCost and Cost"}},
		{stringCacheO{MaxCost: -1, Cost: cost}, []string{"MaxCost -1"}},
		{stringCacheO{MaxCost: 1, MaxEntries: 1, Cost: cost}, []string{"exclude"}},
	} {
		_, err := gcnode.NewCache(nil, test.opts)
		for _, want := range test.wants {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q is not mentioned: %v", want, err)
			}
		}
	}
	if _, err := gcnode.NewCache(newSource(), stringCacheO{MaxEntries: 1}); err != nil {
		t.Error(err)
	}
}

func TestCachedKeysOverTheLimitAreRefused(t *testing.T) {
	s := newSource()
	c := newCache(t, s, stringCacheO{})
	long := strings.Repeat("k", gcnode.MaxKeyBytes+1)
	wantFailure(t, c, long, gcnode.ErrTooLarge)
	if err := c.Set(long, gcnode.Item[string]{}); !errors.Is(err, gcnode.ErrTooLarge) || len(err.Error()) > 500 {
		t.Error(err)
	}
	for r, err := range c.Stream(t.Context(), []string{long, "k"}) {
		if (r.Index == 0) != errors.Is(err, gcnode.ErrTooLarge) {
			t.Errorf("%d: %v", r.Index, err)
		}
	}
	if s.loaded(long) != 0 || s.loaded("k") != 1 {
		t.Error("loaded")
	}
}

func TestAllHasWhatIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		c := newCache(t, s, stringCacheO{StaleOnError: time.Hour})
		s.fail = gcnode.ErrNotFound
		wantFailure(t, c, "negative", gcnode.ErrNotFound)
		for key, keep := range map[string]gcnode.Lifetime{"short": gcnode.For(1), "long": gcnode.For(time.Minute), "forever": gcnode.Forever, "removed": gcnode.Forever} {
			if err := c.Set(key, gcnode.Item[string]{Value: key, Keep: keep}); err != nil {
				t.Error(err)
			}
		}
		c.Remove("removed")
		time.Sleep(time.Nanosecond)
		got := maps.Collect(c.All())
		want := map[string]gcnode.Item[string]{"long": {Value: "long", Keep: gcnode.For(time.Minute - 1)}, "forever": {Value: "forever", Keep: gcnode.Forever}}
		if !maps.Equal(got, want) {
			t.Errorf("got %v", got)
		}
		for range c.All() {
			break
		}
		for range c.All() {
			c.Clear() // what is gone before its turn is not there
			break
		}
		if n := len(maps.Collect(c.All())); n != 0 {
			t.Errorf("%d after Clear", n)
		}
	})
}

func TestCachesCompose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		s.keep = gcnode.For(time.Minute)
		inner := newCache(t, s, stringCacheO{})
		outer := newCache(t, inner, stringCacheO{})
		if _, ok := any(inner).(gcnode.BatchGetter[string]); !ok {
			t.Error("a cache is no BatchGetter")
		}
		wantGet(t, inner, "k", "k#1")
		time.Sleep(time.Minute - 1)
		wantGet(t, outer, "k", "k#1")
		time.Sleep(time.Nanosecond) // the life ends for both
		many, err := outer.GetMany(t.Context(), []string{"k", "l", "k"})
		if err != nil || !maps.Equal(many, map[string]string{"k": "k#2", "l": "l#1"}) {
			t.Errorf("%v, %v", many, err)
		}
		s.fail, s.keep = gcnode.ErrNotFound, gcnode.For(time.Second)
		it, err := outer.GetItem(t.Context(), "none")
		if !errors.Is(err, gcnode.ErrNotFound) || it.Keep != gcnode.For(time.Second) || err.Error() != `get "none": not found` {
			t.Errorf("%+v, %v", it, err)
		}
	})
}

func TestAnyBytesAreACachedKey(t *testing.T) {
	c := newCache(t, newSource(), stringCacheO{})
	for _, key := range []string{"", " ", "/", "..", "%2F", "\x00", "\xff\xfe", strings.Repeat("k", gcnode.MaxKeyBytes)} {
		wantGet(t, c, key, key+"#1")
		wantGet(t, c, key, key+"#1")
	}
}

func TestACacheHitAllocatesNothing(t *testing.T) {
	s := newSource()
	c := newCache(t, s, stringCacheO{
		TTL: gcnode.For(time.Hour), RefreshAhead: time.Minute, StaleWhileRevalidate: time.Minute, StaleOnError: time.Minute,
		ClockResolution: gcnode.DefaultClockResolution,
	})
	ctx := t.Context()
	wantGet(t, c, "k", "k#1")
	s.fail = gcnode.ErrNotFound
	s.keep = gcnode.For(time.Hour)
	wantFailure(t, c, "none", gcnode.ErrNotFound)
	wantAllocs(t, `Get(ctx, "k")`, 0, func() { c.Get(ctx, "k") })
	wantAllocs(t, `GetItem(ctx, "k")`, 0, func() { c.GetItem(ctx, "k") })
	wantAllocs(t, `Get(ctx, "none")`, 0, func() { c.Get(ctx, "none") })
}

// Lives from a nanosecond to centuries are counted, whatever jitter and graces do
// to them.
func TestLivesOfAnyLength(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for _, keep := range []gcnode.Lifetime{1, 2, gcnode.For(year), 1 << 62, math.MaxInt64 - 1} {
		for _, jitter := range []float64{0, 0.5, math.Nextafter(1, 0)} {
			synctest.Test(t, func(t *testing.T) {
				s, o := newSource(), newOrigin()
				s.keep, o.keep = keep, keep
				c := newCache(t, s, stringCacheO{TTLJitter: jitter, RefreshAhead: year, StaleWhileRevalidate: year, StaleOnError: year})
				g := local(t, o, gcnode.GroupOptions{MaxBytes: 1 << 20, TTLJitter: jitter, RefreshAhead: year, StaleWhileRevalidate: year, StaleOnError: year})
				time.Sleep(time.Hour) // so that the end of the longest life is beyond what can be counted
				fromCache, err1 := c.GetItem(t.Context(), "k")
				fromGroup, err2 := g.GetItem(t.Context(), "k")
				for name, got := range map[string]gcnode.Lifetime{"cache": fromCache.Keep, "group": fromGroup.Keep} {
					endless := jitter == 0 && keep > math.MaxInt64-gcnode.For(time.Hour) && got == gcnode.Forever
					least := gcnode.Lifetime(float64(keep) * (1 - jitter) * 0.999)
					if !endless && (got < max(least, 1) || got > keep) || err1 != nil || err2 != nil {
						t.Errorf("%s, keep %v, jitter %v: got %v, %v, %v", name, keep, jitter, got, err1, err2)
					}
				}
				if _, err := g.Get(t.Context(), "k"); err != nil || o.loaded("k") != 1 {
					t.Errorf("keep %v, jitter %v: %d loads of the group, %v", keep, jitter, o.loaded("k"), err)
				}
				wantGet(t, c, "k", "k#1")
				// It is there up to its last nanosecond, and of use for a year more.
				end, ok := fromCache.Keep.Duration()
				if !ok || end > 100*year {
					return
				}
				time.Sleep(end)
				if it, err := c.GetItem(t.Context(), "k"); it.Value != "k#1" || it.Keep != gcnode.NoStore || err != nil {
					t.Errorf("keep %v, jitter %v, at its end: %+v, %v", keep, jitter, it, err)
				}
			})
		}
	}
}
