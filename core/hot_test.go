package gcnode_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
)

func TestOnlyPopularValuesAreCopied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := defaultOptions
		opts.HotAfter = gcnode.DefaultHotAfter
		c := newCluster(t, 2, opts)
		key := c.keyOf(1)
		c.want(0, key, 0, gcnode.SourceLoaded)
		c.want(0, key, 0, gcnode.SourceOwner)
		c.want(0, key, 0, gcnode.SourceHot)
		if st := c.groups[0].Stats(); st.HotAdmitted != 1 || st.HotRefused != 1 {
			t.Errorf("%d copies were made and %d refused, want one each", st.HotAdmitted, st.HotRefused)
		}
		rare := c.keyOf(1, 0) + "'"
		for c.groups[0].Owner(rare).ID != "n1" {
			rare += "'"
		}
		c.want(0, rare, 0, gcnode.SourceLoaded)
		time.Sleep(2 * gcnode.DefaultHotTTL)
		c.want(0, rare, 0, gcnode.SourceOwner)
		if n := c.groups[0].Stats().HotAdmitted; n != 1 {
			t.Errorf("%d copies were made, one of what is asked for once in a while", n)
		}
	})
}

// A scan over many keys, each asked for once, takes no place from popular ones.
func TestAScanCopiesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := defaultOptions
		opts.HotAfter = gcnode.DefaultHotAfter
		c := newCluster(t, 2, opts)
		for i := range 200 {
			if _, err := c.groups[0].Get(t.Context(), strconv.Itoa(i)); err != nil {
				t.Fatal(err)
			}
		}
		if n := c.groups[0].Stats().HotAdmitted; n > 5 { // some share a place in the table
			t.Errorf("%d copies were made", n)
		}
	})
}

// The owner has another value by now, and nobody has removed the first one.
func TestACopyOfAnotherValueIsNotVouchedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		key := c.keyOf(1)
		value := gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(strings.Repeat("v", 10_000)), Keep: gcnode.For(15 * time.Second)}
		if err := c.groups[1].Set(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
		if v, err := c.groups[0].Get(t.Context(), key); err != nil || v.Len() != value.Value.Len() {
			t.Fatalf("%d bytes, %v", v.Len(), err)
		}
		time.Sleep(20 * time.Second)
		c.want(0, key, 0, gcnode.SourceLoaded)
	})
}

func TestACopyIsVouchedForWithoutMovingItsBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		key := c.keyOf(1)
		value := strings.Repeat("v", 10_000)
		c.mustSet(1, key, value)
		moved := 0
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
			if m.Reply != nil && m.Request.Op == gcnode.OpFetch {
				moved += m.Reply.Value.Len()
			}
			return transporttest.Fault{}
		})
		get := func(want string) {
			t.Helper()
			if v, err := c.groups[0].Get(t.Context(), key); err != nil || v.String() != want {
				t.Errorf("%d bytes, %v; want %d", v.Len(), err, len(want))
			}
		}
		for range 3 {
			get(value)
			time.Sleep(gcnode.DefaultHotTTL)
		}
		if moved != len(value) {
			t.Errorf("%d bytes were moved, want %d", moved, len(value))
		}
		if n := c.groups[0].Stats().Revalidated; n != 2 {
			t.Errorf("the copy was vouched for %d times, want 2", n)
		}
		other := strings.Repeat("w", 10_000)
		c.mustSet(1, key, other)
		get(other)
	})
}

func TestACopyThatIsNotVouchedForIsNotServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		key := c.keyOf(1)
		value := strings.Repeat("v", 10_000)
		c.mustSet(1, key, value)
		if v, err := c.groups[0].Get(t.Context(), key); err != nil || v.String() != value {
			t.Fatal(v.Len(), err)
		}
		c.net.Crash("n1")
		time.Sleep(gcnode.DefaultHotTTL)
		c.want(0, key, 0, gcnode.SourceLoaded)
	})
}

// hedgingCluster is n nodes that ask a second one after 100 ms.
func hedgingCluster(t *testing.T, n int) *cluster {
	t.Helper()
	c := configuredCluster(t, n, func(cfg *gcnode.Config) { cfg.HedgeAfter = 100 * time.Millisecond })
	time.Sleep(2 * time.Minute) // until nobody asks previous owners
	return c
}

func TestASlowFetchIsHedged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := hedgingCluster(t, 3)
		key := c.keyOf(1, 2)
		c.net.SetFault("n1", "n0", transporttest.Fault{Delay: time.Second})
		begun := time.Now()
		c.want(0, key, 0, gcnode.SourceLoaded)
		if took := time.Since(begun); took != 100*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		if st := c.groups[0].Stats(); st.Hedges != 1 || st.HedgesWon != 1 || st.Hot.Entries != 0 {
			t.Errorf("hedges %d, won %d, copies %d", st.Hedges, st.HedgesWon, st.Hot.Entries)
		}
		c.net.SetFault("n1", "n0", transporttest.Fault{})
		c.want(0, key, 0, gcnode.SourceOwner)
		if n := c.groups[0].Stats().Hedges; n != 1 {
			t.Errorf("%d fetches were hedged", n)
		}
	})
}

// Of two members the second one is this node, as for some keys of three.
func TestASlowFetchIsHedgedByTheNodeItself(t *testing.T) {
	for _, line := range [][]int{{1}, {1, 0, 2}} {
		t.Run(fmt.Sprint(line), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := hedgingCluster(t, max(len(line), 2))
				key := c.keyOf(line[:min(len(line), 2)]...)
				c.net.SetFault("n1", "n0", transporttest.Fault{Delay: time.Second})
				begun := time.Now()
				c.want(0, key, 0, gcnode.SourceLoaded)
				if took := time.Since(begun); took != 100*time.Millisecond {
					t.Errorf("it took %v", took)
				}
				if st := c.groups[0].Stats(); st.Hedges != 1 || st.HedgesWon != 1 || st.Owned.Entries != 0 {
					t.Errorf("hedges %d, won %d, owned %d", st.Hedges, st.HedgesWon, st.Owned.Entries)
				}
				time.Sleep(gcnode.DefaultHotTTL) // it is a copy
				c.net.SetFault("n1", "n0", transporttest.Fault{})
				c.want(0, key, 0, gcnode.SourceOwner)
			})
		})
	}
}

// Without a hedge nobody would have asked who fails, unless the owner does not
// answer.
func TestAHedgeThatFailsDoesNotFailTheGet(t *testing.T) {
	for _, line := range [][]int{{1}, {1, 2, 0}} {
		for _, crash := range []bool{false, true} {
			t.Run(fmt.Sprint(line, crash), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := hedgingCluster(t, max(len(line), 2))
					key := c.keyOf(line[:min(len(line), 2)]...)
					c.origin.takes = time.Second
					got := c.get(0, key)
					c.origin.mu.Lock()
					c.origin.takes, c.origin.fail = 0, gcnode.ErrPermanent
					c.origin.mu.Unlock()
					time.Sleep(500 * time.Millisecond)
					c.wantLoads(key, 2)
					if crash {
						c.net.Crash("n1")
					}
					switch r := <-got; {
					case crash && !errors.Is(r.err, gcnode.ErrPermanent):
						t.Errorf("the owner does not answer: %q, %v", r.value, r.err)
					case !crash && (r.value != "0" || r.err != nil):
						t.Errorf("the owner answers: %q, %v", r.value, r.err)
					}
					c.wantLoads(key, 2)
				})
			})
		}
	}
}
