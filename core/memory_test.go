//go:build !race

// These tests fill memory in one goroutine: with the race detector, which has
// nothing to find there, they take ten times as long.

package gcnode_test

import (
	"errors"
	"math"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/internal/store"
)

// The shares of the smallest group are large enough for what a store needs, and
// those of the largest can be counted.
func TestTheSmallestAndTheLargestGroupWork(t *testing.T) {
	for _, limit := range []int64{gcnode.MinBytes, math.MaxInt64} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 2, gcnode.GroupOptions{MaxBytes: limit})
			for i := range 3000 { // all of 1000 keys once, and some of them often
				if _, err := c.groups[0].Get(t.Context(), strconv.Itoa(max(i%20, 1000-i))); err != nil {
					t.Fatal(err)
				}
			}
			st := c.groups[0].Stats()
			if st.Hot.MaxBytes < store.MinBytes || st.Hot.MaxBytes > limit/8 || st.Owned.MaxBytes > limit-limit/8 {
				t.Errorf("limit %d: shares of %d and %d bytes", limit, st.Owned.MaxBytes, st.Hot.MaxBytes)
			}
			if st.Hot.Bytes > st.Hot.MaxBytes || st.Owned.Bytes > st.Owned.MaxBytes || st.HotHits < 500 || st.Hits < 500 || (limit == gcnode.MinBytes) != (st.Hot.Evicted > 0) {
				t.Errorf("limit %d: %+v", limit, st)
			}
		})
	}
}

// The keys of removals are bounded in bytes too, and an id that comes with a
// second group takes up no memory.
func TestRemovalsFromOutsideTakeBoundedMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, defaultOptions)
		serve := func(seq int, group string, keys ...string) {
			req := &gcnode.Request{Op: gcnode.OpRemove, Removals: []gcnode.Removal{{
				ID: gcnode.RemovalID{Sender: "n9", Incarnation: 1, Seq: uint64(seq)}, Group: group, Keys: keys,
			}}}
			if err := c.nodes[0].ServePeer(t.Context(), req, writer(func(gcnode.Reply) error { return nil })); err != nil {
				t.Fatal(err)
			}
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		serve(0, "no such group", "k")
		for i := range 100_000 {
			serve(0, "another group", strconv.Itoa(i))
		}
		for i := range 4096 { // 256 MiB
			serve(i, "no such group", strconv.Itoa(i)+strings.Repeat("k", gcnode.MaxKeyBytes-8))
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<20 {
			t.Errorf("the heap has grown by %d MiB", grown>>20)
		}
		if err := c.groups[0].Remove(t.Context(), "k"); !errors.Is(err, gcnode.ErrOverloaded) {
			t.Errorf("got %v", err)
		}
		time.Sleep(time.Minute)
		c.mustRemove(0, "k")
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
			t.Errorf("the heap is still %d MiB larger", grown>>20)
		}
	})
}
