package gcnode_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
)

// journal writes down what the hooks of some nodes are told.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

// want compares what was written since the last call, in any order.
func (j *journal) want(t *testing.T, what string, lines ...string) {
	t.Helper()
	synctest.Wait()
	j.mu.Lock()
	defer j.mu.Unlock()
	slices.Sort(j.lines)
	slices.Sort(lines)
	if !slices.Equal(j.lines, lines) {
		t.Errorf("%s: the hooks were told\n%q\nwant\n%q", what, j.lines, lines)
	}
	j.lines = nil
}

// outcome is the kind of an error, if it names the group and the key.
func outcome(err error, key string) string {
	if err == nil {
		return "found"
	}
	e, ok := errors.AsType[*gcnode.Error](err)
	if !ok || e.Group != groupName || e.Key != key {
		return "strange: " + err.Error()
	}
	return e.Kind.String()
}

// hooks are those of the node with an ID.
func (j *journal) hooks(id string) gcnode.Hooks {
	return gcnode.Hooks{
		Loaded: func(e gcnode.LoadEvent) {
			j.add(fmt.Sprint(id, " loaded ", e.Group, "/", e.Key, " in ", e.Took, ": ", outcome(e.Err, e.Key)))
		},
		Fetched: func(e gcnode.FetchEvent) {
			j.add(fmt.Sprint(id, " fetched ", e.Group, "/", e.Key, " from ", e.Peer.ID, " in ", e.Took, ": ", outcome(e.Err, e.Key)))
		},
		Removed: func(e gcnode.RemovalEvent) {
			j.add(fmt.Sprint(id, " removed ", e.Group, "/", e.Keys, " from ", e.From))
		},
		PeerDown: func(p gcnode.Peer) { j.add(id + " down " + p.ID) },
		PeerUp:   func(p gcnode.Peer) { j.add(id + " up " + p.ID) },
	}
}

func TestHooksAreToldOfLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		node, err := gcnode.NewNode(gcnode.Config{Hooks: j.hooks("n")})
		if err != nil {
			t.Fatal(err)
		}
		g, err := node.Group(groupName, gcnode.GetterFunc[gcnode.Value](func(_ context.Context, key string) (gcnode.Item[gcnode.Value], error) {
			time.Sleep(time.Second)
			switch key {
			case "missing":
				return gcnode.Item[gcnode.Value]{}, gcnode.ErrNotFound
			case "fails":
				return gcnode.Item[gcnode.Value]{}, errors.New("failed")
			case "huge":
				return gcnode.Item[gcnode.Value]{Value: gcnode.BytesValue(make([]byte, gcnode.MaxValueBytes+1))}, nil
			case "panics":
				panic("a getter of a test")
			case "late":
				time.Sleep(time.Minute)
			}
			return gcnode.Item[gcnode.Value]{}, nil
		}), gcnode.GroupOptions{MaxBytes: 1 << 20, LoadTimeout: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		for key, want := range map[string]string{
			"found": "found", "missing": "not found", "fails": "transient failure", "huge": "too large", "panics": "internal error",
		} {
			_, _ = g.Get(t.Context(), key)
			j.want(t, key, "n loaded g/"+key+" in 1s: "+want)
		}
		_, _ = g.Get(t.Context(), "found")
		_, _ = g.Get(t.Context(), "missing")
		j.want(t, "hits")
		if _, err := g.Get(t.Context(), "late"); !errors.Is(err, gcnode.ErrTimeout) {
			t.Error(err)
		}
		j.want(t, "a load that goes on")
		time.Sleep(time.Minute)
		j.want(t, "a load that took too long", "n loaded g/late in 1m1s: found")
	})
}

func TestHooksAreToldOfPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		c := &cluster{t: t, net: transporttest.NewNetwork(), origin: newOrigin()}
		c.origin.takes = time.Second
		c.config = func(cfg *gcnode.Config) { cfg.Hooks = j.hooks(cfg.Self.ID) }
		for i := range 2 {
			c.start(id(i), defaultOptions)
			c.setPeers(c.nodes[i], 2)
		}
		defer c.close()
		c.join()
		key := c.keyOf(0)

		c.want(1, key, 0, gcnode.SourceLoaded)
		j.want(t, "a value", "n0 loaded g/"+key+" in 1s: found", "n1 fetched g/"+key+" from n0 in 1s: found")
		c.want(1, key, 0, gcnode.SourceHot)
		j.want(t, "a hit")
		if err := c.groups[1].Remove(t.Context(), key, "other"); err != nil {
			t.Error(err)
		}
		j.want(t, "a removal", "n0 removed g/["+key+" other] from n1", "n1 removed g/["+key+" other] from n1")
		c.origin.fail = gcnode.ErrNotFound
		_, _ = c.groups[1].Get(t.Context(), key)
		j.want(t, "no value", "n0 loaded g/"+key+" in 1s: not found", "n1 fetched g/"+key+" from n0 in 1s: not found")
		if err := c.groups[0].Remove(t.Context(), key); err != nil {
			t.Error(err)
		}
		j.want(t, "another removal", "n0 removed g/["+key+"] from n0", "n1 removed g/["+key+"] from n0")
		c.origin.fail = gcnode.ErrDenied
		_, _ = c.groups[1].Get(t.Context(), key)
		j.want(t, "an error", "n0 loaded g/"+key+" in 1s: denied", "n1 fetched g/"+key+" from n0 in 1s: denied")

		c.origin.fail = nil
		c.net.Isolate("n0")
		c.want(1, key, 0, gcnode.SourceLoaded)
		j.want(t, "a peer that does not answer", "n1 fetched g/"+key+" from n0 in 2s: unreachable", "n1 down n0", "n1 loaded g/"+key+" in 1s: found")
		time.Sleep(time.Minute)
		c.want(1, key, 0, gcnode.SourceLoaded)
		j.want(t, "a peer that is down", "n1 loaded g/"+key+" in 1s: found")
		if err := c.groups[1].Remove(t.Context(), key); err == nil {
			t.Error("the removal was confirmed")
		}
		j.want(t, "a removal that is not confirmed", "n1 removed g/["+key+"] from n1")
		c.net.Heal()
		time.Sleep(time.Minute)
		j.want(t, "a peer that is back", "n0 removed g/["+key+"] from n1", "n1 up n0")
	})
}

func TestAKeyThatWasRemovedEarlierIsReportedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		c := &cluster{t: t, net: transporttest.NewNetwork(), origin: newOrigin()}
		c.config = func(cfg *gcnode.Config) { cfg.Hooks = gcnode.Hooks{Removed: j.hooks(cfg.Self.ID).Removed} }
		for i := range 2 {
			c.start(id(i), defaultOptions)
			c.setPeers(c.nodes[i], 2)
		}
		defer c.close()
		c.join()
		c.net.Intercept(func(m transporttest.Message) transporttest.Fault {
			if m.Request.Op == gcnode.OpRemove {
				return transporttest.Fault{Delay: time.Second / 2}
			}
			return transporttest.Fault{}
		})
		key := c.keyOf(0)
		removed := make(chan error, 1)
		go func() { removed <- c.groups[1].Remove(t.Context(), key, "other") }()
		j.want(t, "a removal under way", "n1 removed g/["+key+" other] from n1")
		c.want(1, key, 0, gcnode.SourceLoaded)
		j.want(t, "what came along with a fetch", "n0 removed g/["+key+"] from n1")
		if err := <-removed; err != nil {
			t.Error(err)
		}
		j.want(t, "the rest", "n0 removed g/[other] from n1")
	})
}

func TestHooksAreToldOfEachKeyOfABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		c := batchingCluster(t, []*batching{{}, {}}, j.hooks)
		defer c.close()
		keys := []string{"passed over"}
		for i := 0; len(keys) < 3; i++ {
			if key := fmt.Sprint("key-", i); c.groups[0].Owner(key) == c.groups[0].Owner(keys[0]) {
				keys = append(keys, key)
			}
		}
		owner := c.groups[0].Owner(keys[0]).ID
		asker := 0
		if owner == "n0" {
			asker = 1
		}
		_, _ = c.groups[asker].GetMany(t.Context(), keys)
		var want []string
		for i, key := range keys {
			what := []string{"transient failure", "found", "found"}[i]
			want = append(want, owner+" loaded g/"+key+" in 0s: "+what, id(asker)+" fetched g/"+key+" from "+owner+" in 0s: "+what)
		}
		j.want(t, "a batch", want...)

		c.net.Isolate(owner)
		if err := c.groups[asker].Remove(t.Context(), keys...); err == nil {
			t.Error("the removal was confirmed")
		}
		j.want(t, "a removal", fmt.Sprint(id(asker), " removed g/", keys, " from ", id(asker)))
		_, _ = c.groups[asker].GetMany(t.Context(), keys)
		want = nil
		for i, key := range keys {
			what := []string{"transient failure", "found", "found"}[i]
			want = append(want, id(asker)+" fetched g/"+key+" from "+owner+" in 2s: unreachable", id(asker)+" loaded g/"+key+" in 0s: "+what)
		}
		j.want(t, "an owner that does not answer", append(want, id(asker)+" down "+owner)...)
	})
}

// A hook may ask the node for what it knows.
func TestHooksMayReadTheNode(t *testing.T) {
	var loads uint64
	var node *gcnode.Node
	node, err := gcnode.NewNode(gcnode.Config{Hooks: gcnode.Hooks{
		Loaded:  func(gcnode.LoadEvent) { loads = node.Stats().Groups[0].Loads },
		Removed: func(gcnode.RemovalEvent) { loads += node.Stats().Groups[0].Removals },
	}})
	if err != nil {
		t.Fatal(err)
	}
	g, err := node.Group(groupName, always(gcnode.Value{}), defaultOptions)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Get(t.Context(), "k"); err != nil {
		t.Error(err)
	}
	if err := g.Remove(t.Context(), "k"); err != nil || loads != 2 {
		t.Error(loads, err)
	}
}

// What a hook was told of goes on when it panics.
func TestAHookThatPanicsHarmsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		c := &cluster{t: t, net: transporttest.NewNetwork(), origin: newOrigin()}
		c.config = func(cfg *gcnode.Config) {
			cfg.Hooks = gcnode.Hooks{
				Loaded:   func(gcnode.LoadEvent) { panic("boom") },
				Fetched:  func(gcnode.FetchEvent) { panic("boom") },
				Removed:  func(gcnode.RemovalEvent) { panic("boom") },
				PeerDown: func(gcnode.Peer) { panic("boom") },
				PeerUp:   func(gcnode.Peer) { panic("boom") },
			}
			if cfg.Self.ID == "n1" {
				cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
			}
		}
		for i := range 2 {
			c.start(id(i), defaultOptions)
			c.setPeers(c.nodes[i], 2)
		}
		defer c.close()
		c.join()
		key := c.keyOf(0)
		c.want(1, key, 0, gcnode.SourceLoaded)
		if values, err := c.groups[1].GetMany(t.Context(), someKeys(20)); err != nil || len(values) != 20 {
			t.Errorf("%d values, %v", len(values), err)
		}
		c.mustSet(1, c.keyOf(1), "v")
		c.mustRemove(1, key)
		c.net.Isolate("n0")
		c.want(1, key, 0, gcnode.SourceLoaded)
		c.net.Heal()
		time.Sleep(time.Minute)
		c.want(1, c.keyOf(0, 1)+"/", 0, gcnode.SourceLoaded)
		for i, g := range c.groups {
			if st := g.Stats(); st.LoadErrors != 0 || st.FetchErrors > 1 {
				t.Errorf("n%d: %+v", i, st)
			}
		}
		for _, hook := range []string{"Loaded", "Fetched", "Removed", "PeerDown", "PeerUp"} {
			if want := "hook=" + hook + " error=boom"; !strings.Contains(log.String(), want) || !strings.Contains(log.String(), "hooks_test.go") {
				t.Errorf("the log does not say %s", want)
			}
		}
	})
}
