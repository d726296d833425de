package gcnode_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
)

// strange is a cluster of three whose last member was off the others' lists
// for a minute, could not be reached meanwhile, and comes back without a
// restart, with a value of the key that was removed. Comparing what they know is
// what fault, which may be nil, makes of it.
func strange(t *testing.T, fault func(transporttest.Message) transporttest.Fault) (c *cluster, key string) {
	t.Helper()
	c = newCluster(t, 3, defaultOptions)
	key = c.keyOf(2, 0)
	c.want(2, key, 0, gcnode.SourceLoaded)
	c.net.Isolate("n2")
	for _, i := range []int{0, 1} {
		c.setPeers(c.nodes[i], 2)
	}
	time.Sleep(time.Minute + time.Second) // none of them compares just now
	c.origin.write(key, 1)
	c.mustRemove(0, key)
	time.Sleep(time.Minute) // nobody remembers it
	if fault == nil {
		fault = func(m transporttest.Message) transporttest.Fault { // they do not get to compare
			return transporttest.Fault{Drop: m.Request.Op == gcnode.OpSync || m.Request.Op == gcnode.OpHello}
		}
	}
	c.net.Intercept(fault)
	c.net.Heal()
	for _, i := range []int{0, 1} {
		c.setPeers(c.nodes[i], 3)
	}
	return c, key
}

// wantRemoved gets the key at a node that must not serve what was removed.
func (c *cluster) wantRemoved(node int, key string) {
	c.t.Helper()
	if v, err := c.groups[node].Get(c.t.Context(), key); err != nil || v.String() != "1" {
		c.t.Errorf("get at n%d: version %v, %v", node, v, err)
	}
}

func TestStrangersAreNotAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, key := strange(t, nil)
		c.wantRemoved(0, key)
		for r, err := range c.groups[1].Stream(t.Context(), []string{key}) {
			if err != nil || r.Value.String() != "1" {
				t.Errorf("in a batch: version %v, %v", r.Value, err)
			}
		}
		for _, i := range []int{0, 1} {
			if st := c.nodes[i].Stats(); !slices.Equal(st.Silent, []string{"n2"}) {
				t.Errorf("n%d has not met %v", i, st.Silent)
			}
			for _, op := range []gcnode.Op{gcnode.OpFetch, gcnode.OpPeek} {
				req := &gcnode.Request{Op: op, Group: groupName, Keys: []string{key}, From: gcnode.Sender{ID: "n2"}}
				if r := serve(t, c.nodes[i], req); r.Err == nil || r.Err.Kind != gcnode.KindDraining {
					t.Errorf("n%d has answered a stranger's %v: %+v", i, op, r)
				}
			}
		}
	})
}

// One that goes off the list again before it was met.
func TestAStrangerThatLeavesAgainIsNotAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, key := strange(t, nil)
		for _, i := range []int{0, 1} {
			c.setPeers(c.nodes[i], 2)
		}
		time.Sleep(time.Second)
		c.wantRemoved(0, key)
		c.wantRemoved(1, key)
	})
}

// The same when it comes back at once.
func TestAStrangerThatComesAndGoesIsNotAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, key := strange(t, nil)
		for _, n := range []int{2, 3} {
			for _, i := range []int{0, 1} {
				c.setPeers(c.nodes[i], n)
			}
			time.Sleep(time.Second)
		}
		c.wantRemoved(0, key)
		c.wantRemoved(1, key)
	})
}

// One that says goodbye before it was met.
func TestAStrangerThatSaysGoodbyeHandsOverNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, key := strange(t, nil)
		if err := c.nodes[2].Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		c.wantRemoved(0, key)
		c.wantRemoved(1, key)
	})
}

// The stranger can be asked what it knows, and cannot ask.
func TestAStrangerThatHasNotCaughtUpIsNotMet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, key := strange(t, func(m transporttest.Message) transporttest.Fault {
			return transporttest.Fault{Drop: m.Request.Op == gcnode.OpSync && m.Reply == nil && m.From == "n2"}
		})
		time.Sleep(time.Second)
		c.wantRemoved(0, key)
		c.wantRemoved(1, key)
	})
}

// The stranger knows everything, and has another list.
func TestAStrangerWithAnotherListIsNotMet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := strange(t, nil)
		c.setPeers(c.nodes[2], 4)
		c.net.Intercept(nil)
		for range 2 {
			time.Sleep(time.Second)
			if st := c.nodes[0].Stats(); !slices.Equal(st.Silent, []string{"n2"}) {
				t.Errorf("n0 has not met %v", st.Silent)
			}
			serve(t, c.nodes[0], &gcnode.Request{Op: gcnode.OpHello, From: gcnode.Sender{ID: "n2", Incarnation: 7}})
		}
		c.setPeers(c.nodes[2], 3)
		time.Sleep(time.Second)
		if st := c.nodes[0].Stats(); len(st.Silent) != 0 {
			t.Errorf("n0 has not met %v", st.Silent)
		}
	})
}

// One that could not be reached while a node joined.
func TestANodeInheritsNothingFromStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		c.net.Crash("n1")
		c.net.Partition([]string{"n2"}, []string{"n1"})
		before := map[int]int{}
		for i := range c.nodes {
			before[i] = c.net.Sent("n1", id(i), gcnode.OpKeys)
		}
		c.restart(1, 3)
		c.join()
		synctest.Wait()
		for i, want := range map[int]int{0: 1, 2: 0} {
			if n := c.net.Sent("n1", id(i), gcnode.OpKeys) - before[i]; n != want {
				t.Errorf("n%d was asked %d times for what n1 inherits, want %d", i, n, want)
			}
		}
	})
}

// A set that was stuck on its way comes when its owner has missed the removal
// that overtook it.
func TestASetThatAMissedRemovalOvertookIsNotStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(2, 0)
		var stuck *gcnode.Request
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
			if m.Request.Op == gcnode.OpSet {
				stuck = m.Request
			}
			return transporttest.Fault{Drop: m.Request.Op == gcnode.OpSet}
		})
		c.mustSet(0, key, "set")
		c.net.Intercept(nil)
		c.net.Isolate("n2")
		for _, i := range []int{0, 1} {
			c.setPeers(c.nodes[i], 2)
		}
		time.Sleep(time.Minute)
		c.mustRemove(0, key)
		time.Sleep(2 * time.Minute) // nobody remembers it
		c.net.Heal()
		for _, i := range []int{0, 1} {
			c.setPeers(c.nodes[i], 3)
		}
		time.Sleep(time.Minute)
		if st := c.nodes[2].Stats(); st.Gaps == 0 {
			t.Error("n2 has dropped nothing")
		}
		serve(t, c.nodes[2], stuck)
		c.wantFresh(key, "0")
	})
}

// Members that have not compared for so long that one of them could forget what
// the other lacks.
func TestMembersThatCannotCompareBecomeStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
			return transporttest.Fault{Drop: m.Request.Op == gcnode.OpSync}
		})
		time.Sleep(40 * time.Second)
		for i, node := range c.nodes {
			if st := node.Stats(); len(st.Silent) != 1 {
				t.Errorf("n%d has not met %v", i, st.Silent)
			}
		}
		c.want(0, c.keyOf(1), 0, gcnode.SourceLoaded)
		if n := c.net.Sent("n0", "n1", gcnode.OpFetch); n != 0 {
			t.Errorf("a stranger was asked %d times", n)
		}
		c.net.Intercept(nil)
		time.Sleep(time.Second)
		for i, node := range c.nodes {
			if st := node.Stats(); len(st.Silent) != 0 {
				t.Errorf("n%d has not met %v", i, st.Silent)
			}
		}
	})
}

// A hello of the stranger's that it has sent when it started comes now.
func TestAnOldHelloDoesNotEndBeingAStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var hello gcnode.Request
		c, key := strange(t, func(m transporttest.Message) transporttest.Fault {
			mu.Lock()
			defer mu.Unlock()
			if m.From == "n2" && m.Reply == nil {
				hello = gcnode.Request{Op: gcnode.OpHello, From: m.Request.From, ListHash: m.Request.ListHash}
			}
			return transporttest.Fault{Drop: m.Request.Op == gcnode.OpSync}
		})
		time.Sleep(gcnode.DefaultHotTTL)
		mu.Lock()
		sent := hello
		mu.Unlock()
		if sent.From.Incarnation == 0 {
			t.Fatal("nothing came from n2")
		}
		serve(t, c.nodes[0], &sent)
		if st := c.nodes[0].Stats(); !slices.Equal(st.Silent, []string{"n2"}) {
			t.Errorf("n0 has not met %v", st.Silent)
		}
		c.wantRemoved(0, key)
	})
}

// A member that starts hears from one what another has missed.
func TestANodeThatJoinsDoesNotAskWhoHasNotCaughtUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, key := strange(t, func(m transporttest.Message) transporttest.Fault {
			return transporttest.Fault{Drop: m.Request.Op == gcnode.OpSync}
		})
		c.restart(1, 3)
		c.join()
		c.wantRemoved(1, key)
	})
}

// A member answers what it knows, and before the answer is there everything has
// been dropped for something that it does not know.
func TestWhoWasAskedBeforeEverythingWasDroppedIsNotMet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(2)
		c.want(2, key, 0, gcnode.SourceLoaded)
		c.origin.write(key, 1)
		hold := make(chan struct{})
		var stage atomic.Int32
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
			if m.Request.Op != gcnode.OpSync {
				return transporttest.Fault{}
			}
			between := m.Request.From.ID + " " + m.Request.To
			switch now := stage.Load(); {
			case now == 1 && between == "n2 n0",
				now >= 2 && between == "n0 n2" && m.Reply == nil,
				now == 3 && (between == "n0 n1" || between == "n1 n0"):
				return transporttest.Fault{}
			case now >= 2 && between == "n0 n2":
				return transporttest.Fault{Until: hold}
			default:
				return transporttest.Fault{Drop: true}
			}
		})
		c.apply(1, removalOf(1, key))
		time.Sleep(3 * time.Minute) // all are strangers, and nobody remembers the removal
		stage.Store(1)
		time.Sleep(time.Second) // n2 has met n0
		stage.Store(2)
		time.Sleep(600 * time.Millisecond) // n0 has asked n2
		stage.Store(3)
		time.Sleep(600 * time.Millisecond) // n1 has asked n0
		if n := c.nodes[0].Stats().Gaps; n != 1 {
			t.Fatalf("it has dropped everything %d times", n)
		}
		stage.Store(4)
		close(hold)
		time.Sleep(time.Millisecond)
		if r := <-c.get(0, key); r.value != "1" {
			t.Errorf("%+v", r)
		}
		if silent := c.nodes[0].Stats().Silent; !slices.Contains(silent, "n2") {
			t.Errorf("strangers are %v", silent)
		}
	})
}
