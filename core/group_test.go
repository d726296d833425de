package gcnode_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// exact has a node read the clock each time.
const exact = -1

// local is a group on a node of its own.
func local(t *testing.T, o gcnode.Getter[gcnode.Value], opts gcnode.GroupOptions) *gcnode.Group {
	t.Helper()
	node, err := gcnode.NewNode(gcnode.Config{ClockResolution: exact})
	if err != nil {
		t.Fatal(err)
	}
	g, err := node.Group(groupName, o, opts)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestAValueLivesAsLongAsTheGetterSays(t *testing.T) {
	for _, test := range []struct {
		keep  gcnode.Lifetime
		ttl   gcnode.Lifetime
		after time.Duration // is it gone; 0: never
	}{
		{gcnode.For(time.Second), 0, time.Second},
		{gcnode.For(time.Nanosecond), gcnode.Forever, 1},
		{0, gcnode.For(time.Minute), time.Minute},
		{0, 0, 0},
		{gcnode.Forever, gcnode.For(time.Minute), 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			o := newOrigin()
			o.keep = test.keep
			g := local(t, o, gcnode.GroupOptions{MaxBytes: 1 << 20, TTL: test.ttl})
			lookup := func() gcnode.Answer[gcnode.Value] {
				a, err := g.Lookup(t.Context(), "k")
				if err != nil {
					t.Error(err)
				}
				return a
			}
			lookup()
			if test.after == 0 {
				time.Sleep(1e6 * time.Hour)
				if a := lookup(); a.Source != gcnode.SourceHit || a.Keep != gcnode.Forever {
					t.Errorf("keep %v, ttl %v: %+v", test.keep, test.ttl, a)
				}
				return
			}
			time.Sleep(test.after - 1)
			if a := lookup(); a.Source != gcnode.SourceHit || a.Keep != gcnode.For(1) {
				t.Errorf("keep %v, ttl %v, a nanosecond before its end: %+v", test.keep, test.ttl, a)
			}
			time.Sleep(time.Nanosecond)
			if a := lookup(); a.Source != gcnode.SourceLoaded {
				t.Errorf("keep %v, ttl %v, at its end: %+v", test.keep, test.ttl, a)
			}
		})
	}
}

func TestNoStoreServesThoseWhoWaitAndKeepsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrigin()
		o.keep, o.takes = gcnode.NoStore, time.Second
		g := local(t, o, defaultOptions)
		for range 2 {
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() {
					it, err := g.GetItem(t.Context(), "k")
					if err != nil || it.Value.String() != "0" || it.Keep != gcnode.NoStore {
						t.Errorf("%+v, %v", it, err)
					}
				})
			}
			wg.Wait()
		}
		if o.loaded("k") != 2 {
			t.Errorf("%d loads", o.loaded("k"))
		}
	})
}

func TestNegativeEntriesCanBeTurnedOff(t *testing.T) {
	o := newOrigin()
	o.fail = gcnode.ErrNotFound
	g := local(t, o, gcnode.GroupOptions{MaxBytes: 1 << 20, NegativeTTL: -1})
	for range 3 {
		if _, err := g.Get(t.Context(), "k"); !errors.Is(err, gcnode.ErrNotFound) {
			t.Error(err)
		}
	}
	if o.loaded("k") != 3 {
		t.Errorf("%d loads", o.loaded("k"))
	}
}

func TestTheGetterCanSetTheLifeOfANegativeEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrigin()
		o.fail, o.keep = fmt.Errorf("gone for good: %w", gcnode.ErrNotFound), gcnode.For(time.Hour)
		g := local(t, o, defaultOptions)
		for range 3 {
			_, err := g.Get(t.Context(), "k")
			if !errors.Is(err, gcnode.ErrNotFound) || !strings.Contains(err.Error(), "gone for good") {
				t.Error(err)
			}
			time.Sleep(time.Hour/2 - 1)
		}
		if o.loaded("k") != 1 {
			t.Errorf("%d loads", o.loaded("k"))
		}
	})
}

func TestWhoWaitsForALoadIsToldWhyThereIsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errNoRow := errors.New("there is no row")
		for _, why := range []error{
			fmt.Errorf("%w: %w", gcnode.ErrNotFound, errNoRow),
			&gcnode.Error{Kind: gcnode.KindNotFound, Err: errNoRow},
		} {
			o := newOrigin()
			o.fail, o.takes = why, time.Second
			g := local(t, o, defaultOptions)
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() {
					_, err := g.Get(t.Context(), "k")
					if !errors.Is(err, errNoRow) || !errors.Is(err, gcnode.ErrNotFound) || strings.Count(err.Error(), "in group") != 1 {
						t.Errorf("%v", err)
					}
					if e, ok := errors.AsType[*gcnode.Error](err); !ok || e.Group != groupName || e.Key != "k" || strings.Contains(e.Err.Error(), "get") {
						t.Errorf("the cause of %v is %v", err, e.Err)
					}
				})
			}
			wg.Wait()
			_, err := g.Get(t.Context(), "k")
			if o.loaded("k") != 1 || errors.Is(err, errNoRow) || !errors.Is(err, gcnode.ErrNotFound) || !strings.Contains(err.Error(), errNoRow.Error()) {
				t.Errorf("what is remembered, after %d loads: %v", o.loaded("k"), err)
			}
		}
	})
}

func TestGetEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrigin()
		o.takes = time.Second
		g := local(t, o, defaultOptions)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		begun := time.Now()
		_, err := g.Get(ctx, "k")
		if !errors.Is(err, gcnode.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != 50*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := g.Get(cancelled, "other"); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestAValueThatCannotFitIsServedAndEvictsNothing(t *testing.T) {
	big := strings.Repeat("x", 2<<20)
	g := local(t, gcnode.GetterFunc[gcnode.Value](func(_ context.Context, key string) (gcnode.Item[gcnode.Value], error) {
		if key == "big" {
			return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(big)}, nil
		}
		return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue("small")}, nil
	}), defaultOptions)
	for i := range 100 {
		if _, err := g.Get(t.Context(), strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
	}
	if v, err := g.Get(t.Context(), "big"); err != nil || v.String() != big {
		t.Errorf("%d bytes, %v", v.Len(), err)
	}
	if st := g.Stats().Owned; st.Entries != 100 || st.Evicted != 0 || st.Rejected != 1 {
		t.Errorf("%+v", st)
	}
}

func TestAValueOverTheLimitIsAnError(t *testing.T) {
	g := local(t, gcnode.GetterFunc[gcnode.Value](func(context.Context, string) (gcnode.Item[gcnode.Value], error) {
		return gcnode.Item[gcnode.Value]{Value: gcnode.BytesValue(make([]byte, gcnode.MaxValueBytes+1))}, nil
	}), defaultOptions)
	if _, err := g.Get(t.Context(), "k"); !errors.Is(err, gcnode.ErrTooLarge) {
		t.Error(err)
	}
}

func TestAnErrorOfTheGetterIsNamedAfterItsGroup(t *testing.T) {
	told := &gcnode.Error{Kind: gcnode.KindDenied, Op: gcnode.OpGet, Err: errors.New("not you")}
	g := local(t, gcnode.GetterFunc[gcnode.Value](func(context.Context, string) (gcnode.Item[gcnode.Value], error) {
		return gcnode.Item[gcnode.Value]{}, told
	}), defaultOptions)
	if _, err := g.Get(t.Context(), "k"); err == nil || err.Error() != `get "k" in group "`+groupName+`": denied: not you` {
		t.Errorf("the error is %v", err)
	}
	if told.Group != "" {
		t.Error("the getter's own error was changed")
	}
}

func TestKeysOverTheLimitAreRefusedBeforeAnythingHappens(t *testing.T) {
	o := newOrigin()
	g := local(t, o, defaultOptions)
	longest := strings.Repeat("k", gcnode.MaxKeyBytes)
	if _, err := g.Get(t.Context(), longest); err != nil {
		t.Error(err)
	}
	_, err := g.Get(t.Context(), longest+"k")
	if !errors.Is(err, gcnode.ErrTooLarge) || o.loaded(longest+"k") != 0 {
		t.Error(err)
	}
	if len(err.Error()) > 500 {
		t.Errorf("the message has %d bytes", len(err.Error()))
	}
}

func TestConfigErrorsAreReportedAllAtOnce(t *testing.T) {
	_, err := gcnode.NewNode(gcnode.Config{Self: gcnode.Peer{ID: strings.Repeat("x", 300)}, PeerTimeout: -1, HotTTL: -1})
	for _, part := range []string{"peer ID", "peer timeout", "hot TTL"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not mentioned: %v", part, err)
		}
	}
	node, err := gcnode.NewNode(gcnode.Config{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = gcnode.NewNode(gcnode.Config{PeerTimeout: time.Millisecond, HotTTL: math.MaxInt64})
	for _, part := range []string{"peer timeout 1ms is not between 40ms", "hot TTL"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not mentioned: %v", part, err)
		}
	}
	if _, err = node.Group("g", newOrigin(), gcnode.GroupOptions{MaxBytes: 1 << 20, LoadTimeout: math.MaxInt64}); err == nil {
		t.Error("a load may take longer than can be counted")
	}
	_, err = node.Group("", nil, gcnode.GroupOptions{MaxBytes: 7, LoadTimeout: -1})
	for _, part := range []string{"name", "getter", "MaxBytes 7", "LoadTimeout"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not mentioned: %v", part, err)
		}
	}
	if _, err := node.Group("twice", newOrigin(), defaultOptions); err != nil {
		t.Error(err)
	}
	if _, err := node.Group("twice", newOrigin(), defaultOptions); err == nil {
		t.Error("two groups of one name")
	}
	for name, peers := range map[string][]gcnode.Peer{
		"no ID":        {{ID: gcnode.DefaultID}, {}},
		"twice":        {{ID: gcnode.DefaultID}, {ID: gcnode.DefaultID}},
		"no transport": {{ID: gcnode.DefaultID}, {ID: "other"}},
		"too many":     make([]gcnode.Peer, gcnode.MaxPeers+1),
	} {
		if err := node.SetPeers(peers); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if peers := node.Peers(); len(peers) != 1 || peers[0] != node.Self() {
		t.Errorf("refused lists were taken: %v", peers)
	}
}

func TestAnyNumberOfNodesInOneProcess(t *testing.T) {
	for range 20 {
		g := local(t, newOrigin(), defaultOptions)
		if _, err := g.Get(t.Context(), "k"); err != nil {
			t.Error(err)
		}
	}
}

func TestAnEmptyListMeansThatTheNodeServesItself(t *testing.T) {
	node, err := gcnode.NewNode(gcnode.Config{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := node.Group(groupName, newOrigin(), defaultOptions)
	if err != nil {
		t.Fatal(err)
	}
	if err := node.SetPeers(nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range []gcnode.Source{gcnode.SourceLoaded, gcnode.SourceHit} {
		if a, err := g.Lookup(t.Context(), "k"); err != nil || a.Source != want || a.Owner != "" || g.Owner("k") != (gcnode.Peer{}) {
			t.Errorf("%+v, %v", a, err)
		}
	}
}

func TestAHitAllocatesNothing(t *testing.T) {
	g := local(t, newOrigin(), gcnode.GroupOptions{MaxBytes: 1 << 20, TTL: gcnode.For(time.Hour)})
	ctx := t.Context()
	hit := func() {
		if _, err := g.Get(ctx, "k"); err != nil {
			t.Error(err)
		}
	}
	hit()
	if n := testing.AllocsPerRun(1000, hit); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// What a closed node has in memory may have been removed since.
func TestAClosedNodeServesNothing(t *testing.T) {
	for name, opts := range map[string]gcnode.GroupOptions{
		"plain":     defaultOptions,
		"attentive": {MaxBytes: 1 << 20, RefreshAhead: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 1, opts)
				ctx := t.Context()
				for _, keep := range []gcnode.Lifetime{gcnode.Forever, gcnode.For(time.Hour)} {
					c.origin.keep = keep
					key := keep.String()
					c.want(0, key, 0, gcnode.SourceLoaded)
					c.want(0, key, 0, gcnode.SourceHit)
				}
				if err := c.nodes[0].Close(ctx); err != nil {
					t.Fatal(err)
				}
				g := c.groups[0]
				before := g.Stats()
				for _, key := range []string{gcnode.Forever.String(), gcnode.For(time.Hour).String(), "missing"} {
					v, err := g.Get(ctx, key)
					_, itemErr := g.GetItem(ctx, key)
					_, lookupErr := g.Lookup(ctx, key)
					for _, err := range []error{err, itemErr, lookupErr} {
						if !errors.Is(err, gcnode.ErrDraining) {
							t.Errorf("key %q: %q, %v", key, v, err)
						}
					}
				}
				if st := g.Stats(); st.Hits != before.Hits || st.Loads != before.Loads {
					t.Errorf("hits %d, loads %d after Close; %d and %d before", st.Hits, st.Loads, before.Hits, before.Loads)
				}
			})
		})
	}
}

func TestStatsMayBeReadAtAnyTime(t *testing.T) {
	node, err := gcnode.NewNode(gcnode.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 20 {
				g, err := node.Group(fmt.Sprint(w, "-", i), newOrigin(), defaultOptions)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := g.Get(t.Context(), "k"); err != nil {
					t.Error(err)
				}
				runtime.Gosched()
				node.Stats()
			}
		})
	}
	wg.Wait()
	st := node.Stats()
	if len(st.Groups) != 80 || st.Self != gcnode.DefaultID {
		t.Errorf("%d groups at %q", len(st.Groups), st.Self)
	}
	for _, g := range st.Groups {
		if g.Gets != 1 || g.Loads != 1 || g.Owned.Entries != 1 {
			t.Errorf("%+v", g)
		}
	}
}
