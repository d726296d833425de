package wasm

import (
	"context"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/sys"

	"github.com/gcnode/gcnode/getters/wasm/fuel"
)

// Interruption is what makes a guest stop that does not return by itself.
type Interruption uint8

const (
	// InterruptByFuel has every module spend fuel (package fuel), and refuses
	// one that cannot be given any.
	InterruptByFuel Interruption = iota
	// InterruptByEngine has the engine interrupt a module that cannot be given
	// fuel; others spend fuel all the same. The guest comes back to the host in
	// every turn of a loop and at every call of a function, which makes it many
	// times slower. Of what comes with fuel, this is missing: [Options.MaxFuel];
	// bounds on tables and locals, which may take memory that
	// [Options.MaxMemoryBytes] does not count; a bound on what it takes to compile
	// the module; and a look at the deadline between instructions that each fill
	// or copy a range, unless there is a loop or a call between them.
	InterruptByEngine
)

func (i Interruption) String() string {
	switch i {
	case InterruptByFuel:
		return "fuel"
	case InterruptByEngine:
		return "engine"
	default:
		return fmt.Sprintf("Interruption(%d)", uint8(i))
	}
}

// checkInterruption refuses what is none.
func checkInterruption(i Interruption) error {
	if i > InterruptByEngine {
		return fmt.Errorf("option Interruption is %d: it must be InterruptByFuel or InterruptByEngine", i)
	}
	return nil
}

// whyNoFuel is why a module cannot be given fuel; nil: it can.
func whyNoFuel(module []byte) error {
	_, _, err := fuel.Inject(module, fuel.Options{})
	return suggestEngine(err)
}

// suggestEngine says how a module is run that is too large to be given fuel.
func suggestEngine(err error) error {
	if !errors.Is(err, fuel.ErrLimit) {
		return err
	}
	return fmt.Errorf("%w; a node runs it without fuel, slower and with fewer bounds, if its operator chooses so "+
		"(Interruption, interruption: engine in a node's configuration)", err)
}

// interruptible returns the module as it is compiled, and how it is interrupted.
func interruptible(module []byte, opts *Options) ([]byte, Interruption, error) {
	code, _, err := fuel.Inject(module, fuel.Options{})
	switch {
	case err == nil, !errors.Is(err, fuel.ErrRefused):
		return code, InterruptByFuel, err
	case opts.Interruption == InterruptByFuel:
		return nil, InterruptByFuel, suggestEngine(err)
	case opts.MaxFuel > 0:
		return nil, InterruptByEngine, fmt.Errorf("the fuel of a request is bounded (MaxFuel, max_fuel in a node's configuration), "+
			"and the module cannot be given any: leave that out, and a request is bounded by its time; %w", err)
	default:
		return module, InterruptByEngine, nil
	}
}

// turnContext is what a call into the guest has for a context; it ends with the turn
// if that is what interrupts the guest.
func (in *instance) turnContext() (context.Context, context.CancelFunc) {
	if in.plugin.interruption == InterruptByFuel {
		return context.Background(), func() {}
	}
	return in.deadline.context()
}

// watchCalls has the engine call the host at every call of a function of the guest.
// By itself it looks whether a call has to end in loops only, and so recursion would
// outlast its deadline, with everything else in the process.
func (p *Plugin) watchCalls(ctx context.Context) context.Context {
	if p.interruption == InterruptByFuel {
		return ctx
	}
	return experimental.WithFunctionListenerFactory(ctx, callWatch{})
}

// callWatch ends guests whose time is up, or whose calls nest too deep.
type callWatch struct{}

// NewFunctionListener implements [experimental.FunctionListenerFactory].
func (w callWatch) NewFunctionListener(api.FunctionDefinition) experimental.FunctionListener {
	return w
}

// Before implements [experimental.FunctionListener].
func (callWatch) Before(ctx context.Context, _ api.Module, _ api.FunctionDefinition, _ []uint64, _ experimental.StackIterator) {
	in := instanceOf(ctx)
	if in.depth++; in.depth > fuel.DefaultMaxCallDepth {
		halt(tooDeep())
	}
	in.spend(0)
}

// After implements [experimental.FunctionListener].
func (callWatch) After(ctx context.Context, _ api.Module, _ api.FunctionDefinition, _ []uint64) {
	instanceOf(ctx).depth--
}

// Abort implements [experimental.FunctionListener]. The instance is thrown away.
func (callWatch) Abort(context.Context, api.Module, api.FunctionDefinition, error) {}

// enter calls into the guest.
func (in *instance) enter(f api.Function, stack []uint64) error {
	if in.plugin.interruption == InterruptByFuel {
		return f.CallWithStack(in.ctx, stack)
	}
	ctx, cancel := in.turnContext()
	defer cancel()
	// The engine may look at the context of a call after that has returned.
	err := f.CallWithStack(&guestContext{Context: ctx, inst: in}, stack)
	return in.unlessInterrupted(ctx, err)
}

// unlessInterrupted is the error of a call into the guest, which the engine ends
// when ctx does. It closes the instance then, even if the guest returns in the
// same moment.
func (in *instance) unlessInterrupted(ctx context.Context, err error) error {
	_, closed := errors.AsType[*sys.ExitError](err)
	if ctx.Err() == nil || err != nil && !closed {
		return err
	}
	if why := in.deadline.check(); why != nil {
		return stopFor(why)
	}
	return stopFor(ctx.Err())
}
