package gcnode_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
)

// remove runs Remove in a goroutine until it waits for something.
func (c *cluster) remove(node int, keys ...string) <-chan error {
	ch := make(chan error, 1)
	go func() { ch <- c.groups[node].Remove(c.t.Context(), keys...) }()
	synctest.Wait()
	return ch
}

// removeHeld is a Remove that one member does not hear of until deliver, which
// waits for its end.
func (c *cluster) removeHeld(node int, deaf, key string) (deliver func()) {
	c.t.Helper()
	hold := make(chan struct{})
	c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
		if m.Request.Op == gcnode.OpRemove && m.To == deaf && m.Reply == nil {
			return transporttest.Fault{Until: hold}
		}
		return transporttest.Fault{}
	})
	removed := c.remove(node, key)
	return func() {
		c.t.Helper()
		close(hold)
		if err := <-removed; err != nil {
			c.t.Errorf("remove at n%d: %v", node, err)
		}
	}
}

// mustRemove is a Remove that every member confirms.
func (c *cluster) mustRemove(node int, keys ...string) {
	c.t.Helper()
	if err := c.groups[node].Remove(c.t.Context(), keys...); err != nil {
		c.t.Errorf("remove at n%d: %v", node, err)
	}
}

// wantFresh gets the key at every node.
func (c *cluster) wantFresh(key, version string) {
	c.t.Helper()
	for i, g := range c.groups {
		if v, err := g.Get(c.t.Context(), key); err != nil || v.String() != version {
			c.t.Errorf("get %q at n%d: version %v, %v; want %s", key, i, v, err, version)
		}
	}
}

func TestAfterRemoveEveryMemberLoadsAfresh(t *testing.T) {
	for remover := range 3 {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 3, defaultOptions)
			key := c.keyOf(1)
			c.wantFresh(key, "0") // the owner's entry and two hot copies
			c.origin.write(key, 1)
			c.mustRemove(remover, key)
			c.wantFresh(key, "1")
			c.wantLoads(key, 2)
			for i, g := range c.groups {
				if g.Stats().Owned.Removed+g.Stats().Hot.Removed != 1 {
					t.Errorf("n%d: %+v", i, g.Stats())
				}
			}
		})
	}
}

// A load that was under way when its key was removed answers those who
// waited for it, but nobody who comes after the removal, and is not kept.
func TestALoadThatARemovalOvertookIsNotServedToLaterGets(t *testing.T) {
	for asker := range 2 { // 1 owns the key, 0 asks it
		for remover := range 3 {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 3, defaultOptions)
				key := c.keyOf(1)
				hold := make(chan struct{})
				c.origin.hold = hold
				early := c.get(asker, key) // has read version 0 at the origin
				c.origin.write(key, 1)
				c.origin.hold = nil
				c.mustRemove(remover, key)
				c.wantFresh(key, "1")
				close(hold)
				if r := <-early; r.err != nil || r.value != "0" {
					t.Errorf("the get before the removal: %+v", r)
				}
				synctest.Wait()
				c.wantFresh(key, "1")
			})
		}
	}
}

// A peer's answer that a removal overtook on its way is not kept.
func TestAnAnswerThatARemovalOvertookOnItsWayIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(1)
		c.want(1, key, 0, gcnode.SourceLoaded)
		hold := make(chan struct{})
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
			if m.Request.Op == gcnode.OpFetch && m.Reply != nil {
				return transporttest.Fault{Until: hold}
			}
			return transporttest.Fault{}
		})
		early := c.get(0, key)
		c.net.Intercept(nil)
		c.origin.write(key, 1)
		c.mustRemove(2, key)
		late := c.get(0, key)
		close(hold)
		if r := <-early; r.value != "0" {
			t.Errorf("the get before the removal: %+v", r)
		}
		if r := <-late; r.value != "1" {
			t.Errorf("the get after the removal: %+v", r)
		}
		c.wantFresh(key, "1")
	})
}

// A node that has applied a removal asks the owner, to which the removal is
// still on its way: what it keeps must not be what was removed.
func TestRequestsCarryTheRemovalsThatTheirReceiverMayNotKnow(t *testing.T) {
	for asker := range 3 { // 0 removes, 1 owns the key, 2 has heard of it
		if asker == 1 {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 3, defaultOptions)
			key := c.keyOf(1)
			c.want(1, key, 0, gcnode.SourceLoaded)
			c.origin.write(key, 1)
			deliver := c.removeHeld(0, "n1", key)
			if r := <-c.get(asker, key); r.value != "1" {
				t.Errorf("while the owner has not heard of the removal n%d gets %+v", asker, r)
			}
			deliver()
			c.wantFresh(key, "1")
		})
	}
}

// The same at a stand-in, while the owner is unreachable for the asker alone.
func TestStandInsLearnOfRemovalsFromTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, defaultOptions)
		key := c.keyOf(1, 2)
		c.net.SetFault("n0", "n1", transporttest.Fault{Drop: true})
		c.want(0, key, 0, gcnode.SourceLoaded) // n2 has a short-lived copy now
		c.origin.write(key, 1)
		deliver := c.removeHeld(3, "n2", key)
		if r := <-c.get(0, key); r.value != "1" {
			t.Errorf("n0 gets %+v from a stand-in that has not heard of the removal", r)
		}
		deliver()
		c.wantFresh(key, "1")
	})
}

// The remover's list lacks a member that another one knows.
func TestRemoveReachesTheMembersThatOthersKnow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(2)
		c.want(2, key, 0, gcnode.SourceLoaded)
		c.setPeers(c.nodes[0], 2)
		time.Sleep(time.Minute + time.Second) // n0 has forgotten n2; they do not compare just now
		c.origin.write(key, 1)
		c.mustRemove(0, key)
		if v, err := c.groups[2].Get(t.Context(), key); err != nil || v.String() != "1" {
			t.Errorf("n2, which only n1 knows, serves %v, %v", v, err)
		}
	})
}

func TestMembersThatLeftAShortTimeAgoAreStillTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(1)
		c.want(2, key, 0, gcnode.SourceLoaded) // a hot copy at n2
		c.setPeers(c.nodes[0], 2)
		c.setPeers(c.nodes[1], 2)
		c.origin.write(key, 1)
		c.mustRemove(0, key)
		c.want(2, key, 1, gcnode.SourceLoaded)
		// In the end they are forgotten, or a dead one would fail every
		// removal.
		time.Sleep(2*gcnode.DefaultHotTTL + 1)
		c.net.Crash("n2")
		c.mustRemove(0, key)
	})
}

func TestTheErrorNamesEveryPeerThatDidNotConfirm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, defaultOptions)
		key := c.keyOf(0)
		c.wantFresh(key, "0")
		c.net.SetFault("n0", "n1", transporttest.Fault{Drop: true})
		c.net.SetFault("n3", "n0", transporttest.Fault{Hang: true}) // its answer is lost
		c.origin.write(key, 1)
		begun := time.Now()
		err := c.groups[0].Remove(t.Context(), key)
		pe, ok := errors.AsType[*gcnode.PeerErrors](err)
		if !ok || len(pe.Peers) != 2 || pe.Peers[0].Peer != "n1" || pe.Peers[1].Peer != "n3" {
			t.Fatalf("got %v", err)
		}
		if !errors.Is(err, gcnode.ErrUnreachable) {
			t.Errorf("the kind is lost: %v", err)
		}
		if took := time.Since(begun); took != gcnode.DefaultPeerTimeout {
			t.Errorf("it took %v", took)
		}
		// Those that could be reached have obeyed.
		c.want(0, key, 1, gcnode.SourceLoaded)
		c.want(2, key, 1, gcnode.SourceOwner)
		if got := c.nodes[0].Stats().Retrying; got != 2 {
			t.Errorf("%d removals are retried", got)
		}
		// The others follow as soon as they can be reached.
		c.net.Heal()
		time.Sleep(10 * time.Second)
		if v, err := c.groups[1].Get(t.Context(), key); err != nil || v.String() != "1" {
			t.Errorf("n1 still serves %v, %v", v, err)
		}
		if got := c.nodes[0].Stats().Retrying; got != 0 {
			t.Errorf("%d removals are still retried", got)
		}
	})
}

// An address of the list leads to another member, or to the node itself.
func TestAMemberAnswersOnlyWhatIsMeantForIt(t *testing.T) {
	for _, wrong := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 3, defaultOptions)
			key := c.keyOf(2)
			c.want(2, key, 0, gcnode.SourceLoaded)
			c.net.Attach("n2", c.nodes[wrong])
			c.origin.write(key, 1)
			err := c.groups[0].Remove(t.Context(), key)
			pe, ok := errors.AsType[*gcnode.PeerErrors](err)
			if !ok || len(pe.Peers) != 1 || pe.Peers[0].Peer != "n2" || !strings.Contains(err.Error(), "its address leads to") {
				t.Errorf("got %v", err)
			}
			// The key is answered all the same.
			if v, err := c.groups[0].Get(t.Context(), key); err != nil || v.String() != "1" {
				t.Errorf("got %v, %v", v, err)
			}
		})
	}
}

func TestRetriesKeepTheirID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		var mu sync.Mutex
		var sent, confirmed []gcnode.Removal
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
			mu.Lock()
			defer mu.Unlock()
			if m.Request.Op != gcnode.OpRemove {
				return transporttest.Fault{}
			}
			if m.Reply != nil {
				confirmed = append(confirmed, m.Request.Removals...)
				return transporttest.Fault{}
			}
			sent = append(sent, m.Request.Removals...)
			return transporttest.Fault{Drop: len(sent) < 4}
		})
		if err := c.groups[0].Remove(t.Context(), "k"); err == nil {
			t.Error("nil, though nobody confirmed")
		}
		time.Sleep(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if len(sent) != 4 || len(confirmed) != 1 {
			t.Fatalf("sent %d times, confirmed %d times", len(sent), len(confirmed))
		}
		for _, r := range sent {
			if r.ID != sent[0].ID || r.Stamp != sent[0].Stamp {
				t.Errorf("a retry is %+v, the first one %+v", r, sent[0])
			}
		}
	})
}

func TestRetriesEndWhenThePeerIsNoMemberAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		c.net.Crash("n1")
		if err := c.groups[0].Remove(t.Context(), "k"); err == nil {
			t.Error("nil, though nobody confirmed")
		}
		c.setPeers(c.nodes[0], 1)
		time.Sleep(time.Hour)
		if got := c.nodes[0].Stats().Retrying; got != 0 {
			t.Errorf("%d removals are still retried", got)
		}
		c.mustRemove(0, "k")
	})
}

// A peer that goes away again after it has confirmed a part is not hammered.
func TestRetriesPauseAfterEveryFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		var mu sync.Mutex
		down := true
		attempts := 0
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
			if m.Request.Op != gcnode.OpRemove || m.Reply != nil {
				return transporttest.Fault{}
			}
			mu.Lock()
			defer mu.Unlock()
			attempts++
			drop := down
			down = true // it confirms one batch and goes
			return transporttest.Fault{Drop: drop}
		})
		for i := range 3 {
			keys := make([]string, 9000)
			for k := range keys {
				keys[k] = strconv.Itoa(i*len(keys) + k)
			}
			if err := c.groups[0].Remove(t.Context(), keys...); err == nil {
				t.Fatal("nil, though nobody confirmed")
			}
		}
		mu.Lock()
		down, attempts = false, 0
		mu.Unlock()
		time.Sleep(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if attempts < 5 || attempts > 30 {
			t.Errorf("%d attempts in a minute", attempts)
		}
	})
}

// A member that the remover knows only through another one did not confirm.
func TestMembersThatOnlyOthersKnowAreToldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(2)
		c.setPeers(c.nodes[0], 2)
		time.Sleep(time.Minute + time.Second) // n0 has forgotten n2; they do not compare just now
		c.want(2, key, 0, gcnode.SourceLoaded)
		c.origin.write(key, 1)
		c.net.SetFault("n0", "n2", transporttest.Fault{Drop: true})
		if err := c.groups[0].Remove(t.Context(), key); !errors.Is(err, gcnode.ErrUnreachable) {
			t.Errorf("got %v", err)
		}
		c.net.Heal()
		time.Sleep(10 * time.Second)
		c.want(2, key, 1, gcnode.SourceLoaded)
		// One that nobody reaches is given up in the end.
		c.net.SetFault("n0", "n2", transporttest.Fault{Drop: true})
		if err := c.groups[0].Remove(t.Context(), key); err == nil {
			t.Error("nil, though n2 did not confirm")
		}
		time.Sleep(2 * time.Minute)
		if got := c.nodes[0].Stats().Retrying; got != 0 {
			t.Errorf("%d removals are still retried", got)
		}
	})
}

// A member that confirms late knows another one, which nobody has told.
func TestLateConfirmationsExtendTheRemoval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(2)
		c.setPeers(c.nodes[0], 2)
		time.Sleep(time.Minute + time.Second) // they do not compare just now
		c.want(2, key, 0, gcnode.SourceLoaded)
		c.origin.write(key, 1)
		c.net.SetFault("n0", "n1", transporttest.Fault{Drop: true})
		if err := c.groups[0].Remove(t.Context(), key); err == nil {
			t.Error("nil, though n1 did not confirm")
		}
		c.net.Heal()
		time.Sleep(time.Second)
		c.want(2, key, 1, gcnode.SourceLoaded)
	})
}

// Many removals that one peer missed travel together.
func TestRetriesAreBatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		c.net.SetFault("n0", "n1", transporttest.Fault{Drop: true})
		for range 1000 {
			if err := c.groups[0].Remove(t.Context(), "k"); err == nil {
				t.Fatal("nil, though nobody confirmed")
			}
		}
		before := c.net.Sent("n0", "n1", gcnode.OpRemove)
		c.net.Heal()
		time.Sleep(time.Minute)
		if got := c.net.Sent("n0", "n1", gcnode.OpRemove) - before; got > 3 {
			t.Errorf("%d requests for 1000 removals", got)
		}
		if got := c.nodes[0].Stats().Retrying; got != 0 {
			t.Errorf("%d removals are still retried", got)
		}
	})
}

// Many removals in a group with a long name are told to a member that missed
// them, and to one that joins.
func TestMessagesHaveNoMoreThanATransportTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const removals = 5000
		c := newCluster(t, 2, defaultOptions)
		name := strings.Repeat("g", gcnode.MaxIDBytes)
		group, err := c.nodes[0].Group(name, c.origin, defaultOptions)
		if err != nil {
			t.Fatal(err)
		}
		c.net.SetFault("n0", "n1", transporttest.Fault{Drop: true})
		var failing sync.WaitGroup
		for range removals {
			failing.Go(func() {
				if err := group.Remove(t.Context(), "k"); err == nil {
					t.Error("nil, though nobody confirmed")
				}
			})
		}
		failing.Wait()
		var mu sync.Mutex
		told := map[string]int{} // removals by who heard of them
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
			rs := m.Request.Removals
			if m.Reply != nil {
				if rs = nil; m.Reply.Ack != nil {
					rs = m.Reply.Ack.Removals
				}
			}
			size := 0
			for _, r := range rs {
				size += len(r.ID.Sender) + len(r.Group)
				for _, key := range r.Keys {
					size += len(key)
				}
			}
			if len(rs) > gcnode.MaxBatchKeys || size > gcnode.MaxBatchBytes {
				t.Errorf("%v: %d removals with %d bytes in one message", m.Request.Op, len(rs), size)
			}
			mu.Lock()
			defer mu.Unlock()
			told[m.To] += len(rs)
			return transporttest.Fault{}
		})
		c.start("n2", defaultOptions)
		for _, node := range c.nodes {
			c.setPeers(node, 3)
		}
		if err := c.nodes[2].Joined(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.net.SetFault("n0", "n1", transporttest.Fault{})
		time.Sleep(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		for _, id := range []string{"n1", "n2"} {
			if told[id] < removals {
				t.Errorf("%s was told of %d removals, want all %d", id, told[id], removals)
			}
		}
	})
}

func TestRemovalsAreNeverMerged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		key := c.keyOf(1)
		hold := make(chan struct{})
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
			if m.Request.Op == gcnode.OpRemove && m.Reply != nil && c.net.Sent("n0", "n1", gcnode.OpRemove) == 1 {
				return transporttest.Fault{Until: hold}
			}
			return transporttest.Fault{}
		})
		first := c.remove(0, key)
		c.want(1, key, 0, gcnode.SourceLoaded)
		c.origin.write(key, 1)
		c.mustRemove(0, key) // while the first one has not returned
		c.wantFresh(key, "1")
		close(hold)
		if err := <-first; err != nil {
			t.Error(err)
		}
	})
}

func TestBatchesWithAnyBytesAsKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		keys := []string{"", " ", "+", "/", "//", ".", "..", "%2F", "\x00", "\xff\xfe", "a b", strings.Repeat("k", gcnode.MaxKeyBytes)}
		for _, key := range keys {
			c.wantFresh(key, "0")
			c.origin.write(key, 1)
		}
		c.mustRemove(1, keys...)
		for _, key := range keys {
			c.wantFresh(key, "1")
		}
	})
}

func TestRemoveRefusesWhatIsTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		c.want(0, "k", 0, gcnode.SourceLoaded)
		long := strings.Repeat("k", gcnode.MaxKeyBytes+1)
		for _, keys := range [][]string{
			{"k", long},
			slices.Repeat([]string{"k"}, gcnode.MaxBatchKeys+1),
			slices.Repeat([]string{long[:gcnode.MaxKeyBytes]}, gcnode.MaxBatchBytes/gcnode.MaxKeyBytes+1),
		} {
			if err := c.groups[0].Remove(t.Context(), keys...); !errors.Is(err, gcnode.ErrTooLarge) {
				t.Errorf("%d keys: %v", len(keys), err)
			}
		}
		if c.net.Sent(transporttest.Any, transporttest.Any, gcnode.OpRemove) != 0 {
			t.Error("half of it was done")
		}
		if err := c.groups[0].Remove(t.Context()); err != nil {
			t.Errorf("removing nothing: %v", err)
		}
	})
}

func TestRemoveOnANodeOfItsOwn(t *testing.T) {
	node, err := gcnode.NewNode(gcnode.Config{})
	if err != nil {
		t.Fatal(err)
	}
	o := newOrigin()
	g, err := node.Group(groupName, o, defaultOptions)
	if err != nil {
		t.Fatal(err)
	}
	for version := range 3 {
		o.write("k", version)
		if err := g.Remove(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		if a, err := g.Lookup(t.Context(), "k"); err != nil || a.Source != gcnode.SourceLoaded {
			t.Errorf("%+v, %v", a, err)
		}
	}
}

func TestACancelledRemoveStillReachesEveryone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		key := c.keyOf(1)
		c.wantFresh(key, "0")
		c.net.SetFault("n0", "n1", transporttest.Fault{Hang: true})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		err := c.groups[0].Remove(ctx, key)
		if pe, ok := errors.AsType[*gcnode.PeerErrors](err); !ok || !errors.Is(pe, gcnode.ErrTimeout) {
			t.Errorf("got %v", err)
		}
		c.origin.write(key, 1)
		c.net.Heal()
		time.Sleep(10 * time.Second)
		c.wantFresh(key, "1")
	})
}

// carried is the number of removals that a fetch for the key carries.
func (c *cluster) carried(from int, key string) int {
	c.t.Helper()
	count := 0
	c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
		if m.Request.Op == gcnode.OpFetch && m.Reply == nil {
			count = len(m.Request.Removals)
		}
		return transporttest.Fault{}
	})
	defer c.net.Intercept(nil)
	if _, err := c.groups[from].Get(c.t.Context(), key); err != nil {
		c.t.Error(err)
	}
	return count
}

func TestRemovalsAreForgottenWhenAllHaveConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(1)
		c.mustRemove(0, key)
		time.Sleep(time.Second) // the end is announced
		if n := c.carried(2, key); n != 0 {
			t.Errorf("n2 still carries %d removals", n)
		}
		if n := c.carried(0, key); n != 0 {
			t.Errorf("the remover still carries %d removals", n)
		}
	})
}

func TestRemovalsThatNobodyFinishesAreForgottenInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(1)
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
			return transporttest.Fault{Drop: m.Request.Op == gcnode.OpFinish}
		})
		c.mustRemove(0, key)
		time.Sleep(time.Minute - 1)
		if n := c.carried(2, key); n != 1 {
			t.Errorf("n2 carries %d removals, whose end it did not hear of", n)
		}
		time.Sleep(gcnode.DefaultHotTTL)
		if n := c.carried(2, key); n != 0 {
			t.Errorf("n2 still carries %d removals", n)
		}
	})
}

func TestAFinishedRemovalIsNotAppliedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(1)
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
			return transporttest.Fault{Drop: m.Request.Op == gcnode.OpFinish && m.To == "n2"}
		})
		c.mustRemove(0, key)
		time.Sleep(time.Minute / 2) // n1 has heard of the end, and forgotten the removal
		c.want(1, key, 0, gcnode.SourceLoaded)
		c.want(2, key, 0, gcnode.SourceOwner) // though n2 carries the removal, for all it knows
	})
}

// Two requests carry it to a member that has not been told.
func TestARemovalThatIsCarriedAgainIsNotAppliedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(1)
		deliver := c.removeHeld(0, "n1", key)
		c.want(0, key, 0, gcnode.SourceLoaded)
		c.want(2, key, 0, gcnode.SourceOwner)
		deliver()
	})
}

// A node that cannot remember all removals keeps no answers and lets nobody
// join a flight, until the last of those that it did not remember is without
// effect.
func TestANodeFloodedWithRemovalsKeepsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		flood := func(from, to int) {
			for i := from; i < to; i++ {
				keys := make([]string, gcnode.MaxBatchKeys)
				for k := range keys {
					keys[k] = strconv.Itoa(i*len(keys) + k)
				}
				req := &gcnode.Request{Op: gcnode.OpRemove, Removals: []gcnode.Removal{{
					ID: gcnode.RemovalID{Sender: "n9", Incarnation: uint64(i)}, Group: groupName, Keys: keys,
				}}}
				if err := c.nodes[0].ServePeer(t.Context(), req, writer(func(gcnode.Reply) error { return nil })); err != nil {
					t.Fatal(err)
				}
			}
		}
		flood(1, 11)
		key := c.keyOf(0)
		if err := c.groups[0].Remove(t.Context(), key); !errors.Is(err, gcnode.ErrOverloaded) {
			t.Errorf("a removal that cannot be remembered: %v", err)
		}
		c.want(0, key, 0, gcnode.SourceLoaded)
		c.want(0, key, 0, gcnode.SourceHit)
		flood(11, 12)
		other := c.keyOf(1)
		c.want(0, other, 0, gcnode.SourceLoaded)
		c.want(0, other, 0, gcnode.SourceOwner)
		hold := make(chan struct{})
		c.origin.hold = hold
		third := key + "'"
		for c.groups[0].Owner(third).ID != "n0" {
			third += "'"
		}
		a := c.get(0, third)
		c.origin.hold = nil
		if r := <-c.get(0, third); r.value != "0" {
			t.Errorf("%+v", r)
		}
		c.wantLoads(third, 2)
		close(hold)
		<-a
		time.Sleep(time.Minute)
		c.want(0, other, 0, gcnode.SourceOwner)
		c.want(0, other, 0, gcnode.SourceHot)
		c.mustRemove(0, key)
	})
}

// More removals of one key than a request can carry: what is found without
// them is neither kept nor joined.
func TestAKeyWithTooManyRemovalsIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		key := c.keyOf(1)
		flood := func(from, to int) {
			for i := from; i < to; i++ {
				req := &gcnode.Request{Op: gcnode.OpRemove, Removals: []gcnode.Removal{{
					ID: gcnode.RemovalID{Sender: "n9", Incarnation: 1, Seq: uint64(i)}, Group: groupName, Keys: []string{key},
				}}}
				if err := c.nodes[0].ServePeer(t.Context(), req, writer(func(gcnode.Reply) error { return nil })); err != nil {
					t.Fatal(err)
				}
			}
		}
		flood(0, 1000)
		if n := c.carried(0, key); n != 1000 {
			t.Errorf("%d removals are carried", n)
		}
		c.want(0, key, 0, gcnode.SourceHot)
		flood(1000, 1001)
		if n := c.carried(0, key); n != 0 {
			t.Errorf("%d removals are carried", n)
		}
		c.want(0, key, 0, gcnode.SourceOwner)
		c.want(0, key, 0, gcnode.SourceOwner)
	})
}

func TestFinishedRemovalsCrowdOutNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		key := c.keyOf(1)
		for range 1001 {
			c.mustRemove(0, key)
		}
		synctest.Wait()
		for range 3 {
			if _, err := c.groups[0].Get(t.Context(), key); err != nil {
				t.Error(err)
			}
		}
		c.wantLoads(key, 1)
		if st := c.groups[0].Stats(); st.Fetches != 1 {
			t.Errorf("%d fetches", st.Fetches)
		}
	})
}

// late is a transport that tells of removals when everyone else has given up.
type late struct {
	gcnode.Transport
	takes time.Duration
}

func (l late) RoundTrip(ctx context.Context, to gcnode.Peer, req *gcnode.Request, w gcnode.ReplyWriter) error {
	if req.Op != gcnode.OpRemove {
		return l.Transport.RoundTrip(ctx, to, req, w)
	}
	time.Sleep(l.takes)
	return l.Transport.RoundTrip(context.Background(), to, req, w)
}

// A process that was stopped in the middle of a Remove must not return nil
// when it goes on: others may have forgotten the removal by then.
func TestARemovalThatTookTooLongPromisesNothing(t *testing.T) {
	for _, takes := range []time.Duration{30 * time.Second, 31 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 2, defaultOptions)
			node, err := gcnode.NewNode(gcnode.Config{Self: gcnode.Peer{ID: "slow"}, Transport: late{c.net.Transport("slow"), takes}})
			if err != nil {
				t.Fatal(err)
			}
			g, err := node.Group(groupName, c.origin, defaultOptions)
			if err != nil {
				t.Fatal(err)
			}
			c.net.Attach("slow", node)
			for _, member := range append(c.nodes, node) {
				if err := member.SetPeers(append(list(2), node.Self())); err != nil {
					t.Fatal(err)
				}
			}
			for range 20 { // of what happens at the same time either may be seen first
				if err := g.Remove(t.Context(), "k"); !errors.Is(err, gcnode.ErrTimeout) {
					t.Errorf("after %v: %v", takes, err)
				}
			}
			if err := node.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestARemovalIsAppliedByAMemberThatHasNotTheGroupYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		g, err := c.nodes[0].Group("new", c.origin, defaultOptions)
		if err != nil {
			t.Fatal(err)
		}
		key := c.keyOf(0)
		if err := g.Remove(t.Context(), key); err != nil {
			t.Errorf("a rolling deployment fails removals: %v", err)
		}
		time.Sleep(time.Second) // its end is announced
		// When the member comes to have the group, its requests carry the removals of
		// which it has not heard the end.
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
			return transporttest.Fault{Drop: m.Request.Op == gcnode.OpFinish}
		})
		if err := g.Remove(t.Context(), key); err != nil {
			t.Error(err)
		}
		synctest.Wait() // its end is not
		later, err := c.nodes[1].Group("new", c.origin, defaultOptions)
		if err != nil {
			t.Fatal(err)
		}
		c.groups[1] = later
		if n := c.carried(1, key); n != 1 {
			t.Errorf("%d removals are carried", n)
		}
	})
}
