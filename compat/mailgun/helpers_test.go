package groupcache

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
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

const groupName = "group"

// alone is a group without peers.
func alone(t testing.TB, bytes int64, getter Getter) *Group {
	t.Helper()
	return newRegistry().newGroup(groupName, bytes, getter)
}

// cluster starts members with one origin and one group, and waits until they have
// joined.
func cluster(t testing.TB, n int) []*member {
	t.Helper()
	o := newOrigin()
	members, urls := make([]*member, n), make([]string, n)
	for i := range members {
		members[i] = start(t, nil)
		members[i].origin = o
		members[i].group = members[i].newGroup(groupName, 1<<20, o)
		urls[i] = members[i].url
	}
	for _, m := range members {
		m.pool.Set(urls...)
	}
	for _, m := range members {
		require.NoError(t, m.pool.Node().Joined(t.Context()))
	}
	return members
}

// start starts a member without a list and without a group.
func start(t testing.TB, opts *HTTPPoolOptions) *member {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	m := &member{registry: newRegistry(), url: "http://" + l.Addr().String()}
	m.pool = m.newPool(m.url, opts)
	m.server = &http.Server{Handler: m.pool, ReadHeaderTimeout: time.Minute}
	go func() { _ = m.server.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		assert.NoError(t, m.pool.Close(ctx))
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
func (m *member) keyOf(t testing.TB, what string) string {
	t.Helper()
	for i := range 10_000 {
		key := fmt.Sprintf("%s-%d", what, i)
		if m.pool.Node().Owner(key).ID == m.pool.Node().Self().ID {
			return key
		}
	}
	t.Fatal("no key is owned by the member")
	return ""
}

func (m *member) get(t testing.TB, key string) string {
	t.Helper()
	var s string
	require.NoError(t, m.group.Get(t.Context(), key, StringSink(&s)))
	return s
}
