package gcnode_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// reentrant is a getter that uses the cache that it loads for.
func reentrant(get func(ctx context.Context, key string) (string, error), many func(ctx context.Context, keys []string) (map[string]string, error),
	set func(key, value string), remove func(key string), clearAll func(),
) gcnode.GetterFunc[string] {
	return func(ctx context.Context, key string) (it gcnode.Item[string], err error) {
		switch it.Value = key; key {
		case "itself":
			it.Value, err = get(ctx, key)
		case "other":
			it.Value, err = get(ctx, "base")
		case "many":
			var values map[string]string
			values, err = many(ctx, []string{"base", "other", "base"})
			it.Value = values["base"] + values["other"]
		case "set":
			remove("base")
			clearAll()
			set(key, "was set")
		}
		return it, err
	}
}

// A getter may use the cache or group that it loads for. Only its own key is not
// there before it returns, so that it waits for that until the load's time is up.
func TestAGetterMayUseItsOwnCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		check := func(err error) {
			if err != nil {
				t.Error(err)
			}
		}
		var cache *stringCache
		cache = newCache(t, reentrant(
			func(ctx context.Context, key string) (string, error) { return cache.Get(ctx, key) },
			func(ctx context.Context, keys []string) (map[string]string, error) { return cache.GetMany(ctx, keys) },
			func(key, value string) { check(cache.Set(key, gcnode.Item[string]{Value: value})) },
			func(key string) { cache.Remove(key) },
			func() { cache.Clear() },
		), stringCacheO{LoadTimeout: time.Second})
		var group *gcnode.Typed[string]
		group, err := gcnode.Of(loneNode(t), groupName, gcnode.String(), reentrant(
			func(ctx context.Context, key string) (string, error) { return group.Get(ctx, key) },
			func(ctx context.Context, keys []string) (map[string]string, error) { return group.GetMany(ctx, keys) },
			func(key, value string) { check(group.Set(ctx, key, gcnode.Item[string]{Value: value})) },
			func(key string) { check(group.Remove(ctx, key)) },
			func() { check(group.Clear(ctx)) },
		), gcnode.GroupOptions{MaxBytes: 1 << 20, LoadTimeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		for name, get := range map[string]func(context.Context, string) (string, error){"cache": cache.Get, "group": group.Get} {
			for _, test := range [][2]string{{"other", "base"}, {"many", "basebase"}, {"set", "set"}, {"set", "was set"}} {
				if v, err := get(ctx, test[0]); v != test[1] || err != nil {
					t.Errorf("%s: %q is %q, %v; want %q", name, test[0], v, err, test[1])
				}
			}
			for range 2 {
				begun := time.Now()
				if _, err := get(ctx, "itself"); !errors.Is(err, gcnode.ErrTimeout) || time.Since(begun) != time.Second {
					t.Errorf("%s: %v after %v", name, err, time.Since(begun))
				}
			}
		}
	})
}

// Whoever iterates may use the cache, and leave whenever it likes.
func TestALoopMayUseItsOwnCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, keys := t.Context(), numbers(20)
		c := newCache(t, newSource(), stringCacheO{})
		g := view(t, local(t, newOrigin(), defaultOptions), gcnode.String())
		for r, err := range c.Stream(ctx, keys) {
			if err != nil {
				t.Error(err)
			}
			for range g.Stream(ctx, keys) {
				c.Remove(r.Key)
				wantGet(t, c, r.Key, r.Key+"#2")
				if err := g.Remove(ctx, r.Key); err != nil {
					t.Error(err)
				}
				break
			}
		}
		n := 0
		for key := range c.All() {
			for other := range c.All() {
				if other != key {
					break
				}
			}
			c.Remove(key)
			wantGet(t, c, key, key+"#3")
			n++
		}
		if st := c.Stats(); n != len(keys) || st.Entries != len(keys) {
			t.Errorf("%d of %d seen, %+v", n, len(keys), st)
		}
	})
}
