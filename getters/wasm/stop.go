package wasm

import (
	"context"
	"errors"
	"fmt"
	"strings"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/getters/wasm/fuel"
)

// stop is why a guest was not allowed to go on.
type stop struct {
	reason discardReason
	kind   gcnode.Kind
	err    error
}

func (s *stop) Error() string { return s.err.Error() }

func (s *stop) Unwrap() error { return s.err }

// halt ends the guest that is calling the host: its code does not run any
// further, and the call into it returns with s.
func halt(s *stop) {
	panic(s) //nolint:forbidigo // the only way that wazero offers to stop a guest inside of a host function
}

// haltFor ends the guest because its request has to stop.
func haltFor(err error) { halt(stopFor(err)) }

// stopFor classifies the reason that a deadline gives.
func stopFor(err error) *stop {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return &stop{discardTimeout, gcnode.KindTimeout, errDeadline}
	case errors.Is(err, errPoolClosed):
		return &stop{discardClosed, gcnode.KindDraining, errPoolClosed}
	default:
		return &stop{discardCanceled, gcnode.KindTransient, fmt.Errorf("the caller is gone: %w", err)}
	}
}

// haltContract ends a guest that broke the ABI.
func haltContract(format string, args ...any) {
	halt(brokeContract(format, args...))
}

func brokeContract(format string, args ...any) *stop {
	return &stop{discardContract, gcnode.KindPermanent, fmt.Errorf("the module broke the guest ABI: "+format, args...)}
}

// stopOf is why a call into a guest failed: because the host ended it, or
// because of a trap, of which the first line says what happened.
func stopOf(err error) *stop {
	if s, ok := errors.AsType[*stop](err); ok {
		return s
	}
	text := err.Error()
	if strings.Contains(text, fuel.CallDepthTrap) {
		return tooDeep()
	}
	first, _, _ := strings.Cut(text, "\n")
	return &stop{discardTrap, gcnode.KindPermanent, fmt.Errorf("the module trapped: %s", printable(first, maxMessageBytes))}
}

// tooDeep is what becomes of endless recursion.
func tooDeep() *stop {
	return &stop{discardTrap, gcnode.KindPermanent, errors.New("the module trapped: its calls nest too deep")}
}

// haltExit ends a guest that wants to exit. A getter has no reason to.
func haltExit(code uint32) {
	halt(&stop{discardExit, gcnode.KindPermanent, fmt.Errorf("the module exited with code %d", code)})
}
