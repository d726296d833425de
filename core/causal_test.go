package gcnode_test

import (
	"testing"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
)

// A batch, whose owner has not heard of the removal.
func TestBatchesCarryTheRemovalsThatTheirReceiverMayNotKnow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(1)
		c.want(1, key, 0, gcnode.SourceLoaded)
		c.origin.write(key, 1)
		deliver := c.removeHeld(0, "n1", key)
		for r, err := range c.groups[2].Stream(t.Context(), []string{key, key + "'"}) {
			if want := map[bool]string{true: "1", false: "0"}[r.Key == key]; err != nil || r.Value.String() != want {
				t.Errorf("%s: version %v, %v", r.Key, r.Value, err)
			}
		}
		deliver()
		c.wantFresh(key, "1")
	})
}

// A peek of a previous owner that has not heard of the removal.
func TestPeeksCarryTheRemovalsThatTheirReceiverMayNotKnow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		keys := c.fill(100)
		c.enter()
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault { // nothing is handed over ahead of the asking
			return transporttest.Fault{Drop: m.Request.Op == gcnode.OpKeys}
		})
		c.join()
		hold := make(chan struct{})
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
			if m.Request.Op == gcnode.OpRemove && m.To != "n2" && m.Reply == nil {
				return transporttest.Fault{Until: hold}
			}
			return transporttest.Fault{}
		})
		for _, key := range keys {
			c.origin.write(key, 1)
		}
		removed := c.remove(2, keys...)
		for _, key := range keys {
			if c.groups[2].Owner(key).ID != "n2" {
				continue
			}
			if v, err := c.groups[2].Get(t.Context(), key); err != nil || v.String() != "1" {
				t.Errorf("get %s: version %v, %v", key, v, err)
			}
		}
		close(hold)
		if err := <-removed; err != nil {
			t.Error(err)
		}
		if n := c.groups[2].Stats().Peeks; n == 0 {
			t.Error("nobody was peeked")
		}
	})
}

// While a removal has not reached everybody it is remembered, however long ago
// its call has failed.
func TestARemovalThatFailedIsRememberedByThoseWhoObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(1)
		c.net.SetFault("n0", "n1", transporttest.Fault{Drop: true})
		if err := c.groups[0].Remove(t.Context(), key); err == nil {
			t.Error("nil, though n1 did not confirm")
		}
		time.Sleep(30 * time.Second)
		if n := c.carried(2, key); n != 1 {
			t.Errorf("n2 carries %d removals", n)
		}
	})
}
