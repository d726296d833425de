package sim

import (
	"context"
	"fmt"
	"slices"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/e2e/history"
)

func (w *world) key() string { return fmt.Sprintf("k%d", w.rng.IntN(w.opts.Keys)) }

// some is one of the nodes that are up and members.
func (w *world) some() string {
	var ids []string
	for id, l := range w.lives {
		if !l.dead.Load() && slices.Contains(w.list, id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	if len(ids) == 0 {
		return ""
	}
	return ids[w.rng.IntN(len(ids))]
}

func (w *world) get(node, key string, final bool) {
	w.op(history.Op{Kind: history.Get, Node: node, Keys: []string{key}, Final: final}, func(ctx context.Context, l *life, id int) error {
		a, err := l.group.Lookup(ctx, key)
		w.answer(l, id, history.Answer{Key: key, Value: a.Value.String(), Source: a.Source.String()}, err)
		return err
	})
}

func (w *world) getMany(node string, keys ...string) {
	w.op(history.Op{Kind: history.GetMany, Node: node, Keys: keys}, func(ctx context.Context, l *life, id int) error {
		for r, err := range l.group.Stream(ctx, keys) {
			w.answer(l, id, history.Answer{Key: r.Key, Value: r.Value.String()}, err)
		}
		return nil
	})
}

// answer records what a client got, if it is there to hear it.
func (w *world) answer(l *life, id int, a history.Answer, err error) {
	if l.dead.Load() {
		return
	}
	if err != nil {
		a.Value, a.Error = "", gcnode.KindOf(err).String()
	}
	w.rec.Answer(id, a)
}

// touch makes the origin's value a later one.
func (w *world) touch(keys ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, key := range keys {
		w.versions[key]++
	}
}

func (w *world) remove(node string, keys ...string) {
	w.touch(keys...)
	w.op(history.Op{Kind: history.Remove, Node: node, Keys: keys}, func(ctx context.Context, l *life, _ int) error {
		return l.group.Remove(ctx, keys...)
	})
}

func (w *world) set(node, key string) {
	w.touch(key)
	w.op(history.Op{Kind: history.Set, Node: node, Keys: []string{key}, Keep: int64(w.opts.TTL)}, func(ctx context.Context, l *life, id int) error {
		return l.group.Set(ctx, key, gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(history.Value{Key: key, Set: id}.String())})
	})
}

func (w *world) clear(node string) {
	for i := range w.opts.Keys {
		w.touch(fmt.Sprintf("k%d", i))
	}
	w.op(history.Op{Kind: history.Clear, Node: node}, func(ctx context.Context, l *life, _ int) error { return l.group.Clear(ctx) })
}

// block breaks links: between one node and all others, or one of them.
func (w *world) block() {
	a, b := w.some(), w.some()
	if a == "" || a == b {
		return
	}
	w.Met.Partitions++
	oneWay := w.rng.IntN(3) == 0
	for _, other := range w.list {
		if other == a || w.rng.IntN(2) == 0 && other != b {
			continue
		}
		w.blocked[[2]string{a, other}] = true
		if !oneWay {
			w.blocked[[2]string{other, a}] = true
		}
	}
	w.trace("%d links of %s are broken, one way: %v", w.step.Load(), a, oneWay)
}

// absent are the members that are not up.
func (w *world) absent() []string {
	var ids []string
	for _, id := range w.list {
		if l := w.lives[id]; l == nil || l.dead.Load() {
			ids = append(ids, id)
		}
	}
	return ids
}

// relist gives all nodes another list, each at another time, all of them well
// within the time for which it is told of removals.
func (w *world) relist() {
	w.Met.Lists++
	list := slices.Clone(w.list)
	if len(list) > 2 && w.rng.IntN(2) == 0 {
		at := w.rng.IntN(len(list))
		if l := w.lives[list[at]]; l != nil && !l.dead.Load() {
			list = slices.Delete(list, at, at+1)
		}
	} else if len(list) < maxNodes {
		for i := range maxNodes {
			if id := nodeID(i); !slices.Contains(list, id) {
				list = append(list, id)
				break
			}
		}
	}
	slices.Sort(list)
	w.list = list
	w.trace("%d the list is %v", w.step.Load(), list)
	for _, id := range list {
		if w.lives[id] == nil {
			w.up(id)
		}
	}
	ids := make([]string, 0, len(w.lives))
	for id := range w.lives {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	w.rng.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	for _, id := range ids {
		if l := w.lives[id]; l != nil && !l.dead.Load() {
			w.tell(l, list)
		}
		w.runUntil(time.Now().Add(time.Duration(w.rng.Int64N(int64(hotTTL) / int64(2*maxNodes)))))
	}
}

const maxNodes = 12

// act does one thing that its turn has come for.
func (w *world) act() {
	node := w.some()
	if node == "" {
		return
	}
	switch n := w.rng.IntN(100); {
	case n < 55:
		w.get(node, w.key(), false)
	case n < 60:
		w.getMany(node, "k0", w.otherKey())
	case n < 72:
		w.remove(node, w.key())
	case n < 75:
		w.remove(node, "k0", w.otherKey())
	case n < 84:
		if w.opts.Sets {
			w.set(node, w.key())
		}
	case n < 86:
		if w.opts.Clears {
			w.clear(node)
		}
	case n < 90:
		if w.opts.Faults {
			w.block()
		}
	case n < 93:
		clear(w.blocked)
	case n < 95:
		if w.opts.Crashes && len(w.absent()) < 2 {
			w.Met.Crashes++
			w.trace("%d %s crashes", w.step.Load(), node)
			w.crash(node)
		}
	case n < 97:
		if gone := w.absent(); len(gone) > 0 {
			id := gone[w.rng.IntN(len(gone))]
			w.trace("%d %s starts", w.step.Load(), id)
			delete(w.lives, id)
			w.up(id)
		}
	case n < 98:
		if w.opts.Crashes && len(w.absent()) == 0 {
			w.Met.Goodbyes++
			w.trace("%d %s leaves", w.step.Load(), node)
			w.leave(node)
		}
	default:
		if w.opts.Lists {
			w.relist()
		}
	}
}

// otherKey is not k0.
func (w *world) otherKey() string {
	if w.opts.Keys < 2 {
		return "other"
	}
	return fmt.Sprintf("k%d", 1+w.rng.IntN(w.opts.Keys-1))
}

// run makes a history.
func run(opts Options, trace func(format string, args ...any)) (*history.History, Met) {
	w := newWorld(opts)
	if trace != nil {
		w.trace = trace
	}
	for i := range opts.Nodes {
		w.list = append(w.list, nodeID(i))
	}
	for _, id := range slices.Clone(w.list) {
		w.up(id)
	}
	w.runUntil(time.Now().Add(200 * time.Millisecond))
	for range opts.Ops {
		w.act()
		pause := w.rng.Int64N(int64(30 * time.Millisecond))
		if w.rng.IntN(20) == 0 {
			pause = w.rng.Int64N(int64(3 * time.Second))
		}
		w.runUntil(time.Now().Add(time.Duration(pause)))
	}
	w.mend()
	w.finish()
	return w.rec.History(), w.Met
}

// mendTime is how long after all faults have ended what failed has been made
// up for.
const mendTime = 30 * time.Second

// mend ends all faults, and looks at everything when that has had time to take
// effect.
func (w *world) mend() {
	clear(w.blocked)
	if w.opts.Faults {
		w.rec.Event(history.Event{What: history.Healed})
	}
	w.opts.Faults = false
	w.slow = nil
	for _, id := range w.absent() {
		delete(w.lives, id)
		w.up(id)
	}
	w.runUntil(time.Now().Add(mendTime))
	for i := range w.opts.Keys {
		key := fmt.Sprintf("k%d", i)
		for range 2 { // the second look finds what the first has brought
			for _, id := range w.list {
				w.get(id, key, false)
				w.runUntil(time.Now().Add(100 * time.Millisecond))
			}
		}
		w.runUntil(time.Now().Add(hotTTL + 2*time.Second))
		for _, id := range w.list {
			w.get(id, key, true)
			w.runUntil(time.Now().Add(100 * time.Millisecond))
		}
	}
}

// finish ends all nodes.
func (w *world) finish() {
	for _, l := range w.past {
		st := l.group.Stats()
		w.Met.HotHits += int(st.HotHits)
		w.Met.Peeks += int(st.PeekHits)
		w.Met.Inherited += int(st.Inherited)
		w.Met.Failovers += int(st.Failovers)
		w.Met.Gaps += int(l.node.Stats().Gaps)
	}
	w.Met.Steps = int(w.step.Load())
	w.Met.Crossings = crossings(w.rec.History())
	for _, l := range w.past {
		w.kill(l)
	}
	for w.stillRunning() {
		time.Sleep(time.Second)
		synctest.Wait()
	}
	time.Sleep(time.Minute)
	synctest.Wait()
}

func (w *world) stillRunning() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.running > 0
}

// crossings is how many pairs of a write and a load of its key ran at the same
// time.
func crossings(h *history.History) (n int) {
	for i := range h.Ops {
		w := &h.Ops[i]
		if w.Kind == history.Get || w.Kind == history.GetMany {
			continue
		}
		for j := range h.Loads {
			l := &h.Loads[j]
			if (w.Kind == history.Clear || slices.Contains(w.Keys, l.Key)) && w.Start < l.End && (l.Begin < w.End || w.End == 0) {
				n++
			}
		}
	}
	return n
}
