package gcnode

import (
	"context"
	"errors"
	"time"

	"github.com/gcnode/gcnode/core/internal/flight"
)

// observedLoad is callGetter, timed and reported, however it ends.
func (g *Group) observedLoad(ctx context.Context, call *flight.Call[answer], key string) (a answer, err error) {
	begun, returned := g.node.now(), false
	defer func() {
		took := time.Duration(g.node.now() - begun)
		g.loadTime.Record(took)
		hook := g.node.cfg.Hooks.Loaded
		if !returned {
			g.counts.loadErrors.Add(1)
		}
		if hook == nil {
			return
		}
		if !returned { // it panicked, or ended its goroutine
			err = &Error{Kind: KindInternal, Group: g.name, Key: key, Err: errors.New("the getter did not return")}
		}
		hook(LoadEvent{Group: g.name, Key: key, Took: took, Err: g.outcome(OpGet, key, a, err)})
	}()
	a, err = g.callGetter(ctx, call, key)
	returned = true
	return a, err
}

// observedFetch is fetch, timed if the peer answers, and reported.
func (g *Group) observedFetch(ctx context.Context, p *peer, key string, sent int64) (answer, uint64, *Error) {
	a, listHash, err := g.fetch(ctx, p, key, sent)
	took := time.Duration(g.node.now() - sent)
	if err == nil || err.Kind != KindUnreachable {
		p.fetchTime.Record(took)
	}
	if hook := g.node.cfg.Hooks.Fetched; hook != nil {
		event := FetchEvent{Group: g.name, Key: key, Peer: p.Peer, Took: took}
		if err != nil {
			event.Err = err
		} else {
			event.Err = g.outcome(OpFetch, key, a, nil)
		}
		hook(event)
	}
	return a, listHash, err
}

// outcome is the error of an answer about the key.
func (g *Group) outcome(op Op, key string, a answer, err error) error {
	switch {
	case err != nil:
		return g.failure(op, key, err)
	case a.notFound:
		return g.notFound(key, a.value)
	default:
		return nil
	}
}
