package gcnode_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
)

func someKeys(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = "many-" + strconv.Itoa(i)
	}
	return keys
}

func TestManyKeysAreAskedForWithOneRequestToEachOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		keys := someKeys(300)
		values, err := c.groups[0].GetMany(t.Context(), keys)
		if err != nil || len(values) != len(keys) {
			t.Fatalf("%d values, %v", len(values), err)
		}
		if n := c.net.Sent("n0", transporttest.Any, gcnode.OpFetch); n != 2 {
			t.Errorf("%d requests, want one to each of the others", n)
		}
		if n := c.loads(); n != len(keys) {
			t.Errorf("%d loads, want %d", n, len(keys))
		}
		before := c.net.Sent("n0", transporttest.Any, gcnode.OpFetch)
		if values, err := c.groups[0].GetMany(t.Context(), keys); err != nil || len(values) != len(keys) {
			t.Errorf("the second time: %d values, %v", len(values), err)
		}
		if n := c.net.Sent("n0", transporttest.Any, gcnode.OpFetch) - before; n != 0 {
			t.Errorf("%d requests for what has been copied", n)
		}
	})
}

func TestOneSlowKeyHoldsBackNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transporttest.NewNetwork()
		c := &cluster{t: t, net: net, origin: newOrigin()}
		slow := make(chan struct{})
		getter := gcnode.GetterFunc[gcnode.Value](func(_ context.Context, key string) (gcnode.Item[gcnode.Value], error) {
			if strings.HasPrefix(key, "slow") {
				<-slow
			}
			return text(key), nil
		})
		var groups []*gcnode.Group
		for i := range 3 {
			node, err := gcnode.NewNode(gcnode.Config{Self: gcnode.Peer{ID: id(i)}, Transport: net.Transport(id(i))})
			if err != nil {
				t.Fatal(err)
			}
			g, err := node.Group(groupName, getter, defaultOptions)
			if err != nil {
				t.Fatal(err)
			}
			net.Attach(id(i), node)
			groups, c.nodes = append(groups, g), append(c.nodes, node)
		}
		for _, node := range c.nodes {
			c.setPeers(node, 3)
		}
		c.join()
		defer c.close()
		keys := append([]string{"slow-1", "slow-2", "slow-3", "slow-4"}, someKeys(50)...)
		seen := 0
		for r, err := range groups[0].Stream(t.Context(), keys) {
			if err != nil || r.Value.String() != keys[r.Index] || r.Key != keys[r.Index] {
				t.Fatalf("%+v, %v", r, err)
			}
			if seen++; seen == 50 {
				close(slow) // all others are here
			}
			if seen <= 50 && r.Index < 4 {
				t.Errorf("%s came as number %d", r.Key, seen)
			}
		}
		if seen != len(keys) {
			t.Errorf("%d results, want %d", seen, len(keys))
		}
	})
}

func TestABatchGoesOnInTheLineWhenAnOwnerIsDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := defaultOptions
		opts.MaxLoads, opts.MaxQueuedLoads = 1, 1
		c := newCluster(t, 4, opts)
		c.net.Crash("n1")
		c.origin.takes = time.Millisecond
		keys := someKeys(200)
		values, err := c.groups[0].GetMany(t.Context(), keys)
		if err != nil || len(values) != len(keys) {
			t.Errorf("%d values, %v", len(values), err)
		}
		if n := c.loads(); n != len(keys) {
			t.Errorf("%d loads, want %d", n, len(keys))
		}
		if n := c.net.Sent("n0", transporttest.Any, gcnode.OpFetch); n != 5 {
			t.Errorf("%d requests, want one to each owner, and one to each of those who come next", n)
		}
		owned, hot := 0, 0
		for _, key := range keys {
			switch owner := c.groups[0].Owner(key).ID; {
			case owner == "n0":
				owned++
			case owner != "n1", c.heir(key, 1) == "n0":
				hot++
			}
		}
		c.wantKept(0, owned, hot) // and nothing of what others said in the place of the owner
	})
}

func TestErrorsOfABatchAreThoseOfTheirKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		c.origin.fail = gcnode.ErrDenied
		long := strings.Repeat("k", gcnode.MaxKeyBytes+1)
		keys := append(someKeys(20), long)
		for r, err := range c.groups[0].Stream(t.Context(), keys) {
			e, ok := errors.AsType[*gcnode.Error](err)
			want := gcnode.KindDenied
			if r.Key == long {
				want = gcnode.KindTooLarge
			}
			if !ok || e.Kind != want || e.Group != groupName || !strings.HasPrefix(r.Key, e.Key) || e.Key == "" {
				t.Errorf("%.10s: %v", r.Key, err)
			}
		}
		c.origin.fail = gcnode.ErrNotFound
		if values, err := c.groups[0].GetMany(t.Context(), someKeys(20)); err != nil || len(values) != 0 {
			t.Errorf("keys without values: %v, %v", values, err)
		}
		if err := c.nodes[0].Close(t.Context()); err != nil {
			t.Error(err)
		}
		for _, err := range c.groups[0].Stream(t.Context(), keys[:2]) {
			if !errors.Is(err, gcnode.ErrDraining) {
				t.Errorf("on a closed node: %v", err)
			}
		}
	})
}

// The keys of a batch wait for their turn, here and at another owner.
func TestABatchDoesNotOverloadAGroupByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, gcnode.GroupOptions{MaxBytes: 1 << 20, MaxLoads: 3})
		c.origin.takes = time.Second
		keys := someKeys(40)
		begun := time.Now()
		if values, err := c.groups[0].GetMany(t.Context(), keys); err != nil || len(values) != len(keys) {
			t.Errorf("%d of %d, %v", len(values), len(keys), err)
		}
		if took := time.Since(begun); took < 7*time.Second { // the larger half, three at a time
			t.Errorf("it took %v", took)
		}
		for i, g := range c.groups {
			if st := g.Stats(); st.Overloaded != 0 || st.Loading != 0 || st.Queued != 0 {
				t.Errorf("n%d: %d overloaded, %d loading, %d queued", i, st.Overloaded, st.Loading, st.Queued)
			}
		}
		large := numbers(2*gcnode.MaxBatchKeys + 1)
		g := local(t, &batching{}, gcnode.GroupOptions{MaxBytes: 16 << 20, MaxLoads: 1})
		if values, err := g.GetMany(t.Context(), large); err != nil || len(values) != len(large) {
			t.Errorf("for a batch getter: %d of %d, %v", len(values), len(large), err)
		}
	})
}

// A batch that is one load is refused like one, and each of its keys by its own
// name.
func TestABatchThatIsOneLoadTooManyIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		wait := func(key string) {
			if key == "slow" {
				<-release
			}
		}
		cache := newCache(t, stackedGetter[string]{gcnode.GetterFunc[string](func(_ context.Context, key string) (gcnode.Item[string], error) {
			wait(key)
			return gcnode.Item[string]{}, nil
		})}, stringCacheO{Name: groupName, MaxLoads: 1})
		group := local(t, stackedGetter[gcnode.Value]{gcnode.GetterFunc[gcnode.Value](func(_ context.Context, key string) (gcnode.Item[gcnode.Value], error) {
			wait(key)
			return gcnode.Item[gcnode.Value]{}, nil
		})}, gcnode.GroupOptions{MaxBytes: 1 << 20, MaxLoads: 1})
		batch := func(of gcnode.BatchGetter[string]) {
			go func() { _, _ = of.GetItem(t.Context(), "slow") }()
			synctest.Wait()
			keys := []string{"a", "b", "c"}
			_ = of.GetItems(t.Context(), keys, func(i int, _ gcnode.Item[string], err error) {
				want := `get "` + keys[i] + `" in group "g": overloaded, try later: 1 loads are running and 0 are waiting`
				if err == nil || err.Error() != want {
					t.Errorf("key %q: %v", keys[i], err)
				}
			})
		}
		batch(cache)
		batch(view(t, group, gcnode.String()))
		if a, b := cache.Stats().Overloaded, group.Stats().Overloaded; a != 3 || b != 3 {
			t.Errorf("%d and %d keys of 3 were counted", a, b)
		}
		close(release)
		synctest.Wait()
	})
}

func TestABatchThatARemovalOvertookIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		keys := someKeys(50)
		hold := make(chan struct{})
		c.origin.hold = hold
		done := make(chan error, 1)
		go func() {
			_, err := c.groups[0].GetMany(t.Context(), keys)
			done <- err
		}()
		synctest.Wait()
		c.origin.hold = nil
		for _, key := range keys {
			c.origin.write(key, 1)
		}
		c.mustRemove(1, keys...)
		close(hold)
		if err := <-done; err != nil {
			t.Error(err)
		}
		for _, key := range keys {
			c.wantFresh(key, "1")
		}
	})
}

// batching is a getter that counts how it is asked.
type batching struct {
	mu      sync.Mutex
	batches []int
}

func (b *batching) GetItem(_ context.Context, key string) (gcnode.Item[gcnode.Value], error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.batches = append(b.batches, 1)
	return text(key), nil
}

func (b *batching) GetItems(_ context.Context, keys []string, yield func(int, gcnode.Item[gcnode.Value], error)) error {
	b.mu.Lock()
	b.batches = append(b.batches, len(keys))
	b.mu.Unlock()
	for i, key := range keys {
		if key == "passed over" {
			continue
		}
		yield(i, text(key), nil)
	}
	return nil
}

// batchingCluster is one of nodes that load with these getters, and ask no
// previous owners.
func batchingCluster(t *testing.T, getters []*batching, hooks func(id string) gcnode.Hooks) *cluster {
	t.Helper()
	c := &cluster{t: t, net: transporttest.NewNetwork()}
	for i := range getters {
		node, err := gcnode.NewNode(gcnode.Config{Self: gcnode.Peer{ID: id(i)}, Transport: c.net.Transport(id(i)), Hooks: hooks(id(i))})
		if err != nil {
			t.Fatal(err)
		}
		g, err := node.Group(groupName, getters[i], defaultOptions)
		if err != nil {
			t.Fatal(err)
		}
		c.net.Attach(id(i), node)
		c.groups, c.nodes = append(c.groups, g), append(c.nodes, node)
	}
	for _, node := range c.nodes {
		c.setPeers(node, len(getters))
	}
	c.join()
	time.Sleep(2 * time.Minute)
	return c
}

func TestABatchGetterIsAskedForManyKeysAtTheirOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		getters := []*batching{{}, {}}
		c := batchingCluster(t, getters, func(string) gcnode.Hooks { return gcnode.Hooks{} })
		defer c.close()
		keys := someKeys(100)
		values, err := c.groups[0].GetMany(t.Context(), append(keys, "passed over"))
		if !errors.Is(err, gcnode.ErrTransient) || len(values) != len(keys) {
			t.Errorf("%d values, %v", len(values), err)
		}
		if a, b := getters[0].batches, getters[1].batches; len(a) != 1 || len(b) != 1 || a[0]+b[0] != len(keys)+1 {
			t.Error(fmt.Sprint("the getters were asked for ", a, b))
		}
	})
}
