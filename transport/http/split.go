package httptransport

import (
	"context"
	"sync"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

// maxSplit is how many keys of a request are asked for at the same time when each
// has a request of its own.
const maxSplit = 256

// askEach asks for each key by itself, where the replies to a request arrive
// together: what is slow must not hold up the others.
func (p *peer) askEach(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	places := make(chan struct{}, maxSplit)
	each := &eachWriter{w: w}
	var wg sync.WaitGroup
	for i := range req.Keys {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-places }()
			if err := p.askKey(ctx, req, i, each); err != nil {
				cancel(err) // the first one counts
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// askKey asks for one key of a request.
func (p *peer) askKey(ctx context.Context, req *gcnode.Request, i int, each *eachWriter) error {
	one := *req
	one.Keys = req.Keys[i : i+1]
	if len(req.Digests) > 0 {
		one.Digests = req.Digests[i : i+1]
	}
	buf, _ := buffers.Get().(*[]byte)
	defer keepBuffer(buf)
	request, err := wire.AppendRequest((*buf)[:0], &one)
	if err != nil {
		return &requestError{err}
	}
	*buf = request
	return p.ask(ctx, request, &one, keyWriter{each, i})
}

// eachWriter takes the replies to many requests, one at a time.
type eachWriter struct {
	mu sync.Mutex
	w  gcnode.ReplyWriter
}

// keyWriter is that of one key.
type keyWriter struct {
	*eachWriter

	key int
}

// WriteReply implements [gcnode.ReplyWriter].
func (k keyWriter) WriteReply(r gcnode.Reply) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !r.Pending {
		r.Key = k.key
	}
	return k.w.WriteReply(r)
}
