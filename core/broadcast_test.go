package gcnode_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
)

// newBroadcasting is a cluster whose members can broadcast.
func newBroadcasting(t *testing.T, n int) *cluster {
	t.Helper()
	c := &cluster{t: t, net: transporttest.NewNetwork(), origin: newOrigin()}
	c.config = func(cfg *gcnode.Config) { cfg.Transport = c.net.Broadcaster(cfg.Self.ID) }
	c.startAll(n)
	return c
}

// startAll starts members that know each other.
func (c *cluster) startAll(n int) {
	c.t.Helper()
	for i := range n {
		c.start(id(i), defaultOptions)
	}
	for _, node := range c.nodes {
		c.setPeers(node, n)
	}
	c.t.Cleanup(c.close)
	c.join()
}

// oneByOne is how many removals, and ends of removals, were told to single
// members.
func (c *cluster) oneByOne() int {
	return c.net.Sent(transporttest.Any, transporttest.Any, gcnode.OpRemove) + c.net.Sent(transporttest.Any, transporttest.Any, gcnode.OpFinish)
}

func TestARemovalIsBroadcastOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const members = 12
		c := newBroadcasting(t, members)
		key := c.keyOf(1)
		for i := range members {
			if _, err := c.groups[i].Get(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
		c.origin.write(key, 1)
		start := time.Now()
		c.mustRemove(0, key)
		if took := time.Since(start); took > 0 {
			t.Errorf("it took %v, without any delay of a message", took)
		}
		for i := range members {
			c.wantVersion(i, key, "1")
		}
		time.Sleep(time.Second)
		if removed, ended := c.net.Broadcasts(gcnode.OpRemove), c.net.Broadcasts(gcnode.OpFinish); removed != 1 || ended != 1 {
			t.Errorf("%d broadcasts of the removal, %d of its end", removed, ended)
		}
		if n := c.oneByOne(); n != 0 {
			t.Errorf("%d messages to single members", n)
		}
	})
}

func (c *cluster) wantVersion(node int, key, version string) {
	c.t.Helper()
	if v, err := c.groups[node].Get(c.t.Context(), key); err != nil || v.String() != version {
		c.t.Errorf("node %d: version %v, %v; want %s", node, v, err, version)
	}
}

// What a broadcast does not bring about in time is done one by one, and nil
// waits for it.
func TestABroadcastThatIsLostIsToldOneByOne(t *testing.T) {
	lose := map[string]func(m transporttest.Message) bool{
		"the message to one member":  func(m transporttest.Message) bool { return m.To == "n2" && m.Reply == nil },
		"the answer of one member":   func(m transporttest.Message) bool { return m.From == "n2" && m.Reply != nil },
		"everything that is sent":    func(m transporttest.Message) bool { return m.Reply == nil },
		"all answers that come back": func(m transporttest.Message) bool { return m.Reply != nil },
	}
	for name, lost := range lose {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newBroadcasting(t, 4)
				key := c.keyOf(2)
				c.want(2, key, 0, gcnode.SourceLoaded)
				c.origin.write(key, 1)
				held := make(chan struct{})
				c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
					switch {
					case m.Broadcast:
						return transporttest.Fault{Hang: lost(m)}
					case m.Request.Op == gcnode.OpRemove && m.To == "n2":
						return transporttest.Fault{Until: held}
					}
					return transporttest.Fault{}
				})
				removed := c.remove(0, key)
				time.Sleep(gcnode.DefaultPeerTimeout * 3 / 4)
				select {
				case err := <-removed:
					t.Fatalf("%v before n2 has confirmed", err)
				default:
				}
				close(held)
				if err := <-removed; err != nil {
					t.Fatal(err)
				}
				c.wantVersion(2, key, "1")
				c.net.Intercept(nil)
			})
		})
	}
}

// Whoever calls waits for the broadcast no longer than for the removal: not when
// somebody who has not answered leaves, and not when his own time is over.
func TestACallerDoesNotWaitForABroadcast(t *testing.T) {
	tests := map[string]struct {
		end    func(c *cluster, cancel context.CancelFunc)
		failed bool
	}{
		"a member leaves":     {func(c *cluster, _ context.CancelFunc) { _ = c.nodes[2].Close(c.t.Context()) }, false},
		"the caller gives up": {func(_ *cluster, cancel context.CancelFunc) { cancel() }, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newBroadcasting(t, 4)
				c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
					return transporttest.Fault{Hang: m.Request.Op == gcnode.OpRemove && m.To == "n2"}
				})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				start := time.Now()
				removed := make(chan error, 1)
				go func() { removed <- c.groups[0].Remove(ctx, "k") }()
				synctest.Wait()
				test.end(c, cancel)
				if err := <-removed; (err != nil) != test.failed {
					t.Errorf("Remove: %v", err)
				}
				if took := time.Since(start); took > 0 {
					t.Errorf("it took %v", took)
				}
				synctest.Wait()
				told := c.net.Sent("n0", "n2", gcnode.OpRemove)
				if test.failed && told != 1 {
					t.Errorf("the member that has not answered was told %d times by itself", told)
				}
			})
		})
	}
}

// A member that is behind is not broadcast to until it has caught up, and holds
// up nobody else.
func TestAMemberThatIsBehindIsToldOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newBroadcasting(t, 4)
		c.net.Isolate("n3")
		err := <-c.remove(0, "k")
		var failed *gcnode.PeerErrors
		if !errors.As(err, &failed) || len(failed.Peers) != 1 || failed.Peers[0].Peer != "n3" {
			t.Fatalf("%v; want one that names n3", err)
		}
		sent := c.net.Sent("n0", "n3", gcnode.OpRemove)
		if sent == 0 {
			t.Error("n3 was not told by itself")
		}
		start := time.Now()
		if err := <-c.remove(0, "another"); !errors.As(err, &failed) || len(failed.Peers) != 1 {
			t.Errorf("%v", err)
		}
		if took := time.Since(start); took > gcnode.DefaultPeerTimeout {
			t.Errorf("it took %v", took)
		}
		if n := c.net.Broadcasts(gcnode.OpRemove); n != 2 {
			t.Errorf("%d broadcasts", n)
		}
		c.net.Heal()
		time.Sleep(time.Minute)
		before := c.net.Sent("n0", "n3", gcnode.OpRemove)
		c.mustRemove(0, "third")
		if n := c.net.Sent("n0", "n3", gcnode.OpRemove); n != before {
			t.Error("n3 has caught up, and is told by itself")
		}
	})
}

// The answer to a broadcast names members that the remover does not know.
func TestABroadcastReachesTheMembersThatOthersKnow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newBroadcasting(t, 4)
		key := c.keyOf(3)
		c.setPeers(c.nodes[0], 3)
		time.Sleep(10*gcnode.DefaultHotTTL + time.Second) // so n0 need not tell n3 any more
		c.want(3, key, 0, gcnode.SourceLoaded)
		c.want(3, key, 0, gcnode.SourceHit)
		c.origin.write(key, 1)
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
			return transporttest.Fault{Hang: m.Broadcast && m.To == "n3"}
		})
		c.mustRemove(0, key)
		c.want(3, key, 1, gcnode.SourceLoaded)
	})
}

// Removals of a burst go out together.
func TestRemovalsAreBroadcastTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newBroadcasting(t, 4)
		c.net.SetFault(transporttest.Any, transporttest.Any, transporttest.Fault{Delay: time.Millisecond})
		var all sync.WaitGroup
		const burst = 1000
		for i := range burst {
			all.Go(func() { c.mustRemove(0, id(i)) })
		}
		all.Wait()
		if n := c.net.Broadcasts(gcnode.OpRemove); n > 20 {
			t.Errorf("%d broadcasts for %d removals", n, burst)
		}
		if n := c.oneByOne(); n != 0 {
			t.Errorf("%d messages to single members", n)
		}
	})
}

// archive keeps what is broadcast, but for what it is told to lose.
type archive struct {
	gcnode.Broadcaster

	shelf *shelf
}

type shelf struct {
	mu       sync.Mutex
	removals []gcnode.Removal
	fail     error
}

func (a archive) Broadcast(ctx context.Context, to []gcnode.Peer, req *gcnode.Request, take func(gcnode.Peer, gcnode.Reply)) error {
	a.shelf.mu.Lock()
	a.shelf.removals = append(a.shelf.removals, transporttest.CopyRequest(req).Removals...)
	a.shelf.mu.Unlock()
	return a.Broadcaster.Broadcast(ctx, to, req, take)
}

func (a archive) Replay(_ context.Context, take func(gcnode.Removal)) error {
	a.shelf.mu.Lock()
	defer a.shelf.mu.Unlock()
	for _, r := range a.shelf.removals {
		take(r)
	}
	return a.shelf.fail
}

// A member is away, and what it has missed is remembered by nobody. What is in
// the archive it applies; if that is not all, it drops everything.
func TestAMemberThatWasAwayAppliesWhatTheArchiveHas(t *testing.T) {
	tests := map[string]struct {
		change  func(*shelf)
		members int
		gaps    uint64
	}{
		"all of it":           {func(*shelf) {}, 3, 0},
		"of a cluster of two": {func(*shelf) {}, 2, 0},
		"all but one":         {func(s *shelf) { s.removals = slices.Delete(s.removals, 1, 2) }, 3, 1},
		"nothing":             {func(s *shelf) { s.removals = nil }, 3, 1},
		"a part, and an error": {func(s *shelf) {
			s.removals, s.fail = s.removals[:2], errors.New("the archive is gone")
		}, 3, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s shelf
				c := &cluster{t: t, net: transporttest.NewNetwork(), origin: newOrigin()}
				c.config = func(cfg *gcnode.Config) { cfg.Transport = archive{c.net.Broadcaster(cfg.Self.ID), &s} }
				c.startAll(test.members)
				away, key := test.members-1, c.keyOf(test.members-1)
				other := key
				for i := 0; other == key || c.groups[0].Owner(other).ID != id(away); i++ {
					other = "other-" + id(i)
				}
				c.want(away, key, 0, gcnode.SourceLoaded)
				c.want(away, other, 0, gcnode.SourceLoaded)
				c.origin.write(key, 1)
				c.net.Isolate(id(away))
				for _, key := range []string{"a", key, "b"} { // which are told for as long as it is a member
					if err := <-c.remove(0, key); err == nil {
						t.Fatal("nil, though one member did not confirm")
					}
				}
				for i := range away {
					c.setPeers(c.nodes[i], away)
				}
				time.Sleep(10 * time.Minute)
				if err := c.groups[0].Set(t.Context(), "c", gcnode.Item[gcnode.Value]{}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Minute)
				s.mu.Lock()
				test.change(&s)
				s.mu.Unlock()
				c.net.Heal()
				for i := range away {
					c.setPeers(c.nodes[i], test.members)
				}
				time.Sleep(gcnode.DefaultHotTTL)
				if n := c.nodes[away].Stats().Gaps; n != test.gaps {
					t.Errorf("it has dropped everything %d times, want %d", n, test.gaps)
				}
				c.want(away, key, 1, gcnode.SourceLoaded)
				source := gcnode.SourceHit
				if test.gaps > 0 {
					source = gcnode.SourceLoaded
				}
				c.want(away, other, 0, source)
			})
		})
	}
}
