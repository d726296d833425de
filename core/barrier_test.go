package gcnode_test

import (
	"testing"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
)

// A node that joins is on nobody's list but its own, so that nobody tells it of
// removals.
func TestGetsOfANodeThatJoinsDoNotWaitForOneAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		c.start("n3", defaultOptions)
		c.setPeers(c.nodes[3], 4)
		time.Sleep(gcnode.DefaultPeerTimeout) // from now on gets do not wait for the joining
		key := c.keyOf(1)
		hold := make(chan struct{})
		c.origin.hold = hold
		early := c.get(3, key)
		c.origin.write(key, 1)
		c.origin.hold = nil
		c.mustRemove(0, key)
		late := c.get(3, key)
		close(hold)
		if r := <-early; r.value != "0" {
			t.Errorf("the get before the removal: %+v", r)
		}
		if r := <-late; r.value != "1" {
			t.Errorf("the get after the removal: %+v", r)
		}
	})
}

func TestANodeThatOthersDoNotListDoesNotJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		c.start("n3", defaultOptions)
		c.setPeers(c.nodes[3], 4)
		time.Sleep(time.Minute)
		if c.nodes[3].Stats().Joined {
			t.Error("it has joined members that do not know it")
		}
		key := c.keyOf(1)
		c.want(3, key, 0, gcnode.SourceLoaded)
		c.origin.write(key, 1)
		c.mustRemove(0, key)
		c.want(3, key, 1, gcnode.SourceLoaded)
		for i := range 3 {
			c.setPeers(c.nodes[i], 4)
		}
		c.join()
	})
}

// The list grows while the members of the one before are answering.
func TestANodeJoinsUnderTheListThatItHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		hold, hellos := make(chan struct{}), 0
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
			if m.Request.Op != gcnode.OpHello || m.Reply != nil {
				return transporttest.Fault{}
			}
			if m.To == "n1" { // it does not answer for so long that others are not waited for any more
				hellos++
				return transporttest.Fault{Drop: hellos <= 5, Until: hold}
			}
			return transporttest.Fault{Drop: m.To == "n4"}
		})
		c.enter()
		time.Sleep(time.Second)
		c.setPeers(c.nodes[3], 5)
		close(hold)
		synctest.Wait()
		if c.nodes[3].Stats().Joined {
			t.Error("it has joined without asking a member of its list")
		}
	})
}

// Others may ask a node that joins, or send it values, before it may keep any.
func TestANodeThatJoinsServesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		hold := make(chan struct{})
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
			if m.Request.Op == gcnode.OpHello && m.To == "n1" && m.Reply == nil {
				return transporttest.Fault{Until: hold}
			}
			return transporttest.Fault{}
		})
		c.enter()
		synctest.Wait()
		key := c.keyOf(3)
		req := &gcnode.Request{Op: gcnode.OpFetch, Group: groupName, Keys: []string{key}, From: gcnode.Sender{ID: "n0"}}
		if r := serve(t, c.nodes[3], req); r.Err == nil || r.Err.Kind != gcnode.KindDraining {
			t.Errorf("%+v", r)
		}
		c.mustSet(0, key, "set")
		if n := c.groups[3].Stats().Owned.Entries; n != 0 {
			t.Errorf("it keeps %d entries", n)
		}
		close(hold)
		c.join()
	})
}

// Nobody has told a node that was alone of removals.
func TestANodeThatWasAloneJoinsWithNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		c.start("n2", defaultOptions)
		c.setPeers(c.nodes[2], 3)
		key := c.keyOf(0)
		for i := 0; c.groups[2].Owner(key).ID != "n2"; i++ {
			key = id(i) + "'s key"
		}
		if err := c.nodes[2].SetPeers([]gcnode.Peer{{ID: "n2"}}); err != nil {
			t.Fatal(err)
		}
		c.want(2, key, 0, gcnode.SourceLoaded)
		c.want(2, key, 0, gcnode.SourceHit)
		c.origin.write(key, 1)
		c.mustRemove(0, key)
		time.Sleep(2 * time.Minute) // nobody remembers it
		for _, node := range c.nodes {
			c.setPeers(node, 3)
		}
		c.join()
		c.wantFresh(key, "1")
	})
}
