package groupcache

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
)

const patience = 2 * time.Minute // when a test hangs

// database is where the values of all processes come from: each is the version of
// its key. Keys that begin with "none" have none, and those that begin with "bad"
// cannot be loaded.
type database struct {
	mu       sync.Mutex
	versions map[string]int
	loads    map[string]int
}

func newDatabase() *database { return &database{versions: map[string]int{}, loads: map[string]int{}} }

var (
	errNone = errors.New("none there")
	errBad  = errors.New("the database is down")
)

func (d *database) load(key string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.loads[key]++
	switch {
	case strings.HasPrefix(key, "none"):
		return "", errNone
	case strings.HasPrefix(key, "bad"):
		return "", errBad
	}
	return fmt.Sprintf("%s@%d", key, d.versions[key]), nil
}

func (d *database) change(key string) (value string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.versions[key]++
	return fmt.Sprintf("%s@%d", key, d.versions[key])
}

func (d *database) loadsOf(key string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.loads[key]
}

// mode is what a process is.
type mode int

const (
	onOld    mode = iota // the old library
	withOld              // this module, among old peers
	onNative             // this module
)

func (m mode) String() string { return []string{"old", "with old peers", "native"}[m] }

// mixed is a process of a cluster of all kinds.
type mixed struct {
	mode     mode
	url      string
	database *database
	life     time.Duration // of values; 0: without end

	old   *mailgunPeer
	pool  *HTTPPool
	group *Group
	end   func()
}

// expire is when a value expires that is made now.
func (m *mixed) expire() time.Time {
	if m.life == 0 {
		return time.Time{}
	}
	return time.Now().Add(m.life)
}

// Get implements [Getter].
func (m *mixed) Get(_ context.Context, key string, dest Sink) error {
	value, err := m.database.load(key)
	if errors.Is(err, errNone) {
		return &ErrNotFound{Msg: err.Error()}
	}
	if err != nil {
		return err
	}
	return dest.SetString(value, m.expire())
}

// loadOld is the getter for the old library.
func (m *mixed) loadOld(key string) (string, time.Time, error) {
	value, err := m.database.load(key)
	if errors.Is(err, errNone) {
		err = fmt.Errorf("%w: %w", errOldNotFound, err)
	}
	return value, m.expire(), err
}

// listen takes a free address, or that of a URL.
func listen(t *testing.T, url string) net.Listener {
	t.Helper()
	addr := "127.0.0.1:0"
	if url != "" {
		addr = strings.TrimPrefix(url, "http://")
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", addr)
	require.NoError(t, err)
	return l
}

// startMixed starts a process at the address; its list is empty. Copies of what
// old peers own have a life, 0 for the default.
func startMixed(t *testing.T, kind mode, l net.Listener, d *database, life time.Duration, copies gcnode.Lifetime) *mixed {
	t.Helper()
	m := &mixed{mode: kind, url: "http://" + l.Addr().String(), database: d, life: life}
	var handler http.Handler
	stop := func() {}
	if kind == onOld {
		m.old = newMailgunPeer(m.url, m.loadOld, groupName)
		handler = m.old
	} else {
		r := newRegistry()
		r.copies = copies
		m.pool = r.newPool(m.url, &HTTPPoolOptions{OldPeers: kind == withOld})
		m.group = r.newGroup(groupName, 8<<20, m)
		handler = m.pool
		stop = func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
			defer cancel()
			require.NoError(t, m.pool.Close(ctx))
		}
	}
	server := httptest.NewUnstartedServer(handler)
	require.NoError(t, server.Listener.Close())
	server.Listener = l
	server.Start()
	m.end = sync.OnceFunc(func() {
		stop()
		server.CloseClientConnections()
		server.Close()
	})
	t.Cleanup(m.end)
	return m
}

func (m *mixed) setPeers(urls ...string) {
	if m.mode == onOld {
		m.old.setPeers(urls...)
		return
	}
	m.pool.Set(urls...)
}

// awaitNative waits until the process is one of so many members.
func (m *mixed) awaitNative(t *testing.T, members int) {
	t.Helper()
	require.Eventually(t, func() bool { return len(m.pool.Node().Peers()) == members }, patience, time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, m.pool.Node().Joined(ctx))
}

// mixedCluster starts a process of each mode, with one list.
func mixedCluster(t *testing.T, d *database, life time.Duration, modes ...mode) []*mixed {
	t.Helper()
	var ms []*mixed
	var urls []string
	for _, kind := range modes {
		m := startMixed(t, kind, listen(t, ""), d, life, 0)
		ms, urls = append(ms, m), append(urls, m.url)
	}
	for _, m := range ms {
		m.setPeers(urls...)
	}
	for _, m := range ms {
		if m.mode == onNative {
			require.NoError(t, m.pool.Node().Joined(t.Context()))
		}
	}
	return ms
}

// get is the value of the key and when it expires, or what is wrong: "none", or
// the text of a failure.
func (m *mixed) get(ctx context.Context, key string) (value string, expire time.Time, wrong string) {
	if m.mode == onOld {
		e, err := m.old.get(ctx, groupName, key)
		return e.value, e.expire, wrongOf(err, errOldNotFound)
	}
	var v ByteView
	err := m.group.Get(ctx, key, ByteViewSink(&v))
	return v.String(), v.Expire(), wrongOf(err, &ErrNotFound{})
}

func wrongOf(err, notFound error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, notFound):
		return "none"
	default:
		return err.Error()
	}
}

func (m *mixed) set(ctx context.Context, key, value string) error {
	if m.mode == onOld {
		return m.old.set(ctx, groupName, key, value, m.expire())
	}
	return m.group.Set(ctx, key, []byte(value), m.expire(), false)
}

func (m *mixed) remove(ctx context.Context, key string) error {
	if m.mode == onOld {
		return m.old.remove(ctx, groupName, key)
	}
	return m.group.Remove(ctx, key)
}
