package gcnode

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gcnode/gcnode/core/internal/clock"
)

const (
	// DefaultPeerTimeout is the default of [Config.PeerTimeout].
	DefaultPeerTimeout = 2 * time.Second
	// DefaultHotTTL is the default of [Config.HotTTL].
	DefaultHotTTL = 10 * time.Second
	// DefaultJoinTimeout is the default of [Config.JoinTimeout].
	DefaultJoinTimeout = 5 * time.Second
	// DefaultID is the default of the ID of a node without a transport.
	DefaultID = "local"
)

// Limits of what a node accepts, from callers and from peers.
const (
	MaxKeyBytes   = 64 << 10
	MaxValueBytes = 64 << 20
	MaxBatchKeys  = 10_000
	MaxBatchBytes = 1 << 20 // of the keys of one request
	MaxPeers      = 4096
	MaxIDBytes    = 256 // of a peer's ID and of a group's name
)

const (
	// minPeerTimeout leaves room for the signs of life within it.
	minPeerTimeout = heartbeats * minHeartbeat
	// maxDuration is the longest time that an option may ask for, far from
	// what sums of durations can hold.
	maxDuration = 365 * 24 * time.Hour
)

// Config describes a node. The zero value is a node without peers.
type Config struct {
	// Self is this node as the others know it. Its ID is required together
	// with a Transport, and is unique in the cluster.
	Self Peer
	// Transport reaches the other members. nil: there are none.
	Transport Transport
	// Logger gets what no caller can be told. nil: nothing is logged.
	Logger *slog.Logger
	// PeerTimeout is how long a member may be silent before it counts as
	// dead and the next in line is asked. Loads may take longer: a member at
	// work is not silent.
	PeerTimeout time.Duration
	// HotTTL is the longest life of a copy of another member's value, from when
	// its owner vouched for it. Twice in this time members compare which
	// removals they know of.
	HotTTL time.Duration
	// JoinTimeout is how long a node that starts waits for the members on its
	// list, which tell it of the removals under way. It keeps nothing before
	// all have answered. After this time it goes on without those that cannot
	// be reached: it does not ask them nor answers their fetches until they have
	// compared what they know, and if they know of removals that it has missed,
	// it drops everything that it has kept. 0 is [DefaultJoinTimeout].
	JoinTimeout time.Duration
	// HedgeAfter, if it is not 0, is how long Get waits for another member before
	// the next in line is asked as well, which may be this node: then it calls its
	// getter. The first answer counts, and the getter may be called twice for it.
	// That the second one fails changes nothing while the first may answer.
	HedgeAfter time.Duration
	// ClockResolution is how much longer than its life a value may be served,
	// since reading the clock takes as long as a hit; the time that the
	// runtime takes to run a timer comes on top. 0 is
	// [DefaultClockResolution], and with a negative one the clock is read each
	// time, as it is on wasm. At most a second.
	ClockResolution time.Duration
	// Hooks are called when something has happened.
	Hooks Hooks
	// Random is the source of random numbers: of the node's incarnation, of
	// jitter. It is called from many goroutines. nil is that of the runtime,
	// and nothing else is of use but in simulations that must replay.
	Random func() uint64
	// Now is the wall clock, from which writes get their stamps; lives are
	// counted on the monotonic one. It is called from many goroutines. nil is
	// [time.Now], and nothing else is of use but in simulations of clocks that
	// jump.
	Now func() time.Time
}

// Node is one member of a cluster, with any number of groups. Any number of
// nodes can live in one process. Its methods may be called from any goroutine.
type Node struct {
	cfg         Config
	log         *slog.Logger
	beginner    Beginner  // the transport, if it is one
	wordings    sync.Pool // of questions that were sent
	incarnation uint64
	agreed      *Ack // confirms what somebody sends who knows all members
	clock       *clock.Clock
	stamps      stampClock
	removals    *removals
	knowledge   *knowledge
	outboxes    *outboxes
	seq         atomic.Uint64 // of this node's removals
	gaps        atomic.Uint64 // how often everything was dropped
	catchingUp  sync.Mutex    // held while it is found out whether everything has to be

	view      atomic.Pointer[view]
	roll      roll
	phase     atomic.Uint32 // of the membership
	strangers strangers
	syncing   atomic.Bool // there is a goroutine that compares what is known
	reported  atomic.Pointer[report]
	gone      atomic.Bool   // it serves nothing any more
	mode      atomic.Uint32 // what a hit has to think about
	demoted   atomic.Int64  // until when others' values are served from the owned share, on the node's clock

	mu     sync.Mutex                        // to change the groups
	groups atomic.Pointer[map[string]*Group] // by their names; replaced as a whole

	running *running // what Close waits for

	// done ends what runs in the background. closing is taken for reading to
	// begin that and for writing to end it.
	done       context.Context
	stop       context.CancelFunc
	closing    sync.RWMutex
	background sync.WaitGroup
}

// What makes a hit think, as bits of [Node.mode].
const (
	modeClosed uint32 = 1 << iota
	modeMoving        // the owned share may have what others own
)

// NewNode makes a node that is alone in its cluster until [Node.SetPeers].
func NewNode(cfg Config) (*Node, error) {
	var errs []error
	if cfg.Self.ID == "" && cfg.Transport == nil {
		cfg.Self.ID = DefaultID
	}
	if err := checkPeer(cfg.Self); err != nil {
		errs = append(errs, fmt.Errorf("config: self: %w", err))
	}
	if cfg.PeerTimeout == 0 {
		cfg.PeerTimeout = DefaultPeerTimeout
	}
	if cfg.Random == nil {
		cfg.Random = rand.Uint64
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.HotTTL == 0 {
		cfg.HotTTL = DefaultHotTTL
	}
	if cfg.JoinTimeout == 0 {
		cfg.JoinTimeout = DefaultJoinTimeout
	}
	if cfg.JoinTimeout < 0 || cfg.JoinTimeout > maxDuration {
		errs = append(errs, fmt.Errorf("config: join timeout %v is not between 0 and %v", cfg.JoinTimeout, maxDuration))
	}
	if cfg.HedgeAfter < 0 || cfg.HedgeAfter > maxDuration {
		errs = append(errs, fmt.Errorf("config: hedge after %v is not between 0 and %v", cfg.HedgeAfter, maxDuration))
	}
	if cfg.PeerTimeout < minPeerTimeout || cfg.PeerTimeout > maxDuration {
		errs = append(errs, fmt.Errorf("config: peer timeout %v is not between %v and %v", cfg.PeerTimeout, minPeerTimeout, maxDuration))
	}
	if cfg.HotTTL < 0 || cfg.HotTTL > maxDuration {
		errs = append(errs, fmt.Errorf("config: hot TTL %v is not between 0 and %v", cfg.HotTTL, maxDuration))
	}
	if err := checkResolution(cfg.ClockResolution); err != nil {
		errs = append(errs, fmt.Errorf("config: %w", err))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	n := &Node{
		cfg:         cfg,
		log:         cfg.Logger,
		incarnation: cfg.Random(),
		clock:       clock.New(cfg.ClockResolution),
		running:     newRunning(),
		stamps:      stampClock{wall: cfg.Now},
	}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	n.cfg.Hooks = cfg.Hooks.guarded(n.log)
	n.agreed = &Ack{Incarnation: n.incarnation}
	n.beginner, _ = cfg.Transport.(Beginner)
	n.groups.Store(&map[string]*Group{})
	n.removals = newRemovals(n.now)
	n.knowledge = newKnowledge(n.now)
	n.outboxes = newOutboxes(n)
	r := &n.roll
	r.left, r.lives, r.superseded, r.asked = map[string]uint64{}, map[string]uint64{}, map[string][]uint64{}, map[string]bool{}
	r.ready, r.news = make(chan struct{}), make(chan struct{}, 1)
	close(r.ready)
	n.strangers.news = make(chan struct{}, 1)
	n.done, n.stop = context.WithCancel(context.Background())
	n.view.Store(newView(cfg.Self.ID, []Peer{cfg.Self}, view{}))
	return n, nil
}

// now is the node's clock: nanoseconds since its start, never going back. It
// is exact; whoever can wait for the clock's resolution reads n.clock.Now.
func (n *Node) now() int64 { return n.clock.Exact() }

// Self is the node as the others know it.
func (n *Node) Self() Peer { return n.cfg.Self }

// Group makes a group. Its name is unique on the node, and the same on all
// members that share it. Members may differ in their getters and options.
func (n *Node) Group(name string, getter Getter[Value], opts GroupOptions) (*Group, error) {
	g, err := newGroup(n, name, getter, opts)
	if err != nil {
		return nil, fmt.Errorf("group %q: %w", name, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	groups := maps.Clone(*n.groups.Load())
	if _, ok := groups[name]; ok {
		return nil, fmt.Errorf("group %q: there is one of that name on this node", name)
	}
	groups[name] = g
	n.groups.Store(&groups)
	return g, nil
}

// DropGroup takes a group off the node, so that another can have its name, and
// reports whether it was there. Members that ask for it are told that there is
// no such group. It loses what it had and keeps nothing any more; those who
// still use it load each value, or ask its owner for it.
func (n *Node) DropGroup(name string) bool {
	g, ok := n.Lookup(name)
	if !ok {
		return false
	}
	// While it has something, removals must find it.
	g.flights.ApplyAll(func() bool {
		g.dropped.Store(true)
		g.owned.Clear()
		g.hot.Clear()
		return true
	})
	n.mu.Lock()
	defer n.mu.Unlock()
	groups := maps.Clone(*n.groups.Load())
	if groups[name] != g { // somebody else has just dropped it
		return false
	}
	delete(groups, name)
	n.groups.Store(&groups)
	return true
}

// Owner is the member that owns the key in every group; the zero Peer when the
// list is empty.
func (n *Node) Owner(key string) Peer {
	v := n.view.Load()
	if i := v.ring.OwnerIndex(key); i >= 0 {
		return v.owners[i].Peer
	}
	return Peer{}
}

// Lookup returns an existing group.
func (n *Node) Lookup(name string) (*Group, bool) {
	g, ok := (*n.groups.Load())[name]
	return g, ok
}

// allGroups are the groups, ordered by name.
func (n *Node) allGroups() []*Group {
	groups := slices.Collect(maps.Values(*n.groups.Load()))
	slices.SortFunc(groups, func(a, b *Group) int { return cmp.Compare(a.name, b.name) })
	return groups
}

// begin registers a piece of work that Close waits for; it is false on a
// closed node, and otherwise [Node.end] must follow.
func (n *Node) begin() bool { return n.running.begin() }

func (n *Node) isClosed() bool { return n.mode.Load()&modeClosed != 0 }

// beginMore is begin for whoever has begun already, and not ended.
func (n *Node) beginMore() { n.running.beginMore() }

func (n *Node) end() { n.running.end() }

// beginBackground registers work that ends with [Node.done], after which
// background.Done must follow. It is false when that has passed. A node that
// is closing may begin such work for what is still running.
func (n *Node) beginBackground() bool {
	n.closing.RLock()
	defer n.closing.RUnlock()
	if n.done.Err() != nil {
		return false
	}
	n.background.Add(1)
	return true
}

// goBackground runs a function in the background, unless the node is closed.
func (n *Node) goBackground(run func()) {
	if n.beginBackground() {
		go func() {
			defer n.background.Done()
			run()
		}()
	}
}

// Close takes the node out of service: peers and callers get [ErrDraining]
// from now on. It says goodbye to the other members, which inherit what it has
// kept and fetch it, what is running may finish, both until ctx ends, and
// removals that were not confirmed are no longer retried. It returns an error
// if something was still running at the end. A second Close waits like the
// first.
func (n *Node) Close(ctx context.Context) error {
	if first := n.mode.Or(modeClosed)&modeClosed == 0; first {
		n.running.close()
		go func() {
			defer n.end()
			n.goodbye(ctx)
		}()
	}
	idle := make(chan struct{})
	go func() {
		<-n.running.idle
		n.closing.Lock()
		n.stop()
		n.closing.Unlock()
		n.background.Wait()
		close(idle)
	}()
	defer n.stop()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close node %q: work is still running: %w", n.cfg.Self.ID, ctx.Err())
	}
}
