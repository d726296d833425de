package sim

import (
	"context"
	"sync"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
)

// broadcaster is a life whose transport can send one message to all members.
type broadcaster struct{ *life }

// broadcast is a message to all members that were ever there: an exchange with
// each, of which nobody is told that it has failed.
type broadcast struct {
	w    *world
	from *life
	req  *gcnode.Request
	// What follows belongs to the world until begun is closed.
	exchanges []*exchange
	begun     chan struct{}
}

// Broadcast implements [gcnode.Broadcaster].
func (l broadcaster) Broadcast(ctx context.Context, to []gcnode.Peer, req *gcnode.Request, take func(gcnode.Peer, gcnode.Reply)) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	b := &broadcast{w: l.w, from: l.life, req: transporttest.CopyRequest(req), begun: make(chan struct{})}
	l.w.post(b)
	select {
	case <-b.begun:
	case <-ctx.Done():
		return ctx.Err()
	}
	if len(to) == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wanted := map[string]gcnode.Peer{}
	for _, p := range to {
		wanted[p.ID] = p
	}
	var mu sync.Mutex // held while take is called
	var all sync.WaitGroup
	for _, x := range b.exchanges {
		all.Go(func() {
			x.await(ctx, func(r gcnode.Reply) {
				mu.Lock()
				defer mu.Unlock()
				p, ok := wanted[x.to]
				if !ok || ctx.Err() != nil {
					return
				}
				take(p, r)
				if delete(wanted, x.to); len(wanted) == 0 {
					cancel()
				}
			})
		})
	}
	all.Wait()
	return nil
}

// await hands on what comes, until the end of the exchange or of ctx.
func (x *exchange) await(ctx context.Context, take func(gcnode.Reply)) {
	for {
		select {
		case f := <-x.in:
			if f.end {
				return
			}
			take(f.reply)
		case <-ctx.Done():
			x.w.post(&leave{x, ctx.Err()})
			x.drain()
			return
		}
	}
}

func (b *broadcast) content() string {
	return "1 " + (&exchange{w: b.w, from: b.from, to: "*", req: b.req}).content()
}

// accept sends the message to each member.
func (b *broadcast) accept() {
	defer close(b.begun)
	if b.from.dead.Load() {
		return
	}
	b.w.counts[b.req.Op.String()+" broadcasts"]++
	for _, id := range b.w.everyone {
		if id == b.from.id {
			continue
		}
		x := &exchange{w: b.w, from: b.from, to: id, req: b.req, in: make(chan frame, maxInTransit)}
		b.exchanges = append(b.exchanges, x)
		(&request{x}).accept()
	}
}
