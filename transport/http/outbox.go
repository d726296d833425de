package httptransport

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"sync"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

const (
	// maxPending is how much waits for being written before what is not
	// urgent has to wait for its turn.
	maxPending = 256 << 10
	// copyBytes is the size up to which data is copied to what else is
	// written; a larger one is worth a system call of its own.
	copyBytes = 16 << 10
	// keptBytes is how much memory is kept for further writes, and flushBytes after
	// how much answers are written though there are more requests to read, so that
	// they fit into it.
	keptBytes  = 64 << 10
	flushBytes = 32 << 10
)

// outbox writes the messages of many exchanges to one connection. Whoever
// finds nobody writing writes, what others add meanwhile goes out together
// in the next write, and that is done in the background:
//
//	A: add, writes     ┄┄ write(A) ┄┄ hands the duty over, returns
//	B:      add, returns
//	C:           add, returns
//	run:                              ┄┄ write(B, C) ┄┄
//
// A large message gets the connection for itself and is not copied.
type outbox struct {
	w io.Writer
	// setDeadline sets that of writes; nil if there is none.
	setDeadline func(time.Time) error
	timeout     time.Duration // of a write
	// brief, if it is not 0, is how long whoever sends may be kept by a
	// write. What is not written by then is written in the background.
	brief time.Duration
	// handOver leaves all writing to the background.
	handOver bool
	// failed is called once, with what broke the connection.
	failed func(error)

	kick chan struct{} // the duty goes to run
	done chan struct{} // closed by close

	mu      sync.Mutex
	pending []byte
	spare   []byte
	busy    bool            // somebody has the duty to write
	turns   []chan struct{} // who waits for the duty
	err     error

	until time.Time // of whoever has the duty: the deadline that is set
}

// newOutbox writes to w. Its run is for a goroutine of its own.
func newOutbox(w io.Writer, setDeadline func(time.Time) error, timeout time.Duration, failed func(error)) *outbox {
	return &outbox{
		w: w, setDeadline: setDeadline, timeout: timeout, failed: failed,
		kick: make(chan struct{}, 1), done: make(chan struct{}),
	}
}

// begin writes what goes before all messages, and lets those go to another
// writer. The caller has the duty and loses it.
func (o *outbox) begin(head []byte, then io.Writer) error {
	defer o.release()
	_, err := o.write(head, o.timeout)
	if err != nil {
		o.fail(err)
	}
	o.w = then
	return err
}

// add appends messages with fill, and reports whether the caller has got the
// duty to write them, by flush. Unless it is urgent, it does nothing when too
// much is waiting; room is false then.
func (o *outbox) add(urgent bool, fill func(b []byte) []byte) (room, duty bool, _ error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.err != nil:
		return false, false, o.err
	case !urgent && len(o.pending) >= maxPending:
		return false, false, nil
	}
	o.pending = fill(o.pending)
	duty = !o.busy
	o.busy = true
	return true, duty, nil
}

// acquire waits for the duty to write.
func (o *outbox) acquire(ctx context.Context) error {
	o.mu.Lock()
	if o.err != nil || !o.busy {
		o.busy = o.err == nil
		defer o.mu.Unlock()
		return o.err
	}
	turn := make(chan struct{})
	o.turns = append(o.turns, turn)
	o.mu.Unlock()
	select {
	case <-turn:
		return o.failure()
	case <-ctx.Done():
	}
	o.mu.Lock()
	for i, t := range o.turns {
		if t == turn {
			o.turns = append(o.turns[:i], o.turns[i+1:]...)
			o.mu.Unlock()
			return endOf(ctx)
		}
	}
	o.mu.Unlock()
	o.release() // it came together with the end of ctx
	return endOf(ctx)
}

// failure is what broke the connection.
func (o *outbox) failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// send sends a message, the end of which is data.
func (o *outbox) send(ctx context.Context, head []byte, data string, underWay int) error {
	if len(data) <= copyBytes {
		room, duty, err := o.add(false, func(b []byte) []byte { return append(append(b, head...), data...) })
		if duty {
			o.flush(underWay)
		}
		if room || err != nil {
			return err
		}
	}
	if err := o.acquire(ctx); err != nil {
		return err
	}
	return o.writeAlone(head, data)
}

// sendNow sends what is waiting, and the message, and returns when they are
// written.
func (o *outbox) sendNow(ctx context.Context, message []byte) error {
	if err := o.acquire(ctx); err != nil {
		return err
	}
	return o.writeAlone(message, "")
}

// await waits while so much is pending that others have to wait for their turn.
func (o *outbox) await(ctx context.Context) error {
	o.mu.Lock()
	full := o.busy && len(o.pending) >= maxPending
	o.mu.Unlock()
	if !full {
		return nil
	}
	if err := o.acquire(ctx); err != nil {
		return err
	}
	o.release()
	return o.failure()
}

// writeAlone writes what is waiting and the message. The caller has the duty.
func (o *outbox) writeAlone(head []byte, data string) error {
	defer o.release()
	o.mu.Lock()
	buf := append(o.pending, head...)
	o.pending, o.spare = o.spare[:0], nil
	o.mu.Unlock()
	_, err := o.write(buf, o.timeout)
	if err == nil && data != "" {
		_, err = gcnode.StringValue(data).WriteTo(writerFunc(func(b []byte) (int, error) { return o.write(b, o.timeout) }))
	}
	o.recycle(buf)
	if err != nil {
		o.fail(err)
	}
	return err
}

// writerFunc is a function that is an [io.Writer].
type writerFunc func([]byte) (int, error)

// Write calls f.
func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// flush writes what is waiting. The caller has the duty and loses it. Where
// more than one exchange is under way, others that are ready to run may add
// something before.
func (o *outbox) flush(underWay int) {
	if o.handOver {
		o.kick <- struct{}{}
		return
	}
	if underWay > 1 {
		runtime.Gosched()
	}
	timeout := o.timeout
	if o.brief != 0 {
		timeout = o.brief
	}
	o.flushWithin(timeout)
	o.release()
}

// flushWithin writes what is waiting. After a brief timeout the rest waits
// again.
func (o *outbox) flushWithin(timeout time.Duration) {
	o.mu.Lock()
	buf := o.pending
	o.pending, o.spare = o.spare[:0], nil
	o.mu.Unlock()
	n, err := o.write(buf, timeout)
	if err != nil && timeout != o.timeout && errors.Is(err, os.ErrDeadlineExceeded) {
		o.mu.Lock()
		o.pending = append(append([]byte(nil), buf[n:]...), o.pending...)
		o.mu.Unlock()
		err = nil
	}
	o.recycle(buf)
	if err != nil {
		o.fail(err)
	}
}

// write writes to the connection. Deadlines are costly, so one is set when less
// than three quarters of the time are left.
func (o *outbox) write(b []byte, timeout time.Duration) (int, error) {
	if o.setDeadline != nil {
		now := time.Now()
		if left := o.until.Sub(now); left < timeout*3/4 || left > timeout {
			o.until = now.Add(timeout)
			if err := o.setDeadline(o.until); err != nil {
				return 0, err
			}
		}
	}
	return o.w.Write(b)
}

// recycle keeps the memory of what was written.
func (o *outbox) recycle(buf []byte) {
	if cap(buf) > keptBytes {
		return
	}
	o.mu.Lock()
	o.spare = buf[:0]
	o.mu.Unlock()
}

// release gives the duty to whoever has something to write.
func (o *outbox) release() {
	o.mu.Lock()
	switch {
	case o.err != nil:
		o.mu.Unlock()
	case len(o.turns) > 0: // it writes what is pending, too
		turn := o.turns[0]
		o.turns = o.turns[1:]
		o.mu.Unlock()
		close(turn)
	case len(o.pending) > 0:
		o.mu.Unlock()
		o.kick <- struct{}{} // there is room for one, and one duty
	default:
		o.busy = false
		o.mu.Unlock()
	}
}

// run writes what is waiting when nobody else does, until close.
func (o *outbox) run() {
	for {
		select {
		case <-o.kick:
		case <-o.done:
			return
		}
		o.flushWithin(o.timeout)
		o.release()
	}
}

// fail ends all writing.
func (o *outbox) fail(err error) {
	o.mu.Lock()
	if o.err != nil {
		o.mu.Unlock()
		return
	}
	o.err = err
	turns := o.turns
	o.turns = nil
	o.mu.Unlock()
	close(o.done)
	for _, turn := range turns {
		close(turn)
	}
	o.failed(err)
}
