package groupcache

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// member is what would be a process of its own elsewhere: the globals of this
// package, a pool with its server, and a group.
type member struct {
	*registry

	url    string
	pool   *HTTPPool
	group  *Group
	origin *origin
	server *http.Server
}

// origin is a getter that counts. Each key has a version, and a load may be held
// up after it was read.
type origin struct {
	mu       sync.Mutex
	versions map[string]int
	loads    map[string]int
	ttl      time.Duration
	// during, unless it is nil, is called with the version that was read.
	during func(ctx context.Context, key string) error
}

// Get implements [Getter].
func (o *origin) Get(ctx context.Context, key string, dest Sink) error {
	o.mu.Lock()
	o.loads[key]++
	version, during, ttl := o.versions[key], o.during, o.ttl
	o.mu.Unlock()
	if during != nil {
		if err := during(ctx, key); err != nil {
			return err
		}
	}
	var expire time.Time
	if ttl != 0 {
		expire = time.Now().Add(ttl)
	}
	return dest.SetString(strconv.Itoa(version), expire)
}

func (o *origin) write(key string, version int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.versions[key] = version
}

func (o *origin) hold(during func(ctx context.Context, key string) error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.during = during
}

func (o *origin) loaded(key string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.loads[key]
}

func newOrigin() *origin { return &origin{versions: map[string]int{}, loads: map[string]int{}} }

// alone is a group without peers.
func alone(tb testing.TB, bytes int64, getter Getter) *Group {
	tb.Helper()
	return newRegistry().newGroup("alone", bytes, getter)
}

// groupName is the name of the group of a cluster that has one.
const groupName = "group"

// shared are three members that tests share: a list of its own for each would
// take long, since a ring has to be made for it.
var shared struct {
	sync.Once
	members []*member
	close   []func()
}

// closeShared is called after all tests.
func closeShared() {
	for _, f := range shared.close {
		f()
	}
}

var clusters atomic.Int64

// cluster is a group, with an origin of its own, of the members that tests share.
func cluster(tb testing.TB) []*member {
	tb.Helper()
	shared.Do(func() { shared.members = join(tb, 3, func(f func()) { shared.close = append(shared.close, f) }) })
	members, o := make([]*member, 3), newOrigin()
	name := fmt.Sprint("group ", clusters.Add(1))
	for i, m := range shared.members {
		members[i] = &member{registry: m.registry, url: m.url, pool: m.pool, server: m.server, origin: o}
		members[i].group = m.newTestGroup(tb, name, o)
	}
	return members
}

// own is a cluster that the test may do anything to.
func own(tb testing.TB, n int) []*member {
	tb.Helper()
	members, o := join(tb, n, tb.Cleanup), newOrigin()
	for _, m := range members {
		m.origin, m.group = o, m.newTestGroup(tb, groupName, o)
	}
	return members
}

// newTestGroup is a group for the time of the test.
func (m *member) newTestGroup(tb testing.TB, name string, getter Getter) *Group {
	tb.Helper()
	tb.Cleanup(func() { m.deregister(name) })
	return m.newGroup(name, 1<<20, getter)
}

// join starts members without groups, and waits until they have joined.
func join(tb testing.TB, n int, cleanup func(func())) []*member {
	tb.Helper()
	members, urls := make([]*member, n), make([]string, n)
	for i := range members {
		members[i] = start(tb, nil, cleanup)
		urls[i] = members[i].url
	}
	for _, m := range members {
		m.pool.Set(urls...)
	}
	for _, m := range members {
		require.NoError(tb, m.pool.Node().Joined(context.Background()))
	}
	return members
}

// start starts a member without a list and without a group.
func start(tb testing.TB, opts *HTTPPoolOptions, cleanup func(func())) *member {
	tb.Helper()
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	m := &member{registry: newRegistry(), url: "http://" + l.Addr().String()}
	m.pool = m.newPool(m.url, opts)
	m.server = &http.Server{Handler: m.pool, ReadHeaderTimeout: time.Minute}
	go func() { _ = m.server.Serve(l) }()
	cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = m.pool.Close(ctx) // a peer may be dead
		m.kill()
	})
	return m
}

// kill makes the member unreachable.
func (m *member) kill() {
	_ = m.server.Close()
	m.pool.handler.Close()
}

// keyOf is a key that a member owns.
func (m *member) keyOf(tb testing.TB, what string) string {
	tb.Helper()
	for i := range 10_000 {
		key := fmt.Sprintf("%s-%d", what, i)
		if m.pool.Node().Owner(key).ID == m.pool.Node().Self().ID {
			return key
		}
	}
	tb.Fatal("no key is owned by the member")
	return ""
}

func (m *member) get(tb testing.TB, key string) string {
	tb.Helper()
	var s string
	require.NoError(tb, m.group.Get(tb.Context(), key, StringSink(&s)))
	return s
}
