package httptransport_test

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
	httptransport "github.com/gcnode/gcnode/transport/http"
	"github.com/gcnode/gcnode/transport/wire"
)

const (
	// crowdGroup is of the fetches that go along with others.
	crowdGroup = "the crowd"
	// promptTime is how long the answer to a fetch may take to be there at once.
	promptTime = 5 * time.Millisecond
)

// crowded is a client that never asks for one key alone: others ask the same peer
// at the same time, so that there are bundles.
type crowded struct {
	gcnode.Transport

	keys atomic.Int64
}

// RoundTrip implements [gcnode.Transport].
func (c *crowded) RoundTrip(ctx context.Context, to gcnode.Peer, req *gcnode.Request, w gcnode.ReplyWriter) error {
	if len(req.Keys) != 1 || req.Op != gcnode.OpFetch {
		return c.Transport.RoundTrip(ctx, to, req, w)
	}
	others, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer func() { // the others leave with it
		cancel()
		wg.Wait()
	}()
	for range 5 {
		wg.Go(func() {
			key := strconv.FormatInt(c.keys.Add(1), 10)
			_ = c.Transport.RoundTrip(others, to, &gcnode.Request{Op: gcnode.OpFetch, Group: crowdGroup, Keys: []string{key}}, &collect{})
		})
	}
	return c.Transport.RoundTrip(ctx, to, req, w)
}

// knowing is a member that has at once what a handler answers soon, and goes on
// with the rest when that is asked again.
type knowing struct {
	gcnode.Handler

	mu   sync.Mutex
	runs map[string][]*run // by request
}

// run is a handler at work.
type run struct {
	ctx     context.Context
	cancel  context.CancelFunc
	replies chan gcnode.Reply
	left    chan struct{} // closed when it has ended
	err     error
	panic   any
}

// WriteReply implements [gcnode.ReplyWriter].
func (r *run) WriteReply(reply gcnode.Reply) error {
	select {
	case r.replies <- reply:
		return nil
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
}

// AnswerNow implements [gcnode.PromptHandler].
func (k *knowing) AnswerNow(req *gcnode.Request) (gcnode.Reply, bool) {
	if req.Op != gcnode.OpFetch || len(req.Keys) != 1 || len(req.Removals) > 0 {
		return gcnode.Reply{}, false
	}
	if req.Group == crowdGroup {
		return gcnode.Reply{Value: gcnode.StringValue(req.Keys[0])}, true
	}
	id := idOf(req)
	k.mu.Lock()
	again := len(k.runs[id]) > 0
	k.mu.Unlock()
	if again {
		return gcnode.Reply{}, false
	}
	r := &run{replies: make(chan gcnode.Reply, 1), left: make(chan struct{})}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	kept := transporttest.CopyRequest(req)
	go func() {
		defer close(r.left)
		defer func() { r.panic = recover() }()
		r.err = k.ServePeer(r.ctx, kept, r)
	}()
	select {
	case <-r.left:
		if r.err == nil && r.panic == nil && len(r.replies) == 1 {
			reply := <-r.replies
			return reply, !reply.Pending
		}
	case <-time.After(promptTime):
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.runs[id] = append(k.runs[id], r)
	time.AfterFunc(time.Second, func() { // nobody asks again
		if k.take(id, r) == r {
			r.cancel()
		}
	})
	return gcnode.Reply{}, false
}

// take takes a run of the request out: a certain one, or any if that is nil.
func (k *knowing) take(id string, which *run) *run {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, r := range k.runs[id] {
		if which == nil || r == which {
			k.runs[id] = append(k.runs[id][:i:i], k.runs[id][i+1:]...)
			return r
		}
	}
	return nil
}

func idOf(req *gcnode.Request) string {
	encoded, err := wire.AppendRequest(nil, req)
	if err != nil {
		return err.Error()
	}
	return string(encoded)
}

// served is the handler that goes on with runs.
type served struct{ *knowing }

// ServePeer implements [gcnode.Handler].
func (s served) ServePeer(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
	var r *run
	if req.Op == gcnode.OpFetch && len(req.Keys) == 1 {
		r = s.take(idOf(req), nil)
	}
	if r == nil {
		return s.knowing.ServePeer(ctx, req, w)
	}
	defer r.cancel()
	for {
		select {
		case reply := <-r.replies:
			if err := w.WriteReply(reply); err != nil {
				return err
			}
			continue
		default:
		}
		select {
		case reply := <-r.replies:
			if err := w.WriteReply(reply); err != nil {
				return err
			}
		case <-ctx.Done():
			r.cancel()
			<-r.left
			return r.err
		case <-r.left:
			if len(r.replies) > 0 {
				continue
			}
			if r.panic != nil {
				panic(r.panic)
			}
			return r.err
		}
	}
}

// TestConformanceOfBundles has a crowd that asks, waiting for the answers or not.
func TestConformanceOfBundles(t *testing.T) {
	begin := map[string]bool{"plain": false, "HTTP2": true, "signed plain": true}
	for _, c := range carriers(t) {
		begins, ok := begin[c.name]
		if !ok {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			var bundled uint64
			transporttest.Run(t, func(t *testing.T, h gcnode.Handler) transporttest.Endpoint {
				t.Helper()
				e := c.endpoint(t, served{&knowing{Handler: h, runs: map[string][]*run{}}})
				client, ok := e.Transport.(*httptransport.Client)
				require.True(t, ok)
				if begins {
					e.Transport = &transporttest.Beginning{Beginner: client}
				}
				e.Transport = &crowded{Transport: e.Transport}
				t.Cleanup(func() {
					for _, p := range client.Stats().Peers {
						bundled += p.Bundled
					}
				})
				return e
			})
			require.Greater(t, bundled, uint64(1000))
		})
	}
}
