package gcnode_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
)

// origin is where the values come from: each key has a version that only
// grows, and a load takes a while.
type origin struct {
	mu      sync.Mutex
	version map[string]int
	loads   map[string]int
	takes   time.Duration // of a load, after the version was read
	keep    gcnode.Lifetime
	fail    error
	hold    chan struct{} // when not nil, loads wait for it after they have read
}

func newOrigin() *origin {
	return &origin{version: map[string]int{}, loads: map[string]int{}}
}

func (o *origin) GetItem(ctx context.Context, key string) (gcnode.Item[gcnode.Value], error) {
	o.mu.Lock()
	o.loads[key]++
	v, takes, keep, err, hold := o.version[key], o.takes, o.keep, o.fail, o.hold
	o.mu.Unlock()
	if err := pause(ctx, takes); err != nil {
		return gcnode.Item[gcnode.Value]{}, err
	}
	if hold != nil {
		<-hold
	}
	return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(strconv.Itoa(v)), Keep: keep}, err
}

// pause lets time pass, if there is any to pass. A timer of a bubble that has
// ended when it is waited for is run by whoever waits, and two that do so at the
// same time share what the race detector of Go 1.26 keeps for timers of a bubble,
// and crash it (maybeRunChan in runtime/time.go).
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (o *origin) write(key string, version int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.version[key] = version
}

func (o *origin) loaded(key string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.loads[key]
}

// cluster is some nodes on a network in memory, with one group of one origin.
type cluster struct {
	t      *testing.T
	net    *transporttest.Network
	origin *origin
	nodes  []*gcnode.Node
	groups []*gcnode.Group
	config func(*gcnode.Config) // of the nodes that are started; may be nil
	past   []*gcnode.Node       // earlier lives of nodes
}

const groupName = "g"

var defaultOptions = gcnode.GroupOptions{MaxBytes: 1 << 20}

func newCluster(t *testing.T, n int, opts gcnode.GroupOptions) *cluster {
	t.Helper()
	c := &cluster{t: t, net: transporttest.NewNetwork(), origin: newOrigin()}
	for i := range n {
		c.start(id(i), opts)
	}
	for _, node := range c.nodes {
		c.setPeers(node, n)
	}
	t.Cleanup(c.close)
	c.join()
	return c
}

// join waits until all nodes have joined.
func (c *cluster) join() {
	c.t.Helper()
	for _, node := range c.nodes {
		if err := node.Joined(c.t.Context()); err != nil {
			c.t.Fatal(err)
		}
	}
}

func id(i int) string { return "n" + strconv.Itoa(i) }

func list(n int) []gcnode.Peer {
	peers := make([]gcnode.Peer, n)
	for i := range peers {
		peers[i].ID = id(i)
	}
	return peers
}

// start adds a node that is alone.
func (c *cluster) start(id string, opts gcnode.GroupOptions) {
	c.t.Helper()
	cfg := gcnode.Config{Self: gcnode.Peer{ID: id}, Transport: c.net.Transport(id), ClockResolution: exact}
	if c.config != nil {
		c.config(&cfg)
	}
	node, err := gcnode.NewNode(cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	opts.HotAfter = cmp.Or(opts.HotAfter, 1)
	g, err := node.Group(groupName, c.origin, opts)
	if err != nil {
		c.t.Fatal(err)
	}
	c.net.Attach(id, node)
	c.nodes, c.groups = append(c.nodes, node), append(c.groups, g)
}

func (c *cluster) setPeers(node *gcnode.Node, n int) {
	c.t.Helper()
	if err := node.SetPeers(list(n)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) close() {
	c.net.Heal()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // what hangs fails
	defer cancel()
	for _, node := range append(c.past, c.nodes...) {
		if err := node.Close(ctx); err != nil {
			c.t.Error(err)
		}
	}
}

// keyOf is a key whose line on the first node begins with these nodes.
func (c *cluster) keyOf(line ...int) string {
	c.t.Helper()
	for i := range 100_000 {
		key := fmt.Sprintf("key-%d", i)
		if c.groups[0].Owner(key).ID != id(line[0]) {
			continue
		}
		if len(line) == 1 || c.heir(key, line[0]) == id(line[1]) {
			return key
		}
	}
	c.t.Fatalf("no key with the line %v", line)
	return ""
}

// heir is the member that owns the key when the owner is off the list: the
// next in line.
func (c *cluster) heir(key string, owner int) string {
	rest := list(len(c.nodes))
	rest = append(rest[:owner], rest[owner+1:]...)
	probe, err := gcnode.NewNode(gcnode.Config{Self: gcnode.Peer{ID: "probe"}, Transport: c.net.Transport("probe")})
	if err != nil {
		c.t.Fatal(err)
	}
	defer probe.Close(context.Background())
	if err := probe.SetPeers(rest); err != nil {
		c.t.Fatal(err)
	}
	g, err := probe.Group(groupName, c.origin, defaultOptions)
	if err != nil {
		c.t.Fatal(err)
	}
	return g.Owner(key).ID
}

// want gets the key at a node and compares version and source.
func (c *cluster) want(node int, key string, version int, source gcnode.Source) {
	c.t.Helper()
	a, err := c.groups[node].Lookup(c.t.Context(), key)
	if err != nil {
		c.t.Errorf("get %s at n%d: %v", key, node, err)
		return
	}
	if a.Value.String() != strconv.Itoa(version) || a.Source != source {
		c.t.Errorf("get %s at n%d: version %v from %v, want %d from %v", key, node, a.Value, a.Source, version, source)
	}
}

func (c *cluster) wantLoads(key string, n int) {
	c.t.Helper()
	if got := c.origin.loaded(key); got != n {
		c.t.Errorf("%d loads of %s, want %d", got, key, n)
	}
}

// get runs a Get in a goroutine until it waits for something.
func (c *cluster) get(node int, key string) <-chan result {
	ch := make(chan result, 1)
	go func() {
		v, err := c.groups[node].Get(c.t.Context(), key)
		ch <- result{v.String(), err}
	}()
	synctest.Wait()
	return ch
}

type result struct {
	value string
	err   error
}

func TestAMissIsLoadedOnceInTheWholeCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 12, defaultOptions)
		c.origin.takes = time.Second
		const key = "popular"
		var wg sync.WaitGroup
		var failed atomic.Int32
		for i := range 10_000 {
			wg.Go(func() {
				v, err := c.groups[i%len(c.groups)].Get(t.Context(), key)
				if err != nil || v.String() != "0" {
					failed.Add(1)
				}
			})
		}
		wg.Wait()
		if failed.Load() > 0 {
			t.Errorf("%d gets failed", failed.Load())
		}
		c.wantLoads(key, 1)
	})
}

func TestTheSourceTellsWhereAnAnswerCameFrom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(1)
		c.want(0, key, 0, gcnode.SourceLoaded) // by the owner, for this answer
		c.want(0, key, 0, gcnode.SourceHot)
		c.want(1, key, 0, gcnode.SourceHit)
		c.want(2, key, 0, gcnode.SourceOwner)
		c.want(2, key, 0, gcnode.SourceHot)
		c.wantLoads(key, 1)
		a, _ := c.groups[2].Lookup(t.Context(), key)
		if a.Owner != "n1" {
			t.Errorf("owner %q", a.Owner)
		}
	})
}

func TestHotCopiesLiveShortlyAndNeverLongerThanTheValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		key := c.keyOf(1)
		c.origin.keep = gcnode.For(13 * time.Second)
		c.want(0, key, 0, gcnode.SourceLoaded)
		c.origin.write(key, 1)
		time.Sleep(gcnode.DefaultHotTTL - 1)
		c.want(0, key, 0, gcnode.SourceHot)
		time.Sleep(time.Nanosecond)
		c.want(0, key, 0, gcnode.SourceOwner) // and kept for 3 s, the rest of its life
		time.Sleep(3*time.Second - 1)
		c.want(0, key, 0, gcnode.SourceHot)
		time.Sleep(time.Nanosecond)
		c.want(0, key, 1, gcnode.SourceLoaded)
	})
}

func TestRemainingLifeTravelsAsADuration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		key := c.keyOf(1)
		c.origin.keep = gcnode.For(time.Minute)
		c.want(1, key, 0, gcnode.SourceLoaded)
		time.Sleep(20 * time.Second)
		c.net.SetFault("n1", "n0", transporttest.Fault{Delay: time.Second})
		it, err := c.groups[0].GetItem(t.Context(), key)
		// The answer was a second on its way, and its life counts from when it
		// was asked for.
		if err != nil || it.Keep != gcnode.For(39*time.Second) {
			t.Errorf("keep %v, %v", it.Keep, err)
		}
	})
}

// A clock that is behind lets an owner answer with what has no life left.
func TestWhoJoinsAFetchIsNotServedWhatEndedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := configuredCluster(t, 2, func(cfg *gcnode.Config) { cfg.ClockResolution = 5 * time.Millisecond })
		key := c.keyOf(1)
		c.origin.keep = gcnode.For(time.Second)
		c.want(1, key, 0, gcnode.SourceLoaded)
		time.Sleep(time.Second - time.Millisecond)
		c.want(1, key, 0, gcnode.SourceHit) // has the owner read its clock
		c.origin.write(key, 1)
		time.Sleep(2 * time.Millisecond)

		hold := make(chan struct{})
		c.net.SetFault("n1", "n0", transporttest.Fault{Until: hold})
		c.get(0, key)
		time.Sleep(100 * time.Millisecond)
		second := c.get(0, key)
		synctest.Wait()
		c.net.SetFault("n1", "n0", transporttest.Fault{})
		close(hold)
		if r := <-second; r.value != "1" || r.err != nil {
			t.Errorf("got version %s, %v, whose life had ended when it was asked for", r.value, r.err)
		}
	})
}

func TestErrorsKeepTheirKindAcrossNodes(t *testing.T) {
	for _, test := range []struct {
		err  error
		want error
	}{
		{fmt.Errorf("no row: %w", gcnode.ErrNotFound), gcnode.ErrNotFound},
		{errors.New("disk on fire"), gcnode.ErrTransient},
		{gcnode.ErrPermanent, gcnode.ErrPermanent},
		{gcnode.ErrDenied, gcnode.ErrDenied},
		{&gcnode.Error{Kind: gcnode.KindOverloaded, RetryAfter: time.Minute}, gcnode.ErrOverloaded},
		{gcnode.ErrTooLarge, gcnode.ErrTooLarge},
		{context.DeadlineExceeded, gcnode.ErrTimeout},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 2, defaultOptions)
			key := c.keyOf(1)
			c.origin.fail = test.err
			_, err := c.groups[0].Get(t.Context(), key)
			e, ok := errors.AsType[*gcnode.Error](err)
			if !ok || !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if e.Key != key || e.Group != groupName {
				t.Errorf("the error names key %q and group %q", e.Key, e.Group)
			}
			if src, ok := errors.AsType[*gcnode.Error](test.err); ok && e.RetryAfter != src.RetryAfter {
				t.Errorf("retry after %v", e.RetryAfter)
			}
			// An answer about the key is final: nobody else is asked.
			c.wantLoads(key, 1)
		})
	}
}

func TestNotFoundIsRememberedForItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		key := c.keyOf(1)
		c.origin.fail = fmt.Errorf("no such row: %w", gcnode.ErrNotFound)
		for range 3 {
			for node := range c.groups {
				a, err := c.groups[node].Lookup(t.Context(), key)
				if !errors.Is(err, gcnode.ErrNotFound) || a.Keep != gcnode.For(gcnode.DefaultNegativeTTL) || a.Source == 0 {
					t.Errorf("n%d: %v, %+v", node, err, a)
				}
			}
		}
		c.wantLoads(key, 1)
		time.Sleep(gcnode.DefaultNegativeTTL)
		c.origin.fail = nil
		c.want(0, key, 0, gcnode.SourceLoaded)
		c.wantLoads(key, 2)
	})
}

func TestFailedLoadsAreNotRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		key := c.keyOf(1)
		c.origin.fail = gcnode.ErrPermanent
		for range 3 {
			if _, err := c.groups[0].Get(t.Context(), key); !errors.Is(err, gcnode.ErrPermanent) {
				t.Error(err)
			}
		}
		c.wantLoads(key, 3)
	})
}

func TestADeadOwnersKeysAreServedByTheNextInLineTheSameForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, defaultOptions)
		key := c.keyOf(1, 2)
		c.net.Crash("n1")
		for _, node := range []int{0, 3, 2} {
			if _, err := c.groups[node].Get(t.Context(), key); err != nil {
				t.Errorf("n%d: %v", node, err)
			}
		}
		c.wantLoads(key, 1)
		if c.groups[2].Stats().Loads != 1 {
			t.Error("it was not the next in line that loaded")
		}
		// A stand-in's answer is short-lived, everywhere.
		time.Sleep(gcnode.DefaultHotTTL)
		c.origin.write(key, 1)
		c.want(3, key, 1, gcnode.SourceLoaded)
	})
}

func TestWhenNobodyInLineAnswersTheNodeLoadsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(1, 2)
		c.net.Crash("n1")
		c.net.Crash("n2")
		c.want(0, key, 0, gcnode.SourceLoaded)
		c.want(0, key, 0, gcnode.SourceHot) // short-lived: it does not own the key
	})
}

func TestASilentPeerCostsOneTimeoutOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(1, 2)
		c.net.Isolate("n1")
		begun := time.Now()
		c.want(0, key, 0, gcnode.SourceLoaded)
		if took := time.Since(begun); took != gcnode.DefaultPeerTimeout {
			t.Errorf("the first get took %v", took)
		}
		begun = time.Now()
		for i := range 100 {
			if other := strconv.Itoa(i); c.groups[0].Owner(other).ID == "n1" {
				c.want(0, other, 0, gcnode.SourceLoaded)
			}
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("the others took %v", took)
		}
		if st := c.nodes[0].Stats(); !st.Peers[0].Down || st.Peers[1].Down {
			t.Errorf("peers %+v", st.Peers)
		}
		// It is found again off the path of requests.
		c.net.Heal()
		time.Sleep(5 * time.Second)
		if st := c.nodes[0].Stats(); st.Peers[0].Down {
			t.Error("a peer that is back still counts as down")
		}
		c.want(0, c.keyOf(1), 0, gcnode.SourceLoaded)
	})
}

func TestASlowLoadIsNotTakenForADeadPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(1)
		c.origin.takes = gcnode.DefaultLoadTimeout - 1
		c.want(0, key, 0, gcnode.SourceLoaded)
		c.wantLoads(key, 1)
		if st := c.groups[0].Stats(); st.Failovers != 0 {
			t.Errorf("%d failovers", st.Failovers)
		}
	})
}

func TestALoadEndsAtItsOwnDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		for _, key := range []string{c.keyOf(0), c.keyOf(1)} {
			c.origin.takes = time.Hour
			begun := time.Now()
			_, err := c.groups[0].Get(t.Context(), key)
			if !errors.Is(err, gcnode.ErrTimeout) || time.Since(begun) != gcnode.DefaultLoadTimeout {
				t.Errorf("%v after %v", err, time.Since(begun))
			}
			c.wantLoads(key, 1)
		}
	})
}

func TestAMemberWithoutTheGroupLeadsToTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		for i, node := range c.nodes {
			if _, err := node.Group("only on n"+strconv.Itoa(i), c.origin, defaultOptions); err != nil {
				t.Fatal(err)
			}
		}
		key := c.keyOf(1)
		g, _ := c.nodes[0].Lookup("only on n0")
		for i := range 2 {
			a, err := g.Lookup(t.Context(), key)
			if err != nil || a.Source == gcnode.SourceHit {
				t.Errorf("get %d: %+v, %v", i, a, err)
			}
		}
	})
}

func TestADrainingMemberLeadsToTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(1, 2)
		if err := c.nodes[1].Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.want(0, key, 0, gcnode.SourceLoaded)
		if c.groups[2].Stats().Loads != 1 {
			t.Error("it was not the next in line that loaded")
		}
		if _, err := c.groups[1].Get(t.Context(), key); !errors.Is(err, gcnode.ErrDraining) {
			t.Errorf("a closed node answers its callers with %v", err)
		}
		if err := c.groups[1].Remove(t.Context(), key); !errors.Is(err, gcnode.ErrDraining) {
			t.Errorf("a closed node removes with %v", err)
		}
	})
}

// Each of two nodes takes the other for the owner: no request is forwarded
// again, so nobody waits for ever, and nothing is kept that a removal might
// not reach.
func TestNodesThatDisagreeAboutTheOwnerDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		for i, node := range c.nodes { // each has the other alone on its list
			if err := node.SetPeers([]gcnode.Peer{{ID: id(1 - i)}}); err != nil {
				t.Fatal(err)
			}
		}
		c.origin.takes = time.Second
		a, b := c.get(0, "k"), c.get(1, "k")
		for _, ch := range []<-chan result{a, b} {
			if r := <-ch; r.err != nil || r.value != "0" {
				t.Errorf("got %+v", r)
			}
		}
		c.wantLoads("k", 2)
		if st := c.groups[0].Stats(); st.Owned.Entries != 0 {
			t.Errorf("n0 keeps as owner what it does not own: %+v", st.Owned)
		}
	})
}

func TestAnswersFoundUnderAnotherListAreNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		key := c.keyOf(1)
		c.setPeers(c.nodes[1], 2) // n1 does not know n2
		c.want(0, key, 0, gcnode.SourceLoaded)
		if st := c.groups[0].Stats(); st.Hot.Entries != 0 {
			t.Error("n0 kept an answer from a member with another list")
		}
		// The list changes while the answer is on its way.
		c.setPeers(c.nodes[1], 3)
		hold := make(chan struct{})
		c.net.SetFault("n1", "n0", transporttest.Fault{Until: hold})
		asked := c.get(0, key)
		c.setPeers(c.nodes[0], 2)
		close(hold)
		if got := <-asked; got.err != nil {
			t.Error(got.err)
		}
		if st := c.groups[0].Stats(); st.Hot.Entries != 0 {
			t.Error("n0 kept an answer that it had asked for under another list")
		}
		c.setPeers(c.nodes[0], 3)
		// The list changes while the getter is at work.
		c.origin.hold = make(chan struct{})
		other := c.keyOf(0)
		r := c.get(0, other)
		c.setPeers(c.nodes[0], 2)
		close(c.origin.hold)
		if got := <-r; got.err != nil {
			t.Error(got.err)
		}
		if st := c.groups[0].Stats(); st.Owned.Entries != 0 || st.Hot.Entries != 0 {
			t.Errorf("n0 kept what it loaded under another list: %+v", st)
		}
	})
}

func TestEntriesWhoseOwnerChangedBecomeHotCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		time.Sleep(2 * time.Minute) // until nobody asks a previous owner any more
		mine, moves := c.keyOf(0), c.keyOf(1)
		if err := c.nodes[0].SetPeers(list(1)); err != nil {
			t.Fatal(err)
		}
		c.want(0, mine, 0, gcnode.SourceLoaded)
		c.want(0, moves, 0, gcnode.SourceLoaded)
		c.setPeers(c.nodes[0], 2)
		c.want(0, mine, 0, gcnode.SourceHit)
		c.want(0, moves, 0, gcnode.SourceHot)
		time.Sleep(gcnode.DefaultHotTTL)
		c.want(0, mine, 0, gcnode.SourceHit)
		c.want(0, moves, 0, gcnode.SourceLoaded)
	})
}

func TestCloseWaitsForWhatIsRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		key := c.keyOf(1)
		c.origin.takes = time.Second
		r := c.get(0, key)
		begun := time.Now()
		if err := c.nodes[1].Close(t.Context()); err != nil || time.Since(begun) != time.Second {
			t.Errorf("closed with %v after %v", err, time.Since(begun))
		}
		if got := <-r; got.err != nil || got.value != "0" {
			t.Errorf("the request it was serving got %+v", got)
		}
	})
}

func TestCloseGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		c.origin.takes = time.Minute / 4
		r := c.get(0, c.keyOf(0))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.nodes[0].Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("closed with %v", err)
		}
		<-r
	})
}

func TestCloseGivesUpItsGoodbyeWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
			return transporttest.Fault{Hang: m.Request.Op == gcnode.OpGoodbye || m.Request.Op == gcnode.OpGone}
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		begun := time.Now()
		if err := c.nodes[0].Close(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != time.Second/2 {
			t.Errorf("closed with %v after %v", err, time.Since(begun))
		}
	})
}

func TestAPanicIsAnErrorForAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		for _, node := range c.nodes {
			_, err := node.Group("bad", gcnode.GetterFunc[gcnode.Value](func(context.Context, string) (gcnode.Item[gcnode.Value], error) {
				panic("boom")
			}), defaultOptions)
			if err != nil {
				t.Fatal(err)
			}
		}
		g, _ := c.nodes[0].Lookup("bad")
		for _, key := range []string{c.keyOf(0), c.keyOf(1)} {
			for range 2 {
				if _, err := g.Get(t.Context(), key); !errors.Is(err, gcnode.ErrInternal) {
					t.Errorf("got %v", err)
				}
			}
		}
	})
}

func TestServePeerRefusesWhatItDoesNotKnow(t *testing.T) {
	c := newCluster(t, 1, defaultOptions)
	ask := func(req gcnode.Request) (replies []gcnode.Reply) {
		t.Helper()
		err := c.nodes[0].ServePeer(t.Context(), &req, writer(func(r gcnode.Reply) error {
			replies = append(replies, r)
			return nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		return replies
	}
	huge := make([]string, gcnode.MaxBatchKeys+1)
	long := string(make([]byte, gcnode.MaxKeyBytes+1))
	for _, test := range []struct {
		req  gcnode.Request
		want error
	}{
		{gcnode.Request{Op: 99}, gcnode.ErrUnsupported},
		{gcnode.Request{Op: 99, Keys: []string{"a", "b"}}, gcnode.ErrUnsupported},
		{gcnode.Request{Op: gcnode.OpGet}, gcnode.ErrUnsupported},
		{gcnode.Request{Op: gcnode.OpFetch, Group: groupName}, gcnode.ErrUnsupported},
		{gcnode.Request{Op: gcnode.OpFetch, Group: groupName, Keys: huge}, gcnode.ErrTooLarge},
		{gcnode.Request{Op: gcnode.OpFetch, Group: groupName, Keys: []string{long}}, gcnode.ErrTooLarge},
		{gcnode.Request{Op: gcnode.OpFetch, Group: "nope", Keys: []string{"k"}}, gcnode.ErrNoSuchGroup},
	} {
		replies := ask(test.req)
		if len(replies) != max(len(test.req.Keys), 1) {
			t.Errorf("op %d, %d keys: %d replies", test.req.Op, len(test.req.Keys), len(replies))
		}
		for _, r := range replies {
			if r.Err == nil || !errors.Is(r.Err, test.want) {
				t.Fatalf("op %d, %d keys: %+v, want %v", test.req.Op, len(test.req.Keys), r, test.want)
			}
		}
	}
}

type writer func(gcnode.Reply) error

func (w writer) WriteReply(r gcnode.Reply) error { return w(r) }

func TestABatchNeverWaitsForItsSlowestKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, defaultOptions)
		c.want(0, "cached", 0, gcnode.SourceLoaded)
		c.origin.hold = make(chan struct{})
		slow := c.get(0, "slow")
		c.origin.mu.Lock()
		hold := c.origin.hold
		c.origin.hold = nil
		c.origin.mu.Unlock()
		var order []int
		err := c.nodes[0].ServePeer(t.Context(), &gcnode.Request{
			Op: gcnode.OpFetch, Group: groupName, Keys: []string{"slow", "fast", "cached"},
		}, writer(func(r gcnode.Reply) error {
			order = append(order, r.Key)
			if len(order) == 2 {
				close(hold)
			}
			return nil
		}))
		if err != nil || fmt.Sprint(order) != "[2 1 0]" {
			t.Errorf("answered in the order %v, %v", order, err)
		}
		<-slow
	})
}

// A getter that says "unreachable" means its database. That is no reason to
// ask the other members, which would all ask the database too.
func TestAGetterThatSpeaksOfItsOriginIsNotTakenForAMember(t *testing.T) {
	for _, sentinel := range []error{gcnode.ErrUnreachable, gcnode.ErrDraining, gcnode.ErrNoSuchGroup, gcnode.ErrUnsupported} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 4, defaultOptions)
			key := c.keyOf(1)
			c.origin.fail = fmt.Errorf("database: %w", sentinel)
			if _, err := c.groups[0].Get(t.Context(), key); !errors.Is(err, gcnode.ErrTransient) {
				t.Errorf("got %v", err)
			}
			c.wantLoads(key, 1)
		})
	}
}

func TestANodeThatIsNotOnItsOwnListKeepsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		for i := range 2 {
			c.setPeers(c.nodes[i], 2)
		}
		c.setPeers(c.nodes[2], 2) // n2 is a client of n0 and n1
		time.Sleep(time.Minute)
		key := c.keyOf(1)
		c.want(2, key, 0, gcnode.SourceLoaded)
		c.origin.write(key, 1)
		if err := c.groups[0].Remove(t.Context(), key); err != nil {
			t.Error(err)
		}
		c.want(2, key, 1, gcnode.SourceLoaded)
		c.want(2, key, 1, gcnode.SourceOwner)
		// Nor does it keep what it has to load itself.
		c.net.Crash("n0")
		c.net.Crash("n1")
		c.want(2, key, 1, gcnode.SourceLoaded)
		c.want(2, key, 1, gcnode.SourceLoaded)
	})
}

func TestTheSameListAgainChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, defaultOptions)
		c.origin.hold = make(chan struct{})
		var waiting []<-chan result
		keys := []string{c.keyOf(0), c.keyOf(1)}
		for _, key := range keys {
			waiting = append(waiting, c.get(0, key))
		}
		moved := list(3)
		moved[0], moved[2] = moved[2], moved[0]
		moved[1].Addr = "elsewhere"
		if err := c.nodes[0].SetPeers(moved); err != nil {
			t.Fatal(err)
		}
		close(c.origin.hold)
		for _, ch := range waiting {
			<-ch
		}
		c.want(0, keys[0], 0, gcnode.SourceHit)
		c.want(0, keys[1], 0, gcnode.SourceHot)
	})
}

// failing is a transport that fails every request with the same error.
type failing struct{ err error }

func (f failing) RoundTrip(context.Context, gcnode.Peer, *gcnode.Request, gcnode.ReplyWriter) error {
	return f.err
}

func TestOnlyAPeerThatCannotBeReachedIsDown(t *testing.T) {
	for _, test := range []struct {
		err  error
		down bool
	}{
		{&gcnode.Error{Kind: gcnode.KindTooLarge}, false},
		{&gcnode.Error{Kind: gcnode.KindInternal}, false},
		{&gcnode.Error{Kind: gcnode.KindUnreachable}, true},
		{errors.New("connection refused"), true},
	} {
		synctest.Test(t, func(t *testing.T) {
			node, err := gcnode.NewNode(gcnode.Config{Self: gcnode.Peer{ID: "n1"}, Transport: failing{test.err}})
			if err != nil {
				t.Fatal(err)
			}
			g, err := node.Group(groupName, newOrigin(), defaultOptions)
			if err != nil {
				t.Fatal(err)
			}
			if err := node.SetPeers(list(1)); err != nil {
				t.Fatal(err)
			}
			_, err = g.Get(t.Context(), "k")
			if errors.Is(test.err, gcnode.ErrTooLarge) != errors.Is(err, gcnode.ErrTooLarge) {
				t.Errorf("%v becomes %v", test.err, err)
			}
			if got := node.Stats().Peers[0].Down; got != test.down {
				t.Errorf("%v: down %v", test.err, got)
			}
			if err := node.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
