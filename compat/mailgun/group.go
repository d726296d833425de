package groupcache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"sync"
	"sync/atomic"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// Group is a set of keys with one getter, shared by the processes that have a
// group of its name. Its methods may be called from any goroutine.
type Group struct {
	// Stats are the figures of the group in this process.
	Stats Stats // in front, since it is used atomically on small machines too

	hotHits AtomicInt // those of the hits that were copies
	_       [64]byte  // what is counted for each hit keeps off what is read for each

	name     string
	getter   Getter
	bytes    int64
	registry *registry

	bound   atomic.Pointer[engine]
	binding sync.Mutex
}

// engine is what a group runs on.
type engine interface {
	// cached is what is in memory here, when it ends, and where.
	cached(key string) (v gcnode.Value, ends time.Time, source gcnode.Source)
	// remote reports whether another process owns the key.
	remote(key string) bool
	// get finds or loads the value; its error is one of the core.
	get(ctx context.Context, key string) (gcnode.Item[gcnode.Value], error)
	set(ctx context.Context, key string, it gcnode.Item[gcnode.Value]) error
	remove(ctx context.Context, key string) error
	stats() gcnode.GroupStats
	// drop gives everything up. Nothing is kept any more.
	drop()
}

// Name is the group's name.
func (g *Group) Name() string { return g.name }

// Get puts the value of the key into dest: from memory, from the owner of the
// key, or from the getter. It returns at the end of ctx at the latest, and the
// load goes on for others who wait.
//
// Errors of the getter in this process are returned as they are. What another
// member's has said is an [ErrNotFound] or an [ErrRemoteCall] with its text. All
// else is an error of package gcnode, for example [gcnode.ErrInternal] when the
// getter has panicked. When the owner cannot be reached, the next in line is
// asked, and then the getter here.
func (g *Group) Get(ctx context.Context, key string, dest Sink) error {
	g.Stats.Gets.Add(1)
	if dest == nil {
		return errNilSink
	}
	on := g.engine()
	v, ends, source := on.cached(key)
	if source != 0 && !expired(ends) {
		g.Stats.CacheHits.Add(1)
		if source == gcnode.SourceHot {
			g.hotHits.Add(1)
		}
		return deliver(dest, viewOf(v, ends))
	}
	ctx = orBackground(ctx)
	if source != 0 {
		_ = on.remove(ctx, key) // what could not be removed will be tried again
	}
	g.Stats.Loads.Add(1)
	it, err := on.get(ctx, key)
	if err != nil {
		return fromCore(err)
	}
	return deliver(dest, viewOf(it.Value, g.end(it.Keep)))
}

// Set stores a copy of the value at the owner of the key, until expire or, if
// that is the zero time, without an end. Older values are taken out of the memory
// of all members. With hotCache there is a copy in this process, too.
//
// nil means that no member that could be reached returns an older value from now
// on; otherwise the error names those that did not confirm, and they are told in
// the background. See [gcnode.Group.Set].
func (g *Group) Set(ctx context.Context, key string, value []byte, expire time.Time, hotCache bool) error { //nolint:revive // the flag is part of the signature
	if key == "" {
		return errEmptyKey
	}
	ctx = orBackground(ctx)
	on, life := g.engine(), lifeUntil(expire)
	if !on.remote(key) {
		life = g.life(expire)
	}
	err := on.set(ctx, key, gcnode.Item[gcnode.Value]{Value: gcnode.BytesValue(value), Keep: life})
	if err == nil && hotCache && life != gcnode.NoStore && !g.keepsNothing() {
		_, _ = on.get(ctx, key) // the answer of an owner that is not this process is copied
	}
	return err
}

// Remove takes the key out of the memory of all members. nil means that no Get
// that starts afterwards, on any of them, returns a value whose load began
// before; otherwise the error names those that did not confirm, and they are told
// in the background. See [gcnode.Group.Remove], which takes many keys at once, and
// [gcnode.Group.Clear].
func (g *Group) Remove(ctx context.Context, key string) error {
	return g.engine().remove(orBackground(ctx), key)
}

// CacheStats returns the figures of a part of the group's memory.
func (g *Group) CacheStats(which CacheType) CacheStats {
	s := g.engine().stats()
	gets, hits, hot := g.Stats.Gets.Get(), g.Stats.CacheHits.Get(), g.hotHits.Get()
	switch which {
	case MainCache:
		return cacheStats(&s.Owned, gets, hits-hot)
	case HotCache:
		return cacheStats(&s.Hot, gets-hits+hot, hot)
	default:
		return CacheStats{}
	}
}

// engine is what the group runs on, which is decided when it is first used, or
// when there is a pool.
func (g *Group) engine() engine {
	if e := g.bound.Load(); e != nil {
		return *e
	}
	g.binding.Lock()
	defer g.binding.Unlock()
	if e := g.bound.Load(); e != nil {
		return *e
	}
	e := g.registry.engineOf(g)
	g.bound.Store(&e)
	return e
}

// options are those of a group of the core that may take so many bytes.
func (g *Group) options(bytes int64) gcnode.GroupOptions {
	opts := gcnode.GroupOptions{
		MaxBytes: max(bytes, gcnode.MinBytes), TTL: gcnode.Forever, NegativeTTL: -1,
		HotAfter: 1, // every value of others is copied
	}
	if g.keepsNothing() {
		opts.HotAfter = math.MaxInt
	}
	return opts
}

func (g *Group) keepsNothing() bool { return g.bytes <= 0 }

// life is how long a value is kept here that expires at a time.
func (g *Group) life(expire time.Time) gcnode.Lifetime {
	if g.keepsNothing() {
		return gcnode.NoStore
	}
	return lifeUntil(expire)
}

// end is when a value expires of whose life so much is left.
func (g *Group) end(left gcnode.Lifetime) time.Time {
	if g.keepsNothing() && left == gcnode.NoStore { // it says nothing of the value
		return time.Time{}
	}
	return endOf(left)
}

// coreName is the name of the group for the core, which wants 1 to 256 bytes.
func coreName(name string) string {
	if name != "" && len(name) <= gcnode.MaxIDBytes {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// orBackground is ctx, which may be nil here.
func orBackground(ctx context.Context) context.Context {
	if ctx == nil {
		return context.Background()
	}
	return ctx
}
