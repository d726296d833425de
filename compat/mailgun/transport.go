package groupcache

import (
	"context"
	"errors"
	"sync"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	httptransport "github.com/gcnode/gcnode/transport/http"
)

// counted is the transport of a pool. It counts the fetches of its groups.
type counted struct {
	client *httptransport.Client
	of     *registry
}

// RoundTrip implements [gcnode.Transport].
func (c counted) RoundTrip(ctx context.Context, to gcnode.Peer, req *gcnode.Request, w gcnode.ReplyWriter) error {
	g := c.group(req)
	if g == nil {
		return c.client.RoundTrip(ctx, to, req, w)
	}
	f := newFetch(ctx, g)
	defer f.free()
	f.replies = w
	err := c.client.RoundTrip(ctx, to, req, f)
	f.ended(err)
	return err
}

// Begin implements [gcnode.Beginner].
func (c counted) Begin(ctx context.Context, to gcnode.Peer, req *gcnode.Request, x gcnode.Exchange) (gcnode.Ticket, bool) {
	g := c.group(req)
	if g == nil {
		return c.client.Begin(ctx, to, req, x)
	}
	f := newFetch(ctx, g)
	f.replies, f.exchange = x, x
	t, ok := c.client.Begin(ctx, to, req, f)
	if !ok {
		f.free()
	}
	return t, ok
}

// group is the group that a fetch is for; nil for another request.
func (c counted) group(req *gcnode.Request) *Group {
	if req.Op != gcnode.OpFetch {
		return nil
	}
	return c.of.group(req.Group)
}

// fetch is one question to a peer about a key.
type fetch struct {
	ctx      context.Context //nolint:containedctx // it says whether somebody waits
	g        *Group
	begun    time.Time
	replies  gcnode.ReplyWriter
	exchange gcnode.Exchange // nil for a RoundTrip
	answered bool
}

var fetches = sync.Pool{New: func() any { return new(fetch) }} //nolint:gochecknoglobals // a pool is of use only to all

func newFetch(ctx context.Context, g *Group) *fetch {
	f, _ := fetches.Get().(*fetch)
	*f = fetch{ctx: ctx, g: g, begun: time.Now()}
	return f
}

func (f *fetch) free() {
	*f = fetch{}
	fetches.Put(f)
}

// WriteReply implements [gcnode.ReplyWriter].
func (f *fetch) WriteReply(r gcnode.Reply) error {
	if !r.Pending {
		f.answered = true
		f.g.Stats.answered(r.Err, time.Since(f.begun))
	}
	return f.replies.WriteReply(r)
}

// End implements [gcnode.Exchange].
func (f *fetch) End(err error) {
	f.ended(err)
	x := f.exchange
	f.free()
	x.End(err)
}

// ended counts a peer that has not answered. What is asked again is counted then,
// and what nobody waits for any more says nothing of the peer.
func (f *fetch) ended(err error) {
	if err == nil || f.answered || f.left() {
		return
	}
	if _, again := errors.AsType[*gcnode.RepeatError](err); !again {
		f.g.Stats.PeerErrors.Add(1)
	}
}

// left reports whether who has asked does not wait any more. The context of a
// RoundTrip has a deadline of its own, that of Begin is the caller's.
func (f *fetch) left() bool {
	err := f.ctx.Err()
	return errors.Is(err, context.Canceled) || f.exchange != nil && err != nil
}

// served is the node of a pool as its peers see it. It counts what they ask for,
// and what they set in a group of no bytes is not kept.
type served struct {
	node *gcnode.Node
	of   *registry
}

// ServePeer implements [gcnode.Handler].
func (s served) ServePeer(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
	g := s.of.group(req.Group)
	switch {
	case g == nil:
	case req.Op == gcnode.OpFetch:
		w = servedReplies{g, w}
	case req.Op == gcnode.OpSet && g.keepsNothing():
		own := *req
		own.Keep, req = gcnode.NoStore, &own
	}
	return s.node.ServePeer(ctx, req, w)
}

// AnswerNow implements [gcnode.PromptHandler].
func (s served) AnswerNow(req *gcnode.Request) (gcnode.Reply, bool) {
	r, ok := s.node.AnswerNow(req)
	if ok {
		if g := s.of.group(req.Group); g != nil {
			g.Stats.served(&r)
		}
	}
	return r, ok
}

// servedReplies counts the replies to a fetch.
type servedReplies struct {
	g *Group
	w gcnode.ReplyWriter
}

// WriteReply implements [gcnode.ReplyWriter].
func (s servedReplies) WriteReply(r gcnode.Reply) error {
	if !r.Pending {
		s.g.Stats.served(&r)
	}
	return s.w.WriteReply(r)
}
