package gcnode_test

import (
	"testing"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
)

// removalOf is what an unknown member removes.
func removalOf(seq uint64, keys ...string) gcnode.Removal {
	return gcnode.Removal{
		ID: gcnode.RemovalID{Sender: "n9", Incarnation: 7, Seq: seq}, Stamp: gcnode.Stamp{Time: time.Now().UnixNano()},
		Group: groupName, Keys: keys,
	}
}

func (c *cluster) apply(node int, rs ...gcnode.Removal) {
	c.t.Helper()
	serve(c.t, c.nodes[node], &gcnode.Request{Op: gcnode.OpRemove, Removals: rs})
}

// A load that began before the removal that was missed ends when everything has
// been dropped.
func TestWhoDropsEverythingKeepsNothingOfItsFlights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := defaultOptions
		opts.LoadTimeout = time.Hour
		c := newCluster(t, 3, opts)
		key := c.keyOf(1)
		hold := make(chan struct{})
		c.origin.hold = hold
		early := c.get(1, key)
		c.origin.write(key, 1)
		c.origin.hold = nil
		c.net.Partition([]string{"n1"}, []string{"n0", "n2"})
		if err := c.groups[2].Remove(t.Context(), key); err == nil {
			t.Fatal("the removal was confirmed by all")
		}
		c.net.Crash("n2")
		time.Sleep(2 * time.Minute)
		c.net.Heal()
		time.Sleep(gcnode.DefaultHotTTL)
		late := c.get(1, key)
		close(hold)
		if r := <-early; r.value != "0" {
			t.Errorf("the get before: %+v", r)
		}
		if r := <-late; r.value != "1" {
			t.Errorf("the get after: %+v", r)
		}
		c.want(1, key, 1, gcnode.SourceHit)
	})
}

func TestARemovalThatComesDoesNotHideOneThatDidNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		key := c.keyOf(1)
		c.want(1, key, 0, gcnode.SourceLoaded)
		c.origin.write(key, 1)
		first, second := removalOf(1, key), removalOf(2, "another")
		c.apply(0, first, second)
		c.apply(1, second)
		time.Sleep(gcnode.DefaultHotTTL)
		c.want(1, key, 1, gcnode.SourceLoaded)
		if n := c.nodes[1].Stats().Gaps; n != 0 {
			t.Errorf("it has dropped everything %d times", n)
		}
	})
}

// Of a removal that came along with a request only some keys are known.
func TestARemovalThatIsKnownInPartIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(1)
		c.want(1, key, 0, gcnode.SourceLoaded)
		c.origin.write(key, 1)
		whole := removalOf(1, "another", key)
		part := whole
		part.Keys = whole.Keys[:1]
		serve(t, c.nodes[0], &gcnode.Request{Op: gcnode.OpFetch, Group: groupName, Keys: part.Keys, Removals: []gcnode.Removal{part}})
		c.net.Partition([]string{"n2"}, []string{"n0", "n1"})
		c.apply(2, whole)
		time.Sleep(gcnode.DefaultHotTTL)
		c.net.Heal()
		time.Sleep(gcnode.DefaultHotTTL)
		c.want(1, key, 1, gcnode.SourceLoaded)
	})
}

// Two members have missed a removal, and one of them has found out.
func TestWhoHasMissedARemovalAsksNobodyWhoMayHaveMissedItToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, defaultOptions)
		key := c.keyOf(3)
		c.want(3, key, 0, gcnode.SourceLoaded)
		c.origin.write(key, 1)
		c.net.Partition([]string{"n1", "n3"}, []string{"n0", "n2"})
		if err := c.groups[2].Remove(t.Context(), key); err == nil {
			t.Fatal("the removal was confirmed by all")
		}
		c.net.Crash("n2")
		time.Sleep(2 * time.Minute)
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
			return transporttest.Fault{Drop: m.Request.Op == gcnode.OpSync && (m.From == "n3" || m.To == "n3")}
		})
		c.net.Heal()
		time.Sleep(gcnode.DefaultHotTTL)
		if n := c.nodes[1].Stats().Gaps; n != 1 {
			t.Errorf("n1 has dropped everything %d times", n)
		}
		if v, err := c.groups[1].Get(t.Context(), key); err != nil || v.String() != "1" {
			t.Errorf("version %v, %v", v, err)
		}
	})
}

// A member that was found dead is not asked again before it knows what it has
// missed.
func TestAMemberThatWasDownCatchesUpBeforeItIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(1)
		c.want(1, key, 0, gcnode.SourceLoaded)
		c.net.Isolate("n1")
		if _, err := c.groups[2].Get(t.Context(), key); err != nil { // so n1 is down
			t.Error(err)
		}
		c.origin.write(key, 1)
		if err := c.groups[0].Remove(t.Context(), key); err == nil {
			t.Error("nil, though n1 did not confirm")
		}
		c.net.Crash("n0")
		time.Sleep(2 * time.Minute)
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault { // it answers, and cannot ask
			return transporttest.Fault{Drop: m.From == "n1" && m.Reply == nil}
		})
		c.net.Heal()
		time.Sleep(gcnode.DefaultHotTTL)
		if v, err := c.groups[2].Get(t.Context(), key); err != nil || v.String() != "1" {
			t.Errorf("version %v, %v", v, err)
		}
		c.net.Intercept(nil)
		time.Sleep(gcnode.DefaultHotTTL)
		c.want(1, key, 1, gcnode.SourceLoaded)
	})
}
