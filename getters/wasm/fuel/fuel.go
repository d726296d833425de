package fuel

import (
	"errors"
	"fmt"
)

// TickModule and TickName name the function import that Inject adds, of type
// () -> i64. An instrumented module calls it whenever its fuel is used up. The
// result, which must not be negative, is added to the fuel; a host that wants
// to stop the guest panics or closes the module instead of returning.
const (
	TickModule = "gcnode_fuel"
	TickName   = "tick"
)

// CallDepthTrap is the name of the injected function that traps when calls
// nest too deep. It stands at the top of the stack trace of that trap, whose
// cause is otherwise an ordinary "unreachable".
const CallDepthTrap = "gcnode_fuel.call_depth_exceeded"

// Defaults for the zero values of Options.
const (
	DefaultMaxTableEntries = 1 << 17
	DefaultMaxCallDepth    = 1 << 14
	DefaultMaxEntries      = 1 << 20
	DefaultMaxLocals       = 1 << 22
	DefaultMaxCompileCost  = 1 << 33
)

// Errors that Inject wraps. A module that is none of both is accepted, which
// does not mean that it is valid: types of operands are left to the engine.
var (
	// ErrMalformed says that the input is not a well-formed module.
	ErrMalformed = errors.New("malformed module")
	// ErrRefused says that the module uses a feature that is not supported,
	// exceeds a limit, or imports what is reserved for injected code.
	ErrRefused = errors.New("module refused")
	// ErrLimit is the ErrRefused of a module that exceeds a limit. An engine may
	// be able to run such a module, as it is not those whose features are not
	// supported.
	ErrLimit = fmt.Errorf("%w", ErrRefused)
)

// Options bound what an instrumented module can make its host allocate. The
// zero value means the defaults.
type Options struct {
	// MaxTableEntries bounds the entries of all tables of the module
	// together; an entry takes 8 bytes of the host's memory. A module whose
	// tables start larger is refused, and maxima are lowered so that growing
	// cannot exceed it.
	MaxTableEntries uint32
	// MaxCallDepth bounds how deep calls nest. A large function counts as
	// several calls; see "Call depth" in the package documentation.
	MaxCallDepth uint32
	// MaxEntries bounds how many types, imports, functions, tables, globals,
	// exports, segments, elements of segments, and names the module has in
	// all: each takes a few bytes of it, and some hundred of the host's memory.
	MaxEntries uint32
	// MaxLocals bounds the locals of all functions together: any number of the
	// same type takes a few bytes of the module.
	MaxLocals uint32
	// MaxCompileCost bounds what it takes to compile the module, in a unit of a few
	// nanoseconds: the sum, over its functions, of the square of how much each
	// branches, and something for each bulk instruction; see "Compiling" in the
	// package documentation. At the default that is at most some tens of seconds; a
	// program of 6 MB in Go has a twentieth of it.
	MaxCompileCost uint64
}

// Report says what Inject did.
type Report struct {
	// Functions is the number of functions that the module defines; all of
	// them spend fuel on entry.
	Functions int
	// CountedFunctions is how many of them count against the call depth.
	CountedFunctions int
	// Loops is the number of loops, all of which spend fuel in each turn.
	Loops int
	// InlinedCalls is the number of calls that the functions took the place of which
	// they would have called.
	InlinedCalls int
	// BulkInstructions is the number of instructions that spend fuel by the
	// amount that they fill, copy or grow.
	BulkInstructions int
	// DroppedSections names the custom sections that describe the code as it
	// was before, and were left out.
	DroppedSections []string
	// InputBytes and OutputBytes are the sizes of the module before and after.
	InputBytes, OutputBytes int
}

// Inject returns a copy of the core WebAssembly module in which every function
// entry, loop and bulk instruction spends fuel. The error wraps ErrMalformed
// or ErrRefused and names the section, the function and the offset. Inject
// neither changes nor keeps the input; it allocates in proportion to its size,
// whatever it contains. It may be called from several goroutines at once.
func Inject(module []byte, opts Options) ([]byte, Report, error) {
	if opts.MaxTableEntries == 0 {
		opts.MaxTableEntries = DefaultMaxTableEntries
	}
	if opts.MaxCallDepth == 0 {
		opts.MaxCallDepth = DefaultMaxCallDepth
	}
	if opts.MaxEntries == 0 {
		opts.MaxEntries = DefaultMaxEntries
	}
	if opts.MaxLocals == 0 {
		opts.MaxLocals = DefaultMaxLocals
	}
	if opts.MaxCompileCost == 0 {
		opts.MaxCompileCost = DefaultMaxCompileCost
	}
	in := injection{opts: opts, costLeft: opts.MaxCompileCost, entriesLeft: opts.MaxEntries, localsLeft: opts.MaxLocals, report: Report{InputBytes: len(module)}}
	out, err := in.run(module)
	if err != nil {
		return nil, Report{}, fmt.Errorf("inject fuel: %w", err)
	}
	in.report.OutputBytes = len(out)
	return out, in.report, nil
}
