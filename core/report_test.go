package gcnode_test

import (
	"testing"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
)

// compared is how often members have compared one by one.
func (c *cluster) compared() int {
	return c.net.Sent(transporttest.Any, transporttest.Any, gcnode.OpSync)
}

func TestMembersThatKnowTheSameReportAndDoNotCompare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const members, intervals = 12, 10
		c := newBroadcasting(t, members)
		for i := range members {
			c.mustRemove(i, id(i))
		}
		time.Sleep(2*gcnode.DefaultHotTTL + time.Second)
		compared, reports := c.compared(), c.net.Broadcasts(gcnode.OpReport)
		time.Sleep(intervals * gcnode.DefaultHotTTL / 2)
		if n := c.compared() - compared; n != 0 {
			t.Errorf("they have compared %d times", n)
		}
		if n := c.net.Broadcasts(gcnode.OpReport) - reports; n != intervals*members {
			t.Errorf("%d reports, want %d", n, intervals*members)
		}
		for i := range members {
			c.mustRemove(i, id(i))
		}
		time.Sleep(2 * gcnode.DefaultHotTTL)
		if n := c.compared() - compared; n != 0 {
			t.Errorf("they have compared %d times after a removal that all have heard of", n)
		}
	})
}

// While there are removals all the time, no member knows just what another one
// does.
func TestMembersThatFollowOneAnotherDoNotCompare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newBroadcasting(t, 3)
		c.net.SetFault(transporttest.Any, transporttest.Any, transporttest.Fault{Delay: 20 * time.Millisecond})
		time.Sleep(time.Second)
		c.net.Crash("n2")
		c.restart(2, 3) // whose reports come at other times than those of others
		c.join()
		time.Sleep(2 * gcnode.DefaultHotTTL)
		between := func() int { return c.net.Sent("n0", "n2", gcnode.OpSync) + c.net.Sent("n2", "n0", gcnode.OpSync) }
		before := between()
		time.Sleep(time.Second / 2) // nobody reports just when there is a removal
		for range 1000 {
			c.remove(0, "k")
			time.Sleep(10 * gcnode.DefaultHotTTL / 1000)
		}
		if n := between() - before; n != 0 {
			t.Errorf("they have compared %d times", n)
		}
	})
}

func TestAMemberThatMissedARemovalHearsOfItByAReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newBroadcasting(t, 3)
		key := c.keyOf(1)
		c.want(1, key, 0, gcnode.SourceLoaded)
		c.origin.write(key, 1)
		c.removeUnheard(2, "n1", key)
		c.want(1, key, 0, gcnode.SourceHit)
		time.Sleep(gcnode.DefaultHotTTL / 2)
		synctest.Wait()
		c.want(1, key, 1, gcnode.SourceLoaded)
		if n := c.net.Sent("n0", "n1", gcnode.OpSync); n != 0 {
			t.Errorf("n0 has asked what n1 knows")
		}
	})
}

// Reports do not arrive, in one direction or in both, while everything else does.
func TestMembersCompareWhenReportsDoNotArrive(t *testing.T) {
	lose := map[string]func(m transporttest.Message) bool{
		"those of one member":        func(m transporttest.Message) bool { return m.From == "n0" },
		"those to one member":        func(m transporttest.Message) bool { return m.To == "n1" },
		"none":                       func(transporttest.Message) bool { return true },
		"those to and from a member": func(m transporttest.Message) bool { return m.To == "n1" || m.From == "n1" },
	}
	for name, lost := range lose {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newBroadcasting(t, 3)
				key := c.keyOf(1)
				c.want(1, key, 0, gcnode.SourceLoaded)
				c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
					return transporttest.Fault{Drop: m.Request.Op == gcnode.OpReport && lost(m)}
				})
				time.Sleep(time.Minute)
				c.origin.write(key, 1)
				c.removeUnheard(2, "n1", key)
				time.Sleep(gcnode.DefaultHotTTL / 2)
				synctest.Wait()
				c.want(1, key, 1, gcnode.SourceLoaded)
			})
		})
	}
}

// A member whose reports say that it lacks something, and that cannot be
// compared with, is not asked for anything after a while, when those who know
// better have forgotten what they would have to carry.
func TestAReportOfWhoLacksSomethingIsNoComparison(t *testing.T) {
	tests := map[string]func(c *cluster, life uint64) gcnode.Request{
		"nothing else comes": func(*cluster, uint64) gcnode.Request { return gcnode.Request{} },
		"that an earlier life knew all does not help": func(c *cluster, life uint64) gcnode.Request {
			var known []gcnode.Known
			for _, i := range []int{0, 1} {
				known = append(known, serve(c.t, c.nodes[i], &gcnode.Request{Op: gcnode.OpSync}).Ack.Known...)
			}
			return gcnode.Request{Op: gcnode.OpReport, From: gcnode.Sender{ID: "n2", Incarnation: life}, Known: known}
		},
	}
	for name, late := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newBroadcasting(t, 4)
				life := serve(t, c.nodes[2], &gcnode.Request{Op: gcnode.OpSync}).Ack.Incarnation
				c.net.Crash("n2")
				c.restart(2, 4)
				c.join()
				key := c.keyOf(2)
				c.want(2, key, 0, gcnode.SourceLoaded)
				c.origin.write(key, 1)
				c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
					op := m.Request.Op
					return transporttest.Fault{Drop: (m.To == "n2" || m.From == "n2") && op != gcnode.OpReport && op != gcnode.OpFetch}
				})
				if err := <-c.remove(3, key); err == nil {
					t.Fatal("the removal was confirmed by all")
				}
				c.net.Crash("n3")
				for range 25 {
					if req := late(c, life); req.Op != 0 {
						serve(t, c.nodes[0], &req)
					}
					time.Sleep(gcnode.DefaultHotTTL / 2)
				}
				c.wantRemoved(0, key)
			})
		})
	}
}

// Members that have missed a goodbye find out by the list of those who have
// not.
func TestAGoodbyeIsToldByReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newBroadcasting(t, 3)
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
			return transporttest.Fault{Drop: m.From == "n2" && m.To == "n1"}
		})
		if err := c.nodes[2].Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.net.Detach("n2")
		if n := len(c.nodes[1].Peers()); n != 3 {
			t.Fatalf("n1 has a list of %d", n)
		}
		time.Sleep(gcnode.DefaultHotTTL / 2)
		synctest.Wait()
		if n := len(c.nodes[1].Peers()); n != 2 {
			t.Errorf("n1 has a list of %d", n)
		}
	})
}
