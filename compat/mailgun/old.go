package groupcache

import (
	"context"
	"slices"
	"sync"
	"time"

	pb "github.com/gcnode/gcnode/compat/mailgun/groupcachepb"
	"github.com/gcnode/gcnode/compat/mailgun/internal/legacy"
	gcnode "github.com/gcnode/gcnode/core"
)

// oldPeers are the processes on the list of a pool as those of the old library
// see them, and what this one is for those that do not.
type oldPeers struct {
	pool   *HTTPPool
	client *legacy.Client
	peers  *legacy.Peers

	mu    sync.Mutex
	awake bool // there was a native peer
	list  []string

	closed  context.Context //nolint:containedctx // ends with the pool
	close   func()
	looking sync.WaitGroup
}

func newOldPeers(p *HTTPPool) *oldPeers {
	o := &oldPeers{pool: p, client: legacy.NewClient(legacy.ClientOptions{BasePath: p.opts.BasePath, Transport: p.opts.Transport})}
	o.peers = legacy.NewPeers(p.self, p.opts.Replicas, p.opts.HashFn, o.client)
	o.closed, o.close = context.WithCancel(context.Background())
	return o
}

// set replaces the list. The node gets it, too, but not before there is a native
// peer: nobody would answer it.
func (o *oldPeers) set(urls []string) {
	o.peers.Set(urls...)
	o.mu.Lock()
	defer o.mu.Unlock()
	first := o.list == nil
	o.list = slices.Clone(urls)
	if o.awake {
		o.pool.setNative(o.list)
	}
	if first || !o.awake {
		o.looking.Go(func() { o.look(urls) })
	}
}

// Asleep implements [legacy.Sleep].
func (o *oldPeers) Asleep() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.awake
}

// Wake implements [legacy.Sleep].
func (o *oldPeers) Wake() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.awake && o.list != nil {
		o.pool.setNative(o.list)
	}
	o.awake = true
}

// lookTimeout bounds the time that peers take to say whether they are native.
const lookTimeout = 5 * time.Second

// look asks the peers whether one of them is native. Members that were told that
// the process before this one leaves do not come here by themselves, and nobody
// has told this one of their removals until it has joined them.
func (o *oldPeers) look(urls []string) {
	ctx, cancel := context.WithTimeout(o.closed, lookTimeout)
	defer cancel()
	var asking sync.WaitGroup
	join := sync.OnceFunc(func() {
		o.Wake()
		if o.pool.node.Joined(o.closed) == nil {
			o.pool.registry.forget()
		}
	})
	for _, url := range urls {
		if url == o.pool.self {
			continue
		}
		asking.Go(func() {
			if legacy.IsNative(ctx, o.pool.client, o.pool.sender, o.pool.member(url)) {
				join()
			}
		})
	}
	asking.Wait()
}

// stopLooking gives up to look for native peers.
func (o *oldPeers) stopLooking() {
	o.close()
	o.looking.Wait()
}

// forget empties what old peers are answered from.
func (r *registry) forget() {
	for _, g := range *r.groups.Load() {
		if a, ok := g.engine().(*among); ok {
			a.Forget()
		}
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
		Dropped: func(string) { r.forget() },
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

// asked is the memory of a group for old peers. What they ask for is counted, and
// what they set in a group of no bytes is not kept.
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

// Set implements [legacy.Cache].
func (a asked) Set(ctx context.Context, key string, it gcnode.Item[gcnode.Value]) error {
	if a.g.keepsNothing() {
		it.Keep = gcnode.NoStore
	}
	return a.Cache.Set(ctx, key, it)
}

// oldPeer is one of them as a picker of this API has it.
type oldPeer struct {
	pool *HTTPPool
	peer legacy.Peer
}

// GetURL implements [ProtoGetter].
func (o oldPeer) GetURL() string { return o.peer.URL() + o.pool.opts.BasePath }

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
