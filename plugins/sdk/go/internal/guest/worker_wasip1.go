package guest

import (
	"iter"
	"runtime"
)

// maxIdle is how many workers are kept that have nothing to do.
const maxIdle = 64

// A worker is a goroutine that serves one request after the other. A fresh
// goroutine for each would have to grow its stack each time, which takes longer
// than what a small getter does.
//
// One worker is the runner: the main goroutine, in which exports run, changes
// places with it, which costs a fraction of what the scheduler takes to run
// another goroutine. The scheduler only has its turn when a request blocks. Then
// it comes to the stand-in, which can always run, and which is the runner from
// then on. The old one finds out when its request is over, and is idle.
//
//	main goroutine              runner A                stand-in B
//	get, changes places       → serves a request
//	                            which blocks          → takes over
//	returns that it is pending  ······················ ← changes places
//	resume, hands over the
//	answer, changes places    → ······················ → yields
//	                            goes on; is idle      → is the runner
//	returns that it is done   ← ······················ ← changes places
type worker struct {
	wake chan struct{} // it is to stand in; has room for one
}

// start makes what lets the main goroutine and the runner change places.
func (in *instance) start() {
	in.enter, _ = iter.Pull(func(yield func(struct{}) bool) {
		in.leave = func() { yield(struct{}{}) }
		in.standIn = in.worker()
		in.serving = true
		select {} // the stand-in takes over: this goroutine must not end
	})
}

// worker returns a worker that is about to stand in.
func (in *instance) worker() *worker {
	if last := len(in.idle) - 1; last >= 0 {
		w := in.idle[last]
		in.idle = in.idle[:last]
		w.wake <- struct{}{}
		return w
	}
	w := &worker{wake: make(chan struct{}, 1)}
	go w.work(in)
	return w
}

// work ends with a getter that ends its goroutine, or when there are idle
// workers enough.
func (w *worker) work(in *instance) {
	for {
		if in.takeOver(w) {
			w.run(in)
		}
		if len(in.idle) == maxIdle {
			return
		}
		in.idle = append(in.idle, w)
		<-w.wake
	}
}

// takeOver makes the stand-in the runner as soon as the request of the runner
// blocks. It returns false if there is nothing to stand in for. Where somebody
// else lets others run, it only does so too.
func (in *instance) takeOver(w *worker) bool {
	for !in.serving {
		if in.parked {
			in.standIn = nil
			return false
		}
		runtime.Gosched()
	}
	in.runner, in.standIn, in.serving = w, nil, false
	return true
}

// run is what the runner does.
func (w *worker) run(in *instance) {
	for in.runner == w {
		if r := in.next(); r != nil {
			in.serve(w, r)
		} else if in.settled() {
			in.leave()
		}
	}
}

func (in *instance) serve(w *worker, r *request) {
	if in.standIn == nil {
		in.standIn = in.worker()
	}
	in.serving = true
	r.serve()
	if in.runner == w {
		in.serving = false
	}
}
