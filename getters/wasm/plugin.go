package wasm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"

	gcnode "github.com/gcnode/gcnode/core"
)

// Plugin is a loaded module: a gcnode.BatchGetter[gcnode.Value]. It is safe
// for concurrent use.
type Plugin struct {
	opts        Options
	environ     []string  // "name=value", ordered
	configInput []byte    // what gcnode_configure reads
	epoch       time.Time // of the monotonic clock; in the past, because Go guests stop at a clock that says 0

	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	kernel   wazero.CompiledModule   // nil: the module is not for Extism
	cache    wazero.CompilationCache // nil: none
	pool     *pool[*instance]
	fetcher  *fetcher
	store    *store
	log      *guestLog
	stats    *counters
	breaker  breaker

	compileTime time.Duration // and to check and to instrument it

	interruption Interruption // of the module, whatever was asked for

	extism  bool           // the module was written for Extism
	batches bool           // the module exports gcnode_get_many
	fetches sync.WaitGroup // exchanges that no guest waits for

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
//   - [gcnode.KindOverloaded] when too many callers wait already, and while
//     [Options.BreakAfter] keeps requests from the module;
//   - [gcnode.KindPermanent] when the module trapped, exited or broke the ABI;
//   - [gcnode.KindTransient] when an instance could not be started, and when
//     ctx was canceled, in which case the chain holds [context.Canceled];
//   - [gcnode.KindDraining] after Close.
func (p *Plugin) GetItem(ctx context.Context, key string) (gcnode.Item[gcnode.Value], error) {
	item, err := p.getItem(ctx, key)
	p.stats.calls[outcomeOf(err)].Add(1)
	return item, err
}

// getItem asks once more if the instance was lost that worked on the key, for
// what it did for another one.
func (p *Plugin) getItem(ctx context.Context, key string) (item gcnode.Item[gcnode.Value], err error) {
	if err := checkKey(key); err != nil {
		return item, err
	}
	d := p.newDeadline(ctx)
	item, err = p.getOnce(d, key)
	lost, ok := errors.AsType[lostError](err)
	if !ok || discardReason(lost) == discardClosed {
		return item, err
	}
	if d.look(); d.checkAt(d.seen) == nil {
		item, err = p.getOnce(d, key)
	}
	return item, err
}

func (p *Plugin) getOnce(d deadline, key string) (item gcnode.Item[gcnode.Value], err error) {
	s, err := p.checkOut(&d)
	if err != nil {
		return item, p.failed(key, startFailed(err))
	}
	item, pending, err := p.begin(s, d, key)
	if pending == nil {
		return item, err
	}
	p.await(s, pending.visit, d, func(r *request, failure error) { item, err = r.item, failure })
	return item, err
}

func checkKey(key string) error {
	if len(key) <= gcnode.MaxKeyBytes {
		return nil
	}
	return &gcnode.Error{
		Kind: gcnode.KindTooLarge, Op: gcnode.OpGet, Key: key,
		Err: fmt.Errorf("the key has %d bytes; at most %d are allowed", len(key), gcnode.MaxKeyBytes),
	}
}

// startFailed is the error of a request that got no instance. It is not
// permanent: an instance could be started when the module was loaded.
func startFailed(err error) *stop {
	s := stopOf(err)
	if s.kind == gcnode.KindPermanent {
		return &stop{s.reason, gcnode.KindTransient, fmt.Errorf("start an instance: %w", s.err)}
	}
	return s
}

// begin lets the guest begin to answer a key, and gives the instance back. A
// request that is not nil is pending.
func (p *Plugin) begin(s *slot[*instance], d deadline, key string) (item gcnode.Item[gcnode.Value], pending *request, err error) {
	verdict := discardTrap // if the guest does not return
	ended := 1
	defer func() { p.checkIn(s, verdict, ended) }()
	if err := d.checkAt(d.seen); err != nil {
		verdict = keep
		return item, nil, p.failed(key, stopFor(err))
	}
	in := s.item
	r := in.open(key)
	var stopped *stop
	verdict, stopped = in.answer(r, d)
	switch {
	case stopped != nil:
		if r.visit != nil {
			r.visit.cancel()
		}
		if r.refused() && stopped.reason == discardContract {
			return item, nil, r.err // respond promised this, whatever is returned
		}
		return item, nil, p.failed(key, stopped)
	case !r.answered:
		r.visit.expect(r)
		ended = 0
		return item, r, nil
	}
	if r.visit != nil {
		r.visit.cancel()
	}
	item, err = r.item, r.failure()
	in.recycle(r)
	return item, nil, err
}

// failed is the error for a key.
func (p *Plugin) failed(key string, s *stop) *gcnode.Error {
	e := &gcnode.Error{
		Kind: s.kind, Op: gcnode.OpGet, Key: key,
		Err: fmt.Errorf("plugin %q: %w", p.opts.Name, s.err),
	}
	if broken, ok := errors.AsType[brokenError](s.err); ok {
		e.RetryAfter = time.Duration(broken)
	}
	return e
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

// checkOut takes an instance out of the pool for a new request, or starts one.
// The error is a *stop. The deadline was made just now, and is looked at again if
// that takes its time.
func (p *Plugin) checkOut(d *deadline) (*slot[*instance], error) {
	if p.breaker.after > 0 {
		if err := p.breaker.pass(d.seen); err != nil {
			return nil, &stop{keep, gcnode.KindOverloaded, err}
		}
	}
	waited := false
	s, err := p.pool.acquire(d.caller, d.at, func() {
		p.stats.waited.Add(1)
		waited = true
	})
	if waited {
		begun := d.seen
		d.look()
		p.stats.queueTime.Add(int64(d.seen.Sub(begun)))
	}
	switch {
	case errors.Is(err, errQueueFull):
		p.stats.rejected.Add(1)
		return nil, &stop{keep, gcnode.KindOverloaded, err}
	case errors.Is(err, errQueueTime):
		return nil, &stop{keep, gcnode.KindTimeout, err}
	case err != nil: // the caller is gone or the plugin closed
		return nil, stopFor(err)
	case s.filled:
		return s, nil
	}
	defer func() {
		if !s.filled {
			p.discarded(discardFailed)
			p.pool.discard(s)
			p.pool.drop()
		}
	}()
	if s.item, err = p.start(*d); err != nil {
		return nil, err
	}
	d.look()
	s.filled = true
	return s, nil
}

// checkIn gives an instance back, or discards it. ended is how many of its
// requests are over.
func (p *Plugin) checkIn(s *slot[*instance], verdict discardReason, ended int) {
	in := s.item
	in.countMemory()
	retire := verdict == discardWorn || verdict == discardMemory
	if verdict != keep && !retire {
		in.lose(verdict)
		p.pool.discard(s)
		p.dispose(in, verdict)
		return
	}
	if retire {
		in.retired = verdict
	}
	if p.pool.release(s, ended, retire) {
		p.dispose(in, in.spentFor())
	}
}

// dispose frees an instance that left the pool, and its place there.
func (p *Plugin) dispose(in *instance, reason discardReason) {
	in.close()
	p.discarded(reason)
	p.pool.drop()
}

// discarded tells that an instance is thrown away.
func (p *Plugin) discarded(reason discardReason) {
	p.stats.discarded[reason].Add(1)
	p.breaker.discarded(reason, time.Now())
	if hook := p.opts.Hooks.Discarded; hook != nil {
		hook(reason.String())
	}
}

// Stats is a snapshot of the plugin's figures.
func (p *Plugin) Stats() Stats {
	places, idle, waiting := p.pool.figures()
	times := p.stats.timeStats()
	times.Compile = p.compileTime
	return Stats{
		Times: times,
		Calls: p.stats.callStats(),
		Fetches: FetchStats{
			Started: p.stats.fetches.Load(),
			Denied:  p.stats.fetchesDenied.Load(),
			Failed:  p.stats.fetchesFailed.Load(),
		},
		Instances: InstanceStats{
			Live: places, Idle: idle, Pending: int(p.stats.pending.Load()),
			MemoryBytes: p.stats.memory.Load(),
			Created:     p.stats.created.Load(),
			Discarded:   p.stats.discardStats(),
		},
		Queue: QueueStats{
			Waiting:  waiting,
			Waited:   p.stats.waited.Load(),
			Rejected: p.stats.rejected.Load(),
		},
		Interruption:    p.interruption,
		Fuel:            p.stats.fuel.Load(),
		LogLinesDropped: p.stats.linesDropped.Load(),
	}
}

// Close refuses new calls and those that wait for an instance, waits for the
// running ones, and frees everything. When ctx ends first it stops the running
// ones and returns the error of ctx. It may be called more than once; every
// call returns after the plugin is freed.
func (p *Plugin) Close(ctx context.Context) error {
	for _, s := range p.pool.close() {
		p.dispose(s.item, discardClosed)
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
