package natstransport

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// tickTime is how often streams are looked after.
const tickTime = time.Second

// watch tells of what happens to a connection, and of time that goes by.
type watch struct {
	nc      *nats.Conn
	events  chan nats.Status
	changed func(nats.Status)
	tick    func()
	stop    chan struct{}
	done    chan struct{}
	back    atomic.Int64 // when an interruption has ended, in nanoseconds since 1970; 0: there was none
}

// newWatch calls changed and tick from one goroutine, until close.
func newWatch(nc *nats.Conn, changed func(nats.Status), tick func()) *watch {
	w := &watch{
		nc: nc, changed: changed, tick: tick, stop: make(chan struct{}), done: make(chan struct{}),
		events: nc.StatusChanged(nats.CONNECTED, nats.RECONNECTING, nats.DISCONNECTED, nats.CLOSED, nats.DRAINING_SUBS),
	}
	go w.run()
	return w
}

func (w *watch) run() {
	defer close(w.done)
	defer w.nc.RemoveStatusListener(w.events)
	ticker := time.NewTicker(tickTime)
	defer ticker.Stop()
	for {
		select {
		case status := <-w.events:
			w.back.Store(time.Now().UnixNano())
			w.changed(status)
		case <-ticker.C:
			w.tick()
		case <-w.stop:
			return
		}
	}
}

func (w *watch) close() {
	close(w.stop)
	<-w.done
}

// justBack reports whether the connection was interrupted so short a time ago
// that others may not be back yet.
func (w *watch) justBack(wait time.Duration) bool {
	back := w.back.Load()
	return back != 0 && time.Now().UnixNano()-back < int64(wait)
}

// connected waits until the connection can be used, for some time at most.
func (w *watch) connected(ctx context.Context, wait time.Duration) error {
	status := w.nc.Status()
	if status == nats.CONNECTED {
		return nil
	}
	changes := w.nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer w.nc.RemoveStatusListener(changes)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		switch status = w.nc.Status(); status {
		case nats.CONNECTED:
			return nil
		case nats.CLOSED, nats.DRAINING_SUBS, nats.DRAINING_PUBS:
			return unusable(status)
		default:
		}
		select {
		case <-changes:
		case <-timer.C:
			return fmt.Errorf("%w, for more than %v", errDisconnected, wait)
		case <-ctx.Done():
			return endOf(ctx)
		}
	}
}

// unusable says that a connection in this status carries nothing.
func unusable(status nats.Status) error {
	switch status {
	case nats.CLOSED:
		return errors.New("the connection to NATS is closed")
	case nats.DRAINING_SUBS, nats.DRAINING_PUBS:
		return errors.New("the connection to NATS is drained and will be closed")
	default:
		return errDisconnected
	}
}
