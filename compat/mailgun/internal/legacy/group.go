package legacy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// copiesShare is the part of a group's bytes, one in so many, for copies of what
// others own.
const copiesShare = 8

// GroupConfig describes a [Group].
type GroupConfig struct {
	Name   string
	Picker Picker
	Getter gcnode.Getter[gcnode.Value]
	// Options are those of a group; MaxBytes is for both parts of this one.
	Options gcnode.GroupOptions
	// CopyTTL bounds the life of copies of what others own, from when they were
	// asked for, and with it the time that an answer may take. The old
	// protocol does not say whether they are still right. 0 is
	// [gcnode.DefaultHotTTL].
	CopyTTL gcnode.Lifetime
	// Native is the group of this name on the member that is there for native
	// peers; nil: there is none.
	Native *gcnode.Group
	// Logger gets what no caller can be told; nil: nothing is logged.
	Logger *slog.Logger
}

// Group is a set of keys, each of which a [Picker] gives to one process. It has
// two parts: what this process owns, and copies of what others own.
//
// A key whose owner does not answer is loaded here. So Get fails only when a
// getter does.
type Group struct {
	cfg    GroupConfig
	own    *gcnode.Group
	copies *gcnode.Group
	nodes  [2]*gcnode.Node

	fetches, fetchErrors, loads, loadErrors, served atomic.Uint64
}

// NewGroup makes a group. Its errors are those of [gcnode.Node.Group].
func NewGroup(cfg GroupConfig) (*Group, error) {
	if cfg.Getter == nil {
		return nil, fmt.Errorf("group %q: there is no getter", cfg.Name)
	}
	cfg.CopyTTL = cmp.Or(cfg.CopyTTL, gcnode.For(gcnode.DefaultHotTTL))
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	g := &Group{cfg: cfg}
	for i, part := range []struct {
		group  **gcnode.Group
		getter gcnode.GetterFunc[gcnode.Value]
		bytes  int64
	}{
		{&g.own, g.loadOwn, cfg.Options.MaxBytes - cfg.Options.MaxBytes/copiesShare},
		{&g.copies, g.fetch, cfg.Options.MaxBytes / copiesShare},
	} {
		node, err := gcnode.NewNode(gcnode.Config{Logger: cfg.Logger})
		if err != nil {
			return nil, err
		}
		opts := cfg.Options
		opts.MaxBytes = part.bytes
		if cfg.Options.MaxBytes > 0 {
			opts.MaxBytes = max(part.bytes, gcnode.MinBytes)
		}
		if *part.group, err = node.Group(cfg.Name, part.getter, opts); err != nil {
			return nil, err
		}
		g.nodes[i] = node
	}
	return g, nil
}

// Close ends the group: Get fails from then on.
func (g *Group) Close(ctx context.Context) error {
	return errors.Join(g.nodes[0].Close(ctx), g.nodes[1].Close(ctx))
}

// Drop takes all that there is out of memory, for good; Get works as before.
func (g *Group) Drop() {
	for _, node := range g.nodes {
		node.DropGroup(g.cfg.Name)
	}
}

// Name is the group's name.
func (g *Group) Name() string { return g.cfg.Name }

// Get is GetItem without the life of the value.
func (g *Group) Get(ctx context.Context, key string) (gcnode.Value, error) {
	return g.part(key).Get(ctx, key)
}

// GetItem is the value of the key, from memory, its owner or the getter, with the
// rest of its life.
func (g *Group) GetItem(ctx context.Context, key string) (gcnode.Item[gcnode.Value], error) {
	return g.part(key).GetItem(ctx, key)
}

// Cached is what is in memory here, as [gcnode.Group.Cached] says it.
func (g *Group) Cached(key string) (v gcnode.Value, ends time.Time, source gcnode.Source) {
	if !g.cfg.Picker.Remote(key) {
		return g.own.Cached(key)
	}
	if v, ends, source = g.copies.Cached(key); source != 0 {
		source = gcnode.SourceHot
	}
	return v, ends, source
}

// part is where the key belongs.
func (g *Group) part(key string) *gcnode.Group {
	if g.cfg.Picker.Remote(key) {
		return g.copies
	}
	return g.own
}

// loadOwn is the getter of what this process owns. A peer with another list may
// ask for what others own: they do not know that it is here.
func (g *Group) loadOwn(ctx context.Context, key string) (gcnode.Item[gcnode.Value], error) {
	it, err := g.load(ctx, key)
	if g.cfg.Picker.Remote(key) {
		it.Keep = g.short(it.Keep)
	}
	return it, err
}

// load calls the user's getter.
func (g *Group) load(ctx context.Context, key string) (gcnode.Item[gcnode.Value], error) {
	g.loads.Add(1)
	it, err := g.cfg.Getter.GetItem(ctx, key)
	if err != nil && !errors.Is(err, gcnode.ErrNotFound) {
		g.loadErrors.Add(1)
	}
	return it, err
}

// fetch is the getter of copies: it asks the owner of the key, and loads if that
// does not answer.
//
// An answer may be older than a removal that this process has obeyed before it
// asked, and the owner only when it had answered. So the life of the copy is
// counted from the question, and an answer that takes longer than a life is none:
// whatever is returned a life after the removal was asked for after it.
func (g *Group) fetch(ctx context.Context, key string) (gcnode.Item[gcnode.Value], error) {
	peer, remote := g.cfg.Picker.Pick(key)
	if !remote { // the list has changed meanwhile
		it, err := g.load(ctx, key)
		it.Keep = gcnode.NoStore
		return it, err
	}
	g.fetches.Add(1)
	it, err := g.ask(ctx, peer, key)
	_, failed := errors.AsType[*RemoteError](err)
	switch {
	case err == nil:
		return it, nil
	case errors.Is(err, gcnode.ErrNotFound):
		return it, err
	case failed:
		g.fetchErrors.Add(1)
		return it, err
	}
	g.fetchErrors.Add(1)
	if ctx.Err() != nil {
		return it, err
	}
	g.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "a peer did not answer: loading here",
		slog.String("peer", peer.URL()), slog.String("group", g.cfg.Name), slog.String("error", err.Error()))
	it, err = g.load(ctx, key)
	it.Keep = g.short(it.Keep)
	return it, err
}

// ask is a copy of what the peer has.
func (g *Group) ask(ctx context.Context, peer Peer, key string) (gcnode.Item[gcnode.Value], error) {
	life, _ := g.cfg.CopyTTL.Duration()
	ends := time.Now().Add(life)
	ctx, cancel := context.WithDeadline(ctx, ends)
	defer cancel()
	it, err := peer.Get(ctx, g.cfg.Name, key)
	switch {
	case err != nil:
		return it, err
	case ctx.Err() != nil:
		return it, fmt.Errorf("it has answered too late: %w", ctx.Err())
	}
	it.Keep = min(g.short(it.Keep), gcnode.For(time.Until(ends)))
	return it, nil
}

// short is a life that is not longer than that of copies.
func (g *Group) short(keep gcnode.Lifetime) gcnode.Lifetime {
	if keep == 0 {
		keep = g.cfg.Options.TTL
	}
	if keep == 0 {
		return g.cfg.CopyTTL
	}
	return min(keep, g.cfg.CopyTTL)
}

// Set stores a value at the owner of the key, and takes older ones out of the
// memory of all peers. An error names those that did not confirm; the others have
// obeyed.
func (g *Group) Set(ctx context.Context, key string, it gcnode.Item[gcnode.Value]) error {
	g.removeNatively(ctx, key)
	owner, remote := g.cfg.Picker.Pick(key)
	if !remote {
		return g.setHere(ctx, key, it)
	}
	return errors.Join(
		g.failure(gcnode.OpSet, key, owner, owner.Set(ctx, g.cfg.Name, key, it)),
		g.removeHere(ctx, key),
		g.removeElsewhere(ctx, gcnode.OpSet, key, owner))
}

// setHere is Set of a key that this process owns. It may be on its own list of
// peers, and be told to give up what it has just been given.
func (g *Group) setHere(ctx context.Context, key string, it gcnode.Item[gcnode.Value]) error {
	err := errors.Join(
		g.own.Set(ctx, key, it),
		g.copies.Remove(ctx, key),
		g.removeElsewhere(ctx, gcnode.OpSet, key, nil))
	if _, _, source := g.own.Cached(key); source == 0 {
		err = errors.Join(err, g.own.Set(ctx, key, it))
	}
	return err
}

// Remove takes the keys out of the memory of all peers: first here, then of their
// owners, and then of the others, which could fetch an older value from an owner
// that still had it. An error names those that did not confirm; the others have
// obeyed.
func (g *Group) Remove(ctx context.Context, keys ...string) error {
	var failures []error
	for _, key := range keys {
		failures = append(failures, g.remove(ctx, key))
	}
	return errors.Join(failures...)
}

func (g *Group) remove(ctx context.Context, key string) error {
	failures := []error{g.removeHere(ctx, key)}
	g.removeNatively(ctx, key)
	owner, remote := g.cfg.Picker.Pick(key)
	if remote {
		failures = append(failures,
			g.failure(gcnode.OpRemove, key, owner, owner.Remove(ctx, g.cfg.Name, key)),
			g.copies.Remove(ctx, key)) // it may have been fetched again meanwhile
	}
	return errors.Join(append(failures, g.removeElsewhere(ctx, gcnode.OpRemove, key, owner))...)
}

// removeHere takes the key out of this process's memory.
func (g *Group) removeHere(ctx context.Context, key string) error {
	return errors.Join(g.copies.Remove(ctx, key), g.own.Remove(ctx, key))
}

// removeElsewhere tells the peers, but for the owner.
func (g *Group) removeElsewhere(ctx context.Context, op gcnode.Op, key string, owner Peer) error {
	peers := g.cfg.Picker.All()
	failures := make([]error, len(peers))
	var wg sync.WaitGroup
	for i, peer := range peers {
		if owner == nil || peer.URL() != owner.URL() {
			wg.Go(func() { failures[i] = g.failure(op, key, peer, peer.Remove(ctx, g.cfg.Name, key)) })
		}
	}
	wg.Wait()
	return errors.Join(failures...)
}

// removeNatively tells the native members, who tell this one too. What they have
// they have loaded, so that it does not matter which older values are elsewhere.
// Those of the peers that are such members are told by [Peer.Remove] too: what is
// not confirmed here is not reported twice.
func (g *Group) removeNatively(ctx context.Context, key string) {
	if g.cfg.Native == nil {
		return
	}
	if err := g.cfg.Native.Remove(ctx, key); err != nil {
		g.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "native peers did not confirm a removal",
			slog.String("group", g.cfg.Name), slog.String("error", err.Error()))
	}
}

// Removed takes what a native member has removed out of this process's memory. It
// is called from [gcnode.Hooks.Removed] of the member here.
func (g *Group) Removed(e gcnode.RemovalEvent) {
	if e.All {
		g.Forget()
		return
	}
	if err := g.Local().Remove(context.Background(), e.Keys...); err != nil {
		g.cfg.Logger.Warn("a removal by a native peer was not applied", slog.String("group", g.cfg.Name), slog.String("error", err.Error()))
	}
}

// Forget empties this process's memory. It is called from [gcnode.Hooks.Dropped]
// too.
func (g *Group) Forget() {
	if err := errors.Join(g.own.Clear(context.Background()), g.copies.Clear(context.Background())); err != nil {
		g.cfg.Logger.Warn("a group was not emptied", slog.String("group", g.cfg.Name), slog.String("error", err.Error()))
	}
}

// failure is the error of a peer.
func (g *Group) failure(op gcnode.Op, key string, peer Peer, err error) error {
	if err == nil {
		return nil
	}
	return &gcnode.Error{Kind: gcnode.KindUnreachable, Op: op, Group: g.cfg.Name, Key: clip(key), Peer: peer.URL(), Err: err}
}

// Stats are the figures of both parts.
func (g *Group) Stats() gcnode.GroupStats {
	st, copies := g.own.Stats(), g.copies.Stats()
	st.Gets += copies.Gets
	st.HotHits = copies.Hits
	st.NegativeHits += copies.NegativeHits
	st.Joined += copies.Joined
	st.Overloaded += copies.Overloaded
	st.Fetches, st.FetchErrors = g.fetches.Load(), g.fetchErrors.Load()
	st.Loads, st.LoadErrors = g.loads.Load(), g.loadErrors.Load()
	st.ServedFetches = g.served.Load()
	st.Hot = copies.Owned
	return st
}

// Local is the group as peers are answered from it: it asks nobody else.
func (g *Group) Local() Cache { return local{g} }

type local struct{ group *Group }

// GetItem implements [Cache].
func (l local) GetItem(ctx context.Context, key string) (gcnode.Item[gcnode.Value], error) {
	l.group.served.Add(1)
	return l.group.own.GetItem(ctx, key)
}

// Set implements [Cache].
func (l local) Set(ctx context.Context, key string, it gcnode.Item[gcnode.Value]) error {
	return errors.Join(l.group.own.Set(ctx, key, it), l.group.copies.Remove(ctx, key))
}

// Remove implements [Cache].
func (l local) Remove(ctx context.Context, keys ...string) error {
	var failures []error
	for _, key := range keys {
		failures = append(failures, l.group.removeHere(ctx, key))
	}
	return errors.Join(failures...)
}
