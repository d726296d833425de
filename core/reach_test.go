package gcnode_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
)

// The owner, which a set goes to first, knows a member that the caller does not.
func TestASetReachesTheMembersThatItsOwnerKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(2, 1)
		c.want(2, key, 0, gcnode.SourceLoaded)
		c.setPeers(c.nodes[0], 2)
		time.Sleep(time.Minute + time.Second) // n0 has forgotten n2; they do not compare just now
		c.origin.write(key, 1)
		c.mustSet(0, key, "set")
		c.want(2, key, 1, gcnode.SourceLoaded)
		if n := c.groups[1].Stats().Owned.Entries; n != 0 {
			t.Errorf("n1, which is not the owner for itself, keeps %d entries", n)
		}
	})
}

// A member that has left the list of one who confirms, and was never on that of
// the remover.
func TestRemoveReachesTheMembersThatOthersKnewAShortTimeAgo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(1)
		c.want(2, key, 0, gcnode.SourceLoaded) // a hot copy
		c.setPeers(c.nodes[0], 2)
		time.Sleep(time.Minute + time.Second) // not when members compare what they know
		c.want(2, key, 0, gcnode.SourceOwner)
		c.setPeers(c.nodes[1], 2)
		c.origin.write(key, 1)
		c.mustRemove(0, key)
		if v, err := c.groups[2].Get(t.Context(), key); err != nil || v.String() != "1" {
			t.Errorf("version %v, %v", v, err)
		}
	})
}

func TestMembersThatLeftBeforeTheLastChangeAreStillTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, defaultOptions)
		key := c.keyOf(0)
		c.want(3, key, 0, gcnode.SourceLoaded) // a hot copy
		for i := range 3 {
			c.setPeers(c.nodes[i], 3)
		}
		if err := c.nodes[2].Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.origin.write(key, 1)
		c.mustRemove(0, key)
		if v, err := c.groups[3].Get(t.Context(), key); err != nil || v.String() != "1" {
			t.Errorf("version %v, %v", v, err)
		}
	})
}

// A member comes back to the remover's list while it waits for another.
func TestMembersThatComeDuringARemovalAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(2)
		c.want(2, key, 0, gcnode.SourceLoaded)
		for _, i := range []int{0, 1} {
			c.setPeers(c.nodes[i], 2)
		}
		c.net.SetFault("n2", transporttest.Any, transporttest.Fault{Drop: true}) // it hears what it is told, and cannot ask
		time.Sleep(time.Minute + time.Second)
		c.origin.write(key, 1)
		hold := make(chan struct{})
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
			if m.Request.Op == gcnode.OpRemove && m.From == "n1" && m.Reply != nil {
				return transporttest.Fault{Until: hold}
			}
			return transporttest.Fault{Drop: m.Request.Op == gcnode.OpSync}
		})
		c.net.Heal()
		removed := c.remove(0, key)
		c.setPeers(c.nodes[0], 3)
		close(hold)
		if err := <-removed; err != nil {
			t.Error(err)
		}
		c.want(2, key, 1, gcnode.SourceLoaded)
	})
}

// One that nobody tells of removals any more, because it said that it is gone,
// gives nothing away.
func TestAMemberThatIsGoneHandsOverNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		key := c.keyOf(1)
		c.want(1, key, 0, gcnode.SourceLoaded)
		if err := c.nodes[1].Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, op := range []gcnode.Op{gcnode.OpPeek, gcnode.OpKeys, gcnode.OpFetch} {
			req := &gcnode.Request{Op: op, Group: groupName, Keys: []string{key}, From: gcnode.Sender{ID: "n0"}}
			if r := serve(t, c.nodes[1], req); r.Err == nil || r.Err.Kind != gcnode.KindDraining {
				t.Errorf("%v: %+v", op, r)
			}
		}
	})
}

// What an earlier life of a member says of its end comes late, while the next
// one says goodbye.
func TestTheEndOfAnEarlierLifeIsNotTakenForThatOfTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		var mu sync.Mutex
		var first gcnode.Sender
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
			mu.Lock()
			defer mu.Unlock()
			if m.Request.Op == gcnode.OpGone {
				first = m.Request.From
			}
			return transporttest.Fault{}
		})
		if err := c.nodes[1].Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.net.Intercept(nil)
		c.net.Crash("n1")
		c.restart(1, 3)
		c.join()
		key := c.keyOf(1)
		serve(t, c.nodes[0], &gcnode.Request{Op: gcnode.OpGoodbye, From: first})
		serve(t, c.nodes[0], &gcnode.Request{Op: gcnode.OpGoodbye, From: gcnode.Sender{ID: "n1", Incarnation: 7}})
		if n := len(c.nodes[0].Peers()); n != 3 {
			t.Errorf("a goodbye that came late has left a list of %d", n)
		}
		c.want(1, key, 0, gcnode.SourceLoaded)
		hold := make(chan struct{})
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
			if m.Request.Op == gcnode.OpKeys && m.Reply == nil {
				return transporttest.Fault{Until: hold}
			}
			return transporttest.Fault{}
		})
		closed := make(chan error, 1)
		go func() { closed <- c.nodes[1].Close(t.Context()) }()
		synctest.Wait()
		for _, i := range []int{0, 2} {
			serve(t, c.nodes[i], &gcnode.Request{Op: gcnode.OpGone, From: first})
		}
		before := c.net.Sent("n0", "n1", gcnode.OpRemove)
		c.mustRemove(0, key)
		if n := c.net.Sent("n0", "n1", gcnode.OpRemove) - before; n != 1 {
			t.Errorf("it was told %d times", n)
		}
		close(hold)
		if err := <-closed; err != nil {
			t.Error(err)
		}
	})
}
