package guest

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/metrics"
)

// An instance of the module. No lock is needed: goroutines take turns, and only
// where they block.
type instance struct {
	opener  func(config []byte) (Handler, error)
	handle  Handler
	idle    []worker
	open    int               // requests that are not over
	fetches map[int32]*fetch  // in flight, by the number of the call
	scratch [256]byte         // for keys
	parked  bool              // the main goroutine waits for wake
	wake    chan struct{}     // has room for one
	sample  [1]metrics.Sample // of the goroutines that can run
	// requests are those that an export left, by number.
	requests map[int32]*request
}

// running is this instance. It is a variable of the package because the exports
// of a module have no other place to find it: the node calls them by name, and
// nothing it passes could lead to a Go value.
//
//nolint:gochecknoglobals // see above
var running = instance{
	requests: map[int32]*request{},
	wake:     make(chan struct{}, 1),
	sample:   [1]metrics.Sample{{Name: "/sched/goroutines/runnable:goroutines"}},
}

// Register names the function that opens the getter. Its config is in the form
// of the guest ABI.
func Register(open func(config []byte) (Handler, error)) { running.opener = open }

func (in *instance) configure(size int32) error {
	if in.opener == nil {
		return errors.New("no getter: call getter.Register in an init function")
	}
	config, err := readInput(0, size)
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	in.handle, err = in.opener(config)
	return err
}

// settle lets the other goroutines run until no request is open, or all of them
// wait and something is in flight that will wake them. It is called by the main
// goroutine, in which exports run.
//
// It yields in any case: the runtime collects garbage in goroutines of its own,
// and without it a guest would grow until it dies.
//
// When all wait and nothing is in flight, a timer may be what they wait for, so
// that the main goroutine has to wait too. If there is none, the runtime finds
// a deadlock and ends the instance.
func (in *instance) settle() {
	for {
		runtime.Gosched()
		switch {
		case in.open == 0:
			return
		case in.runnable():
			continue
		case in.open == 0, len(in.fetches) > 0: // looking may have taken time
			return
		}
		in.parked = true
		<-in.wake
	}
}

// runnable reports whether another goroutine can run: none runs besides the one
// that asks.
func (in *instance) runnable() bool {
	metrics.Read(in.sample[:])
	return in.sample[0].Value.Uint64() > 0
}

// unpark lets the main goroutine look again, if it waits.
func (in *instance) unpark() {
	if in.parked {
		in.parked = false
		in.wake <- struct{}{}
	}
}

// resultOf is what an export returns for a request.
func (in *instance) resultOf(r *request) int32 {
	if r.over {
		return done
	}
	in.requests[r.id] = r
	return pending
}
