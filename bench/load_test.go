package bench_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/gcnode/gcnode/bench/remote"
)

// load is callers that each get one value after the other.
type load struct {
	Callers, Bytes int
}

// keysEach is how many keys each caller has, of its own: callers who ask for
// the same key may share an answer. Of large values there is one.
func (l load) keysEach() int { return max(1, min(16, 1<<20/l.Bytes)) }

// keys are those of all callers.
func (l load) keys() remote.Keys {
	return remote.Keys{Count: l.Callers * l.keysEach(), Bytes: l.Bytes}
}

// crowd is the callers of a load. What they need is made before it is
// measured.
type crowd struct {
	wants [][]remote.Want // of each caller
	took  []times         // of each caller, in the last run
}

func newCrowd(l load) *crowd {
	c := &crowd{wants: make([][]remote.Want, l.Callers), took: make([]times, l.Callers)}
	for i := range c.wants {
		c.wants[i] = l.keys().Wants(i*l.keysEach(), l.keysEach())
	}
	return c
}

// outcome is what a run has come to.
type outcome struct {
	took    times // each request
	elapsed time.Duration
}

// run has the callers get values for a time. The first error ends it.
func (c *crowd) run(ctx context.Context, get func(context.Context, remote.Want) error, period time.Duration) (outcome, error) {
	group, ctx := errgroup.WithContext(ctx)
	begun := time.Now()
	for i, wants := range c.wants {
		group.Go(func() error {
			ctx, cancel := context.WithCancel(ctx) // requests do not share one
			defer cancel()
			took := c.took[i][:0]
			for last, n := time.Now(), 0; last.Sub(begun) < period; n++ {
				if err := get(ctx, wants[n%len(wants)]); err != nil {
					return err
				}
				now := time.Now()
				took = append(took, now.Sub(last))
				last = now
			}
			c.took[i] = took
			return nil
		})
	}
	err := group.Wait()
	elapsed := time.Since(begun)
	return outcome{slices.Concat(c.took...), elapsed}, err
}

// perSecond is how many requests were answered in a second.
func (o outcome) perSecond() float64 { return float64(len(o.took)) / o.elapsed.Seconds() }

// megabytesPerSecond is how much of values that was.
func (o outcome) megabytesPerSecond(l load) float64 { return o.perSecond() * float64(l.Bytes) / 1e6 }

// TestLoad wants each caller to have one request at a time, of keys of its own,
// and each request to be in the outcome.
func TestLoad(t *testing.T) {
	for _, l := range []load{{Callers: 1, Bytes: valueBytes}, {Callers: 8, Bytes: valueBytes}, {Callers: 3, Bytes: largeBytes}} {
		var mu sync.Mutex
		asked := map[string]int{}
		underWay, mostUnderWay := map[string]bool{}, 0
		get := func(_ context.Context, want remote.Want) error {
			mu.Lock()
			defer mu.Unlock()
			if underWay[want.Key] || want.Bytes != l.Bytes {
				return fmt.Errorf("%+v: asked twice at a time, or of another size", want)
			}
			asked[want.Key]++
			underWay[want.Key] = true
			mostUnderWay = max(mostUnderWay, len(underWay))
			mu.Unlock()
			runtime.Gosched()
			mu.Lock()
			delete(underWay, want.Key)
			return nil
		}
		const period = 20 * time.Millisecond
		o, err := newCrowd(l).run(t.Context(), get, period)
		require.NoError(t, err)
		sum := 0
		for _, n := range asked {
			sum += n
		}
		assert.Len(t, o.took, sum)
		assert.Len(t, asked, l.keys().Count)
		assert.LessOrEqual(t, mostUnderWay, l.Callers)
		assert.GreaterOrEqual(t, o.elapsed, period)
	}
}

func TestLoadEndsWithTheFirstError(t *testing.T) {
	failure := errors.New("no answer")
	var asked atomic.Int64
	get := func(ctx context.Context, _ remote.Want) error {
		if asked.Add(1) == 100 {
			return failure
		}
		return ctx.Err()
	}
	_, err := newCrowd(load{Callers: 4, Bytes: valueBytes}).run(t.Context(), get, time.Hour)
	require.ErrorIs(t, err, failure)
}
