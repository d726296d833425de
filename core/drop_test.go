package gcnode_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

func TestADroppedGroupKeepsNothing(t *testing.T) {
	for name, nodes := range map[string]int{"alone": 1, "in a cluster": 3} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, nodes, defaultOptions)
				key := c.keyOf(0)
				c.want(0, key, 0, gcnode.SourceLoaded)
				if !c.nodes[0].DropGroup(groupName) || c.nodes[0].DropGroup(groupName) {
					t.Error("it was dropped never, or twice")
				}
				if _, ok := c.nodes[0].Lookup(groupName); ok {
					t.Error("it is still there")
				}
				for range 2 {
					c.want(0, key, 0, gcnode.SourceLoaded)
				}
				if err := c.groups[0].Set(t.Context(), key, gcnode.Item[gcnode.Value]{Value: gcnode.StringValue("set")}); err != nil {
					t.Error(err)
				}
				c.want(0, key, 0, gcnode.SourceLoaded)
				c.wantLoads(key, 4)
			})
		})
	}
}

// A removal does not find a group that was dropped, so that nothing that was
// begun before may be kept there, or joined.
func TestALoadOfADroppedGroupIsNotKeptNorJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := make(chan chan struct{}, 4)
		blocked := gcnode.GetterFunc[gcnode.Value](func(ctx context.Context, _ string) (gcnode.Item[gcnode.Value], error) {
			proceed := make(chan struct{})
			calls <- proceed
			<-proceed
			return gcnode.Item[gcnode.Value]{}, nil
		})
		node, err := gcnode.NewNode(gcnode.Config{})
		if err != nil {
			t.Fatal(err)
		}
		g, err := node.Group(groupName, blocked, defaultOptions)
		if err != nil {
			t.Fatal(err)
		}
		get := func() {
			if _, err := g.Get(t.Context(), "k"); err != nil {
				t.Error(err)
			}
		}
		go get()
		before := <-calls
		node.DropGroup(groupName)
		for range 2 {
			go get()
		}
		synctest.Wait()
		if len(calls) != 2 {
			t.Errorf("%d loads after it was dropped, not one for each Get", len(calls))
		}
		close(before)
		for range len(calls) {
			close(<-calls)
		}
		synctest.Wait()
		if _, _, source := g.Cached("k"); source != 0 {
			t.Error("a load was kept")
		}
	})
}

func TestTheNameOfADroppedGroupIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		key := c.keyOf(0, 1)
		c.want(1, key, 0, gcnode.SourceLoaded)
		c.nodes[0].DropGroup(groupName)
		c.origin.write(key, 1)
		if err := c.groups[1].Remove(t.Context(), key); err != nil {
			t.Error(err)
		}
		c.want(1, key, 1, gcnode.SourceLoaded) // by itself, since the owner has no such group
		again, err := c.nodes[0].Group(groupName, c.origin, defaultOptions)
		if err != nil {
			t.Fatal(err)
		}
		c.groups[0] = again
		time.Sleep(gcnode.DefaultHotTTL) // of the copy of the stand-in
		c.want(1, key, 1, gcnode.SourceLoaded)
		c.want(0, key, 1, gcnode.SourceHit)
		if err := c.groups[1].Remove(t.Context(), key); err != nil {
			t.Error(err)
		}
		c.want(0, key, 1, gcnode.SourceLoaded)
	})
}

func TestCachedIsWhatIsInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, gcnode.GroupOptions{MaxBytes: 1 << 20, TTL: gcnode.For(time.Minute)})
		begun := time.Now()
		key := c.keyOf(0, 1)
		for i, want := range []struct {
			life   time.Duration
			source gcnode.Source
		}{{time.Minute, gcnode.SourceHit}, {gcnode.DefaultHotTTL, gcnode.SourceHot}} {
			g := c.groups[i]
			if _, _, source := g.Cached(key); source != 0 {
				t.Error("there is nothing yet")
			}
			c.get(i, key)
			synctest.Wait()
			v, ends, source := g.Cached(key)
			if v.Len() == 0 || ends.Sub(begun) != want.life || source != want.source {
				t.Errorf("node %d: %q until %v, %v", i, v, ends.Sub(begun), source)
			}
			if st := g.Stats(); st.Gets != 1 {
				t.Errorf("node %d: %+v", i, st)
			}
			wantAllocs(t, "Cached", 0, func() { g.Cached(key) })
		}
		time.Sleep(gcnode.DefaultHotTTL)
		if _, _, source := c.groups[1].Cached(key); source != 0 {
			t.Error("a copy was served beyond its life")
		}
		time.Sleep(time.Minute)
		if _, _, source := c.groups[0].Cached(key); source != 0 {
			t.Error("a value was served beyond its life")
		}
	})
}

func TestCachedKnowsNothingOfAClosedNodeNorOfKeysWithoutAValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, gcnode.GroupOptions{MaxBytes: 1 << 20, StaleOnError: time.Hour, TTL: gcnode.For(time.Second)})
		c.get(0, "k")
		c.origin.fail = gcnode.ErrNotFound // from now on
		if _, err := c.groups[0].Get(t.Context(), "none"); !errors.Is(err, gcnode.ErrNotFound) {
			t.Error(err)
		}
		synctest.Wait()
		if _, ends, source := c.groups[0].Cached("k"); source != gcnode.SourceHit || ends.IsZero() {
			t.Error("it is in memory")
		}
		if _, _, source := c.groups[0].Cached("none"); source != 0 {
			t.Error("there is no value")
		}
		if err := c.nodes[0].Close(t.Context()); err != nil {
			t.Error(err)
		}
		if _, _, source := c.groups[0].Cached("k"); source != 0 {
			t.Error("a closed node has served")
		}
	})
}
