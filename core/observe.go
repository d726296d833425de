package gcnode

import (
	"context"
	"time"
)

// callTimed calls the getter and takes the time until it returns, or panics.
func (g *Group) callTimed(ctx context.Context, key string) (Item[Value], error) {
	begun := time.Now()
	defer func() { g.loadTime.Record(time.Since(begun)) }()
	return g.getter.GetItem(ctx, key)
}

// fetchTimed is fetch, and takes the time of the peers that answered.
func (g *Group) fetchTimed(ctx context.Context, p *peer, key string, sent int64) (answer, uint64, *Error) {
	begun := time.Now()
	a, listHash, err := g.fetch(ctx, p, key, sent)
	if err == nil || err.Kind != KindUnreachable {
		p.fetchTime.Record(time.Since(begun))
	}
	return a, listHash, err
}
