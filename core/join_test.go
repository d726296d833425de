package gcnode_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
)

// enter starts one more node, and gives everybody the longer list.
func (c *cluster) enter() {
	c.t.Helper()
	c.start(id(len(c.nodes)), defaultOptions)
	for _, node := range c.nodes {
		c.setPeers(node, len(c.nodes))
	}
}

// restart gives a node another life, which knows nothing.
func (c *cluster) restart(node, listed int) {
	c.t.Helper()
	nodes, groups := c.nodes, c.groups
	c.past = append(c.past, nodes[node])
	c.start(id(node), defaultOptions)
	nodes[node], groups[node] = c.nodes[len(nodes)], c.groups[len(groups)]
	c.nodes, c.groups = nodes, groups
	c.setPeers(nodes[node], listed)
}

// loads is how often the getter was called in all.
func (c *cluster) loads() (n int) {
	for i := range c.groups {
		n += int(c.groups[i].Stats().Loads)
	}
	return n
}

// fill loads keys at their owners, and returns them.
func (c *cluster) fill(n int) []string {
	c.t.Helper()
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("resident-%d", i)
		if _, err := c.groups[i%len(c.groups)].Get(c.t.Context(), keys[i]); err != nil {
			c.t.Fatal(err)
		}
	}
	return keys
}

// wantNoLoads gets all keys at all nodes, and expects no call of the getter.
func (c *cluster) wantNoLoads(what string, keys []string) {
	c.t.Helper()
	before := c.loads()
	for _, g := range c.groups {
		for _, key := range keys {
			if v, err := g.Get(c.t.Context(), key); err != nil || v.String() != "0" {
				c.t.Fatalf("%s: get %s: %v, %v", what, key, v, err)
			}
		}
	}
	if n := c.loads() - before; n != 0 {
		c.t.Errorf("%s: %d of %d keys were loaded again", what, n, len(keys))
	}
}

func TestANewOwnerAsksThePreviousOneBeforeTheOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		keys := c.fill(500)
		c.enter()
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault { // nothing is handed over ahead of the asking
			return transporttest.Fault{Drop: m.Request.Op == gcnode.OpKeys}
		})
		c.join()
		c.wantNoLoads("a third node has come", keys)
		if st := c.groups[2].Stats(); st.PeekHits == 0 || st.Inherited != 0 || st.LoadTime.Count() != 0 {
			t.Errorf("%d peeks were answered, %d keys handed over, %d loads timed", st.PeekHits, st.Inherited, st.LoadTime.Count())
		}
	})
}

func TestANodeThatComesInheritsItsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		keys := c.fill(500)
		c.enter()
		c.join()
		synctest.Wait()
		inherited := c.groups[2].Stats().Inherited
		owned := 0
		for _, key := range keys {
			if c.groups[0].Owner(key).ID == "n2" {
				owned++
			}
		}
		if int(inherited) != owned || owned == 0 {
			t.Errorf("n2 owns %d keys and has inherited %d", owned, inherited)
		}
		time.Sleep(10 * time.Minute) // the previous owners have forgotten them
		c.wantNoLoads("a third node has come", keys)
	})
}

// Loads that are about to ask the previous owner still do when everything else
// has been handed over.
func TestWhatIsAskedForWhileItIsInheritedIsNotLoaded(t *testing.T) {
	for range 10 {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 2, defaultOptions)
			keys := c.fill(1000)
			c.enter()
			before := c.loads()
			var wg sync.WaitGroup
			for _, key := range keys {
				wg.Go(func() {
					if v, err := c.groups[2].Get(c.t.Context(), key); err != nil || v.String() != "0" {
						c.t.Errorf("get %s: %v, %v", key, v, err)
					}
				})
			}
			wg.Wait()
			if n := c.loads() - before; n != 0 {
				t.Errorf("%d of %d keys were loaded again", n, len(keys))
			}
		})
	}
}

func TestARollingRestartCostsTheOriginNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 6, defaultOptions)
		keys := c.fill(1000)
		for i := range c.nodes {
			if err := c.nodes[i].Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.net.Crash(id(i))
			gone := c.groups
			c.groups = append(append([]*gcnode.Group{}, gone[:i]...), gone[i+1:]...)
			c.wantNoLoads(id(i)+" is away", keys)
			c.groups = gone
			c.restart(i, 6)
			c.join()
			c.wantNoLoads(id(i)+" is back", keys)
		}
	})
}

func TestWhatWasRemovedIsNotInherited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		keys := c.fill(200)
		hold := make(chan struct{})
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault { // the old values are long on their way
			if m.Request.Op == gcnode.OpPeek && m.Reply != nil {
				return transporttest.Fault{Until: hold}
			}
			return transporttest.Fault{}
		})
		c.enter()
		c.join()
		synctest.Wait()
		for _, key := range keys {
			c.origin.write(key, 1)
		}
		c.mustRemove(0, keys...)
		close(hold)
		synctest.Wait()
		for i, g := range c.groups {
			for _, key := range keys {
				if v, err := g.Get(t.Context(), key); err != nil || v.String() != "1" {
					t.Fatalf("get %s at n%d: version %v, %v", key, i, v, err)
				}
			}
		}
	})
}

// A remover that does not know a member that has just come.
func TestANodeKeepsNothingBeforeAllMembersHaveAnswered(t *testing.T) {
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
		key := c.keyOf(3)
		r := c.get(3, key) // waits for the barrier, and then loads on its own
		time.Sleep(gcnode.DefaultPeerTimeout)
		if got := <-r; got.err != nil || got.value != "0" {
			t.Errorf("%+v", got)
		}
		if n := c.groups[3].Stats().Owned.Entries; n != 0 {
			t.Errorf("a node that has not joined keeps %d entries", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.groups[3].Remove(ctx, key); !errors.Is(err, gcnode.ErrUnreachable) {
			t.Errorf("a removal before it has joined: %v", err)
		}
		if c.nodes[3].Stats().Joined {
			t.Error("it has joined")
		}
		close(hold)
		c.join()
		if got := <-c.get(3, key); got.err != nil {
			t.Errorf("%+v", got)
		}
		c.want(3, key, 0, gcnode.SourceHit)
	})
}

func TestANodeThatJoinsHearsOfTheRemovalsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		keys := someKeys(20)
		hold := make(chan struct{})
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
			return map[bool]transporttest.Fault{true: {Until: hold}}[m.Request.Op == gcnode.OpRemove && m.To == "n1" && m.Reply == nil]
		})
		removed := c.remove(0, keys...)
		c.start("n3", defaultOptions)
		for _, node := range c.nodes {
			c.setPeers(node, 4)
		}
		if err := c.nodes[3].Joined(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			if c.groups[3].Owner(key).ID != "n2" {
				continue
			}
			if n := c.carried(3, key); n != 1 {
				t.Errorf("the new node knows of %d removals, want 1", n)
			}
			break
		}
		close(hold)
		if err := <-removed; err != nil {
			t.Error(err)
		}
	})
}

func TestANodeJoinsWithoutAMemberThatIsDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		c.net.Crash("n1")
		c.net.Partition([]string{"n2"}, []string{"n0", "n1"})
		c.restart(1, 3)
		begun := time.Now()
		if err := c.nodes[1].Joined(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took < gcnode.DefaultJoinTimeout || took > gcnode.DefaultJoinTimeout+2*gcnode.DefaultPeerTimeout {
			t.Errorf("it joined after %v", took)
		}
		key := c.keyOf(1)
		c.want(1, key, 0, gcnode.SourceLoaded)
		c.want(1, key, 0, gcnode.SourceHit)
		if st := c.nodes[1].Stats(); len(st.Silent) != 1 || st.Silent[0] != "n2" {
			t.Errorf("silent: %v", st.Silent)
		}

		// It was not dead, and has removed something meanwhile.
		if err := c.groups[2].Remove(t.Context(), key); err == nil {
			t.Error("a removal that nobody could hear of was confirmed")
		}
		c.origin.write(key, 1)
		c.net.Heal()
		req := &gcnode.Request{Op: gcnode.OpFetch, Group: groupName, Keys: []string{key}, From: gcnode.Sender{ID: "n2"}}
		if r := serve(t, c.nodes[1], req); r.Err == nil || r.Err.Kind != gcnode.KindDraining {
			t.Errorf("a member that it has not met was answered: %+v", r)
		}
		time.Sleep(5 * time.Second)
		if st := c.nodes[1].Stats(); len(st.Silent) != 0 {
			t.Errorf("after they have met: %+v", st)
		}
		c.want(1, key, 1, gcnode.SourceLoaded)
	})
}

// A node that joins waits for members that are dead, but not until the time of a
// caller is over who would have had it from the getter.
func TestWhoHasLittleTimeIsAnsweredByANodeThatJoins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		c.net.Crash("n1")
		c.net.Crash("n0")
		c.restart(0, 2)
		for i, key := range []string{c.keyOf(0), c.keyOf(1)} {
			begun := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), gcnode.DefaultPeerTimeout/4)
			v, err := c.groups[0].Get(ctx, key)
			cancel()
			if took := time.Since(begun); err != nil || v.String() != "0" || took > gcnode.DefaultPeerTimeout/8 {
				t.Errorf("key %d: %q, %v after %v", i, v, err, took)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), gcnode.DefaultPeerTimeout/4)
		defer cancel()
		for _, err := range c.groups[0].Stream(ctx, []string{"many", "more"}) {
			if err != nil {
				t.Error(err)
			}
		}
	})
}

// serve is the last reply of a node to a request.
func serve(t *testing.T, node *gcnode.Node, req *gcnode.Request) (last gcnode.Reply) {
	t.Helper()
	if err := node.ServePeer(t.Context(), req, writer(func(r gcnode.Reply) error { last = r; return nil })); err != nil {
		t.Fatal(err)
	}
	return last
}

func TestMembersGoOnWithoutOneThatSaidGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(1)
		if err := c.nodes[1].Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, i := range []int{0, 2} {
			if owner := c.groups[i].Owner(key).ID; owner == "n1" {
				t.Errorf("n%d takes n1 for the owner", i)
			}
			if n := len(c.nodes[i].Peers()); n != 2 {
				t.Errorf("n%d has a list of %d", i, n)
			}
		}
		c.setPeers(c.nodes[0], 3) // the same list again brings nobody back
		if n := len(c.nodes[0].Peers()); n != 2 {
			t.Errorf("n0 has a list of %d", n)
		}
		c.net.Crash("n1")
		c.restart(1, 3)
		c.join()
		for i := range c.groups {
			if owner := c.groups[i].Owner(key).ID; owner != "n1" {
				t.Errorf("n%d takes %s for the owner", i, owner)
			}
		}
	})
}

// Those who have not heard of the goodbye yet ask the one that leaves, and
// those they would ask next have not heard of it either.
func TestAMemberThatSaysGoodbyeAnswersWithWhatItHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		kept, removed := c.keyOf(1, 0), c.keyOf(1, 2)
		unknown := kept
		for i := 0; unknown == kept || unknown == removed || c.groups[0].Owner(unknown).ID != "n1"; i++ {
			unknown = fmt.Sprint("unknown-", i)
		}
		c.want(1, kept, 0, gcnode.SourceLoaded)
		c.want(1, removed, 0, gcnode.SourceLoaded)
		c.net.Intercept(func(m transporttest.Message) (f transporttest.Fault) {
			if m.Request.Op == gcnode.OpGoodbye && m.Reply == nil {
				f.Delay = time.Second
			}
			return f
		})
		closed := make(chan error, 1)
		go func() { closed <- c.nodes[1].Close(t.Context()) }()
		synctest.Wait()

		c.want(0, kept, 0, gcnode.SourceOwner)
		c.want(2, kept, 0, gcnode.SourceOwner)
		c.wantLoads(kept, 1)
		<-c.get(0, unknown)
		c.wantLoads(unknown, 1) // by somebody else
		c.origin.write(removed, 1)
		c.mustRemove(0, removed) // which it confirms
		a, err := c.groups[2].Lookup(t.Context(), removed)
		if err != nil || a.Value.String() != "1" {
			t.Errorf("after a removal: %v, %v", a.Value, err)
		}

		if err := <-closed; err != nil {
			t.Fatal(err)
		}
		req := &gcnode.Request{Op: gcnode.OpFetch, Group: groupName, Keys: []string{kept}, From: gcnode.Sender{ID: "n0"}}
		if r := serve(t, c.nodes[1], req); r.Err == nil || r.Err.Kind != gcnode.KindDraining {
			t.Errorf("one that is gone answers: %+v", r)
		}
		c.want(0, kept, 0, gcnode.SourceHit)
	})
}

// One that has missed a goodbye hears of it from the others.
func TestAGoodbyeIsToldByOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		c.net.SetFault("n1", "n0", transporttest.Fault{Drop: true})
		if err := c.nodes[1].Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := len(c.nodes[0].Peers()); n != 3 {
			t.Fatalf("n0 has a list of %d", n)
		}
		time.Sleep(gcnode.DefaultHotTTL)
		if n := len(c.nodes[0].Peers()); n != 2 {
			t.Errorf("n0 has a list of %d", n)
		}
	})
}

// A member that was off the list, so that nothing is known of its lives, is not
// kept off it by what comes late of an earlier one.
func TestAnEarlierLifeThatComesLateKeepsNobodyAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		was := gcnode.Sender{ID: "n1", Incarnation: serve(t, c.nodes[1], &gcnode.Request{Op: gcnode.OpRemove}).Ack.Incarnation}
		if err := c.nodes[1].Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.restart(1, 3)
		c.join()
		if err := c.nodes[0].SetPeers([]gcnode.Peer{{ID: "n0"}, {ID: "n2"}}); err != nil {
			t.Fatal(err)
		}
		c.setPeers(c.nodes[0], 3)
		time.Sleep(gcnode.DefaultHotTTL + time.Second) // they have met again, and compare no sooner than in a while
		for _, op := range []gcnode.Op{gcnode.OpHello, gcnode.OpGoodbye} {
			serve(t, c.nodes[0], &gcnode.Request{Op: op, From: was})
		}
		if n := len(c.nodes[0].Peers()); n != 2 {
			t.Fatalf("n0 has a list of %d: it was not misled", n)
		}
		time.Sleep(gcnode.DefaultHotTTL)
		if n := len(c.nodes[0].Peers()); n != 3 {
			t.Errorf("n0 has a list of %d", n)
		}
	})
}

// A member that has left by saying so is not waited for.
func TestRemovalsDoNotWaitForAMemberThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		if err := c.nodes[1].Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.net.Crash("n1")
		c.mustRemove(0, "k")
		c.mustSet(2, "k", "v")
		c.mustClear(0)
	})
}

// While it hands over it can still give away what was removed.
func TestAMemberThatHandsOverIsToldOfRemovals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(1)
		c.want(1, key, 0, gcnode.SourceLoaded)
		hold := make(chan struct{})
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
			if m.Request.Op == gcnode.OpKeys && m.Reply == nil {
				return transporttest.Fault{Until: hold}
			}
			return transporttest.Fault{}
		})
		closed := make(chan error, 1)
		go func() { closed <- c.nodes[1].Close(context.WithoutCancel(t.Context())) }()
		synctest.Wait()
		c.origin.write(key, 1)
		c.mustRemove(0, key)
		if n := c.net.Sent("n0", "n1", gcnode.OpRemove); n != 1 {
			t.Errorf("it was told %d times", n)
		}
		close(hold)
		if err := <-closed; err != nil {
			t.Error(err)
		}
		for _, i := range []int{0, 2} {
			if v, err := c.groups[i].Get(t.Context(), key); err != nil || v.String() != "1" {
				t.Errorf("get at n%d: %v, %v", i, v, err)
			}
		}
	})
}

// Two members that start anew at the same time, each of which hears of the
// other's goodbye from a third one.
func TestTwoThatRestartFindEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		for _, i := range []int{1, 2} {
			if err := c.nodes[i].Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.net.Crash(id(i))
		}
		c.net.Partition([]string{"n1"}, []string{"n2"})
		c.restart(1, 3)
		c.restart(2, 3)
		time.Sleep(time.Minute)
		c.net.Heal()
		time.Sleep(time.Minute)
		for i, node := range c.nodes {
			if st := node.Stats(); !st.Joined || len(st.Silent) != 0 || len(node.Peers()) != 3 {
				t.Errorf("n%d: joined %v, strangers %v, list %v", i, st.Joined, st.Silent, node.Peers())
			}
		}
	})
}
