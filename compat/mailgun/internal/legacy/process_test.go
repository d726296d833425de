package legacy_test

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
	httptransport "github.com/gcnode/gcnode/transport/http"

	"github.com/gcnode/gcnode/compat/mailgun/internal/legacy"
)

const (
	groupName = "g"
	patience  = 20 * time.Second // when a test hangs
	// copyTTL is short, so that tests need not wait for what heals with it.
	copyTTL = 200 * time.Millisecond
)

// origin is where the values of all processes come from. A key's value is its
// version. Keys that begin with "none" have none, and those that begin with "bad"
// cannot be loaded.
type origin struct {
	mu       sync.Mutex
	versions map[string]int
	loads    map[string]int
}

func newOrigin() *origin { return &origin{versions: map[string]int{}, loads: map[string]int{}} }

var (
	errNone = errors.New("none there")
	errBad  = errors.New("the database is down")
)

func (o *origin) load(key string) (string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.loads[key]++
	switch {
	case strings.HasPrefix(key, "none"):
		return "", errNone
	case strings.HasPrefix(key, "bad"):
		return "", errBad
	}
	return fmt.Sprintf("%s@%d", key, o.versions[key]), nil
}

func (o *origin) change(key string) (value string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.versions[key]++
	return fmt.Sprintf("%s@%d", key, o.versions[key])
}

func (o *origin) loadsOf(key string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.loads[key]
}

// mode is what a process is.
type mode int

const (
	onOld    mode = iota // the old library
	withOld              // this module, among old peers
	onNative             // this module
)

func (m mode) String() string { return []string{"old", "with-old", "native"}[m] }

// process is one of a cluster.
type process struct {
	mode   mode
	url    string
	origin *origin
	life   time.Duration // of values; 0: without end

	old    *oldPeer
	group  *legacy.Group // with old peers
	member *gcnode.Node
	native *gcnode.Group
	peers  func(urls ...string)
	end    func()
}

// getter is the origin for this module.
func (p *process) GetItem(_ context.Context, key string) (gcnode.Item[gcnode.Value], error) {
	value, err := p.origin.load(key)
	if errors.Is(err, errNone) {
		err = fmt.Errorf("%w: %w", gcnode.ErrNotFound, err)
	}
	it := gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(value)}
	if p.life > 0 {
		it.Keep = gcnode.For(p.life)
	}
	return it, err
}

// loadOld is the origin for the old library.
func (p *process) loadOld(key string) (string, time.Time, error) {
	value, err := p.origin.load(key)
	if errors.Is(err, errNone) {
		err = fmt.Errorf("%w: %w", errOldNotFound, err)
	}
	if err != nil {
		return "", time.Time{}, err
	}
	var expire time.Time
	if p.life > 0 {
		expire = time.Now().Add(p.life)
	}
	return value, expire, nil
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

// start starts a process at the address; its list is empty.
func start(t *testing.T, m mode, l net.Listener, o *origin, life time.Duration) *process {
	t.Helper()
	p := &process{mode: m, url: "http://" + l.Addr().String(), origin: o, life: life}
	var handler http.Handler
	stop := func() {}
	if m == onOld {
		p.old = newOldPeer(p.url, p.loadOld, groupName)
		p.peers = p.old.setPeers
		handler = p.old
	} else {
		handler, stop = p.mount(t)
	}
	server := httptest.NewUnstartedServer(handler)
	require.NoError(t, server.Listener.Close())
	server.Listener = l
	server.Start()
	p.end = sync.OnceFunc(func() {
		stop()
		server.CloseClientConnections()
		server.Close()
	})
	t.Cleanup(p.end)
	return p
}

// mount puts a process together as the pool of the module does.
func (p *process) mount(t *testing.T) (handler http.Handler, stop func()) {
	t.Helper()
	client, err := httptransport.NewClient(httptransport.ClientOptions{})
	require.NoError(t, err)
	cfg := gcnode.Config{
		Self: gcnode.Peer{ID: p.url, Addr: p.url + legacy.DefaultBasePath}, Transport: client, JoinTimeout: time.Second,
	}
	if p.mode == withOld {
		cfg.Hooks = gcnode.Hooks{
			Removed: func(e gcnode.RemovalEvent) { p.group.Removed(e) },
			Dropped: func(string) { p.group.Forget() },
		}
	}
	p.member, err = gcnode.NewNode(cfg)
	require.NoError(t, err)
	opts := gcnode.GroupOptions{MaxBytes: 8 << 20}
	p.native, err = p.member.Group(groupName, p, opts)
	require.NoError(t, err)

	setNative := func(urls []string) {
		var list []gcnode.Peer
		for _, url := range urls {
			list = append(list, gcnode.Peer{ID: url, Addr: url + legacy.DefaultBasePath})
		}
		require.NoError(t, p.member.SetPeers(list))
	}
	var served legacy.Cache = p.native
	var member gcnode.PromptHandler = p.member
	asking := legacy.NewClient(legacy.ClientOptions{})
	p.peers = func(urls ...string) { setNative(urls) }
	if p.mode == withOld {
		peers := legacy.NewPeers(p.url, 0, nil, asking)
		p.group, err = legacy.NewGroup(legacy.GroupConfig{
			Name: groupName, Picker: peers, Getter: p, Options: opts, Native: p.native, CopyTTL: gcnode.For(copyTTL),
		})
		require.NoError(t, err)
		served = p.group.Local()
		var mu sync.Mutex
		var awake bool
		var list []string
		p.peers = func(urls ...string) {
			peers.Set(urls...)
			mu.Lock()
			defer mu.Unlock()
			if list = urls; awake {
				setNative(list)
			}
		}
		member = legacy.Awaken(p.member, func() {
			mu.Lock()
			defer mu.Unlock()
			awake = true
			setNative(list)
		})
	}
	native, err := httptransport.NewHandler(member, httptransport.HandlerOptions{})
	require.NoError(t, err)
	old := legacy.NewHandler(legacy.HandlerOptions{Lookup: func(group string) (legacy.Cache, bool) { return served, group == groupName }})
	return legacy.Split(old, native), func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		require.NoError(t, p.member.Close(ctx))
		if p.group != nil {
			require.NoError(t, p.group.Close(ctx))
		}
		client.Close()
		asking.Close()
		native.Close()
	}
}

// cluster starts a process of each mode, with one list.
func cluster(t *testing.T, o *origin, life time.Duration, modes ...mode) []*process {
	t.Helper()
	var ps []*process
	for _, m := range modes {
		ps = append(ps, start(t, m, listen(t, ""), o, life))
	}
	for _, p := range ps {
		p.peers(urlsOf(ps)...)
	}
	for _, p := range ps {
		if p.mode == onNative {
			require.NoError(t, p.member.Joined(t.Context()))
		}
	}
	return ps
}

func urlsOf(ps []*process) (urls []string) {
	for _, p := range ps {
		urls = append(urls, p.url)
	}
	return urls
}

// cache is what users of the module have.
func (p *process) cache() legacy.Cache {
	if p.mode == withOld {
		return p.group
	}
	return p.native
}

// get is the value of the key, or what is wrong: "none", or the text of a
// failure.
func (p *process) get(ctx context.Context, key string) (value string, keep time.Duration, wrong string) {
	if p.mode == onOld {
		e, err := p.old.get(ctx, groupName, key)
		if !e.expire.IsZero() {
			keep = time.Until(e.expire)
		}
		return e.value, keep, wrongOf(err, errOldNotFound)
	}
	it, err := p.cache().GetItem(ctx, key)
	keep, _ = it.Keep.Duration()
	return it.Value.String(), keep, wrongOf(err, gcnode.ErrNotFound)
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

func (p *process) set(ctx context.Context, key, value string) error {
	if p.mode == onOld {
		var expire time.Time
		if p.life > 0 {
			expire = time.Now().Add(p.life)
		}
		return p.old.set(ctx, groupName, key, value, expire)
	}
	it := gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(value)}
	if p.life > 0 {
		it.Keep = gcnode.For(p.life)
	}
	return p.cache().Set(ctx, key, it)
}

func (p *process) remove(ctx context.Context, key string) error {
	if p.mode == onOld {
		return p.old.remove(ctx, groupName, key)
	}
	return p.cache().Remove(ctx, key)
}
