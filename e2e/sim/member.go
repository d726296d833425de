package sim

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/e2e/history"
)

const groupName = "g"

// member is an ID with its lives.
type member struct {
	id    string
	lives []*life
}

// life is one start of a member. It is the transport of its node.
type life struct {
	w     *world
	id    string
	n     int
	node  *gcnode.Node
	group *gcnode.Group
	ctx   context.Context //nolint:containedctx // that of all requests that it serves
	end   context.CancelFunc
	dead  atomic.Bool  // it has crashed, or its process has ended
	skew  atomic.Int64 // of its wall clock
	draws atomic.Uint64
	// What follows belongs to the world.
	closing bool
	list    []string
	open    int // operations of clients under way
}

// settings are those of all nodes of a world.
type settings struct {
	config  gcnode.Config
	options gcnode.GroupOptions
	batches bool // the getter takes many keys at once
	// broadcasts lets members send one message to all.
	broadcasts bool
}

// alive is the life of a member that can be reached; nil if there is none.
func (w *world) alive(id string) *life {
	m := w.members[id]
	if m == nil || len(m.lives) == 0 {
		return nil
	}
	l := m.lives[len(m.lives)-1]
	if l.dead.Load() {
		return nil
	}
	return l
}

// up are the lives that serve clients, in the order of their IDs.
func (w *world) up() []*life {
	var up []*life
	for _, id := range w.everyone {
		if l := w.alive(id); l != nil && !l.closing {
			up = append(up, l)
		}
	}
	return up
}

// ready are those of the up that a client may ask. Operations that wait for a
// node to join would all go on at the same time, in any order; so only one of
// them waits.
func (w *world) ready() []*life {
	return slices.DeleteFunc(w.up(), func(l *life) bool { return l.open > 0 && !l.node.Stats().Joined })
}

// start begins a life.
func (w *world) start(id string, s *settings, list []string) {
	m := w.members[id]
	if m == nil {
		m = &member{id: id}
		w.members[id] = m
		w.everyone = append(w.everyone, id)
		slices.Sort(w.everyone)
	}
	l := &life{w: w, id: id, n: len(m.lives) + 1}
	l.ctx, l.end = context.WithCancel(context.Background())
	cfg := s.config
	cfg.Self = gcnode.Peer{ID: id}
	if cfg.Transport = l; s.broadcasts {
		cfg.Transport = broadcaster{l}
	}
	cfg.Random = l.random
	cfg.Now = func() time.Time { return time.Now().Add(time.Duration(l.skew.Load())) }
	cfg.Hooks.Dropped = func(why string) {
		if !l.dead.Load() {
			w.rec.Event(history.Event{What: history.Gap, Node: id, Life: l.n, Detail: why})
		}
	}
	if keepLogs {
		cfg.Logger = slog.New(&logs{l: l})
	}
	var err error
	if l.node, err = gcnode.NewNode(cfg); err != nil {
		w.failed(err)
		return
	}
	var origin gcnode.Getter[gcnode.Value] = getter{l}
	if s.batches {
		origin = batchGetter{getter{l}}
	}
	if l.group, err = l.node.Group(groupName, origin, s.options); err != nil {
		w.failed(err)
		return
	}
	w.begins(l)
	m.lives = append(m.lives, l)
	w.rec.Event(history.Event{What: history.Up, Node: id, Life: l.n})
	w.counts["starts"]++
	if l.n > 1 {
		w.counts["restarts"]++
	}
	w.setPeers(l, list)
}

// random is the source of random numbers of the node.
func (l *life) random() uint64 {
	h := l.w.seed*0x9e3779b97f4a7c15 + uint64(l.n)<<32 + l.draws.Add(1)
	for _, c := range []byte(l.id) {
		h = (h ^ uint64(c)) * 0x100000001b3
	}
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	return h ^ h>>33
}

// setPeers gives a node a list.
func (w *world) setPeers(l *life, list []string) {
	list = slices.Clone(list)
	slices.Sort(list)
	peers := make([]gcnode.Peer, len(list))
	for i, id := range list {
		peers[i] = gcnode.Peer{ID: id}
	}
	l.list = list
	w.rec.Event(history.Event{What: history.List, Node: l.id, Life: l.n, Members: list})
	go func() {
		if err := l.node.SetPeers(peers); err != nil {
			w.failed(err)
		}
	}()
}

// crash ends a life at once.
func (w *world) crash(l *life) {
	if l.dead.Swap(true) {
		return
	}
	w.rec.Event(history.Event{What: history.Down, Node: l.id, Life: l.n})
	w.bury(l)
}

// bury ends what is left of a life. Without a list its node says goodbye to
// nobody.
func (w *world) bury(l *life) {
	l.dead.Store(true)
	l.end()
	w.net.crash(l)
	go func() {
		_ = l.node.SetPeers(nil)
		_ = l.node.Close(l.ctx)
	}()
}

// goodbye closes a node as a program does that is told to stop.
func (w *world) goodbye(l *life, within time.Duration) {
	if l.closing || l.dead.Load() {
		return
	}
	l.closing = true
	w.leaves(l)
	w.counts["goodbyes"]++
	w.rec.Event(history.Event{What: history.Note, Node: l.id, Life: l.n, Detail: "closes"})
	ctx, cancel := context.WithTimeout(context.Background(), within)
	go func() {
		defer cancel()
		_ = l.node.Close(ctx) // what does not end in time is cut off
		w.post(&ended{l})
	}()
}

// ended is a process that has ended by itself.
type ended struct{ l *life }

func (e *ended) content() string { return fmt.Sprintf("6 %s %d", e.l.id, e.l.n) }

func (e *ended) accept() {
	if e.l.dead.Load() {
		return
	}
	w := e.l.w
	w.rec.Event(history.Event{What: history.Closed, Node: e.l.id, Life: e.l.n})
	w.bury(e.l)
}

// logs is the logger of a node.
type logs struct{ l *life }

// Enabled implements [slog.Handler].
func (h *logs) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements [slog.Handler].
func (h *logs) Handle(_ context.Context, r slog.Record) error {
	w := h.l.w
	var b strings.Builder
	fmt.Fprintf(&b, "%s/%d %s", h.l.id, h.l.n, r.Message)
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&b, " %s", a)
		return true
	})
	w.post(logged(b.String()))
	return nil
}

// logged is what a node has logged, which is posted for its place in the log.
type logged string

func (l logged) content() string { return string(l) }
func (l logged) accept()         {}

// WithAttrs implements [slog.Handler].
func (h *logs) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup implements [slog.Handler].
func (h *logs) WithGroup(string) slog.Handler { return h }
