package httptransport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

// callBytes is what a call has at most beside its request.
const callBytes = 32

// bundle is several fetches that go in one POST.
type bundle struct {
	b *bundler

	// Under the mutex of the bundler until it is sent.
	calls   []byte
	fetches []*fetch // the first is call 1

	// Under the mutex of the bundler.
	left   int                // of these, whose outcome is wanted and not known
	cancel context.CancelFunc // nil: it is not sent yet
}

// noBundleError is an answer to a bundle of a peer, or of something on the way to
// it, that takes none.
type noBundleError struct {
	status int
}

// Error implements the error interface.
func (e *noBundleError) Error() string { return fmt.Sprintf("the answer to a bundle is %d", e.status) }

// lasts is for how long the answer is likely to be the same.
func (e *noBundleError) lasts() time.Duration {
	if (&refusedError{status: e.status}).passing() {
		return brieflyPlain
	}
	return plainFor
}

// carry sends the bundle, and sees to it that each fetch has its outcome.
func (c *bundle) carry(t ticket) {
	b := c.b
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	b.mu.Lock()
	c.cancel = cancel
	if c.left == 0 {
		cancel()
	}
	b.mu.Unlock()
	b.bundles.Add(1)
	err := c.post(ctx)
	none, ok := errors.AsType[*noBundleError](err)
	if ok {
		b.off.set(none.lasts())
	}
	for _, f := range c.fetches {
		switch {
		case f == nil: // it has
		case ok:
			c.apart(f)
		default:
			c.end(f, nil, err)
		}
	}
	runtime.Gosched() // so that who has an answer may go with the next bundle
	b.release(t)
}

// post sends the bundle and hands out what is returned, until all has come.
func (c *bundle) post(ctx context.Context) error {
	p := c.b.p
	resp, signed, err := p.send(ctx, bundleType, c.calls)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	signed = p.answered(signed, resp)
	if err := signed.open(resp); err != nil && resp.StatusCode == http.StatusOK {
		return err
	}
	if resp.StatusCode != http.StatusOK || mediaType(resp.Header) != bundleType {
		return &noBundleError{resp.StatusCode}
	}
	returns := wire.NewMessageReader(resp.Body, wire.MaxBundleReturnBytes)
	for {
		b, err := returns.Next()
		if errors.Is(err, io.EOF) {
			return errors.New("the peer has left out an answer")
		}
		if err == nil {
			err = c.take(b)
		}
		if err != nil {
			return err
		}
	}
}

// take hands out what is returned for a call. An error is for all that have no
// outcome.
func (c *bundle) take(message []byte) error {
	r, err := wire.DecodeReturn(message)
	if err != nil {
		return err
	}
	if r.Exchange > uint64(len(c.fetches)) || r.Exchange > 0 && c.fetches[r.Exchange-1] == nil {
		return fmt.Errorf("%w: call %d was not asked, or is answered twice", wire.ErrMalformed, r.Exchange)
	}
	var f *fetch
	if r.Exchange > 0 {
		f = c.fetches[r.Exchange-1]
	}
	if r.Apart && f != nil {
		c.fetches[r.Exchange-1] = nil
		c.apart(f)
		return nil
	}
	if r.Frame == nil { // of a newer version
		return nil
	}
	var frames wire.Collector
	reply, complete, err := frames.Add(r.Frame)
	refusal, refused := errors.AsType[*wire.EndError](err)
	switch {
	case refused && refusal.Refused && f != nil:
	case err != nil:
		return err
	case f == nil || !complete || reply.Pending || reply.Key != 0:
		return fmt.Errorf("%w: what is returned for call %d is no answer", wire.ErrMalformed, r.Exchange)
	}
	c.fetches[r.Exchange-1] = nil
	c.b.bundled.Add(1)
	c.end(f, &reply, err)
	return nil
}

// apart lets a fetch go alone.
func (c *bundle) apart(f *fetch) {
	c.b.mu.Lock()
	wanted := f.takeApart()
	c.b.mu.Unlock()
	if wanted {
		f.goApart(ticket{})
	}
}

// end ends a fetch, with a reply or an error.
func (c *bundle) end(f *fetch, reply *gcnode.Reply, err error) {
	c.b.mu.Lock()
	wanted := f.take()
	c.b.mu.Unlock()
	if wanted {
		f.finish(reply, err)
	}
}
