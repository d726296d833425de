package groupcache

import (
	"context"
	"slices"
	"sync"

	pb "github.com/gcnode/gcnode/compat/mailgun/groupcachepb"
	"github.com/gcnode/gcnode/compat/mailgun/internal/legacy"
	gcnode "github.com/gcnode/gcnode/core"
)

// oldPeers are the processes on the list of a pool as those of the old library
// see them, and what this one is for those that do not.
type oldPeers struct {
	client *legacy.Client
	peers  *legacy.Peers

	mu    sync.Mutex
	awake bool // a native peer has come
	list  []string
}

func newOldPeers(p *HTTPPool) *oldPeers {
	client := legacy.NewClient(legacy.ClientOptions{BasePath: p.opts.BasePath, Transport: p.opts.Transport})
	return &oldPeers{client: client, peers: legacy.NewPeers(p.self, p.opts.Replicas, p.opts.HashFn, client)}
}

// set replaces the list. The node gets it from native, but not before a native
// peer has come: nobody would answer it.
func (o *oldPeers) set(urls []string, native func([]string)) {
	o.peers.Set(urls...)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.list = slices.Clone(urls); o.awake {
		native(o.list)
	}
}

// wake is called when the first native peer has come.
func (o *oldPeers) wake(native func([]string)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.awake = true; o.list != nil {
		native(o.list)
	}
}

// hooks take what native peers remove out of what old ones are answered from.
func (r *registry) hooks() gcnode.Hooks {
	return gcnode.Hooks{
		Removed: func(e gcnode.RemovalEvent) {
			if g := r.group(e.Group); g != nil {
				if a, ok := g.engine().(*among); ok {
					a.Removed(e)
				}
			}
		},
		Dropped: func(string) {
			for _, g := range *r.groups.Load() {
				if a, ok := g.engine().(*among); ok {
					a.Forget()
				}
			}
		},
	}
}

// lookup is what old peers are answered from.
func (r *registry) lookup(name string) (legacy.Cache, bool) {
	g := r.group(coreName(name))
	if g == nil {
		return nil, false
	}
	switch e := g.engine().(type) {
	case *among:
		return asked{e.Local(), g}, true
	case native:
		return asked{e.core, g}, true
	default:
		return nil, false
	}
}

// asked is the memory of a group for old peers. What they ask for is counted.
type asked struct {
	legacy.Cache

	g *Group
}

// GetItem implements [legacy.Cache].
func (a asked) GetItem(ctx context.Context, key string) (gcnode.Item[gcnode.Value], error) {
	a.g.Stats.ServerRequests.Add(1)
	a.g.Stats.Gets.Add(1)
	if _, _, source := a.g.engine().cached(key); source != 0 {
		a.g.Stats.CacheHits.Add(1)
	} else {
		a.g.Stats.Loads.Add(1)
	}
	return a.Cache.GetItem(ctx, key)
}

// oldPeer is one of them as a picker of this API has it.
type oldPeer struct{ peer legacy.Peer }

// GetURL implements [ProtoGetter].
func (o oldPeer) GetURL() string { return o.peer.URL() }

// Get implements [ProtoGetter].
func (o oldPeer) Get(ctx context.Context, in *pb.GetRequest, out *pb.GetResponse) error {
	it, err := o.peer.Get(orBackground(ctx), in.GetGroup(), in.GetKey())
	if err != nil {
		return fromCore(err)
	}
	answer(out, it)
	return nil
}

// Remove implements [ProtoGetter].
func (o oldPeer) Remove(ctx context.Context, in *pb.GetRequest) error {
	return o.peer.Remove(orBackground(ctx), in.GetGroup(), in.GetKey())
}

// Set implements [ProtoGetter].
func (o oldPeer) Set(ctx context.Context, in *pb.SetRequest) error {
	it := gcnode.Item[gcnode.Value]{Value: gcnode.BytesValue(in.GetValue()), Keep: lifeUntil(timeOf(in.GetExpire()))}
	return o.peer.Set(orBackground(ctx), in.GetGroup(), in.GetKey(), it)
}
