package gcnode_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// batchSource answers each key of a batch by the getter below, at the same
// time.
type batchSource struct{ gcnode.Getter[string] }

func (b batchSource) GetItems(ctx context.Context, keys []string, yield func(int, gcnode.Item[string], error)) error {
	if len(keys) == 1 { // where it may panic
		it, err := b.GetItem(ctx, keys[0])
		yield(0, it, err)
		return nil
	}
	var wg sync.WaitGroup
	for i, key := range keys {
		wg.Go(func() {
			it, err := b.GetItem(ctx, key)
			yield(i, it, err)
		})
	}
	wg.Wait()
	return nil
}

// byKey takes as many seconds as the key says, and fails where it says so.
var byKey = gcnode.GetterFunc[string](func(ctx context.Context, key string) (gcnode.Item[string], error) {
	word, seconds, _ := strings.Cut(key, ":")
	n, _ := strconv.Atoi(seconds)
	if err := pause(ctx, time.Duration(n)*time.Second); err != nil {
		return gcnode.Item[string]{}, err
	}
	switch word {
	case "none":
		return gcnode.Item[string]{}, gcnode.ErrNotFound
	case "bad":
		return gcnode.Item[string]{}, gcnode.ErrPermanent
	default:
		return gcnode.Item[string]{Value: word, Keep: gcnode.For(time.Hour)}, nil
	}
})

func bothWays(t *testing.T, getter gcnode.Getter[string], opts stringCacheO, test func(t *testing.T, c *stringCache)) {
	t.Helper()
	for _, g := range []gcnode.Getter[string]{getter, batchSource{getter}} {
		synctest.Test(t, func(t *testing.T) { test(t, newCache(t, g, opts)) })
	}
}

func TestAStreamNeverWaitsForItsSlowestKey(t *testing.T) {
	bothWays(t, byKey, stringCacheO{}, func(t *testing.T, c *stringCache) {
		t.Helper()
		for _, key := range []string{"hit:0", "none:0"} {
			c.Get(t.Context(), key)
		}
		keys := []string{"c:3", "hit:0", "a:1", "none:0", "bad:2", "c:3", "hit:0"}
		begun := time.Now()
		var got []string
		for r, err := range c.Stream(t.Context(), keys) {
			if r.Key != keys[r.Index] {
				t.Errorf("index %d is %q", r.Index, r.Key)
			}
			kind := "ok"
			if err != nil {
				kind = gcnode.KindOf(err).String()
			}
			got = append(got, fmt.Sprint(r.Index, " ", r.Value, " ", kind, " ", r.Keep, " ", time.Since(begun)))
		}
		want := []string{
			"1 hit ok 1h0m0s 0s", "3  not found 5s 0s", "6 hit ok 1h0m0s 0s",
			"2 a ok 1h0m0s 1s", "4  permanent failure default 2s", "0 c ok 1h0m0s 3s", "5 c ok 1h0m0s 3s",
		}
		slices.Sort(got[5:]) // the last two come at the same time
		slices.Sort(want[5:])
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if st := c.Stats(); st.Gets != 9 || st.Hits != 3 || st.NegativeHits != 1 || st.Joined != 1 || st.Loads != 5 || st.LoadErrors != 1 {
			t.Errorf("%+v", st)
		}
	})
}

func TestGetManyHasWhatThereIs(t *testing.T) {
	bothWays(t, byKey, stringCacheO{}, func(t *testing.T, c *stringCache) {
		t.Helper()
		got, err := c.GetMany(t.Context(), []string{"a:1", "none:1", "bad:1", "bad:2", "b:2"})
		if !maps.Equal(got, map[string]string{"a:1": "a", "b:2": "b"}) {
			t.Errorf("got %v", got)
		}
		if !errors.Is(err, gcnode.ErrPermanent) || errors.Is(err, gcnode.ErrNotFound) || !strings.Contains(err.Error(), "bad:1") || !strings.Contains(err.Error(), "bad:2") {
			t.Errorf("the error is %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got, err = c.GetMany(ctx, []string{"a:1", "slow:5", "slow:6"}); !errors.Is(err, gcnode.ErrTimeout) || len(got) != 1 {
			t.Errorf("%v, %v", got, err)
		}
		if got, err = c.GetMany(t.Context(), nil); len(got) != 0 || err != nil {
			t.Errorf("%v, %v", got, err)
		}
	})
}

// A getter fails because something else was not found: that is no answer.
func TestWhatFailsForSomethingElseIsNotMissing(t *testing.T) {
	fail := &gcnode.Error{Kind: gcnode.KindPermanent, Err: fmt.Errorf("no settings: %w", gcnode.ErrNotFound)}
	s, o := newSource(), newOrigin()
	s.fail, o.fail = fail, fail
	cache, group := newCache(t, s, stringCacheO{}), local(t, o, defaultOptions)
	for range 2 {
		if values, err := cache.GetMany(t.Context(), []string{"k"}); gcnode.KindOf(err) != gcnode.KindPermanent || len(values) > 0 {
			t.Errorf("cache: %v, %v", values, err)
		}
		if values, err := group.GetMany(t.Context(), []string{"k"}); gcnode.KindOf(err) != gcnode.KindPermanent || len(values) > 0 {
			t.Errorf("group: %v, %v", values, err)
		}
	}
	if s.loaded("k") != 2 || o.loaded("k") != 2 {
		t.Errorf("%d and %d loads", s.loaded("k"), o.loaded("k"))
	}
}

func TestABatchThatIsLeftEndsItsLoads(t *testing.T) {
	var ended, began atomic.Int32
	slow := gcnode.GetterFunc[string](func(ctx context.Context, key string) (gcnode.Item[string], error) {
		if key == "quick" {
			return gcnode.Item[string]{}, nil
		}
		began.Add(1)
		<-ctx.Done()
		ended.Add(1)
		return gcnode.Item[string]{}, ctx.Err()
	})
	bothWays(t, slow, stringCacheO{}, func(t *testing.T, c *stringCache) {
		t.Helper()
		began.Store(0)
		ended.Store(0)
		for range c.Stream(t.Context(), []string{"a", "quick", "b"}) {
			synctest.Wait()
			break
		}
		synctest.Wait()
		if began.Load() != 2 || ended.Load() != 2 {
			t.Errorf("%d of %d loads have ended", ended.Load(), began.Load())
		}
	})
}

// hung is a getter that has the key "0" and hangs for all others. It counts how
// often it is called.
func hung[V any](calls *atomic.Int64) gcnode.GetterFunc[V] {
	return func(ctx context.Context, key string) (it gcnode.Item[V], err error) {
		if calls.Add(1); key != "0" {
			<-ctx.Done()
			err = ctx.Err()
		}
		return it, err
	}
}

// What was not begun yet is not begun at all.
func TestABatchThatIsLeftBeginsNoMoreLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		for name, test := range map[string]struct {
			batch gcnode.BatchGetter[string]
			most  int64
		}{
			"cache":              {newCache(t, hung[string](&calls), stringCacheO{}), 1001},
			"cache with a limit": {newCache(t, hung[string](&calls), stringCacheO{MaxLoads: 2}), 3},
			"group":              {view(t, local(t, hung[gcnode.Value](&calls), defaultOptions), gcnode.String()), 1001},
			"group with a limit": {view(t, local(t, hung[gcnode.Value](&calls), gcnode.GroupOptions{MaxBytes: 1 << 20, MaxLoads: 2}), gcnode.String()), 3},
		} {
			calls.Store(0)
			ctx, cancel := context.WithCancel(t.Context())
			yielded := 0
			err := test.batch.GetItems(ctx, numbers(5000), func(int, gcnode.Item[string], error) {
				if yielded++; yielded == 1 {
					synctest.Wait()
					cancel()
				}
			})
			synctest.Wait()
			if n := calls.Load(); n > test.most || yielded != 5000 || err != nil {
				t.Errorf("%s: %d loads, %d answers, %v", name, n, yielded, err)
			}
		}
	})
}

func numbers(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = strconv.Itoa(i)
	}
	return keys
}

func TestABatchDoesNotOverloadTheCacheByItself(t *testing.T) {
	bothWays(t, byKey, stringCacheO{MaxLoads: 3}, func(t *testing.T, c *stringCache) {
		t.Helper()
		keys := make([]string, 100)
		for i := range keys {
			keys[i] = fmt.Sprint(i, ":1")
		}
		got, err := c.GetMany(t.Context(), keys)
		if err != nil || len(got) != 100 {
			t.Errorf("%d, %v", len(got), err)
		}
	})
}

func TestAKeyOfABatchIsLoadedOnce(t *testing.T) {
	s := newSource()
	bothWays(t, s, stringCacheO{}, func(t *testing.T, c *stringCache) {
		t.Helper()
		s.takes, s.loads = time.Second, map[string]int{}
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				if i%2 == 0 {
					wantGet(t, c, "k", "k#1")
					return
				}
				got, err := c.GetMany(t.Context(), []string{"k", "l"})
				if err != nil || !maps.Equal(got, map[string]string{"k": "k#1", "l": "l#1"}) {
					t.Errorf("%v, %v", got, err)
				}
			})
		}
		wg.Wait()
	})
}

// careless is a BatchGetter that does all that it should not.
type careless struct {
	gcnode.Getter[string]
	sizes []int
	over  chan struct{} // closed when the first batch has been answered
}

func (b *careless) GetItems(_ context.Context, keys []string, yield func(int, gcnode.Item[string], error)) error {
	b.sizes = append(b.sizes, len(keys))
	yield(-1, gcnode.Item[string]{}, nil)
	yield(len(keys), gcnode.Item[string]{}, nil)
	for i, key := range keys {
		if key == "passed over" {
			continue
		}
		yield(i, gcnode.Item[string]{Value: key}, nil)
		yield(i, gcnode.Item[string]{}, gcnode.ErrPermanent)
	}
	go func() {
		<-b.over
		yield(0, gcnode.Item[string]{Value: "late"}, nil)
	}()
	return nil
}

func TestACarelessBatchGetterHarmsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &careless{Getter: byKey, over: make(chan struct{})}
		c := newCache(t, g, stringCacheO{})
		got, err := c.GetMany(t.Context(), []string{"passed over", "a"})
		close(g.over)
		if !maps.Equal(got, map[string]string{"a": "a"}) || !errors.Is(err, gcnode.ErrTransient) || !strings.Contains(err.Error(), `get "passed over"`) {
			t.Errorf("%v, %v", got, err)
		}
		synctest.Wait()
		if st := c.Stats(); st.Loads != 2 || st.LoadErrors != 1 || st.Entries != 1 {
			t.Errorf("%+v", st)
		}
	})
}

func TestLargeBatchesAreCutForTheGetter(t *testing.T) {
	g := &careless{Getter: byKey, over: make(chan struct{})}
	defer close(g.over)
	c := newCache(t, g, stringCacheO{MaxLoads: 1, MaxEntries: 100_000})
	keys := make([]string, 2*gcnode.MaxBatchKeys+1)
	for i := range keys {
		keys[i] = strconv.Itoa(i)
	}
	got, err := c.GetMany(t.Context(), keys)
	if err != nil || len(got) != len(keys) {
		t.Errorf("%d, %v", len(got), err)
	}
	long := strings.Repeat("x", gcnode.MaxBatchBytes/32-1)
	for i := range keys[:40] {
		keys[i] = long + string([]byte{byte(i)})
	}
	if _, err := c.GetMany(t.Context(), keys[:40]); err != nil {
		t.Error(err)
	}
	slices.Sort(g.sizes)
	if !slices.Equal(g.sizes, []int{1, 8, 32, gcnode.MaxBatchKeys, gcnode.MaxBatchKeys}) {
		t.Errorf("batches of %v", g.sizes)
	}
}

// Others may have all the places: the keys of a batch wait, and do not fail
// one after the other.
func TestABatchWaitsForItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		s.takes = time.Second
		c := newCache(t, s, stringCacheO{MaxLoads: 2})
		for _, key := range []string{"slow", "slower"} {
			go func() { _, _ = c.Get(t.Context(), key) }()
		}
		synctest.Wait()
		keys := numbers(20)
		if got, err := c.GetMany(t.Context(), keys); err != nil || len(got) != len(keys) {
			t.Errorf("%d of %d, %v", len(got), len(keys), err)
		}
	})
}
