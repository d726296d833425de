package wasm

import (
	"sync/atomic"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// Stats is a snapshot of a plugin's figures. Counters only grow.
type Stats struct {
	Calls     CallStats
	Fetches   FetchStats
	Instances InstanceStats
	Queue     QueueStats
	Times     TimeStats
	// Interruption is how the module is interrupted.
	Interruption Interruption
	// Fuel is what guests were given for computing (package fuel). What an
	// instance has left of its last slice is counted as well.
	Fuel uint64
	// LogLinesDropped counts what guests logged too fast to be recorded.
	LogLinesDropped uint64
}

// CallStats counts finished calls of [Plugin.GetItem] by outcome.
type CallStats struct {
	OK, NotFound, Transient, Permanent, Denied, Overloaded, TooLarge, Timeout uint64
	// Canceled counts callers that gave up before their deadline.
	Canceled uint64
	// Other counts everything else, like calls after Close.
	Other uint64
}

// FetchStats counts the exchanges that guests asked for.
type FetchStats struct {
	Started uint64
	Denied  uint64 // refused by the allow-list or the address check
	Failed  uint64 // without an answer for another reason
}

// InstanceStats describes the instances of the module.
type InstanceStats struct {
	Live, Idle int
	// Pending counts the requests that wait for the answers to their fetches
	// and hold no instance meanwhile.
	Pending int
	// MemoryBytes is the memory of all instances, as it was when each of them
	// returned last.
	MemoryBytes int64
	Created     uint64
	Discarded   DiscardStats
}

// DiscardStats counts discarded instances by reason.
type DiscardStats struct {
	Trap     uint64 // the guest trapped, or overflowed its stack
	Exit     uint64 // the guest called proc_exit
	Timeout  uint64 // the deadline passed while the guest was running
	Canceled uint64 // the caller was gone while the guest was running
	Contract uint64 // the guest broke the ABI
	Memory   uint64 // more than 75 % of its memory were in use
	Fuel     uint64 // a request used up its fuel
	Worn     uint64 // it had answered as many calls as one instance may
	Failed   uint64 // it could not be started
	Closed   uint64 // the plugin was closed
}

// QueueStats describes callers that had to wait for an instance.
type QueueStats struct {
	Waiting  int
	Waited   uint64 // callers that had to wait, whatever came of it
	Rejected uint64 // callers that found the queue full
}

// TimeStats says where time went, in all.
type TimeStats struct {
	Queue time.Duration // requests waited for an instance
	// Guest is how long guests computed, each call from when its instance was free,
	// the start of instances included. One of eight calls that return with the fuel
	// they had is measured, and counts for the others.
	Guest time.Duration
	Fetch time.Duration // exchanges took; those at the same time count each
	// Compile is what it took to check, instrument and compile the module.
	Compile time.Duration
}

// discardReason is why an instance is not used again.
type discardReason uint8

const (
	keep discardReason = iota
	discardTrap
	discardExit
	discardTimeout
	discardCanceled
	discardContract
	discardMemory
	discardFuel
	discardWorn
	discardFailed
	discardClosed
	discardReasons
)

func (r discardReason) String() string {
	names := [...]string{"keep", "trap", "exit", "timeout", "canceled", "contract", "memory", "fuel", "worn", "failed", "closed"}
	if int(r) < len(names) {
		return names[r]
	}
	return "unknown"
}

// isFault tells whether an instance is discarded for what its module did.
func (r discardReason) isFault() bool {
	switch r {
	case discardTrap, discardExit, discardTimeout, discardContract, discardFuel, discardFailed:
		return true
	default:
		return false
	}
}

// outcomes is the number of kinds of errors plus the outcomes without one.
const (
	outcomeOK       = int(gcnode.KindDraining) + 1
	outcomeCanceled = outcomeOK + 1
	outcomes        = outcomeCanceled + 1
)

// counters are the live figures.
type counters struct {
	calls                                 [outcomes]atomic.Uint64
	fetches, fetchesDenied, fetchesFailed atomic.Uint64
	created                               atomic.Uint64
	pending                               atomic.Int64
	discarded                             [discardReasons]atomic.Uint64
	waited, rejected                      atomic.Uint64
	linesDropped, fuel                    atomic.Uint64
	memory                                atomic.Int64
	queueTime, guestTime, fetchTime       atomic.Int64 // nanoseconds
}

func (c *counters) timeStats() TimeStats {
	return TimeStats{
		Queue: time.Duration(c.queueTime.Load()),
		Guest: time.Duration(c.guestTime.Load()),
		Fetch: time.Duration(c.fetchTime.Load()),
	}
}

func (c *counters) callStats() CallStats {
	s := CallStats{
		OK:         c.calls[outcomeOK].Load(),
		NotFound:   c.calls[gcnode.KindNotFound].Load(),
		Transient:  c.calls[gcnode.KindTransient].Load(),
		Permanent:  c.calls[gcnode.KindPermanent].Load(),
		Denied:     c.calls[gcnode.KindDenied].Load(),
		Overloaded: c.calls[gcnode.KindOverloaded].Load(),
		TooLarge:   c.calls[gcnode.KindTooLarge].Load(),
		Timeout:    c.calls[gcnode.KindTimeout].Load(),
		Canceled:   c.calls[outcomeCanceled].Load(),
	}
	for _, k := range []gcnode.Kind{
		gcnode.KindInternal, gcnode.KindNoSuchGroup, gcnode.KindUnsupported, gcnode.KindUnreachable, gcnode.KindDraining,
	} {
		s.Other += c.calls[k].Load()
	}
	return s
}

func (c *counters) discardStats() DiscardStats {
	return DiscardStats{
		Trap:     c.discarded[discardTrap].Load(),
		Exit:     c.discarded[discardExit].Load(),
		Timeout:  c.discarded[discardTimeout].Load(),
		Canceled: c.discarded[discardCanceled].Load(),
		Contract: c.discarded[discardContract].Load(),
		Memory:   c.discarded[discardMemory].Load(),
		Fuel:     c.discarded[discardFuel].Load(),
		Worn:     c.discarded[discardWorn].Load(),
		Failed:   c.discarded[discardFailed].Load(),
		Closed:   c.discarded[discardClosed].Load(),
	}
}
