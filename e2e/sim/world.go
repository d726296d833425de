// Package sim runs clusters of nodes in one goroutine's order: a seed decides
// which message arrives next and when, what is lost, who crashes, and what the
// clients ask for. The same seed makes the same history, byte for byte.
package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/e2e/history"
)

const (
	groupName   = "g"
	peerTimeout = 200 * time.Millisecond
	hotTTL      = 4 * time.Second
	joinTimeout = time.Second
	loadTimeout = 5 * time.Second
)

// life is one life of a node: from its start to its crash or its end.
type life struct {
	id      string
	number  int
	node    *gcnode.Node
	group   *gcnode.Group
	leaving atomic.Bool
	dead    atomic.Bool
	ops     int // under way; guarded by world.mu
}

// busy reports whether the node is joining and somebody waits for that. All who
// wait go on at the same moment, in no order that a seed could decide.
func (w *world) busy(l *life) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return l.ops > 0 && !l.node.Stats().Joined
}

// world is a cluster, its network, its origin and its clients.
type world struct {
	opts    Options
	rng     *rand.Rand // of the schedule; for the world's goroutine
	start   time.Time
	step    atomic.Int64
	net     *network
	pending []*message
	order   int

	lives map[string]*life // that are up
	past  []*life
	list  []string // the members

	blocked map[[2]string]bool // links on which everything is lost in silence
	slow    func(*message) time.Duration

	rec *history.Recorder
	Met Met

	mu       sync.Mutex
	versions map[string]int
	loads    map[string]int // of a life and key
	running  int            // operations of clients
	trace    func(format string, args ...any)
}

// Met is what a run has met.
type Met struct {
	Steps, Ops, Drops, Hangs, Copies, Delays, Crashes, Goodbyes, Partitions, Lists,
	HotHits, Peeks, Inherited, Failovers, Gaps, Crossings, FailedWrites int
}

// Add adds what another run has met.
func (m *Met) Add(o Met) {
	m.Steps += o.Steps
	m.Ops += o.Ops
	m.Drops += o.Drops
	m.Hangs += o.Hangs
	m.Copies += o.Copies
	m.Delays += o.Delays
	m.Crashes += o.Crashes
	m.Goodbyes += o.Goodbyes
	m.Partitions += o.Partitions
	m.Lists += o.Lists
	m.HotHits += o.HotHits
	m.Peeks += o.Peeks
	m.Inherited += o.Inherited
	m.Failovers += o.Failovers
	m.Gaps += o.Gaps
	m.Crossings += o.Crossings
	m.FailedWrites += o.FailedWrites
}

// Options are what may happen in a world.
type Options struct {
	Seed  uint64
	Nodes int // at the start
	Keys  int
	Ops   int
	// Faults lets messages be lost, copied and delayed for long, and links
	// break. Crashes lets nodes crash and restart, and Lists lets them come and
	// go. Clears and Sets let clients do that.
	Faults, Crashes, Lists, Clears, Sets bool
	// TTL is the life of values; 0 is without end.
	TTL time.Duration
	// HotAfter is that of the group.
	HotAfter int
}

func newWorld(opts Options) *world {
	w := &world{
		opts:     opts,
		rng:      rand.New(rand.NewPCG(opts.Seed, 0)),
		start:    time.Now(),
		net:      newNetwork(),
		lives:    map[string]*life{},
		blocked:  map[[2]string]bool{},
		versions: map[string]int{},
		loads:    map[string]int{},
		trace:    func(string, ...any) {},
	}
	w.rec = history.NewRecorder(fmt.Sprintf("seed %d", opts.Seed), history.Bounds{
		Resolution: int64(time.Millisecond),
		Grace:      int64(2 * hotTTL),
		Heal:       int64(mendTime),
		Settle:     int64(joinTimeout + 5*peerTimeout),
		Again:      int64(70 * time.Second),
		Memory:     int64(time.Minute),
	}, func() int64 { return int64(time.Since(w.start)) })
	if opts.Faults {
		w.rec.Event(history.Event{What: history.Fault})
	}
	return w
}

func nodeID(i int) string { return fmt.Sprintf("n%d", i) }

// peers is a member list.
func peers(ids []string) []gcnode.Peer {
	list := make([]gcnode.Peer, len(ids))
	for i, id := range ids {
		list[i].ID = id
	}
	return list
}

// up starts a node and gives it the list.
func (w *world) up(id string) {
	number := 1
	for _, l := range w.past {
		if l.id == id {
			number++
		}
	}
	l := &life{id: id, number: number}
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(w.opts.Seed, digest(id, number)))
	node, err := gcnode.NewNode(gcnode.Config{
		Self: gcnode.Peer{ID: id}, Transport: &transport{net: w.net, from: l},
		PeerTimeout: peerTimeout, HotTTL: hotTTL, JoinTimeout: joinTimeout, ClockResolution: -1,
		Hooks: gcnode.Hooks{Dropped: func(why string) {
			w.rec.Event(history.Event{What: history.Gap, Node: id, Life: number, Detail: why})
		}},
		Random: func() uint64 {
			mu.Lock()
			defer mu.Unlock()
			return random.Uint64()
		},
	})
	if err != nil {
		panic(err)
	}
	l.node = node
	if l.group, err = node.Group(groupName, &getter{w: w, l: l}, gcnode.GroupOptions{
		MaxBytes: gcnode.MinBytes, LoadTimeout: loadTimeout, HotAfter: w.opts.HotAfter, TTL: gcnode.Lifetime(w.opts.TTL),
	}); err != nil {
		panic(err)
	}
	w.lives[id] = l
	w.past = append(w.past, l)
	w.rec.Event(history.Event{What: history.Up, Node: id, Life: number})
	w.tell(l, w.list)
}

func (w *world) tell(l *life, list []string) {
	w.rec.Event(history.Event{What: history.List, Node: l.id, Life: l.number, Members: list})
	if err := l.node.SetPeers(peers(list)); err != nil {
		panic(err)
	}
}

// crash ends a life without a word.
func (w *world) crash(id string) {
	l := w.lives[id]
	delete(w.lives, id)
	w.rec.Event(history.Event{What: history.Down, Node: id, Life: l.number})
	w.kill(l)
}

func (w *world) kill(l *life) {
	if l.dead.Swap(true) {
		return
	}
	w.net.cut(func(x *exchange) bool { return x.from == l || x.to == l })
	go func() { _ = l.node.Close(context.Background()) }()
}

// leave closes a node, which says goodbye.
func (w *world) leave(id string) {
	l := w.lives[id]
	l.leaving.Store(true)
	w.rec.Event(history.Event{What: history.Closed, Node: id, Life: l.number})
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = l.node.Close(ctx)
		l.dead.Store(true)
	}()
}

// digest makes a number of a text and a number.
func digest(text string, n int) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s/%d", text, n)
	return h.Sum64()
}

// getter is the origin as a life of a node sees it. The version that a load
// finds is that of its begin.
type getter struct {
	w *world
	l *life
}

// GetItem implements [gcnode.Getter].
func (g *getter) GetItem(ctx context.Context, key string) (gcnode.Item[gcnode.Value], error) {
	w := g.w
	w.mu.Lock()
	name := fmt.Sprintf("%s/%d/%s", g.l.id, g.l.number, key)
	w.loads[name]++
	n := w.loads[name]
	id := fmt.Sprintf("%s/%d", name, n)
	version := w.versions[key]
	begun := w.rec.BeginLoad(history.Load{
		ID: id, Node: g.l.id, Life: g.l.number, Key: key, Version: version, Keep: int64(w.opts.TTL), Unshared: !g.l.node.Stats().Joined,
	})
	w.mu.Unlock()
	takes := 1 + time.Duration((w.opts.Seed^digest(name, n))%uint64(80*time.Millisecond))
	if n%7 == 3 {
		takes *= 20
	}
	select {
	case <-time.After(takes):
		w.rec.EndLoad(id, nil)
		return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(history.Value{Key: key, Load: id, Version: version, Begin: begun}.String())}, nil
	case <-ctx.Done():
		w.rec.EndLoad(id, func(l *history.Load) { l.Failed = true })
		return gcnode.Item[gcnode.Value]{}, ctx.Err()
	}
}

// settle lets everything run that can, and gives what was sent its fate.
func (w *world) settle() {
	synctest.Wait()
	select {
	case <-w.net.news:
	default:
	}
	for _, m := range w.net.take() {
		w.admit(m)
	}
}

// admit decides about a message that was just sent.
func (w *world) admit(m *message) {
	delay := time.Duration(w.rng.Int64N(int64(5 * time.Millisecond)))
	if w.opts.Faults {
		switch w.rng.IntN(100) {
		case 0:
			w.Met.Drops++
			w.trace("lost with its connection: %s", m.content)
			m.x.lose()
			return
		case 1:
			w.Met.Hangs++
			w.trace("lost: %s", m.content)
			return
		case 2, 3:
			w.Met.Delays++
			delay = time.Duration(w.rng.Int64N(int64(time.Second)))
		case 4:
			if m.req != nil {
				w.Met.Copies++
				again := *m
				again.copy = true
				w.enqueue(&again, time.Duration(w.rng.Int64N(int64(time.Second))))
			}
		}
	}
	if w.slow != nil {
		delay += w.slow(m)
	}
	w.enqueue(m, delay)
}

func (w *world) enqueue(m *message, delay time.Duration) {
	m.at = time.Now().Add(delay)
	if m.req == nil { // answers of one exchange keep their order
		if m.at.Before(m.x.last) {
			m.at = m.x.last
		}
		m.x.last = m.at
	}
	w.order++
	m.order = w.order
	i, _ := slices.BinarySearchFunc(w.pending, m, func(a, b *message) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.order, b.order))
	})
	w.pending = slices.Insert(w.pending, i, m)
}

// runUntil delivers messages until the time has come.
func (w *world) runUntil(t time.Time) {
	for {
		w.settle()
		if len(w.pending) == 0 || w.pending[0].at.After(t) {
			if time.Until(t) <= 0 {
				return
			}
			w.sleep(t)
			continue
		}
		m := w.pending[0]
		if time.Until(m.at) > 0 {
			w.sleep(m.at)
			continue // perhaps something comes before it
		}
		w.pending = slices.Delete(w.pending, 0, 1)
		w.step.Add(1)
		w.deliver(m)
	}
}

// sleep waits until the time has come, or something was sent.
func (w *world) sleep(until time.Time) {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.net.news:
	}
}

// deliver lets a message arrive.
func (w *world) deliver(m *message) {
	if w.blocked[[2]string{m.from, m.to}] {
		w.trace("%d lost on a broken link: %s", w.step.Load(), m.content)
		return
	}
	w.trace("%d %v %s", w.step.Load(), time.Since(w.start), m.content)
	if m.req == nil {
		if !m.x.from.dead.Load() {
			m.x.inbox <- m
		}
		return
	}
	to := w.lives[m.to]
	if m.x.from.dead.Load() && !m.copy {
		return
	}
	if to == nil || to.dead.Load() {
		m.x.lose()
		return
	}
	m.x.to = to
	go w.net.serve(m, to)
}

// op begins an operation of a client. run records the answers, and returns the
// error.
func (w *world) op(o history.Op, run func(ctx context.Context, l *life, id int) error) {
	l := w.lives[o.Node]
	if l == nil || l.dead.Load() || l.leaving.Load() || w.busy(l) {
		return
	}
	w.step.Add(1)
	o.Life = l.number
	id := w.rec.Begin(o, func(id int) string {
		if o.Kind != history.Set {
			return ""
		}
		return history.Value{Key: o.Keys[0], Set: id}.String()
	})
	w.mu.Lock()
	w.running++
	l.ops++
	w.mu.Unlock()
	w.Met.Ops++
	w.trace("%d %v op %d: %s %q at %s", w.step.Load(), time.Since(w.start), id, o.Kind, o.Keys, o.Node)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		err := run(ctx, l, id)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.running--
		l.ops--
		if l.dead.Load() {
			return // nobody has heard the answer
		}
		w.rec.End(id, func(op *history.Op) {
			op.Excused = ctx.Err() != nil || l.leaving.Load()
			if err != nil {
				op.Error, op.Unconfirmed = failure(err)
			}
			if op.Error == history.Unconfirmed {
				w.Met.FailedWrites++
			}
		})
	}()
	synctest.Wait()
}

// patience is how long a client waits.
const patience = 20 * time.Second

// failure is the kind of an error of a write, and who has not confirmed it.
func failure(err error) (kind string, unconfirmed []string) {
	if failed, ok := errors.AsType[*gcnode.PeerErrors](err); ok {
		for _, e := range failed.Peers {
			unconfirmed = append(unconfirmed, e.Peer)
		}
		return history.Unconfirmed, unconfirmed
	}
	if kind := gcnode.KindOf(err); kind == gcnode.KindTimeout {
		return kind.String(), nil
	}
	return history.Refused, nil
}
