package gcnode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"

	"github.com/gcnode/gcnode/core/internal/flight"
	"github.com/gcnode/gcnode/core/internal/limit"
)

// late decides about an owned answer whose time may have come: whether it is
// served, and whether it is reloaded in the background for that.
func (g *Group) late(ctx context.Context, key string, a answer) (answer, bool) {
	now := g.node.clock.Now()
	switch p := g.freshness.phase(a.expires, now); {
	case p == phaseFresh && (a.notFound || now < g.freshness.due(a.expires-a.life, a.expires)):
		return a, true
	case p == phaseFresh:
	case p == phaseStale && !a.notFound:
		a.stale = true
	default:
		return answer{}, false
	}
	g.refresh(ctx, key, a, now)
	return a, true
}

// spare is a value beyond its life that may be served because it could not be
// reloaded.
func (g *Group) spare(key string) (answer, bool) {
	if g.freshness.onError == 0 {
		return answer{}, false
	}
	a, ok := g.ownedAnswer(key)
	if !ok || a.notFound || !g.freshness.usableOnError(a.expires, g.node.clock.Now()) {
		return answer{}, false
	}
	a.stale = true
	return a, true
}

// refresh reloads an owned value in the background, unless that is being done,
// has just failed, or would be one load too many.
func (g *Group) refresh(ctx context.Context, key string, old answer, now int64) {
	if g.pauses.paused(key, old.expires, now) || !g.node.begin() {
		return
	}
	plan := flight.Plan[answer]{Role: flight.Load, Key: key, Timeout: g.timeout}
	plan.Run = func(ctx context.Context, call *flight.Call[answer]) (a answer, err error) {
		defer g.node.end()
		defer g.limit.Release()
		pause := int64(refreshPause)
		defer func() { // also when the getter does not return
			if pause > 0 {
				now := g.node.now()
				g.pauses.pause(key, old.expires, now, now+pause)
			}
		}()
		if a, err = g.observedLoad(ctx, call, key); err == nil {
			pause = 0
			return a, nil
		}
		if told, ok := errors.AsType[*Error](err); ok {
			pause = min(max(pause, int64(told.RetryAfter)), int64(maxDuration))
		}
		g.node.log.LogAttrs(ctx, levelWarn, "background load failed",
			slog.String("group", g.name), slog.String("key", clip(key)), errAttr(err))
		return a, err
	}
	plan.Look = func() (answer, bool) {
		a, ok := g.ownedAnswer(key)
		if !ok || a.expires != old.expires { // removed, replaced, or another member's by now
			return answer{}, true
		}
		if !g.limit.TryAcquire() {
			g.counts.overloaded.Add(1)
			g.pauses.pause(key, old.expires, now, now+int64(refreshPause))
			return answer{}, true
		}
		return answer{}, false
	}
	if !g.flights.Start(ctx, plan) {
		g.node.end()
		return
	}
	g.counts.refreshes.Add(1)
}

// acquireFunc waits for the turn of a load of some keys.
type acquireFunc = func(ctx context.Context, keys int) error

// acquire is for a load of its own: there may be too many before it.
func (g *Group) acquire(ctx context.Context, keys int) error {
	err := g.limit.Acquire(ctx)
	if errors.Is(err, limit.ErrFull) {
		g.counts.overloaded.Add(uint64(keys))
		running, waiting := g.limit.Load()
		return &Error{Kind: KindOverloaded, Err: fmt.Errorf("%d loads are running and %d are waiting", running, waiting)}
	}
	return err
}

// acquireInBatch is for one of the loads of a batch, which is a queue of its own:
// no more of them wait at a time than may run, however many others wait. So a
// batch does not overload the group by itself.
func (g *Group) acquireInBatch(ctx context.Context, _ int) error { return g.limit.Wait(ctx) }

// maxPauses bounds how many keys are remembered whose reloading has failed.
const maxPauses = 1000

// pauses remembers which values are not to be reloaded in the background for a
// while: by their keys, and by the ends of their lives, so that a pause ends
// with the value that it is for. When they become too many some are forgotten,
// and tried again sooner.
type pauses struct {
	mu    sync.Mutex
	byKey map[string]pause
}

type pause struct{ expires, until int64 }

func (p *pauses) paused(key string, expires, now int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.byKey[key]
	return known.expires == expires && now < known.until
}

func (p *pauses) pause(key string, expires, now, until int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.byKey) >= maxPauses {
		maps.DeleteFunc(p.byKey, func(_ string, known pause) bool { return known.until <= now })
		for k := range p.byKey {
			if len(p.byKey) < maxPauses {
				break
			}
			delete(p.byKey, k)
		}
	}
	if p.byKey == nil {
		p.byKey = map[string]pause{}
	}
	p.byKey[key] = pause{expires, until}
}
