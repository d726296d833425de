package httptransport

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

// answer writes the replies to one request as they come.
type answer struct {
	out *deadlineWriter

	mu     sync.Mutex
	frames *wire.Writer
	ended  bool
}

// newAnswer is the answer to who has asked, sealed if that is known by a signature.
func newAnswer(w http.ResponseWriter, timeout time.Duration, who *caller) *answer {
	out := newDeadlineWriter(w, contentType, timeout)
	return &answer{out: out, frames: wire.NewWriter(who.seal(w.Header(), http.StatusOK, out))}
}

// WriteReply implements [gcnode.ReplyWriter]. The reply is on its way when it
// returns, unless nothing can be sent before the end: then a sign of life would
// come too late, and is left out. A reply that is over a limit is replaced by an
// error that says so.
func (a *answer) WriteReply(r gcnode.Reply) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		return errors.New("the request is already finished")
	}
	if !a.out.flushes && r.Pending {
		return nil
	}
	if err := a.write(r); err != nil {
		return err
	}
	return a.out.flush()
}

// write leaves it to the server when the reply is sent.
func (a *answer) write(r gcnode.Reply) error {
	err := a.frames.WriteReply(r)
	if refused, ok := errors.AsType[*gcnode.Error](err); ok {
		err = a.frames.WriteReply(gcnode.Reply{Key: r.Key, ListHash: r.ListHash, Err: refused})
	}
	return err
}

// whole is the answer when there is one reply, which was known at once.
func (a *answer) whole(r gcnode.Reply) {
	a.finish(func() error {
		if err := a.write(r); err != nil {
			return err
		}
		return a.frames.WriteEnd(nil)
	})
}

// refuse answers a request that is not begun.
func (a *answer) refuse(e *gcnode.Error) {
	a.finish(func() error { return a.frames.WriteRefusal(e) })
}

// end finishes the answer after the member has returned err.
func (a *answer) end(err error) {
	a.finish(func() error { return a.frames.WriteEnd(failureOf(err)) })
}

// finish writes the last frame, which the server sends when the handler has
// returned. An error means that the peer is gone, and there is nobody to tell.
func (a *answer) finish(last func() error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = true
	_ = last()
}

// deadlineWriter gives each write a deadline of its own. The server takes the
// last one away when the request is finished.
type deadlineWriter struct {
	w           http.ResponseWriter
	control     *http.ResponseController
	contentType string
	timeout     time.Duration
	begun       bool
	flushes     bool
}

func newDeadlineWriter(w http.ResponseWriter, contentType string, timeout time.Duration) *deadlineWriter {
	return &deadlineWriter{
		w: w, control: http.NewResponseController(w), contentType: contentType, timeout: timeout, flushes: canFlush(w),
	}
}

// canFlush reports whether something of an answer can be sent before its end.
func canFlush(w http.ResponseWriter) bool {
	for {
		switch next := w.(type) {
		case interface{ FlushError() error }, http.Flusher:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = next.Unwrap()
		default:
			return false
		}
	}
}

// Write implements [io.Writer].
func (d *deadlineWriter) Write(b []byte) (int, error) {
	if !d.begun {
		d.begun = true
		d.w.Header().Set("Content-Type", d.contentType)
	}
	if err := ignoreUnsupported(d.control.SetWriteDeadline(time.Now().Add(d.timeout))); err != nil {
		return 0, fmt.Errorf("set the write deadline: %w", err)
	}
	return d.w.Write(b)
}

// flush sends what was written, if that is possible. The deadline of the last
// write applies.
func (d *deadlineWriter) flush() error {
	if !d.flushes {
		return nil
	}
	if err := d.control.Flush(); err != nil {
		return fmt.Errorf("send a reply: %w", err)
	}
	return nil
}
