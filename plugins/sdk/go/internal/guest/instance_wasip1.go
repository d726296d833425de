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
	queue   []*request        // that nobody serves yet
	open    int               // requests that are not over
	fetches map[int32]*fetch  // in flight, by the number of the call
	scratch [256]byte         // for keys
	exports uint              // that returned with no request open
	parked  bool              // the runner waits for wake
	wake    chan struct{}     // has room for one
	sample  [1]metrics.Sample // of the goroutines that can run
	// requests are those that an export left, by number.
	requests map[int32]*request

	enter   func() (struct{}, bool) // main to runner
	leave   func()                  // and back
	runner  *worker
	serving bool    // the runner serves a request
	standIn *worker // nil: there is none
	idle    []*worker
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
	in.start()
	return err
}

const (
	// yieldEvery is how many exports return at most without letting the
	// scheduler run: it notices timers, and collects garbage in goroutines of
	// its own.
	yieldEvery = 16
	// yieldTimes is how often others are let run that can when no request is
	// open. Once is not enough: at times the scheduler prefers the one that yields.
	yieldTimes = 2
)

// settled lets other goroutines run. It reports whether the export can return:
// no request is open, or all goroutines wait and something is in flight that
// will wake them.
//
// When all wait and nothing is in flight, a timer may be what they wait for, so
// that the runner has to wait too. If there is none, the runtime finds a
// deadlock and ends the instance.
func (in *instance) settled() bool {
	switch {
	case in.open == 0:
		in.yield()
		return true
	case in.runnable():
		runtime.Gosched()
		return false
	case in.open == 0, len(in.fetches) > 0: // looking may have taken time
		return true
	}
	in.parked = true
	<-in.wake
	return false
}

// yield lets others run when no request is open.
func (in *instance) yield() {
	if in.exports++; in.exports%yieldEvery == 0 {
		runtime.Gosched()
	}
	for n := 0; n < yieldTimes && in.runnable(); n++ {
		runtime.Gosched()
	}
}

// runnable reports whether another goroutine than the stand-in can run: none
// runs besides the runner, which asks. It is faster to see that there are none
// but those that wait.
func (in *instance) runnable() bool {
	standIns := 0
	if in.standIn != nil {
		standIns = 1
	}
	const mainAndStartAndRunner = 3
	if runtime.NumGoroutine() == mainAndStartAndRunner+standIns+len(in.idle) {
		return false
	}
	metrics.Read(in.sample[:])
	return in.sample[0].Value.Uint64() > uint64(standIns)
}

// unpark lets the runner look again, if it waits.
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
