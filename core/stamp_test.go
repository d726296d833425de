package gcnode_test

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
)

// configuredCluster is a cluster of nodes that are not as usual.
func configuredCluster(t *testing.T, n int, config func(*gcnode.Config)) *cluster {
	t.Helper()
	c := &cluster{t: t, net: transporttest.NewNetwork(), origin: newOrigin(), config: config}
	for i := range n {
		c.start(id(i), defaultOptions)
	}
	for _, node := range c.nodes {
		c.setPeers(node, n)
	}
	t.Cleanup(c.close)
	c.join()
	return c
}

// ahead gives a node a clock that is an hour ahead.
func ahead(id string) func(*gcnode.Config) {
	return func(cfg *gcnode.Config) {
		if cfg.Self.ID == id {
			cfg.Now = func() time.Time { return time.Now().Add(time.Hour) }
		}
	}
}

// Of two sets one after the other the second one stays, whatever the clocks say.
func TestClocksFollowTheWritesOfOthers(t *testing.T) {
	for by := range 3 { // 0 is ahead, 2 owns the key
		synctest.Test(t, func(t *testing.T) {
			c := configuredCluster(t, 3, ahead("n0"))
			key := c.keyOf(2)
			time.Sleep(time.Second)
			c.mustSet(0, key, "first")
			c.mustSet(by, key, "second")
			c.wantFresh(key, "second")
		})
	}
}

// One that has missed a write learns its time all the same.
func TestClocksFollowTheWritesThatWereMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := configuredCluster(t, 3, ahead("n0"))
		key := c.keyOf(2)
		c.net.Partition([]string{"n1"}, []string{"n0", "n2"})
		time.Sleep(time.Second)
		if err := c.groups[0].Set(t.Context(), key, text("first")); err == nil {
			t.Error("nil, though n1 did not confirm")
		}
		c.net.Crash("n0")
		for _, i := range []int{1, 2} {
			if err := c.nodes[i].SetPeers(list(3)[1:]); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Minute) // nobody remembers the first one
		c.net.Heal()
		time.Sleep(gcnode.DefaultHotTTL)
		c.mustSet(1, key, "second")
		if v, err := c.groups[2].Get(t.Context(), key); err != nil || v.String() != "second" {
			t.Errorf("%v, %v", v, err)
		}
	})
}

// A client is told of no writes, and nobody remembers the first one.
func TestTheClockOfAClientFollowsWritesThatWereForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := configuredCluster(t, 2, ahead("n0"))
		c.start("client", defaultOptions)
		c.setPeers(c.nodes[2], 2)
		key := c.keyOf(1)
		c.mustSet(0, key, "first")
		time.Sleep(2 * time.Minute)
		c.mustSet(2, key, "second")
		if v, err := c.groups[1].Get(t.Context(), key); err != nil || v.String() != "second" {
			t.Errorf("%v, %v", v, err)
		}
	})
}

// The same of a member that has just started.
func TestTheClockOfAMemberThatJoinsFollowsWritesThatWereForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := configuredCluster(t, 2, ahead("n0"))
		key := c.keyOf(1)
		time.Sleep(time.Second)
		c.mustSet(0, key, "first")
		time.Sleep(2 * time.Minute)
		c.enter()
		c.join()
		c.mustSet(2, key, "second")
		if v, err := c.groups[1].Get(t.Context(), key); err != nil || v.String() != "second" {
			t.Errorf("%v, %v", v, err)
		}
	})
}

// Every request comes twice, the second time after the value's life.
func TestASetThatIsRepeatedIsNotStoredAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		key := c.keyOf(1)
		var sent *gcnode.Request
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
			if m.Request.Op == gcnode.OpSet && sent == nil {
				sent = m.Request
			}
			return transporttest.Fault{}
		})
		item := gcnode.Item[gcnode.Value]{Value: gcnode.StringValue("set"), Keep: gcnode.For(time.Second)}
		if err := c.groups[0].Set(t.Context(), key, item); err != nil {
			t.Fatal(err)
		}
		for _, later := range []time.Duration{time.Second, time.Hour} { // it is remembered, it is not
			time.Sleep(later)
			c.wantFresh(key, "0")
			serve(t, c.nodes[1], sent)
			if v, err := c.groups[1].Get(t.Context(), key); err != nil || v.String() != "0" {
				t.Errorf("after %v: %v, %v", later, v, err)
			}
		}
	})
}

// oldSet is a set that was sent now and comes later.
func oldSet(key string) *gcnode.Request {
	stamp := gcnode.Stamp{Time: time.Now().UnixNano()}
	return &gcnode.Request{
		Op: gcnode.OpSet, Group: groupName, Keys: []string{key}, Value: gcnode.StringValue("old"), Stamp: stamp,
		Removals: []gcnode.Removal{{
			ID: gcnode.RemovalID{Sender: "n9", Incarnation: 7, Seq: 1}, Stamp: stamp, Group: groupName, Keys: []string{key},
		}},
	}
}

// Nobody remembers what has overtaken it.
func TestASetThatWasOvertakenLongAgoIsNotStored(t *testing.T) {
	for what, overtake := range map[string]func(*cluster, string){
		"removal": func(c *cluster, key string) { c.mustRemove(0, key) },
		"clear":   func(c *cluster, _ string) { c.mustClear(0) },
		"removal that the owner had no room to remember": func(c *cluster, key string) {
			for i := range 10 {
				keys := make([]string, gcnode.MaxBatchKeys)
				for k := range keys {
					keys[k] = strconv.Itoa(i*len(keys) + k)
				}
				serve(c.t, c.nodes[1], &gcnode.Request{Op: gcnode.OpRemove, Removals: []gcnode.Removal{{
					ID: gcnode.RemovalID{Sender: "n8", Incarnation: 7, Seq: uint64(i + 1)}, Group: groupName, Keys: keys,
				}}})
			}
			c.mustRemove(0, key)
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 2, defaultOptions)
			key := c.keyOf(1)
			time.Sleep(time.Second)
			old := oldSet(key)
			time.Sleep(time.Second)
			overtake(c, key)
			time.Sleep(time.Hour)
			serve(t, c.nodes[1], old)
			if v, err := c.groups[1].Get(t.Context(), key); err != nil || v.String() != "0" {
				t.Errorf("after a %s: %v, %v", what, v, err)
			}
		})
	}
}

// While the value is on its way to its owner, the caller's node is asked.
func TestASetIsAtItsOwnerBeforeOthersGoThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(1)
		c.wantFresh(key, "0")
		hold := make(chan struct{})
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
			if m.Request.Op == gcnode.OpSet && m.Reply == nil {
				return transporttest.Fault{Until: hold}
			}
			return transporttest.Fault{}
		})
		done := c.set(0, key, "set")
		c.wantFresh(key, "0")
		close(hold)
		if err := <-done; err != nil {
			t.Error(err)
		}
		c.wantFresh(key, "set")
	})
}

// Nobody but the remover has heard of it when the value is set.
func TestARemovalThatWasTakenBeforeLeavesLaterSets(t *testing.T) {
	for what, remove := range map[string]func(*cluster) error{
		"removal": func(c *cluster) error { return c.groups[0].Remove(c.t.Context(), c.keyOf(1), "another") },
		"clear":   func(c *cluster) error { return c.groups[0].Clear(c.t.Context()) },
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 3, defaultOptions)
			key := c.keyOf(1)
			hold := make(chan struct{})
			c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
				if m.From == "n0" && m.Request.Op == gcnode.OpRemove && m.Reply == nil {
					return transporttest.Fault{Until: hold}
				}
				return transporttest.Fault{}
			})
			removed := make(chan error, 1)
			go func() { removed <- remove(c) }()
			synctest.Wait()
			time.Sleep(time.Millisecond)
			done := c.set(2, key, "set") // it also waits for n0
			close(hold)
			if err := <-removed; err != nil {
				t.Errorf("%s: %v", what, err)
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
			c.wantFresh(key, "set")
			c.wantLoads(key, 0)
		})
	}
}

// Neither of two sets of one key by one node is taken for the other.
func TestSetsAreNeverMerged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(1)
		hold := make(chan struct{})
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
			if m.Request.Op == gcnode.OpSet && m.Reply == nil {
				return transporttest.Fault{Until: hold}
			}
			return transporttest.Fault{}
		})
		first := c.set(0, key, "first")
		second := c.set(0, key, "second")
		close(hold)
		for _, done := range []<-chan error{first, second} {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if n := c.net.Sent("n0", "n1", gcnode.OpSet); n != 2 {
			t.Errorf("%d requests for two sets", n)
		}
		c.wantFresh(key, "second")
	})
}

// All members set a key at the same time, and messages overtake one another.
func TestMembersAgreeAfterSetsAtTheSameTime(t *testing.T) {
	const rounds, members = 300, 3
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, members, defaultOptions)
		random := rand.New(rand.NewPCG(1, 2))
		var mu sync.Mutex
		c.net.Intercept(func(transporttest.Message) transporttest.Fault {
			mu.Lock()
			defer mu.Unlock()
			return transporttest.Fault{Delay: time.Duration(random.Int64N(int64(10 * time.Millisecond)))}
		})
		for round := range rounds {
			key := strconv.Itoa(round % 7)
			var sets sync.WaitGroup
			for by := range members {
				sets.Go(func() { c.mustSet(by, key, strconv.Itoa(round)+" by "+id(by)) })
			}
			sets.Wait()
			var values [2 * members]string
			for i := range values { // the second look finds what the first has kept
				v, err := c.groups[i%members].Get(t.Context(), key)
				if err != nil {
					t.Fatal(err)
				}
				if values[i] = v.String(); values[i] != values[0] {
					t.Fatalf("round %d: the members have %q", round, values[:i+1])
				}
			}
		}
		if n := c.loads(); n != 0 {
			t.Errorf("%d loads", n)
		}
	})
}
