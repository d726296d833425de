package gcnode

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gcnode/gcnode/core/internal/count"
	"github.com/gcnode/gcnode/core/internal/flight"
	"github.com/gcnode/gcnode/core/internal/histogram"
	"github.com/gcnode/gcnode/core/internal/limit"
	"github.com/gcnode/gcnode/core/internal/store"
)

const (
	// MinBytes is the smallest [GroupOptions.MaxBytes].
	MinBytes = 64 << 10
	// hotShare is the part of a group's bytes that hot copies may take.
	hotShare = 8
	// agedFor is for how many times its life a hot copy is kept after it, to be
	// vouched for anew.
	agedFor = 4
)

// GroupOptions describe a group. MaxBytes is required.
type GroupOptions struct {
	// MaxBytes bounds the memory of the group on this node, in bytes: the
	// owned share and, with an eighth of it, hot copies.
	MaxBytes int64
	// TTL is how long a value is kept when the getter does not say; 0 is
	// [Forever].
	TTL Lifetime
	// TTLJitter cuts a random part off every life that ends, up to this part
	// of it, so that what was loaded at the same time is not reloaded at the
	// same time: 0.1 makes a minute 54 to 60 seconds. It is below 1.
	TTLJitter float64
	// NegativeTTL is how long it is remembered that a key has no value, when
	// the getter does not say; 0 is [DefaultNegativeTTL], a negative one means
	// not at all.
	NegativeTTL time.Duration
	// RefreshAhead reloads an owned value in the background when it is asked
	// for and less than this remains of its life, or less than half of a life
	// that is shorter than twice this.
	RefreshAhead time.Duration
	// StaleWhileRevalidate is for how long after its life an owned value is
	// served while it is reloaded in the background.
	StaleWhileRevalidate time.Duration
	// StaleOnError is for how long after its life an owned value is served
	// when it cannot be reloaded: each Get tries, and serves the old value if
	// the load fails or there are too many. The caller is not told of the
	// failure; [GroupStats] and [Hooks] tell. Not found is an answer and no
	// failure.
	//
	// Other members do not keep what is served beyond its life, and what was
	// removed is never served, neither fresh nor stale.
	StaleOnError time.Duration
	// LoadTimeout bounds one load, including the time that it waits for its
	// turn; 0 is [DefaultLoadTimeout].
	LoadTimeout time.Duration
	// MaxLoads bounds how many calls of the getter run on this node at the
	// same time; 0 is no bound. A getter that asks this group for other keys
	// holds its own place meanwhile.
	MaxLoads int
	// MaxQueuedLoads is how many more loads may wait for their turn. Beyond
	// that a Get gets [ErrOverloaded] at once. A batch that takes several loads
	// of this node waits for each of them, however many others wait. Reloading in
	// the background does not wait: it is put off.
	MaxQueuedLoads int
	// HotAfter is the how-manieth fetch of another member's value within
	// [Config.HotTTL] makes a copy of it: 0 is [DefaultHotAfter], with 1 every
	// value is copied.
	HotAfter int
}

func (o *GroupOptions) loading() loading {
	return loading{
		ttl: o.TTL, jitter: o.TTLJitter, negative: o.NegativeTTL,
		refreshAhead: o.RefreshAhead, staleWhileRevalidate: o.StaleWhileRevalidate, staleOnError: o.StaleOnError,
		loadTimeout: o.LoadTimeout, maxLoads: o.MaxLoads, maxQueued: o.MaxQueuedLoads,
	}
}

// Group is a set of keys with one getter, shared by the members that have a
// group of its name. Its methods may be called from any goroutine.
type Group struct {
	node      *Node
	name      string
	getter    Getter[Value]
	batch     BatchGetter[Value] // the getter, if it is one
	freshness freshness
	attentive bool          // answers may be due for reloading, or of use beyond their life
	timeout   time.Duration // of a load
	limit     *limit.Limit  // of loads
	window    int           // how many misses of one batch are under way at a time
	pauses    pauses
	hotAfter  int
	dropped   atomic.Bool // it keeps nothing any more

	popularity *popularity // of others' keys

	owned   *store.Store // this node's share
	hot     *store.Store // copies of others' values
	flights *flight.Flights[answer]
	errands sync.Pool // those that are not in use
	counts  groupCounts
	lookups *count.Set

	loadTime histogram.Histogram
}

func newGroup(n *Node, name string, getter Getter[Value], opts GroupOptions) (*Group, error) {
	var errs []error
	if name == "" || len(name) > MaxIDBytes {
		errs = append(errs, fmt.Errorf("the name has %d bytes; 1 to %d are allowed", len(name), MaxIDBytes))
	}
	if getter == nil {
		errs = append(errs, errors.New("there is no getter"))
	}
	if opts.MaxBytes < MinBytes {
		errs = append(errs, fmt.Errorf("MaxBytes %d is too small; at least %d are needed", opts.MaxBytes, MinBytes))
	}
	if opts.HotAfter < 0 {
		errs = append(errs, fmt.Errorf("HotAfter %d is negative; 1 copies every value, and 0 is the default of %d", opts.HotAfter, DefaultHotAfter))
	}
	errs = append(errs, opts.loading().check())
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	loading := opts.loading()
	fresh := loading.freshness()
	fresh.random = n.cfg.Random
	batch, _ := getter.(BatchGetter[Value])
	popular := newPopularity(opts.MaxBytes, int64(n.cfg.HotTTL))
	g := &Group{
		node:      n,
		name:      name,
		getter:    getter,
		batch:     batch,
		freshness: fresh,
		attentive: fresh.ahead > 0 || fresh.grace() > 0,
		timeout:   loading.timeout(),
		limit:     loading.limit(),
		window:    loading.window(),
		owned: store.New(store.Options{
			MaxBytes: opts.MaxBytes - opts.MaxBytes/hotShare, Now: n.clock.Now, Grace: int64(fresh.grace()),
		}),
		hot: store.New(store.Options{
			MaxBytes: opts.MaxBytes/hotShare - popular.bytes(), Now: n.clock.Now, Grace: agedFor * int64(n.cfg.HotTTL),
		}),
		hotAfter:   cmp.Or(opts.HotAfter, DefaultHotAfter),
		popularity: popular,
		lookups:    count.New(),
	}
	g.flights = flight.New(g.rules())
	return g, nil
}

// answer is what is known about a key.
type answer struct {
	value string // or the message beside notFound
	// expires is the end of its life on the node's clock: past for one that
	// must not be kept, store.Never for one without end.
	expires int64
	born    int64  // when it was loaded, on the same clock; 0 if not here
	life    int64  // how long its life is, roughly
	epoch   uint64 // of the view under which it was found; 0 for what was in memory
	// absent is what the getter has just said beside notFound, for all who wait for
	// it: who finds the answer in memory, or is another member, gets the message.
	absent   *Error
	notFound bool
	stale    bool // it is served beyond its life
	source   Source
}

func (a answer) entry() store.Entry {
	return store.Entry{Value: a.value, NotFound: a.notFound, Expires: a.expires, Life: a.life}
}

func answerOf(e store.Entry, source Source) answer {
	return answer{value: e.Value, notFound: e.NotFound, expires: e.Expires, life: e.Life, source: source}
}

// item is the value; empty for not found.
func (a answer) item() Value {
	if a.notFound {
		return Value{}
	}
	return StringValue(a.value)
}

// remaining is the rest of a life on the node's clock.
func (n *Node) remaining(expires int64) Lifetime {
	if expires == store.Never {
		return Forever
	}
	return For(time.Duration(expires - n.now()))
}

// Answer is what [Group.Lookup] or [Typed.Lookup] found.
type Answer[V any] struct {
	Item[V]
	// Source is where the answer came from.
	Source Source
	// Owner is the ID of the key's owner.
	Owner string
}

// Name is the group's name.
func (g *Group) Name() string { return g.name }

// Owner is the member that owns the key; the zero Peer when the list is empty.
func (g *Group) Owner(key string) Peer { return g.node.Owner(key) }

// Get returns the value of the key, loading it if need be. Errors are
// [*Error], except when ctx was cancelled: then its error is in the chain and
// the load goes on for the others who wait. [ErrNotFound] says that the key has
// no value; who has waited for a getter of this node has its error in the chain,
// and everybody else the message.
func (g *Group) Get(ctx context.Context, key string) (Value, error) {
	// The short way to what this node owns, if there is nothing to think about:
	// handing an answer from function to function costs as much as finding it.
	e, ok := g.owned.Get(key)
	if ok && !e.NotFound && (!g.attentive || e.Expires == store.Never) && g.node.mode.Load() == 0 {
		g.lookups.Add(lookupHit)
		return StringValue(e.Value), nil
	}
	a, err := g.findFrom(ctx, key, look{e, ok})
	return a.item(), err
}

// Cached is the value of the key if it is in memory here, with the time at which
// its life ends, zero for none, and [SourceHit] or [SourceHot]. It neither loads
// nor waits, is not counted, and has nothing to say of keys without a value.
func (g *Group) Cached(key string) (v Value, ends time.Time, source Source) {
	e, ok := g.owned.Get(key)
	if !ok || e.NotFound || g.attentive && e.Expires != store.Never || g.node.mode.Load() != 0 {
		a, ok := g.fresh(key)
		if !ok || a.notFound || g.node.isClosed() {
			return Value{}, time.Time{}, 0
		}
		e, source = a.entry(), a.source
	} else {
		source = SourceHit
	}
	if e.Expires != store.Never {
		ends = g.node.clock.Time(e.Expires)
	}
	return StringValue(e.Value), ends, source
}

// GetItem is Get with the remaining life of the value, which is also set
// beside [ErrNotFound]. It is [NoStore] for a value that is served beyond its
// life.
func (g *Group) GetItem(ctx context.Context, key string) (Item[Value], error) {
	a, err := g.find(ctx, key)
	if err != nil && !a.notFound {
		return Item[Value]{}, err
	}
	return Item[Value]{Value: a.item(), Keep: g.node.remaining(a.expires)}, err
}

// Lookup is GetItem with where the answer came from. Everything but the value
// is also set beside [ErrNotFound].
func (g *Group) Lookup(ctx context.Context, key string) (Answer[Value], error) {
	owner := g.node.view.Load().owner(key)
	a, err := g.find(ctx, key)
	if err != nil && !a.notFound {
		return Answer[Value]{}, err
	}
	found := Answer[Value]{Source: a.source, Owner: owner}
	found.Value, found.Keep = a.item(), g.node.remaining(a.expires)
	return found, err
}

// find is the answer, together with its error if it says not found.
func (g *Group) find(ctx context.Context, key string) (answer, error) {
	e, ok := g.owned.Get(key)
	return g.findFrom(ctx, key, look{e, ok})
}

// look is what a look at the owned share has brought.
type look struct {
	entry store.Entry
	ok    bool
}

// findFrom is find once the owned share has been looked at.
func (g *Group) findFrom(ctx context.Context, key string, owned look) (answer, error) {
	if err := checkKey(key); err != nil {
		return answer{}, &Error{Kind: KindTooLarge, Group: g.name, Key: key, Err: err}
	}
	if g.node.isClosed() {
		return answer{}, &Error{Kind: KindDraining, Group: g.name, Key: key}
	}
	a, ok := g.cachedFrom(ctx, key, owned)
	if ok {
		g.lookups.Add(lookupOf(a))
		return g.conclude(ctx, key, a, nil)
	}
	g.lookups.Add(lookupMiss)
	a, err := g.fill(ctx, key)
	return g.conclude(ctx, key, a, err)
}

// conclude is what a caller gets: the answer, together with its error if it
// says not found, or what has gone wrong.
func (g *Group) conclude(ctx context.Context, key string, a answer, err error) (answer, error) {
	switch {
	case err != nil && ctx.Err() != nil && errors.Is(err, context.Canceled):
		return answer{}, fmt.Errorf("%v %q in group %q: %w", OpGet, clip(key), g.name, err)
	case err != nil:
		return answer{}, g.failure(OpGet, key, err)
	case a.notFound:
		return a, g.absence(key, a)
	default:
		return a, nil
	}
}

// cached is the answer that this node has. A value whose time has come is
// reloaded in the background.
func (g *Group) cached(ctx context.Context, key string) (answer, bool) {
	e, ok := g.owned.Get(key)
	return g.cachedFrom(ctx, key, look{e, ok})
}

// cachedFrom is cached once the owned share has been looked at.
func (g *Group) cachedFrom(ctx context.Context, key string, owned look) (answer, bool) {
	if owned.ok && g.node.mode.Load()&modeMoving != 0 && !g.owns(key) {
		// What this node owned before is like a hot copy.
		if g.node.clock.Now() < min(g.node.demoted.Load(), owned.entry.Expires) {
			return answerOf(owned.entry, SourceHot), true
		}
		owned.ok = false
	}
	if owned.ok {
		a := answerOf(owned.entry, SourceHit)
		if !g.attentive || a.expires == store.Never {
			return a, true
		}
		return g.late(ctx, key, a)
	}
	return g.hotAnswer(key)
}

// hotAnswer is the hot copy of the key whose life has not ended.
func (g *Group) hotAnswer(key string) (answer, bool) {
	e, ok := g.hotEntry(key)
	return answerOf(e, SourceHot), ok && e.Expires > g.node.clock.Now()
}

// hotEntry is the hot copy of the key, also for some time after its life. Who is no
// member has none.
func (g *Group) hotEntry(key string) (store.Entry, bool) {
	if !g.node.view.Load().member {
		return store.Entry{}, false
	}
	return g.hot.Get(key)
}

// ownedAnswer is what this node keeps as the key's owner. It may be beyond its
// life by as much as the group allows.
func (g *Group) ownedAnswer(key string) (answer, bool) {
	e, ok := g.owned.Get(key)
	return answerOf(e, SourceHit), ok
}

// fresh is the answer that this node has and whose life has not ended.
func (g *Group) fresh(key string) (answer, bool) {
	if a, ok := g.ownedAnswer(key); ok && (g.node.mode.Load()&modeMoving == 0 || g.owns(key)) {
		return a, !g.attentive || a.expires == store.Never || a.expires > g.node.clock.Now()
	}
	return g.hotAnswer(key)
}

// keepOwned stores the answer of this node as the key's owner. One that must
// not be kept takes out an older one, which might be served beyond its life. It
// must be called in a flight's Keep.
func (g *Group) keepOwned(key string, a answer) {
	g.hot.Remove(key)
	if a.expires > g.node.now() {
		g.owned.Set(key, a.entry())
	} else {
		g.owned.Remove(key)
	}
}

// keepHot stores the answer as a hot copy, whose age counts from born: the
// time for which it was vouched for. It must be called in a flight's Keep, or
// in Apply.
func (g *Group) keepHot(key string, a answer, born int64) {
	a.expires = min(a.expires, expiry(born, For(g.node.cfg.HotTTL)))
	a.life = a.expires - born
	if a.expires > g.node.now() {
		g.owned.Remove(key) // from before a change of the list
		g.hot.Set(key, a.entry())
	}
}

// keepable reports whether an answer that was begun under v may be kept: if
// the list is the same, and this node hears of all removals. It must be asked in
// a flight's Keep or Apply.
func (g *Group) keepable(v *view) bool {
	return !g.dropped.Load() && g.node.view.Load().epoch == v.epoch && v.member && g.node.keeps() && !g.node.removals.full()
}

// absence is the error of an answer that says not found.
func (g *Group) absence(key string, a answer) *Error {
	if a.absent != nil {
		return a.absent
	}
	return g.notFound(key, a.value)
}

func (g *Group) notFound(key, message string) *Error {
	e := &Error{Kind: KindNotFound, Group: g.name, Key: key}
	if message != "" {
		e.Err = errors.New(message)
	}
	return e
}

// failure is err as an *Error about the key. A getter does not know the name
// of its group.
func (g *Group) failure(op Op, key string, err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		if e.Group != "" {
			return e
		}
		named := *e
		named.Group, named.Key = g.name, key
		return &named
	}
	return &Error{Kind: KindOf(err), Op: op, Group: g.name, Key: key, Err: err}
}

func clip(key string) string { return key[:min(len(key), maxKeyInMessage)] }

func checkKey(key string) error {
	if len(key) > MaxKeyBytes {
		return fmt.Errorf("the key has %d bytes; at most %d are allowed", len(key), MaxKeyBytes)
	}
	return nil
}
