package gcnode_test

import (
	"testing"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
)

// halves is a cluster of two whose first node, with a clock that is ahead, has
// been alone on its list for so long that it tells the other one of nothing. The
// second one, which still lists both, has heard its time a second ago. The key
// is owned by one of them, by the list of the second one.
func halves(t *testing.T, owner int) (c *cluster, key string) {
	t.Helper()
	c = configuredCluster(t, 2, ahead("n0"))
	key = c.keyOf(owner)
	c.setPeers(c.nodes[0], 1)
	time.Sleep(3*gcnode.DefaultHotTTL + time.Second)
	return c, key
}

// What was set before, by a clock that is ahead, on a node that told nobody,
// does not outlive a removal that it confirms.
func TestWhatTheRemoverWasNotToldOfGoesToo(t *testing.T) {
	for what, remove := range map[string]func(*cluster, string){
		"removal": func(c *cluster, key string) { c.mustRemove(1, key) },
		"clear":   func(c *cluster, _ string) { c.mustClear(1) },
	} {
		for owner := range 2 {
			t.Run(what+" of "+id(owner), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c, key := halves(t, owner)
					c.mustSet(0, key, "old")
					remove(c, key)
					if v, err := c.groups[0].Get(t.Context(), key); err != nil || v.String() != "0" {
						t.Errorf("%v, %v", v, err)
					}
				})
			})
		}
	}
}

// Nor if the two have the same list again, but have not compared what they know.
func TestWhatAStrangerWasNotToldOfGoesToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, key := halves(t, 0)
		c.mustSet(0, key, "old")
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
			return transporttest.Fault{Drop: m.Request.Op == gcnode.OpSync}
		})
		c.setPeers(c.nodes[0], 2)
		c.mustRemove(1, key)
		if v, err := c.groups[0].Get(t.Context(), key); err != nil || v.String() != "0" {
			t.Errorf("%v, %v", v, err)
		}
	})
}

// Nor does it outlive a set.
func TestWhatTheSetterWasNotToldOfIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, key := halves(t, 0)
		c.mustSet(0, key, "old")
		c.mustSet(1, key, "new")
		for i, g := range c.groups {
			if v, err := g.Get(t.Context(), key); err != nil || v.String() != "new" {
				t.Errorf("n%d: %v, %v", i, v, err)
			}
		}
	})
}

// One that confirms after the call has failed is told again, once.
func TestARemovalThatIsConfirmedLateTakesWhatItsSenderWasNotToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, key := halves(t, 0)
		c.mustSet(0, key, "old")
		c.net.Partition([]string{"n0"}, []string{"n1"})
		if err := c.groups[1].Remove(t.Context(), key); err == nil {
			t.Error("nil, though n0 did not confirm")
		}
		told := 0
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
			if m.Request.Op == gcnode.OpRemove && m.Reply == nil {
				told++
			}
			return transporttest.Fault{}
		})
		c.net.Heal()
		time.Sleep(time.Minute)
		if v, err := c.groups[0].Get(t.Context(), key); err != nil || v.String() != "0" {
			t.Errorf("%v, %v", v, err)
		}
		if told != 2 {
			t.Errorf("n0 was told %d times, want 2", told)
		}
	})
}
