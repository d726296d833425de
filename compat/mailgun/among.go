package groupcache

import (
	"context"
	"errors"
	"math"
	"time"

	pb "github.com/gcnode/gcnode/compat/mailgun/groupcachepb"
	"github.com/gcnode/gcnode/compat/mailgun/internal/legacy"
	gcnode "github.com/gcnode/gcnode/core"
)

// among is a group among peers that are no members: processes of the old library,
// or whatever a picker of the program's own knows. What the core knows of loads,
// lives and memory holds for it; what goes between members is only what those
// peers can do.
type among struct {
	*legacy.Group

	peers  legacy.Picker
	native *native // what native peers are answered from, if there are any
}

// newAmong makes the group; native may be nil.
func newAmong(g *Group, peers legacy.Picker, own *native) (*among, error) {
	cfg := legacy.GroupConfig{
		Name: coreName(g.name), Picker: picks{peers, g}, Getter: source{g}, Options: g.options(g.bytes), CopyTTL: g.registry.copies,
		Logger: g.registry.logs.logger(),
	}
	if own != nil {
		cfg.Native = own.core
	}
	group, err := legacy.NewGroup(cfg)
	return &among{group, peers, own}, err
}

func (a *among) cached(key string) (v gcnode.Value, ends time.Time, source gcnode.Source) {
	return a.Cached(key)
}

func (a *among) remote(key string) bool { return a.peers.Remote(key) }

func (a *among) get(ctx context.Context, key string) (gcnode.Item[gcnode.Value], error) {
	return a.GetItem(ctx, key)
}

func (a *among) set(ctx context.Context, key string, it gcnode.Item[gcnode.Value]) error {
	return a.Set(ctx, key, it)
}

func (a *among) remove(ctx context.Context, key string) error { return a.Remove(ctx, key) }

func (a *among) stats() gcnode.GroupStats { return a.Stats() }

func (a *among) drop() {
	a.Drop()
	if a.native != nil {
		a.native.drop()
	}
}

// picks are the peers of a group, with what they answer counted.
type picks struct {
	peers legacy.Picker
	g     *Group
}

// Pick implements [legacy.Picker].
func (p picks) Pick(key string) (legacy.Peer, bool) {
	peer, ok := p.peers.Pick(key)
	if !ok || peer == nil {
		return nil, false
	}
	return counting{peer, p.g}, true
}

// Remote implements [legacy.Picker].
func (p picks) Remote(key string) bool { return p.peers.Remote(key) }

// All implements [legacy.Picker].
func (p picks) All() []legacy.Peer { return p.peers.All() }

// counting is a peer of a group. The core may know the group by another name.
type counting struct {
	legacy.Peer

	g *Group
}

// Get implements [legacy.Peer].
func (c counting) Get(ctx context.Context, _, key string) (gcnode.Item[gcnode.Value], error) {
	begun := time.Now()
	it, err := c.Peer.Get(ctx, c.g.name, key)
	if c.g.keepsNothing() {
		it.Keep = gcnode.NoStore
	}
	_, failed := errors.AsType[*legacy.RemoteError](err)
	switch {
	case err == nil:
		c.g.Stats.answered(nil, time.Since(begun))
	case failed || errors.Is(err, gcnode.ErrNotFound):
		c.g.Stats.answered(&gcnode.Error{Kind: gcnode.KindTransient}, time.Since(begun))
	case !errors.Is(ctx.Err(), context.Canceled): // nobody has left
		c.g.Stats.PeerErrors.Add(1)
	}
	return it, err
}

// Set implements [legacy.Peer].
func (c counting) Set(ctx context.Context, _, key string, it gcnode.Item[gcnode.Value]) error {
	return c.Peer.Set(ctx, c.g.name, key, it)
}

// Remove implements [legacy.Peer].
func (c counting) Remove(ctx context.Context, _, key string) error {
	return c.Peer.Remove(ctx, c.g.name, key)
}

// picked are the peers that a picker of the program knows.
type picked struct{ peers PeerPicker }

// Pick implements [legacy.Picker].
func (p picked) Pick(key string) (legacy.Peer, bool) {
	peer, ok := p.peers.PickPeer(key)
	if !ok || peer == nil {
		return nil, false
	}
	return theirs{peer}, true
}

// Remote implements [legacy.Picker].
func (p picked) Remote(key string) bool {
	peer, ok := p.peers.PickPeer(key)
	return ok && peer != nil
}

// All implements [legacy.Picker].
func (p picked) All() []legacy.Peer {
	peers := p.peers.GetAll()
	all := make([]legacy.Peer, len(peers))
	for i, peer := range peers {
		all[i] = theirs{peer}
	}
	return all
}

// theirs is a peer of the program's own.
type theirs struct{ peer ProtoGetter }

// URL implements [legacy.Peer].
func (t theirs) URL() string { return t.peer.GetURL() }

// Get implements [legacy.Peer].
func (t theirs) Get(ctx context.Context, group, key string) (gcnode.Item[gcnode.Value], error) {
	var out pb.GetResponse
	err := t.peer.Get(ctx, &pb.GetRequest{Group: &group, Key: &key}, &out)
	switch {
	case errors.Is(err, &ErrNotFound{}):
		return gcnode.Item[gcnode.Value]{}, toCore(err)
	case errors.Is(err, &ErrRemoteCall{}):
		return gcnode.Item[gcnode.Value]{}, &legacy.RemoteError{Text: err.Error()}
	case err != nil:
		return gcnode.Item[gcnode.Value]{}, err
	}
	return gcnode.Item[gcnode.Value]{Value: gcnode.BytesValue(out.GetValue()), Keep: lifeUntil(timeOf(out.GetExpire()))}, nil
}

// Set implements [legacy.Peer].
func (t theirs) Set(ctx context.Context, group, key string, it gcnode.Item[gcnode.Value]) error {
	expire := unixOf(endOf(it.Keep))
	return t.peer.Set(ctx, &pb.SetRequest{Group: &group, Key: &key, Value: it.Value.Bytes(), Expire: &expire})
}

// Remove implements [legacy.Peer].
func (t theirs) Remove(ctx context.Context, group, key string) error {
	return t.peer.Remove(ctx, &pb.GetRequest{Group: &group, Key: &key})
}

// timeOf is a time in nanoseconds of Unix time; 0 is the zero time.
func timeOf(unix int64) time.Time {
	if unix == 0 {
		return time.Time{}
	}
	return time.Unix(0, unix)
}

// unixOf is what [timeOf] makes the time of. What it cannot hold is 0, too: from
// the year 2262 on.
func unixOf(t time.Time) int64 {
	if t.IsZero() || t.Unix() > math.MaxInt64/int64(time.Second) {
		return 0
	}
	return t.UnixNano()
}
