package wasm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tetratelabs/wazero"

	gcnode "github.com/gcnode/gcnode/core"
)

// Plugin is a loaded module: a gcnode.Getter[gcnode.Value]. It is safe for
// concurrent use.
type Plugin struct {
	opts        Options
	environ     []string // "name=value", ordered
	configInput []byte   // what gcnode_configure reads
	epoch       time.Time

	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	cache    wazero.CompilationCache // nil: none
	pool     *pool[*instance]
	fetcher  *fetcher
	log      *guestLog
	stats    *counters

	life context.Context // ends when every guest has to stop at once
	kill context.CancelFunc
	free func() // frees everything but instances, once
}

// GetItem asks the module for the value of a key. Every error is a
// [*gcnode.Error]:
//
//   - the module's own not found, transient, permanent, denied and overloaded,
//     with its message; the Keep of the item beside a not found is how long
//     the module wants that to be remembered;
//   - [gcnode.KindTooLarge] for a key over [gcnode.MaxKeyBytes] or a value
//     over [Options.MaxValueBytes];
//   - [gcnode.KindTimeout] when the deadline passed, wherever it was spent;
//   - [gcnode.KindOverloaded] when too many callers wait already;
//   - [gcnode.KindPermanent] when the module trapped, exited or broke the ABI;
//   - [gcnode.KindTransient] when an instance could not be started, and when
//     ctx was canceled, in which case the chain holds [context.Canceled];
//   - [gcnode.KindDraining] after Close.
func (p *Plugin) GetItem(ctx context.Context, key string) (gcnode.Item[gcnode.Value], error) {
	item, err := p.getItem(ctx, key)
	p.stats.calls[outcomeOf(err)].Add(1)
	return item, err
}

func (p *Plugin) getItem(ctx context.Context, key string) (item gcnode.Item[gcnode.Value], err error) {
	if len(key) > gcnode.MaxKeyBytes {
		return item, &gcnode.Error{
			Kind: gcnode.KindTooLarge, Op: gcnode.OpGet, Key: key,
			Err: fmt.Errorf("the key has %d bytes; at most %d are allowed", len(key), gcnode.MaxKeyBytes),
		}
	}
	d := newDeadline(ctx, p.life, p.opts.Timeout)
	in, err := p.checkOut(&d)
	if err != nil {
		s := stopOf(err)
		if s.kind == gcnode.KindPermanent {
			// An instance could be started when the module was loaded.
			s = &stop{s.reason, gcnode.KindTransient, fmt.Errorf("start an instance: %w", s.err)}
		}
		return item, p.failed(key, s)
	}
	verdict := discardTrap // if answer does not return
	defer func() { p.checkIn(in, verdict) }()
	item, verdict, err = in.answer(d, key)
	return item, err
}

// failed is the error for a key.
func (p *Plugin) failed(key string, s *stop) *gcnode.Error {
	return &gcnode.Error{
		Kind: s.kind, Op: gcnode.OpGet, Key: key,
		Err: fmt.Errorf("plugin %q: %w", p.opts.Name, s.err),
	}
}

func outcomeOf(err error) int {
	switch {
	case err == nil:
		return outcomeOK
	case errors.Is(err, context.Canceled):
		return outcomeCanceled
	default:
		return int(gcnode.KindOf(err))
	}
}

// checkOut takes an instance out of the pool, or starts one. The error is a
// *stop.
func (p *Plugin) checkOut(d *deadline) (*instance, error) {
	in, filled, err := p.pool.acquire(d.caller, d.at, func() { p.stats.waited.Add(1) })
	switch {
	case errors.Is(err, errQueueFull):
		p.stats.rejected.Add(1)
		return nil, &stop{keep, gcnode.KindOverloaded, err}
	case errors.Is(err, errQueueTime):
		return nil, &stop{keep, gcnode.KindTimeout, err}
	case err != nil: // the caller is gone or the plugin closed
		return nil, stopFor(err)
	case filled:
		return in, nil
	}
	started := false
	defer func() {
		if !started {
			p.stats.discarded[discardFailed].Add(1)
			p.pool.drop()
		}
	}()
	if in, err = p.start(*d); err != nil {
		return nil, err
	}
	started = true
	return in, nil
}

// checkIn gives an instance back, or discards it.
func (p *Plugin) checkIn(in *instance, verdict discardReason) {
	if verdict == keep && p.pool.release(in) {
		return
	}
	if verdict == keep {
		verdict = discardClosed
	}
	p.discard(in, verdict)
}

// discard frees an instance and its place in the pool.
func (p *Plugin) discard(in *instance, reason discardReason) {
	in.close()
	p.stats.discarded[reason].Add(1)
	p.pool.drop()
}

// Stats is a snapshot of the plugin's figures.
func (p *Plugin) Stats() Stats {
	places, idle, waiting := p.pool.figures()
	return Stats{
		Calls: p.stats.callStats(),
		Fetches: FetchStats{
			Started: p.stats.fetches.Load(),
			Denied:  p.stats.fetchesDenied.Load(),
			Failed:  p.stats.fetchesFailed.Load(),
		},
		Instances: InstanceStats{
			Live: places, Idle: idle,
			Created:   p.stats.created.Load(),
			Discarded: p.stats.discardStats(),
		},
		Queue: QueueStats{
			Waiting:  waiting,
			Waited:   p.stats.waited.Load(),
			Rejected: p.stats.rejected.Load(),
		},
		LogLinesDropped: p.stats.linesDropped.Load(),
	}
}

// Close refuses new calls and those that wait for an instance, waits for the
// running ones, and frees everything. When ctx ends first it stops the running
// ones and returns the error of ctx. It may be called more than once; every
// call returns after the plugin is freed.
func (p *Plugin) Close(ctx context.Context) error {
	p.pool.close()
	for _, in := range p.pool.drain() {
		p.discard(in, discardClosed)
	}
	var err error
	select {
	case <-p.pool.empty:
	case <-ctx.Done():
		if places, _, _ := p.pool.figures(); places == 0 {
			break
		}
		err = fmt.Errorf("close plugin %q: stopped running calls: %w", p.opts.Name, ctx.Err())
		p.kill()
		<-p.pool.empty
	}
	p.free()
	return err
}
