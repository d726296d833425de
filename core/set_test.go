package gcnode_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
)

func text(s string) gcnode.Item[gcnode.Value] {
	return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(s)}
}

func (c *cluster) mustSet(node int, key, value string) {
	c.t.Helper()
	if err := c.groups[node].Set(c.t.Context(), key, text(value)); err != nil {
		c.t.Errorf("set %s at n%d: %v", key, node, err)
	}
}

// set runs Set in a goroutine until it waits for something.
func (c *cluster) set(node int, key, value string) <-chan error {
	ch := make(chan error, 1)
	go func() { ch <- c.groups[node].Set(c.t.Context(), key, text(value)) }()
	synctest.Wait()
	return ch
}

func TestASetIsSeenByEveryMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(1)
		c.wantFresh(key, "0") // copies everywhere
		for by := range c.nodes {
			value := "set by " + strconv.Itoa(by)
			c.mustSet(by, key, value)
			c.wantFresh(key, value)
		}
		c.wantLoads(key, 1)
	})
}

// A set takes the place of what is there, and does not begin as something new.
func TestASetReplacesWhatItsOwnerHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		key := c.keyOf(0)
		c.want(0, key, 0, gcnode.SourceLoaded)
		for by := range c.nodes {
			c.mustSet(by, key, "v")
		}
		if st := c.groups[0].Stats().Owned; st.Replaced != 2 || st.Removed != 0 || st.Entries != 1 {
			t.Errorf("%+v", st)
		}
	})
}

func TestValuesThatWereSetLiveAtTheirOwnerOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		c.mustSet(0, c.keyOf(1), "v")
		for i, want := range []int{0, 1, 0} {
			if st := c.groups[i].Stats(); st.Owned.Entries != want || st.Hot.Entries != 0 {
				t.Errorf("n%d has %d entries of its own and %d copies, want %d and none", i, st.Owned.Entries, st.Hot.Entries, want)
			}
		}
	})
}

func TestASetLivesAsLongAsItSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := defaultOptions
		opts.TTL = gcnode.For(time.Hour)
		c := newCluster(t, 2, opts)
		key := c.keyOf(1)
		set := func(keep gcnode.Lifetime) {
			if err := c.groups[0].Set(t.Context(), key, gcnode.Item[gcnode.Value]{Value: gcnode.StringValue("v"), Keep: keep}); err != nil {
				t.Error(err)
			}
		}
		for keep, life := range map[gcnode.Lifetime]time.Duration{0: time.Hour, gcnode.For(time.Minute): time.Minute} {
			set(keep)
			time.Sleep(life - time.Nanosecond)
			c.wantFresh(key, "v")
			time.Sleep(time.Nanosecond)
			c.wantFresh(key, "0")
		}
		set(gcnode.NoStore)
		c.origin.write(key, 1)
		set(gcnode.NoStore)
		c.wantFresh(key, "1")
	})
}

func TestALoadNeverReplacesAValueThatWasSetAfterItBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		key := c.keyOf(1)
		hold := make(chan struct{})
		c.origin.hold = hold
		a, b := c.get(0, key), c.get(1, key)
		c.mustSet(0, key, "set")
		close(hold)
		for _, r := range []<-chan result{a, b} { // those who asked before get what was there before
			if got := <-r; got.value != "0" {
				t.Errorf("%+v", got)
			}
		}
		c.wantFresh(key, "set")
	})
}

func TestTheLaterOfTwoSetsStaysEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(1)
		hold := make(chan struct{})
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
			if m.From == "n0" && m.Request.Op == gcnode.OpSet && m.Reply == nil {
				return transporttest.Fault{Until: hold}
			}
			return transporttest.Fault{}
		})
		first := c.set(0, key, "first")
		time.Sleep(time.Millisecond)
		c.mustSet(2, key, "second")
		close(hold)
		if err := <-first; err != nil {
			t.Error(err)
		}
		c.wantFresh(key, "second")
		c.wantLoads(key, 0)
	})
}

func TestASetThatIsRepeatedOverwritesNothing(t *testing.T) {
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
		c.mustSet(0, key, "first")
		for _, after := range []struct {
			what   string
			change func()
		}{
			{"a later set", func() { c.mustSet(0, key, "second") }},
			{"a removal", func() { c.mustRemove(0, key) }},
			{"long afterwards", func() { time.Sleep(time.Hour); c.mustRemove(0, key); time.Sleep(time.Hour) }},
			{"a clear", func() { c.mustClear(0) }}, // last: it stands in for all removals before
		} {
			after.change()
			serve(t, c.nodes[1], sent)
			if v, err := c.groups[1].Get(t.Context(), key); err != nil || v.String() == "first" {
				t.Errorf("%s, and then the same request again: %v, %v", after.what, v, err)
			}
		}
	})
}

func TestARemovalThatIsLateLeavesLaterSets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(1)
		c.wantFresh(key, "0")
		deliver := c.removeHeld(0, "n1", key)
		time.Sleep(time.Millisecond)
		c.mustSet(2, key, "set")
		deliver()
		c.wantFresh(key, "set")
		c.wantLoads(key, 1)
	})
}

func TestAClearThatIsLateLeavesLaterSets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(1)
		hold := make(chan struct{})
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
			if m.From == "n0" && m.To == "n1" && m.Request.Op == gcnode.OpRemove && m.Reply == nil {
				return transporttest.Fault{Until: hold}
			}
			return transporttest.Fault{}
		})
		cleared := make(chan error, 1)
		go func() { cleared <- c.groups[0].Clear(t.Context()) }()
		synctest.Wait()
		time.Sleep(time.Millisecond)
		c.mustSet(2, key, "set")
		close(hold)
		if err := <-cleared; err != nil {
			t.Error(err)
		}
		c.wantFresh(key, "set")
		c.wantLoads(key, 0)
	})
}

func TestASetWhoseOwnerIsDeadLeavesNothingOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(1)
		c.wantFresh(key, "0")
		c.net.Detach("n1")
		c.origin.write(key, 1)
		err := c.groups[0].Set(t.Context(), key, text("set"))
		failed, ok := errors.AsType[*gcnode.PeerErrors](err)
		if !ok || len(failed.Peers) != 1 || failed.Peers[0].Peer != "n1" {
			t.Errorf("got %v, want an error that names n1", err)
		}
		for _, i := range []int{0, 2} {
			if v, err := c.groups[i].Get(t.Context(), key); err != nil || v.String() != "1" {
				t.Errorf("get at n%d: %v, %v", i, v, err)
			}
		}
	})
}

func TestSetRefusesWhatIsTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		for key, size := range map[string]int{strings.Repeat("k", gcnode.MaxKeyBytes+1): 1, "k": gcnode.MaxValueBytes + 1} {
			err := c.groups[0].Set(t.Context(), key, gcnode.Item[gcnode.Value]{Value: gcnode.BytesValue(make([]byte, size))})
			if !errors.Is(err, gcnode.ErrTooLarge) {
				t.Errorf("a key of %d bytes with a value of %d: %v", len(key), size, err)
			}
		}
		if n := c.net.Sent(transporttest.Any, transporttest.Any, gcnode.OpSet); n != 0 {
			t.Errorf("%d requests were sent", n)
		}
		key := c.keyOf(1)
		c.wantFresh(key, "0")
		c.origin.write(key, 1)
		if err := c.groups[0].Set(t.Context(), key, gcnode.Item[gcnode.Value]{Value: gcnode.BytesValue(make([]byte, 1<<20))}); err != nil {
			t.Errorf("a value that the store has no room for: %v", err)
		}
		c.wantFresh(key, "1")
	})
}

func TestServePeerRefusesASetThatIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		for what, req := range map[string]gcnode.Request{
			"no key":     {Removals: []gcnode.Removal{{}}},
			"two keys":   {Keys: []string{"a", "b"}, Removals: []gcnode.Removal{{}}},
			"no removal": {Keys: []string{"a"}},
			"a long key": {Keys: []string{strings.Repeat("k", gcnode.MaxKeyBytes+1)}, Removals: []gcnode.Removal{{}}},
		} {
			req.Op, req.Group = gcnode.OpSet, groupName
			if r := serve(t, c.nodes[0], &req); r.Err == nil || r.Ack != nil {
				t.Errorf("%s: %+v", what, r)
			}
		}
	})
}

func (c *cluster) mustClear(node int) {
	c.t.Helper()
	if err := c.groups[node].Clear(c.t.Context()); err != nil {
		c.t.Errorf("clear at n%d: %v", node, err)
	}
}

func TestClearTakesOutEverythingEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		keys := c.fill(100)
		for _, key := range keys {
			c.wantFresh(key, "0")
			c.origin.write(key, 1)
		}
		c.mustClear(1)
		for i, g := range c.groups {
			if st := g.Stats(); st.Owned.Entries != 0 || st.Hot.Entries != 0 {
				t.Errorf("n%d has %d entries and %d copies", i, st.Owned.Entries, st.Hot.Entries)
			}
		}
		for _, key := range keys {
			c.wantFresh(key, "1")
		}
	})
}

func TestALoadThatAClearOvertookIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		key := c.keyOf(1)
		hold := make(chan struct{})
		c.origin.hold = hold
		r := c.get(0, key)
		c.origin.write(key, 1)
		c.origin.hold = nil
		c.mustClear(0)
		c.wantFresh(key, "1")
		close(hold)
		<-r
		c.wantFresh(key, "1")
	})
}

func TestRequestsCarryTheClearsThatTheirReceiverMayNotKnow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		key := c.keyOf(1)
		c.wantFresh(key, "0")
		c.origin.write(key, 1)
		hold := make(chan struct{})
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
			if m.Request.Op == gcnode.OpRemove {
				return transporttest.Fault{Until: hold}
			}
			return transporttest.Fault{}
		})
		cleared := make(chan error, 1)
		go func() { cleared <- c.groups[0].Clear(context.WithoutCancel(t.Context())) }()
		synctest.Wait()
		c.want(0, key, 1, gcnode.SourceLoaded)
		close(hold)
		if err := <-cleared; err != nil {
			t.Error(err)
		}
		c.wantFresh(key, "1")
	})
}

// A clear that comes along with requests, and that the owner has applied though it
// waits for a removal before it, costs no load that is under way.
func TestAClearThatIsKnownLeavesLoadsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key, hold := c.keyOf(1), make(chan struct{})
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
			if m.Request.Op == gcnode.OpRemove && (m.To == "n2" || !m.Request.Removals[0].All) {
				return transporttest.Fault{Until: hold}
			}
			return transporttest.Fault{}
		})
		done := make(chan error, 2)
		ctx := context.WithoutCancel(t.Context())
		go func() { done <- c.groups[0].Remove(ctx, "another") }()
		synctest.Wait()
		go func() { done <- c.groups[0].Clear(ctx) }()
		synctest.Wait()
		c.origin.takes = time.Second
		owns := c.get(1, key)
		time.Sleep(time.Millisecond)
		c.want(0, key, 0, gcnode.SourceLoaded)
		<-owns
		close(hold)
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if loads := c.groups[1].Stats().Loads; loads != 1 {
			t.Errorf("%d loads", loads)
		}
	})
}

func TestANodeAloneSetsRemovesAndClears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrigin()
		g, err := loneNode(t).Group(groupName, o, defaultOptions)
		if err != nil {
			t.Fatal(err)
		}
		want := func(value string) {
			t.Helper()
			if v, err := g.Get(t.Context(), "k"); err != nil || v.String() != value {
				t.Errorf("%v, %v; want %s", v, err, value)
			}
		}
		hold := make(chan struct{})
		o.hold = hold
		go g.Get(t.Context(), "k")
		synctest.Wait()
		for _, step := range []struct {
			do   func() error
			want string
		}{
			{func() error { return g.Set(t.Context(), "k", text("a")) }, "a"},
			{func() error { close(hold); synctest.Wait(); return nil }, "a"},
			{func() error { return g.Set(t.Context(), "k", text("b")) }, "b"},
			{func() error { return g.Remove(t.Context(), "k") }, "0"},
			{func() error { return g.Set(t.Context(), "k", text("c")) }, "c"},
			{func() error { return g.Clear(t.Context()) }, "0"},
		} {
			if err := step.do(); err != nil {
				t.Error(err)
			}
			want(step.want)
		}
		if st := g.Stats(); st.Sets != 3 || st.Clears != 1 || st.Removals != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// A set that was sent to an earlier life of the owner, and has been overtaken by
// a removal that nobody remembers.
func TestASetForAnEarlierLifeIsNotStored(t *testing.T) {
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
		c.mustSet(0, key, "set")
		c.mustRemove(0, key)
		time.Sleep(time.Minute)
		c.net.Crash("n1")
		c.restart(1, 2)
		c.join()
		serve(t, c.nodes[1], sent)
		c.wantFresh(key, "0")
	})
}

// A client of the cluster, whose clock is told by nobody else's writes, and is
// behind.
func TestTheWritesOfAClientCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		c.start("client", defaultOptions)
		c.setPeers(c.nodes[2], 2)
		key := c.keyOf(1)
		c.wantFresh(key, "0")
		ahead := gcnode.Removal{
			ID: gcnode.RemovalID{Sender: "n0", Incarnation: 7, Seq: 1}, Stamp: gcnode.Stamp{Time: time.Now().Add(time.Hour).UnixNano()},
			Group: groupName, Keys: []string{key},
		}
		serve(t, c.nodes[1], &gcnode.Request{
			Op: gcnode.OpSet, Group: groupName, Keys: ahead.Keys, Value: gcnode.StringValue("ahead"), Stamp: ahead.Stamp,
			Removals: []gcnode.Removal{ahead},
		})
		c.mustSet(2, key, "client")
		if v, err := c.groups[1].Get(t.Context(), key); err != nil || v.String() != "client" {
			t.Errorf("%v, %v", v, err)
		}
		c.mustRemove(2, key)
		if v, err := c.groups[1].Get(t.Context(), key); err != nil || v.String() != "0" {
			t.Errorf("after a removal: %v, %v", v, err)
		}
	})
}

func TestANodeThatIsAloneTellsThoseItHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		key := c.keyOf(1)
		c.want(1, key, 0, gcnode.SourceLoaded)
		for _, peers := range [][]gcnode.Peer{list(2)[1:], list(1)} { // a client, and then alone
			if err := c.nodes[0].SetPeers(peers); err != nil {
				t.Fatal(err)
			}
		}
		c.origin.write(key, 1)
		c.mustSet(0, key, "set")
		// n1 takes itself for the owner, and asks n0 or the origin.
		if v, err := c.groups[1].Get(t.Context(), key); err != nil || v.String() != "set" && v.String() != "1" {
			t.Errorf("get at n1: %q, %v after another value was set", v.String(), err)
		}
	})
}
