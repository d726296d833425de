package httptransport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

// isBundle reports whether a request is a bundle: several calls, which are
// answered as far as the member can do that at once.
func isBundle(r *http.Request) bool {
	return r.Method == http.MethodPost && mediaType(r.Header) == bundleType
}

// serveBundle answers a bundle. An error is what is wrong with it, of which
// nothing is answered then.
func (h *Handler) serveBundle(w http.ResponseWriter, r *http.Request, who *caller, memory *share) error {
	buf, _ := buffers.Get().(*[]byte)
	defer keepBuffer(buf)
	calls, err := appendAll((*buf)[:0], h.body(w, r, who, memory, wire.MaxBundleBytes))
	*buf = calls
	if err != nil {
		return fmt.Errorf("read the calls: %w", err)
	}
	out, _ := buffers.Get().(*[]byte)
	defer keepBuffer(out)
	b := bundled{h: h, ctx: r.Context(), who: who, out: (*out)[:0], memory: memory, read: len(calls)}
	for len(calls) > 0 && err == nil {
		var message []byte
		if message, calls, err = wire.CutMessage(calls); err == nil {
			err = b.take(message)
		}
	}
	*out = b.out
	if err == nil {
		h.writeBundle(w, who, b.out)
	}
	return err
}

// writeBundle answers a bundle with what is returned for it.
func (h *Handler) writeBundle(w http.ResponseWriter, who *caller, returns []byte) {
	if who.signed == nil {
		w.Header().Set("Content-Length", strconv.Itoa(len(returns)))
	}
	out := who.seal(w.Header(), http.StatusOK, newDeadlineWriter(w, bundleType, h.opts.WriteTimeout))
	_, _ = out.Write(returns) // or there is nobody to tell
}

// appendAll appends all that comes from r.
func appendAll(b []byte, r io.Reader) ([]byte, error) {
	for {
		b = slices.Grow(b, 512)
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			return b, err
		}
	}
}

// bundled are the calls of a bundle that is being answered.
type bundled struct {
	h        *Handler
	ctx      context.Context
	who      *caller
	requests wire.RequestDecoder
	req      gcnode.Request // the last one, whose memory is used again
	last     uint64         // call that was taken
	out      []byte         // what is returned
	memory   *share         // of what was read, and of out
	read     int
}

// take adds what is returned for a call.
func (b *bundled) take(message []byte) error {
	call, err := wire.DecodeCall(message)
	switch {
	case err != nil:
		return err
	case call.Request == nil:
		return nil // what is unknown is left alone
	case call.Exchange <= b.last:
		return fmt.Errorf("%w: call %d after %d", wire.ErrMalformed, call.Exchange, b.last)
	}
	b.last = call.Exchange
	if err := b.requests.Decode(call.Request, &b.req); err != nil {
		refusal, typed := errors.AsType[*gcnode.Error](err)
		if !typed {
			return err
		}
		b.refuse(refusal)
		return nil
	}
	if _, denied := b.h.admit(b.who, &b.req); denied != nil {
		b.refuse(denied)
		return nil
	}
	reply, prompt := b.h.answerNow(b.ctx, &b.req)
	if !prompt || reply.Value.Len() > copyBytes {
		b.apart()
		return nil
	}
	b.add(appendReply(b.out, b.last, &reply))
	return nil
}

func (b *bundled) refuse(e *gcnode.Error) { b.add(wire.AppendRefusal(b.out, b.last, e)) }

func (b *bundled) apart() { b.out = wire.AppendApart(b.out, b.last) }

// add goes on with out, to which what is returned for the last call was added,
// unless that makes it too large.
func (b *bundled) add(out []byte) {
	if len(out)-len(b.out) > wire.MaxBundleReturnBytes || len(out) > wire.MaxBundledBytes ||
		b.memory.set(int64(b.read+cap(out))) != nil {
		b.apart()
		return
	}
	b.out = out
}
