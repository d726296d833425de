package gcnode_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
)

// wantLatency compares the figures with the durations that they are of, one
// of which is the longest.
func wantLatency(t *testing.T, what string, l gcnode.Latency, count uint64, sum, longest time.Duration) {
	t.Helper()
	if l.Count() != count || l.Sum() != sum {
		t.Errorf("%s: %d, %v in all; want %d, %v", what, l.Count(), l.Sum(), count, sum)
	}
	if q := l.Quantile(0.999); q < longest*19/20 || q > longest*21/20 {
		t.Errorf("%s: the slowest took %v; want about %v", what, q, longest)
	}
	var total uint64
	for upper, n := range l.Buckets() {
		total += n
		if upper > longest*11/10 {
			t.Errorf("%s: %d took up to %v; want at most %v", what, n, upper, longest)
		}
	}
	if total != count {
		t.Errorf("%s: %d in the buckets; want %d", what, total, count)
	}
}

func TestLoadsAreTimedHoweverTheyEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := local(t, gcnode.GetterFunc[gcnode.Value](func(ctx context.Context, key string) (gcnode.Item[gcnode.Value], error) {
			time.Sleep(time.Millisecond)
			switch key {
			case "missing":
				return gcnode.Item[gcnode.Value]{}, gcnode.ErrNotFound
			case "fails":
				return gcnode.Item[gcnode.Value]{}, errors.New("failed")
			case "panics":
				panic("a getter of a test")
			case "slow":
				time.Sleep(time.Second)
			case "late": // longer than its time
				time.Sleep(10 * time.Second)
			}
			return gcnode.Item[gcnode.Value]{}, nil
		}), gcnode.GroupOptions{MaxBytes: 1 << 20, LoadTimeout: 5 * time.Second})
		if l := g.Stats().LoadTime; l.Count() != 0 || l.Quantile(1) != 0 {
			t.Errorf("before the first load: %+v", l)
		}
		for range 2 { // found and missing are hits the second time
			for _, key := range []string{"found", "missing", "fails", "panics"} {
				_, _ = g.Get(t.Context(), key)
			}
		}
		wantLatency(t, "quick loads", g.Stats().LoadTime, 6, 6*time.Millisecond, time.Millisecond)
		_, _ = g.Get(t.Context(), "slow")
		wantLatency(t, "all loads", g.Stats().LoadTime, 7, time.Second+7*time.Millisecond, time.Second+time.Millisecond)
		if median := g.Stats().LoadTime.Quantile(0.5); median < 950*time.Microsecond || median > 1050*time.Microsecond {
			t.Errorf("median %v", median)
		}
		if _, err := g.Get(t.Context(), "late"); !errors.Is(err, gcnode.ErrTimeout) {
			t.Error(err)
		}
		if n := g.Stats().LoadTime.Count(); n != 7 {
			t.Errorf("%d loads have ended, one of them is running", n)
		}
		time.Sleep(time.Minute)
		wantLatency(t, "when the last has ended", g.Stats().LoadTime, 8, 11*time.Second+8*time.Millisecond, 10*time.Second)
	})
}

func TestFetchesAreTimedIfThePeerAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, defaultOptions)
		time.Sleep(2 * time.Minute)      // until nobody asks a previous owner any more
		c.origin.takes = 5 * time.Second // the peer gives signs of life
		c.net.SetFault("n1", "n0", transporttest.Fault{Delay: time.Second})
		fetchTime := func() gcnode.Latency { return c.nodes[1].Stats().Peers[0].FetchTime }
		key := c.keyOf(0)
		c.want(1, key, 0, gcnode.SourceLoaded)
		wantLatency(t, "a fetch that loads", fetchTime(), 1, 6*time.Second, 6*time.Second)
		c.want(1, key, 0, gcnode.SourceHot)
		time.Sleep(gcnode.DefaultHotTTL)
		c.want(1, key, 0, gcnode.SourceOwner)
		wantLatency(t, "two fetches", fetchTime(), 2, 7*time.Second, 6*time.Second)
		if l := c.nodes[0].Stats().Peers[0].FetchTime; l.Count() != 0 {
			t.Errorf("fetches of the other side: %+v", l)
		}
		time.Sleep(gcnode.DefaultHotTTL)
		c.origin.fail = gcnode.ErrDenied // an answer too
		if err := c.groups[0].Remove(t.Context(), key); err != nil {
			t.Error(err)
		}
		if _, err := c.groups[1].Get(t.Context(), key); !errors.Is(err, gcnode.ErrDenied) {
			t.Error(err)
		}
		wantLatency(t, "three fetches", fetchTime(), 3, 13*time.Second, 6*time.Second)
		c.net.Isolate("n0")
		if _, err := c.groups[1].Get(t.Context(), key); !errors.Is(err, gcnode.ErrDenied) { // loaded here
			t.Error(err)
		}
		wantLatency(t, "a fetch without answer", fetchTime(), 3, 13*time.Second, 6*time.Second)
	})
}
