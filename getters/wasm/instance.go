package wasm

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	gcnode "github.com/gcnode/gcnode/core"
)

const (
	// callsPerInstance is how many calls an instance answers before it makes
	// room for a fresh one, because few guests get every free() right.
	callsPerInstance = 100_000
	// memoryShare is the part of its memory, in percent, above which an
	// instance is discarded before it runs out in the middle of a call.
	memoryShare = 75
	// maxComplaintBytes bounds what the error about a refused configuration
	// repeats of the log.
	maxComplaintBytes = 1 << 10
)

// instance is one running copy of the module. It is used by one goroutine at
// a time.
type instance struct {
	plugin *Plugin
	ctx    *guestContext // of every call into the guest
	mod    api.Module
	get    api.Function
	stack  [2]uint64 // parameters and result of get

	req         request
	configuring bool   // input 0 may be read
	complaint   string // the end of what was logged as errors while configuring
	pace        pace
	lastID      int32 // of requests and calls
	calls       int
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
		stdout: lineBuffer{log: p.log, level: levelInfo, stream: "stdout"},
		stderr: lineBuffer{log: p.log, level: levelWarn, stream: "stderr"},
	}
	in.ctx = &guestContext{Context: context.Background(), inst: in}
	in.req.deadline = d
	if err := in.boot(); err != nil {
		in.close()
		return nil, err
	}
	p.stats.created.Add(1)
	return in, nil
}

func (in *instance) boot() (err error) {
	defer func() {
		if r := recover(); r != nil { // the engine panics when it cannot allocate an instance
			err = &stop{discardFailed, gcnode.KindInternal, fmt.Errorf("the engine failed: %v", r)}
		}
	}()
	if err := in.req.deadline.check(); err != nil {
		return stopFor(err)
	}
	mod, err := in.plugin.runtime.InstantiateModule(in.ctx, in.plugin.compiled,
		wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		return stopOf(err)
	}
	in.mod = mod
	if err := in.call(exportInit); err != nil {
		return err
	}
	if err := in.configure(); err != nil {
		return err
	}
	in.get = mod.ExportedFunction(exportGet)
	in.wornBytes = wornBytes(mod.Memory(), uint64(in.plugin.opts.MaxMemoryBytes))
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
	in.pace.interrupted()
	err := f.CallWithStack(in.ctx, stack)
	in.stdout.flush()
	in.stderr.flush()
	if err == nil {
		return nil
	}
	s := stopOf(err)
	in.plugin.log.failure(s, err)
	return s
}

// answer answers one key. The verdict says whether the instance can be used
// again.
func (in *instance) answer(d deadline, key string) (item gcnode.Item[gcnode.Value], verdict discardReason, err error) {
	if err := d.check(); err != nil {
		return item, keep, in.plugin.failed(key, stopFor(err))
	}
	in.calls++
	in.req = request{id: in.nextID(), key: key, deadline: d, budget: in.plugin.fetcher.limits, answers: in.req.answers}
	defer in.endRequest()
	in.stack = [2]uint64{api.EncodeI32(in.req.id), uint64(len(key))}
	if err := in.run(in.get, in.stack[:]); err != nil {
		s := stopOf(err)
		return item, s.reason, in.plugin.failed(key, s)
	}
	if s := in.checkResult(api.DecodeI32(in.stack[0])); s != nil {
		if in.req.err != nil && in.req.err.Kind == gcnode.KindTooLarge {
			return item, s.reason, in.req.err // respond promised this, whatever is returned
		}
		return item, s.reason, in.plugin.failed(key, s)
	}
	if in.req.err != nil {
		return in.req.item, in.wear(), in.req.err
	}
	return in.req.item, in.wear(), nil
}

// checkResult compares the result of gcnode_get with what the guest did.
func (in *instance) checkResult(result int32) *stop {
	switch {
	case result < 0:
		return brokeContract("%s failed with the result %d", exportGet, result)
	case result > 0:
		return brokeContract("%s returned %d, want 0", exportGet, result)
	case !in.req.answered:
		return brokeContract("%s returned 0 without an answer", exportGet)
	default:
		return nil
	}
}

// endRequest forgets everything about the request but its map, which is
// empty and used again.
func (in *instance) endRequest() {
	clear(in.req.answers)
	in.req = request{answers: in.req.answers}
}

// wear says whether an instance that behaved well has been used enough.
func (in *instance) wear() discardReason {
	switch {
	case in.calls >= callsPerInstance, in.lastID > math.MaxInt32/2:
		return discardWorn
	case uint64(in.mod.Memory().Size()) > in.wornBytes:
		return discardMemory
	default:
		return keep
	}
}

// nextID is a number that no request and no call of this instance had.
func (in *instance) nextID() int32 {
	if in.lastID == math.MaxInt32 {
		haltContract("it used up all numbers of calls")
	}
	in.lastID++
	return in.lastID
}

// tick is called by the guest when its fuel is used up.
func (in *instance) tick() int64 {
	if err := in.req.deadline.check(); err != nil {
		haltFor(err)
	}
	return in.pace.next(time.Now())
}

// spend accounts for a host function that copied n bytes, and ends the guest
// when its time is up.
func (in *instance) spend(n int) {
	if !in.pace.due(n) {
		return
	}
	if err := in.req.deadline.check(); err != nil {
		haltFor(err)
	}
}

// close frees the instance. Nothing can be done about an error.
func (in *instance) close() {
	if in.mod != nil {
		_ = in.mod.Close(in.ctx)
	}
}
