package wasm

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	gcnode "github.com/gcnode/gcnode/core"
)

const (
	// memoryShare is the part of its memory, in percent, above which an
	// instance is discarded before it runs out in the middle of a call.
	memoryShare = 75
	// maxComplaintBytes bounds what the error about a refused configuration
	// repeats of the log.
	maxComplaintBytes = 1 << 10
)

// instance is one running copy of the module. One goroutine at a time holds
// it; the requests that are pending meanwhile have goroutines of their own,
// which use what is said to be theirs.
type instance struct {
	plugin  *Plugin
	ctx     *guestContext // of every call into the guest
	mod     api.Module
	memory  *linearMemory // of the module, also before it is instantiated
	get     api.Function
	resume  api.Function // nil: the module cannot wait for fetches
	cancel  api.Function // nil: it does not want to know
	getMany api.Function // nil: the module answers keys one by one
	extism  *extismGuest // nil: the module is not for Extism
	stack   [3]uint64    // parameters and result of these

	current  *request           // whose turn it is
	deadline deadline           // of the turn
	spare    *request           // used again by requests that end in their first turn
	requests map[int32]*request // pending ones, by number
	answers  map[int32][]byte   // of fetches, by the number of the call
	inFlight int                // fetches that the guest does not wait for

	mu        sync.Mutex
	abandoned []*request // pending ones that nobody waits for; under mu

	dead    chan struct{} // closed when it is discarded with requests pending
	cause   discardReason // why; set before dead is closed
	retired discardReason // why it takes no new requests; keep: it does

	message     []byte // of the batch that is asked for, input 0
	configuring bool   // input 0 is the configuration
	complaint   string // the end of what was logged as errors while configuring
	pace        pace
	watch       stopwatch
	depth       int           // of calls in the guest, if the engine interrupts it
	rationed    bool          // the fuel of the turn is bounded
	fuelLeft    int64         // of it
	away        time.Duration // that the guest did not compute, in the call that is running
	lastID      int32         // of requests and calls
	calls       int
	counted     int64  // bytes of memory that the figures have
	wornBytes   uint64 // of memory, above which it is discarded
	stdout      lineBuffer
	stderr      lineBuffer
}

// guestContext is how host functions find the instance that calls them. It
// carries no deadline: wazero would ask it before every call.
type guestContext struct {
	context.Context
	inst *instance
}

// instanceOf is the instance whose guest is calling.
func instanceOf(ctx context.Context) *instance {
	if c, ok := ctx.(*guestContext); ok {
		return c.inst
	}
	halt(&stop{discardTrap, gcnode.KindInternal, errors.New("a host function was called from outside of an instance")})
	return nil
}

// start runs a new instance up to the point where it can answer requests. The
// error is a *stop. Nothing is left behind after an error.
func (p *Plugin) start(d deadline) (*instance, error) {
	in := &instance{
		plugin: p,
		dead:   make(chan struct{}),
		watch:  newStopwatch(),
		stdout: lineBuffer{log: p.log, level: levelInfo, stream: "stdout"},
		stderr: lineBuffer{log: p.log, level: levelWarn, stream: "stderr"},
	}
	in.ctx = &guestContext{Context: context.Background(), inst: in}
	in.deadline = d
	in.pace.fixed = p.opts.FuelSlice
	begun := time.Now()
	if err := in.boot(); err != nil {
		in.close()
		return nil, err
	}
	p.stats.created.Add(1)
	if hook := p.opts.Hooks.Started; hook != nil {
		hook(time.Since(begun))
	}
	return in, nil
}

func (in *instance) boot() (err error) {
	defer func() {
		if r := recover(); r != nil { // the engine panics when it cannot allocate an instance
			err = &stop{discardFailed, gcnode.KindInternal, fmt.Errorf("the engine failed: %v", r)}
		}
	}()
	if err := in.deadline.check(); err != nil {
		return stopFor(err)
	}
	if err := in.instantiate(); err != nil {
		return err
	}
	if in.extism != nil {
		return in.bootExtism()
	}
	if err := in.call(exportInit); err != nil {
		return err
	}
	if err := in.configure(); err != nil {
		return err
	}
	in.get = in.mod.ExportedFunction(exportGet)
	in.resume = in.mod.ExportedFunction(exportResume)
	in.cancel = in.mod.ExportedFunction(exportCancel)
	in.getMany = in.mod.ExportedFunction(exportGetMany)
	in.wornBytes = wornBytes(in.mod.Memory(), uint64(in.plugin.opts.MaxMemoryBytes))
	return nil
}

// instantiate makes the module, which runs its start function.
func (in *instance) instantiate() error {
	turn, cancel := in.turnContext()
	defer cancel()
	ctx := experimental.WithMemoryAllocator(turn, experimental.MemoryAllocatorFunc(in.newMemory))
	if in.plugin.extism {
		kernel, err := in.addKernel()
		if err != nil {
			return err
		}
		ctx = experimental.WithImportResolver(ctx, kernel)
	}
	mod, err := in.plugin.runtime.InstantiateModule(&guestContext{Context: ctx, inst: in}, in.plugin.compiled,
		wazero.NewModuleConfig().WithName("").WithStartFunctions())
	in.away = 0 // of the start function, which is not measured
	if mod != nil {
		in.mod = mod
	}
	if err := in.unlessInterrupted(turn, err); err != nil {
		return in.stopOf(err)
	}
	return nil
}

// wornBytes is the size of memory above which an instance is discarded. A
// module that starts with more is discarded when it grows.
func wornBytes(mem api.Memory, limit uint64) uint64 {
	if pages, ok := mem.Definition().Max(); ok {
		limit = min(limit, uint64(pages)*pageBytes)
	}
	return max(limit*memoryShare/100, uint64(mem.Size()))
}

// call calls an optional export that takes and returns nothing.
func (in *instance) call(name string) error {
	f := in.mod.ExportedFunction(name)
	if f == nil {
		return nil
	}
	return in.run(f, nil)
}

// configure hands the configuration to the guest, if it wants to have it.
func (in *instance) configure() error {
	f := in.mod.ExportedFunction(exportConfigure)
	if f == nil {
		return nil
	}
	in.configuring = true
	defer func() { in.configuring, in.complaint = false, "" }()
	stack := []uint64{uint64(len(in.plugin.configInput))}
	if err := in.run(f, stack); err != nil {
		return err
	}
	if result := api.DecodeI32(stack[0]); result != 0 {
		err := fmt.Errorf("%s refused the configuration with the result %d", exportConfigure, result)
		if in.complaint != "" {
			err = fmt.Errorf("%w: %s", err, in.complaint)
		}
		return &stop{discardFailed, gcnode.KindPermanent, err}
	}
	return nil
}

// complain remembers what the guest logs as an error while it is configured.
// It keeps nothing of text.
func (in *instance) complain(text []byte) {
	line := oneLine(string(text[:min(len(text), maxLineBytes)]), maxLineBytes)
	if in.complaint != "" && line != "" {
		in.complaint += " | "
	}
	in.complaint += line
	cut := max(len(in.complaint)-maxComplaintBytes, 0)
	in.complaint = printable(in.complaint[cut:], maxComplaintBytes) // without half a character
}

// run calls into the guest.
func (in *instance) run(f api.Function, stack []uint64) error {
	in.deadline.look()
	return in.runNow(f, stack)
}

// runNow is run for who has just looked at the clock.
func (in *instance) runNow(f api.Function, stack []uint64) error {
	in.pace.interrupted()
	in.watch.long = in.plugin.interruption == InterruptByEngine // which has no ticks
	err := in.enter(f, stack)
	if weight := in.watch.weight(); weight > 0 {
		in.plugin.stats.guestTime.Add(weight * int64(time.Since(in.deadline.seen)-in.away))
	}
	in.away = 0
	in.stdout.flush()
	in.stderr.flush()
	if err == nil {
		return nil
	}
	s := in.stopOf(err)
	in.plugin.log.failure(s, err)
	return s
}

// open is a new request. A request that ended in its first turn is used again:
// see recycle.
func (in *instance) open(key string) *request {
	r := in.spare
	if r == nil {
		r = &request{}
	}
	in.spare = nil
	*r = request{id: in.nextID(), key: key, calls: r.calls[:0]}
	return r
}

// openMany are the new requests of a visit, with consecutive numbers.
func (in *instance) openMany(keys []string, v *visit) []*request {
	requests := make([]request, len(keys))
	batch := make([]*request, len(keys))
	for i, key := range keys {
		requests[i] = request{id: in.nextID(), key: key, visit: v}
		batch[i] = &requests[i]
		v.expect(batch[i])
	}
	return batch
}

// recycle takes a request back that nobody knows any more.
func (in *instance) recycle(r *request) { in.spare = r }

// lose tells the requests that are pending that the instance is discarded.
func (in *instance) lose(cause discardReason) {
	in.cause = cause
	close(in.dead)
}

// spentFor is why an instance is discarded that has no requests any more.
func (in *instance) spentFor() discardReason {
	if in.retired != keep {
		return in.retired
	}
	return discardClosed
}

// wear says whether an instance that behaved well has been used enough.
func (in *instance) wear() discardReason {
	in.plugin.breaker.worked()
	switch {
	case in.calls >= in.plugin.opts.CallsPerInstance, in.lastID > math.MaxInt32/2:
		return discardWorn
	case in.memoryBytes() > in.wornBytes:
		return discardMemory
	default:
		return keep
	}
}

// memoryBytes is what the instance takes outside of the host's own memory.
func (in *instance) memoryBytes() uint64 {
	bytes := uint64(in.mod.Memory().Size())
	if in.extism != nil {
		bytes += in.extism.memory.Size()
	}
	return bytes
}

// nextID is a number that no request and no call of this instance had.
func (in *instance) nextID() int32 {
	if in.lastID == math.MaxInt32 {
		haltContract("it used up all numbers of calls")
	}
	in.lastID++
	return in.lastID
}

// tick is called by the guest when its fuel is used up. Others run before it
// goes on: they would wait for the ten milliseconds that Go lets a goroutine
// run, and more where several guests compute.
func (in *instance) tick() int64 {
	in.watch.long = true
	slice := in.ration(in.pace.next(time.Now()))
	runtime.Gosched()
	now := time.Now()
	if err := in.deadline.checkAt(now); err != nil {
		haltFor(err)
	}
	in.pace.resumed(now)
	in.plugin.stats.fuel.Add(uint64(slice))
	return slice
}

// waited notes that the guest did not compute from begun on.
func (in *instance) waited(begun time.Time) {
	in.away += time.Since(begun)
	in.watch.long = true
	in.pace.interrupted()
}

// ration is a slice of fuel, or what is left for the request. It ends a guest that
// has used up what one may have.
func (in *instance) ration(slice int64) int64 {
	if !in.rationed {
		return slice
	}
	if in.fuelLeft <= 0 {
		halt(&stop{discardFuel, gcnode.KindPermanent, fmt.Errorf("the module used up the fuel of a request, %d", in.plugin.opts.MaxFuel)})
	}
	slice = min(slice, in.fuelLeft)
	in.fuelLeft -= slice
	return slice
}

// spend accounts for a host function that copied n bytes, and ends the guest
// when its time is up.
func (in *instance) spend(n int) {
	if !in.pace.due(n) {
		return
	}
	in.watch.long = true
	if err := in.deadline.check(); err != nil {
		haltFor(err)
	}
}

// countMemory tells the figures how large the instance is now.
func (in *instance) countMemory() {
	size := int64(in.memoryBytes())
	if size != in.counted {
		in.plugin.stats.memory.Add(size - in.counted)
		in.counted = size
	}
}

// close frees the instance. Nothing can be done about an error.
func (in *instance) close() {
	in.plugin.stats.memory.Add(-in.counted)
	if in.mod != nil {
		_ = in.mod.Close(in.ctx)
	}
	if in.extism != nil {
		_ = in.extism.memory.Close(in.ctx)
	}
}
