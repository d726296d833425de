package gcnode

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/gcnode/gcnode/core/internal/clock"
	"github.com/gcnode/gcnode/core/internal/limit"
)

const (
	// DefaultNegativeTTL is the default of [GroupOptions.NegativeTTL].
	DefaultNegativeTTL = 5 * time.Second
	// DefaultLoadTimeout is the default of [GroupOptions.LoadTimeout].
	DefaultLoadTimeout = 30 * time.Second
	// DefaultClockResolution is the default of [Config.ClockResolution].
	DefaultClockResolution = clock.DefaultResolution

	maxClockResolution = time.Second
	// refreshPause is how long a value is not reloaded in the background after
	// that has failed, or was put off.
	refreshPause = time.Second
)

// loading are the options about loads and lives that groups and caches have
// in common. [GroupOptions] and [CacheOptions] say what they mean.
type loading struct {
	ttl                                              Lifetime
	jitter                                           float64
	negative                                         time.Duration
	refreshAhead, staleWhileRevalidate, staleOnError time.Duration
	loadTimeout                                      time.Duration
	maxLoads, maxQueued                              int
}

// check finds everything that makes no sense.
func (o loading) check() error {
	var errs []error
	refuse := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, d := range []struct {
		name string
		d    time.Duration
	}{
		{"RefreshAhead", o.refreshAhead},
		{"StaleWhileRevalidate", o.staleWhileRevalidate},
		{"StaleOnError", o.staleOnError},
		{"LoadTimeout", o.loadTimeout},
	} {
		if d.d < 0 || d.d > maxDuration {
			refuse("%s %v is not between 0 and %v", d.name, d.d, maxDuration)
		}
	}
	if o.negative > maxDuration {
		refuse("NegativeTTL %v is longer than %v", o.negative, maxDuration)
	}
	if ttl, ok := o.ttl.Duration(); ok && o.refreshAhead >= ttl {
		refuse("RefreshAhead %v is not shorter than the TTL %v", o.refreshAhead, ttl)
	}
	if !(o.jitter >= 0 && o.jitter < 1) {
		refuse("TTLJitter %v is not at least 0 and below 1", o.jitter)
	}
	if o.maxLoads < 0 {
		refuse("MaxLoads %d is negative", o.maxLoads)
	}
	if o.maxQueued < 0 {
		refuse("MaxQueuedLoads %d is negative", o.maxQueued)
	}
	if o.maxQueued > 0 && o.maxLoads == 0 {
		refuse("MaxQueuedLoads %d is of no use without MaxLoads", o.maxQueued)
	}
	return errors.Join(errs...)
}

// timeout is that of a load.
func (o loading) timeout() time.Duration {
	if o.loadTimeout == 0 {
		return DefaultLoadTimeout
	}
	return o.loadTimeout
}

// limit is that on concurrent loads; nil without one.
func (o loading) limit() *limit.Limit {
	if o.maxLoads == 0 {
		return nil
	}
	return limit.New(o.maxLoads, o.maxQueued)
}

// window is how many loads of one batch are under way at a time when its keys
// are loaded one by one.
func (o loading) window() int {
	if o.maxLoads == 0 {
		return maxBatchLoads
	}
	return min(o.maxLoads, maxBatchLoads)
}

// freshness is how long answers live.
func (o loading) freshness() freshness {
	f := freshness{
		random:     rand.Uint64,
		ttl:        o.ttl.or(Forever),
		negative:   For(DefaultNegativeTTL),
		jitter:     o.jitter,
		ahead:      o.refreshAhead,
		revalidate: o.staleWhileRevalidate,
		onError:    o.staleOnError,
	}
	if o.negative != 0 {
		f.negative = For(o.negative)
	}
	return f
}

// checkResolution refuses a clock that is too coarse.
func checkResolution(d time.Duration) error {
	if d > maxClockResolution {
		return fmt.Errorf("ClockResolution %v is longer than %v", d, maxClockResolution)
	}
	return nil
}
