package groupcache

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	gcnode "github.com/gcnode/gcnode/core"
)

// registry is what this API has once in a process: the groups, who their peers
// are, and who is told of them. Tests have as many as they like.
type registry struct {
	logs   logs
	copies gcnode.Lifetime                   // of what old peers own; 0 is the default, and tests have less
	groups atomic.Pointer[map[string]*Group] // by the name for the core; a map that is there does not change

	mu      sync.Mutex
	started bool // there was a group
	start   func()
	hook    func(*Group)
	picker  func(group string) PeerPicker
	pool    *HTTPPool
	alone   *gcnode.Node // for groups without a pool
}

var process = newRegistry() //nolint:gochecknoglobals // so it is in the API that this package stands in for

func newRegistry() *registry {
	r := &registry{}
	r.groups.Store(&map[string]*Group{})
	return r
}

// NewGroup makes a group that may take so many bytes of memory in this process
// (at least [gcnode.MinBytes]; with 0 it keeps nothing). It panics if there is no
// getter, or a group of that name.
//
// Groups are known by their names in the whole process. A [gcnode.Node], of which
// there may be any number, has groups of its own and returns an error instead.
func NewGroup(name string, cacheBytes int64, getter Getter) *Group {
	return process.newGroup(name, cacheBytes, getter)
}

// GetGroup is the group of that name, or nil.
func GetGroup(name string) *Group { return process.group(coreName(name)) }

// GetGroups are all groups, ordered by name.
func GetGroups() []*Group { return process.all() }

// DeregisterGroup takes the group out of this process, so that another can have
// its name. It loses what it had. Who still has it may use it, and it keeps
// nothing.
func DeregisterGroup(name string) { process.deregister(name) }

// RegisterNewGroupHook has fn called with each group that is made. It panics the
// second time.
func RegisterNewGroupHook(fn func(*Group)) { process.registerHook(fn) }

// RegisterServerStart has fn called when the first group is made: it may make the
// pool. It panics the second time.
func RegisterServerStart(fn func()) { process.registerStart(fn) }

// RegisterPeerPicker has fn called for the peers of each group, when it is first
// used. It panics if this function, [RegisterPerGroupPeerPicker] or
// [NewHTTPPoolOpts] was called before.
func RegisterPeerPicker(fn func() PeerPicker) {
	process.registerPicker(func(string) PeerPicker { return fn() })
}

// RegisterPerGroupPeerPicker is [RegisterPeerPicker] for a function that is told
// the name of the group.
func RegisterPerGroupPeerPicker(fn func(groupName string) PeerPicker) { process.registerPicker(fn) }

// misused panics as this API does where there is no error to return.
func misused(format string, args ...any) {
	panic("groupcache: " + fmt.Sprintf(format, args...)) //nolint:forbidigo // so it is documented in the API that this package stands in for
}

func (r *registry) newGroup(name string, bytes int64, getter Getter) *Group {
	if getter == nil {
		misused("group %q has no getter", name)
	}
	r.begin()
	g := &Group{name: name, getter: getter, bytes: bytes, registry: r}
	r.mu.Lock()
	groups := maps.Clone(*r.groups.Load())
	_, there := groups[coreName(name)]
	if !there {
		groups[coreName(name)] = g
		r.groups.Store(&groups)
	}
	hook, pool := r.hook, r.pool
	r.mu.Unlock()
	if there {
		misused("there is a group %q already", name)
	}
	if pool != nil { // peers may ask for it before anybody here does
		g.engine()
	}
	if hook != nil {
		hook(g)
	}
	return g
}

// begin calls the function that starts the server, once. It may register pickers
// and make groups.
func (r *registry) begin() {
	r.mu.Lock()
	start := r.start
	if r.started {
		start = nil
	}
	r.started = true
	r.mu.Unlock()
	if start != nil {
		start()
	}
}

// group is the group with a name for the core, or nil.
func (r *registry) group(name string) *Group { return (*r.groups.Load())[name] }

// all are the groups, ordered by name.
func (r *registry) all() []*Group {
	return slices.SortedFunc(maps.Values(*r.groups.Load()), func(a, b *Group) int { return strings.Compare(a.name, b.name) })
}

func (r *registry) deregister(name string) {
	g := r.group(coreName(name))
	if g == nil {
		return
	}
	g.engine().drop() // before there can be another of its name
	r.mu.Lock()
	defer r.mu.Unlock()
	groups := maps.Clone(*r.groups.Load())
	if groups[coreName(name)] == g {
		delete(groups, coreName(name))
		r.groups.Store(&groups)
	}
}

func (r *registry) registerHook(fn func(*Group)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hook != nil {
		misused("RegisterNewGroupHook was called before")
	}
	r.hook = fn
}

func (r *registry) registerStart(fn func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.start != nil {
		misused("RegisterServerStart was called before")
	}
	r.start = fn
}

func (r *registry) registerPicker(fn func(group string) PeerPicker) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.picker != nil {
		misused("there are peers already: RegisterPeerPicker, RegisterPerGroupPeerPicker or NewHTTPPoolOpts was called before")
	}
	r.picker = fn
}

// registerPool makes the pool the picker of all groups.
func (r *registry) registerPool(p *HTTPPool) {
	r.registerPicker(func(string) PeerPicker { return p })
	r.mu.Lock()
	r.pool = p
	r.mu.Unlock()
	for _, g := range *r.groups.Load() {
		g.engine()
	}
}

// engineOf is what a group runs on.
func (r *registry) engineOf(g *Group) engine {
	r.mu.Lock()
	picker := r.picker
	r.mu.Unlock()
	var peers PeerPicker = NoPeers{}
	if picker != nil {
		peers = picker(g.name)
	}
	e, err := r.engineAmong(g, peers)
	if err != nil {
		misused("%v", err)
	}
	return e
}

func (r *registry) engineAmong(g *Group, peers PeerPicker) (engine, error) {
	switch p := peers.(type) {
	case nil, NoPeers:
		return newNative(r.local(), g)
	case *HTTPPool:
		own, err := newNative(p.node, g)
		if err != nil || p.old == nil {
			return own, err
		}
		return newAmong(g, p.old.peers, &own)
	default:
		return newAmong(g, picked{p}, nil)
	}
}

// local is a node without peers.
func (r *registry) local() *gcnode.Node {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.alone == nil {
		var err error
		if r.alone, err = gcnode.NewNode(gcnode.Config{Logger: r.logs.logger()}); err != nil {
			misused("%v", err)
		}
	}
	return r.alone
}
