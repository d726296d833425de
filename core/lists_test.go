package gcnode_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
)

// wantKept compares how much a node keeps.
func (c *cluster) wantKept(node, owned, hot int) {
	c.t.Helper()
	if st := c.groups[node].Stats(); st.Owned.Entries != owned || st.Hot.Entries != hot {
		c.t.Errorf("n%d keeps %d entries and %d copies, want %d and %d", node, st.Owned.Entries, st.Hot.Entries, owned, hot)
	}
}

func TestBatchesFoundUnderAnotherListAreNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(1)
		c.setPeers(c.nodes[1], 2)
		if _, err := c.groups[0].GetMany(t.Context(), []string{key}); err != nil {
			t.Error(err)
		}
		c.wantKept(0, 0, 0)
		c.setPeers(c.nodes[1], 3)
		if _, err := c.groups[0].GetMany(t.Context(), []string{key}); err != nil {
			t.Error(err)
		}
		c.wantKept(0, 0, 1)
	})
}

// The asker keeps nothing of what a stand-in says, which is a copy itself.
func TestWhatAStandInSaysIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(1, 2)
		c.net.SetFault("n0", "n1", transporttest.Fault{Drop: true})
		c.want(0, key, 0, gcnode.SourceLoaded)
		c.wantKept(0, 0, 0)
		c.wantKept(2, 0, 1)
		time.Sleep(gcnode.DefaultHotTTL)
		c.origin.write(key, 1)
		c.want(2, key, 1, gcnode.SourceLoaded) // by the owner
	})
}

// The list of the owner changes to that of the asker while it loads.
func TestAnAnswerFoundUnderAnEarlierListIsNotVouchedFor(t *testing.T) {
	for _, joins := range []bool{false, true} { // a load that was begun for another
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 3, defaultOptions)
			key := c.keyOf(1)
			c.setPeers(c.nodes[1], 2)
			hold := make(chan struct{})
			c.origin.hold = hold
			var asked <-chan result
			if joins {
				own := c.get(1, key)
				defer func() { <-own }()
				c.setPeers(c.nodes[1], 3)
				asked = c.get(0, key)
			} else {
				asked = c.get(0, key)
				c.setPeers(c.nodes[1], 3)
			}
			close(hold)
			if r := <-asked; r.err != nil {
				t.Error(r.err)
			}
			c.wantKept(0, 0, 0)
		})
	}
}

// A member that has just become the owner answers with the copy that it has.
func TestACopyIsNotCopied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(2, 1)
		c.want(1, key, 0, gcnode.SourceLoaded)
		for _, i := range []int{0, 1} {
			c.setPeers(c.nodes[i], 2)
		}
		time.Sleep(gcnode.DefaultHotTTL / 2)
		c.want(0, key, 0, gcnode.SourceOwner)
		c.wantKept(0, 0, 0)
	})
}

// What was inherited, or asked for, is from a member with another list by now.
func TestWhatIsFoundAtAPreviousOwnerWithAnotherListIsNotKept(t *testing.T) {
	for _, op := range []gcnode.Op{gcnode.OpKeys, gcnode.OpPeek} { // which is lost, or late
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 2, defaultOptions)
			keys := c.fill(100)
			hold := make(chan struct{})
			c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
				switch {
				case m.Request.Op != op || m.Reply != nil:
					return transporttest.Fault{}
				case op == gcnode.OpKeys:
					return transporttest.Fault{Drop: true}
				default:
					return transporttest.Fault{Until: hold}
				}
			})
			c.enter()
			c.join()
			synctest.Wait()
			for _, i := range []int{0, 1} {
				c.setPeers(c.nodes[i], 2)
			}
			close(hold)
			synctest.Wait()
			for _, key := range keys {
				if op == gcnode.OpKeys && c.groups[2].Owner(key).ID == "n2" {
					c.want(2, key, 0, gcnode.SourceOwner)
				}
			}
			c.wantKept(2, 0, 0)
		})
	}
}

func TestWhatOthersOwnIsTakenOutInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		c.fill(100)
		before := c.groups[0].Stats().Owned.Entries
		c.enter()
		c.join()
		synctest.Wait()
		inherited := c.groups[2].Stats().Inherited
		time.Sleep(2 * time.Minute)
		left := c.groups[0].Stats().Owned.Entries + c.groups[1].Stats().Owned.Entries
		if before == 0 || inherited == 0 || left != 100-int(inherited) {
			t.Errorf("%d of 100 entries are left at those who do not own them, of which %d were handed over", left, inherited)
		}
	})
}

// A previous owner is not asked when nobody tells it of removals any more.
func TestAPreviousOwnerIsNotAskedAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		time.Sleep(2 * time.Minute)
		key := c.keyOf(1, 0)
		c.want(1, key, 0, gcnode.SourceLoaded)
		rest := []gcnode.Peer{{ID: "n0"}, {ID: "n2"}}
		for _, i := range []int{0, 2} {
			if err := c.nodes[i].SetPeers(rest); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(3*gcnode.DefaultHotTTL + time.Second)
		c.origin.write(key, 1)
		c.mustRemove(2, key)
		time.Sleep(time.Second)
		c.want(0, key, 1, gcnode.SourceLoaded)
	})
}

// A member that leaves names what it has when nobody tells it of removals any
// more.
func TestWhatIsHandedOverTooLateIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := configuredCluster(t, 3, func(cfg *gcnode.Config) { cfg.HotTTL = 400 * time.Millisecond })
		key := c.keyOf(1, 0)
		c.want(1, key, 0, gcnode.SourceLoaded)
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
			if m.Request.Op == gcnode.OpKeys && m.To == "n0" && m.Reply != nil {
				return transporttest.Fault{Delay: 1500 * time.Millisecond}
			}
			return transporttest.Fault{Drop: m.Request.Op == gcnode.OpSync}
		})
		closed := make(chan error, 1)
		go func() { closed <- c.nodes[1].Close(t.Context()) }()
		time.Sleep(time.Second)
		c.origin.write(key, 1)
		c.mustRemove(2, key)
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if v, err := c.groups[0].Get(t.Context(), key); err != nil || v.String() != "1" {
			t.Errorf("version %v, %v", v, err)
		}
	})
}

// A client is told of nothing.
func TestGetsOfAClientDoNotWaitForOneAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		c.start("client", defaultOptions)
		c.setPeers(c.nodes[2], 2)
		key := c.keyOf(1)
		hold := make(chan struct{})
		c.origin.hold = hold
		early := c.get(2, key)
		c.origin.write(key, 1)
		c.origin.hold = nil
		c.mustRemove(0, key)
		late := c.get(2, key)
		close(hold)
		<-early
		if r := <-late; r.value != "1" {
			t.Errorf("%+v", r)
		}
	})
}

func TestAPeekNeitherLoadsNorWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		key := c.keyOf(1)
		hold := make(chan struct{})
		c.origin.hold = hold
		r := c.get(1, key)
		for _, k := range []string{key, "another"} {
			req := &gcnode.Request{Op: gcnode.OpPeek, Group: groupName, Keys: []string{k}, From: gcnode.Sender{ID: "n0"}}
			begun := time.Now()
			if r := serve(t, c.nodes[1], req); r.Err == nil || r.Err.Kind != gcnode.KindUnsupported || time.Since(begun) > 0 {
				t.Errorf("after %v: %+v", time.Since(begun), r)
			}
		}
		if n := c.loads(); n != 1 {
			t.Errorf("%d loads", n)
		}
		close(hold)
		<-r
	})
}

// The age of a copy counts from when it was asked for.
func TestACopyIsAsOldAsTheQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		key := c.keyOf(1)
		time.Sleep(2 * time.Minute) // until nobody asks a previous owner any more
		c.net.SetFault("n1", "n0", transporttest.Fault{Delay: time.Second})
		c.want(0, key, 0, gcnode.SourceLoaded)
		c.net.Heal()
		time.Sleep(gcnode.DefaultHotTTL - time.Second - 1)
		c.want(0, key, 0, gcnode.SourceHot)
		time.Sleep(time.Nanosecond)
		c.want(0, key, 0, gcnode.SourceOwner)
	})
}

// refusing is a member that cannot say anything about a key.
type refusing gcnode.Kind

func (k refusing) ServePeer(_ context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
	for i := range req.Keys {
		if err := w.WriteReply(gcnode.Reply{Key: i, Err: &gcnode.Error{Kind: gcnode.Kind(k)}}); err != nil {
			return err
		}
	}
	return nil
}

// The next in line is asked, and what it says is not kept.
func TestWhatComesAfterARefusalIsNotKept(t *testing.T) {
	for _, kind := range []gcnode.Kind{gcnode.KindNoSuchGroup, gcnode.KindDraining, gcnode.KindUnsupported, gcnode.KindUnreachable} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 3, defaultOptions)
			key := c.keyOf(1, 2)
			c.net.Attach("n1", refusing(kind))
			for range 2 {
				if v, err := c.groups[0].Get(t.Context(), key); err != nil || v.String() != "0" {
					t.Errorf("%v: %v, %v", kind, v, err)
				}
			}
			c.wantKept(0, 0, 0)
			c.wantKept(2, 0, 1)
			c.wantLoads(key, 1)
			c.net.Attach("n1", c.nodes[1])
		})
	}
}

// Each of two members on both lists takes the other for the owner.
func TestMembersThatDisagreeAboutTheOwnerDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		for i, node := range c.nodes {
			if err := node.SetPeers([]gcnode.Peer{{ID: id(i), Weight: 1}, {ID: id(1 - i), Weight: 100}}); err != nil {
				t.Fatal(err)
			}
		}
		key := "k"
		for c.groups[0].Owner(key).ID != "n1" || c.groups[1].Owner(key).ID != "n0" {
			key += "'"
		}
		time.Sleep(2 * time.Minute) // until nobody asks a previous owner any more
		c.origin.takes = time.Second
		begun := time.Now()
		a, b := c.get(0, key), c.get(1, key)
		for _, ch := range []<-chan result{a, b} {
			if r := <-ch; r.err != nil || r.value != "0" {
				t.Errorf("%+v", r)
			}
		}
		if took := time.Since(begun); took != time.Second {
			t.Errorf("it took %v", took)
		}
		c.wantLoads(key, 2)
	})
}
