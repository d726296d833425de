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
		if !returned { // it panicked, or ended its goroutine
			g.counts.loadErrors.Add(1)
			err = errNoReturn
		}
		g.loadEnded(key, begun, a, err)
	}()
	a, err = g.callGetter(ctx, call, key)
	returned = true
	return a, err
}

var errNoReturn = &Error{Kind: KindInternal, Err: errors.New("the getter did not return")}

// loadEnded times and reports a load that has begun at a time.
func (g *Group) loadEnded(key string, begun int64, a answer, err error) {
	took := time.Duration(g.node.now() - begun)
	g.loadTime.Record(took)
	if hook := g.node.cfg.Hooks.Loaded; hook != nil {
		hook(LoadEvent{Group: g.name, Key: key, Took: took, Err: g.outcome(OpGet, key, a, err)})
	}
}

// fetchEnded reports a question to a peer, and times it if the peer has
// answered.
func (g *Group) fetchEnded(p *peer, key string, sent int64, a answer, err *Error) {
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
}

// outcome is the error of an answer about the key.
func (g *Group) outcome(op Op, key string, a answer, err error) error {
	switch {
	case err != nil:
		return g.failure(op, key, err)
	case a.notFound:
		return g.absence(key, a)
	default:
		return nil
	}
}
