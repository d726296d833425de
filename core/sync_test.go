package gcnode_test

import (
	"testing"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
)

// removeUnheard is a Remove that one member never hears of, by a node that is
// gone before it can tell it again.
func (c *cluster) removeUnheard(remover int, deaf, key string) {
	c.t.Helper()
	c.net.SetFault(id(remover), deaf, transporttest.Fault{Drop: true})
	if err := c.groups[remover].Remove(c.t.Context(), key); err == nil {
		c.t.Fatal("the removal was confirmed by all")
	}
	c.net.Crash(id(remover))
}

func TestAMemberThatMissedARemovalHearsOfItFromOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(1)
		c.want(1, key, 0, gcnode.SourceLoaded)
		c.origin.write(key, 1)
		c.removeUnheard(2, "n1", key)
		c.want(1, key, 0, gcnode.SourceHit)
		time.Sleep(gcnode.DefaultHotTTL / 2)
		synctest.Wait()
		c.want(1, key, 1, gcnode.SourceLoaded)
		if st := c.nodes[1].Stats(); st.Gaps != 0 {
			t.Error("it has dropped everything, though others know what it missed")
		}
	})
}

func TestAMemberDropsEverythingWhenNobodyKnowsWhatItMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(1)
		c.want(1, key, 0, gcnode.SourceLoaded)
		c.origin.write(key, 1)
		c.net.Partition([]string{"n1"}, []string{"n0", "n2"})
		if err := c.groups[2].Remove(t.Context(), key); err == nil {
			t.Fatal("the removal was confirmed by all")
		}
		c.net.Crash("n2")           // nobody tells n1 again
		time.Sleep(2 * time.Minute) // n0 has forgotten what it was
		c.want(1, key, 0, gcnode.SourceHit)
		c.net.Heal()
		time.Sleep(gcnode.DefaultHotTTL)
		c.want(1, key, 1, gcnode.SourceLoaded)
		if st := c.nodes[1].Stats(); st.Gaps != 1 {
			t.Errorf("everything was dropped %d times", st.Gaps)
		}
	})
}

// A member that was dropped from the lists for a while, and comes back without
// a restart.
func TestAMemberThatWasOffTheListsDropsWhatItKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(2)
		c.want(2, key, 0, gcnode.SourceLoaded)
		for _, i := range []int{0, 1} {
			c.setPeers(c.nodes[i], 2)
		}
		time.Sleep(time.Minute + time.Second) // nobody tells it of removals any more, nor do they compare just now
		c.origin.write(key, 1)
		c.mustRemove(0, key)
		for _, i := range []int{0, 1} {
			c.setPeers(c.nodes[i], 3)
		}
		for _, i := range []int{0, 1} { // at once: they ask nobody whom they have not met
			if v, err := c.groups[i].Get(t.Context(), key); err != nil || v.String() != "1" {
				t.Errorf("get at n%d: version %v, %v", i, v, err)
			}
		}
		time.Sleep(gcnode.DefaultHotTTL)
		c.wantFresh(key, "1")
	})
}

func TestRemovalsInABurstAreSentTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const members, removals = 12, 1000
		c := newCluster(t, members, defaultOptions)
		c.net.SetFault(transporttest.Any, transporttest.Any, transporttest.Fault{Delay: time.Millisecond})
		failures := make(chan error, removals)
		for i := range removals {
			go func() { failures <- c.groups[i%members].Remove(t.Context(), string(rune(i))) }()
		}
		for range removals {
			if err := <-failures; err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Second)
		sent := c.net.Sent(transporttest.Any, transporttest.Any, gcnode.OpRemove) + c.net.Sent(transporttest.Any, transporttest.Any, gcnode.OpFinish)
		if most := 2 * removals * (members - 1) / 10; sent > most {
			t.Errorf("%d messages for %d removals on %d members, want at most %d", sent, removals, members, most)
		}
	})
}

func TestARemovalThatHangsHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		deliver := c.removeHeld(0, "n1", "a")
		c.net.Intercept(nil)
		begun := time.Now()
		c.mustRemove(0, "b")
		if took := time.Since(begun); took != 0 {
			t.Errorf("it took %v", took)
		}
		deliver()
	})
}
