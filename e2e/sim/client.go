package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/e2e/history"
)

// call is an operation that a client calls.
type call struct {
	history.Op
	on *life
	// within is how long the client waits; 0 is for ever.
	within time.Duration
	// plain asks with Get instead of Lookup, which does not tell the source.
	plain bool
	pad   int // bytes that the value of a Set is longer
	// then is called by the world when the operation has ended.
	then  func(c *call)
	over  bool
	ended time.Duration
	got   history.Value // by a Get
}

// issue lets a client call an operation.
func (w *world) issue(c *call) {
	c.Node, c.Life = c.on.id, c.on.n
	value := func(id int) string { return history.Value{Key: c.Keys[0], Set: id}.String() }
	if c.Kind != history.Set {
		value = nil
	}
	c.ID = w.rec.Begin(c.Op, value)
	w.counts[string(c.Kind)]++
	c.on.open++
	w.asked = w.now()
	go c.run(w)
}

func (c *call) run(w *world) {
	ctx := withTag(context.Background(), fmt.Sprintf("%06d", c.ID))
	if c.within > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.within)
		defer cancel()
	}
	g := c.on.group
	var err error
	excused := false
	switch c.Kind {
	case history.Get:
		excused = c.get(ctx, w)
	case history.GetMany:
		for r, err := range g.Stream(ctx, c.Keys) {
			excused = c.answer(ctx, w, r.Key, "", r.Value, err) || excused
		}
	case history.Set:
		text := history.Value{Key: c.Keys[0], Set: c.ID}.String()
		if c.pad > 0 {
			text += " " + strings.Repeat("x", c.pad)
		}
		it := gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(text), Keep: gcnode.Forever}
		if c.Keep > 0 {
			it.Keep = gcnode.For(time.Duration(c.Keep))
		}
		err = g.Set(ctx, c.Keys[0], it)
	case history.Remove:
		err = g.Remove(ctx, c.Keys...)
	case history.Clear:
		err = g.Clear(ctx)
	}
	if c.on.dead.Load() {
		return // nobody was told
	}
	w.rec.End(c.ID, func(op *history.Op) {
		op.Excused = excused
		op.Error, op.Unconfirmed = outcome(err)
		if c.Kind == history.Set || c.Kind == history.Remove || c.Kind == history.Clear {
			op.Gone = w.missing()
		}
	})
	w.post(c)
}

func (c *call) content() string { return fmt.Sprintf("7 %09d", c.ID) }

func (c *call) accept() {
	c.over, c.ended = true, c.on.w.now()
	c.on.open--
	c.on.w.asked = c.ended
	if c.then != nil {
		c.then(c)
	}
}

func (c *call) get(ctx context.Context, w *world) (excused bool) {
	if c.plain {
		v, err := c.on.group.Get(ctx, c.Keys[0])
		return c.answer(ctx, w, c.Keys[0], "", v, err)
	}
	a, err := c.on.group.Lookup(ctx, c.Keys[0])
	source := ""
	if err == nil || errors.Is(err, gcnode.ErrNotFound) {
		source = a.Source.String()
	}
	return c.answer(ctx, w, c.Keys[0], source, a.Value, err)
}

// answer records what was said about a key.
func (c *call) answer(ctx context.Context, w *world, key, source string, v gcnode.Value, err error) (excused bool) {
	if c.on.dead.Load() {
		return false
	}
	a := history.Answer{Key: key, Source: source}
	switch text := absence(err); {
	case err == nil:
		a.Value = trim(v.String())
	case text != "":
		a.NotFound, a.Value = true, text
	default:
		a.Error = err.Error()
		kind := gcnode.KindOf(err)
		excused = ctx.Err() != nil || kind == gcnode.KindDraining ||
			strings.Contains(err.Error(), errOrigin.Error())
	}
	if c.Kind == history.Get {
		c.got, _ = history.ParseValue(a.Value) // the checker judges what is none
	}
	w.rec.Answer(c.ID, a)
	return excused
}

// absence is what the origin says beside not found: its error is in the chain for
// who has waited for it, and its message for others.
func absence(err error) (text string) {
	for e, ok := errors.AsType[*gcnode.Error](err); ok && e.Kind == gcnode.KindNotFound && e.Err != nil; e, ok = errors.AsType[*gcnode.Error](e.Err) {
		text = e.Err.Error()
	}
	return text
}

// trim takes off what makes a value longer.
func trim(text string) string {
	text, _, _ = strings.Cut(text, " xxx")
	return text
}

// outcome is the kind of a write's error, and who has not confirmed.
func outcome(err error) (kind string, unconfirmed []string) {
	if err == nil {
		return "", nil
	}
	if peers, ok := errors.AsType[*gcnode.PeerErrors](err); ok {
		for _, e := range peers.Peers {
			unconfirmed = append(unconfirmed, e.Peer)
		}
		slices.Sort(unconfirmed)
		return history.Unconfirmed, slices.Compact(unconfirmed)
	}
	switch k := gcnode.KindOf(err); k {
	case gcnode.KindTooLarge, gcnode.KindOverloaded, gcnode.KindDraining, gcnode.KindUnreachable, gcnode.KindUnsupported:
		return history.Refused, nil
	default:
		return k.String(), nil
	}
}
