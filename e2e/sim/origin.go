package sim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/e2e/history"
)

// origin is where values come from. Each key has a version that only grows.
type origin struct {
	w        *world
	versions map[string]int
	loads    map[string]int // counts, by their IDs without the count
	// takes is how long a load takes at most; slow is the chance of one that
	// takes up to slowest, fail of one that fails, and nothing of a version
	// that has no value.
	takes, slowest      time.Duration
	slow, fail, nothing float64
	keep                time.Duration // the life of values; 0 is for ever
	pad                 int           // bytes that values are longer
	missing             map[string]map[int]bool
	ends                map[string]time.Duration // of the lives of what loads have brought, by their IDs
	hold                *Hold                    // of loads, when not nil
	peeked              peeked
}

// peeked is the last question to a previous owner that has ended.
type peeked struct {
	by       *life
	key, tag string
	from, to time.Duration
}

var errOrigin = errors.New("the origin has failed")

// loading is a load that has begun.
type loading struct {
	o    *origin
	by   *life
	key  string
	tag  string // of whoever wanted it
	done chan loaded
	// What follows belongs to the world.
	id   string
	over bool
}

type loaded struct {
	text     string
	notFound bool
	keep     time.Duration
	err      error
}

// getter is the origin for one life of a member.
type getter struct{ by *life }

// GetItem implements [gcnode.Getter].
func (g getter) GetItem(ctx context.Context, key string) (gcnode.Item[gcnode.Value], error) {
	return g.begin(ctx, key).wait(ctx)
}

// batchGetter is a getter that gets many keys at once.
type batchGetter struct{ getter }

// GetItems implements [gcnode.BatchGetter]: each key as soon as its load has
// ended, which is when its life begins.
func (g batchGetter) GetItems(ctx context.Context, keys []string, yield func(int, gcnode.Item[gcnode.Value], error)) error {
	loads := make([]*loading, len(keys))
	for i, key := range keys {
		loads[i] = g.begin(ctx, key)
	}
	var wg sync.WaitGroup
	for i, l := range loads {
		wg.Go(func() {
			it, err := l.wait(ctx)
			yield(i, it, err)
		})
	}
	wg.Wait()
	return nil
}

func (g getter) begin(ctx context.Context, key string) *loading {
	l := &loading{o: &g.by.w.origin, by: g.by, key: key, tag: tagOf(ctx), done: make(chan loaded, 1)}
	g.by.w.post(l)
	return l
}

func (l *loading) wait(ctx context.Context) (gcnode.Item[gcnode.Value], error) {
	var r loaded
	select {
	case r = <-l.done:
	case <-ctx.Done():
		l.by.w.post(&abandon{l})
		r = <-l.done
	}
	it := gcnode.Item[gcnode.Value]{Keep: gcnode.Forever}
	if r.keep > 0 {
		it.Keep = gcnode.For(r.keep)
	}
	switch {
	case r.err != nil:
		return gcnode.Item[gcnode.Value]{}, r.err
	case r.notFound:
		return it, &gcnode.Error{Kind: gcnode.KindNotFound, Err: errors.New(r.text)}
	default:
		it.Value = gcnode.StringValue(r.text)
		return it, nil
	}
}

func (l *loading) content() string {
	return fmt.Sprintf("4 %s %d %s %s", l.by.id, l.by.n, l.key, l.tag)
}

// accept begins the load: its version is that of now.
func (l *loading) accept() {
	o, w := l.o, l.o.w
	if l.by.dead.Load() {
		l.over = true
		l.done <- loaded{err: errOrigin}
		return
	}
	prefix := fmt.Sprintf("%s.%d.%s", l.by.id, l.by.n, l.key)
	o.loads[prefix]++
	l.id = fmt.Sprintf("%s#%d", prefix, o.loads[prefix])
	version := o.versions[l.key]
	begun := history.Load{ID: l.id, Node: l.by.id, Life: l.by.n, Key: l.key, Version: version}
	if p := o.peeked; p == (peeked{l.by, l.key, l.tag, p.from, w.now()}) { // without an answer
		begun.Since = int64(p.from)
	}
	begin := w.rec.BeginLoad(begun)
	r := loaded{
		text:     history.Value{Key: l.key, Load: l.id, Version: version, Begin: begin}.String(),
		notFound: o.missing[l.key][version],
		keep:     o.keep,
	}
	if !r.notFound && o.pad > 0 {
		r.text += " " + strings.Repeat("x", o.pad)
	}
	takes := w.between(time.Microsecond, o.takes)
	if w.chance(o.slow) {
		w.counts["slow loads"]++
		takes = w.between(o.takes, o.slowest)
	}
	if w.chance(o.fail) {
		w.counts["failed loads"]++
		r.err = errOrigin
	}
	w.counts["loads"]++
	fate := Fate{By: o.hold}
	fate.pass(w, w.now()+takes, func() { l.end(r) })
}

// end hands over the result.
func (l *loading) end(r loaded) {
	if l.over {
		return
	}
	l.over = true
	if !l.by.dead.Load() {
		if r.keep > 0 {
			l.o.ends[l.id] = l.o.w.now() + r.keep
		}
		l.o.w.rec.EndLoad(l.id, func(h *history.Load) {
			h.Failed, h.NotFound, h.Keep = r.err != nil, r.notFound, int64(r.keep)
		})
	}
	l.done <- r
}

// publish writes a new version, and decides whether it has a value.
func (o *origin) publish(key string) {
	o.versions[key]++
	if o.w.chance(o.nothing) {
		if o.missing == nil {
			o.missing = map[string]map[int]bool{}
		}
		if o.missing[key] == nil {
			o.missing[key] = map[int]bool{}
		}
		o.missing[key][o.versions[key]] = true
	}
}

// abandon is a load whose context has ended.
type abandon struct{ l *loading }

func (a *abandon) content() string { return "5" + a.l.content() }
func (a *abandon) accept()         { a.l.end(loaded{err: context.Canceled}) }
