// Package python_test runs the Python client with real members.
package python_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	httptransport "github.com/gcnode/gcnode/transport/http"
)

// hang is what no step takes unless something hangs.
const hang = time.Minute

// result is what a program has done.
type result struct {
	stdout, stderr string
	status         int
}

// python runs Python in this directory.
func python(t *testing.T, args ...string) result {
	t.Helper()
	program, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed: the Python client is not tested")
	}
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); !ok {
		require.NoError(t, err)
	}
	require.NoError(t, ctx.Err(), "python3 hangs: %s", stderr.String())
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// client runs the command line of the client, with keys in hexadecimal.
func client(t *testing.T, peers []string, command, group string, keys ...string) result {
	t.Helper()
	args := []string{"main.py", "--hex"}
	for _, p := range peers {
		args = append(args, "--peer", p)
	}
	args = append(args, command, group)
	for _, key := range keys {
		args = append(args, hex.EncodeToString([]byte(key)))
	}
	return python(t, args...)
}

// cluster is members in this process, each with a server on the loopback.
type cluster struct {
	members []*member
	secrets *httptransport.Secrets
	access  *httptransport.Access
	version atomic.Int64 // of all values at the origin
}

type member struct {
	node   *gcnode.Node
	group  *gcnode.Group
	url    string
	stop   func()
	deaf   atomic.Int32 // so many removals are not heard
	mu     sync.Mutex
	counts map[gcnode.Op]int // of clients' requests
	seqs   []uint64          // of the removals that clients have sent
}

// ServePeer implements [gcnode.Handler].
func (m *member) ServePeer(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
	if strings.HasPrefix(req.From.ID, "client-") || strings.Contains(req.From.ID, "/") {
		m.mu.Lock()
		m.counts[req.Op]++
		for _, r := range req.Removals {
			m.seqs = append(m.seqs, r.ID.Seq)
		}
		m.mu.Unlock()
		if req.Op == gcnode.OpRemove && m.deaf.Add(-1) >= 0 {
			return errors.New("it is deaf")
		}
	}
	return m.node.ServePeer(ctx, req, w)
}

func (m *member) count(op gcnode.Op) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts[op]
}

// start makes a cluster, whose first member's clock is ahead by as much.
func start(t *testing.T, n int, ahead time.Duration) *cluster {
	t.Helper()
	return startWith(t, &cluster{}, n, ahead)
}

// startWith is start for a cluster that is known by its secrets.
func startWith(t *testing.T, c *cluster, n int, ahead time.Duration) *cluster {
	t.Helper()
	var peers []gcnode.Peer
	for i := range n {
		m := c.start(t, fmt.Sprintf("n%d", i+1), ahead)
		ahead = 0
		c.members = append(c.members, m)
		peers = append(peers, m.node.Self())
	}
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	for _, m := range c.members {
		require.NoError(t, m.node.SetPeers(peers))
	}
	for _, m := range c.members {
		require.NoError(t, m.node.Joined(ctx))
	}
	return c
}

func (c *cluster) start(t *testing.T, id string, ahead time.Duration) *member {
	t.Helper()
	transport, err := httptransport.NewClient(httptransport.ClientOptions{Secrets: c.secrets})
	require.NoError(t, err)
	m := &member{counts: map[gcnode.Op]int{}}
	handler, err := httptransport.NewHandler(m, httptransport.HandlerOptions{Self: id, Secrets: c.secrets, Access: c.access})
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/cache", handler)
	server := httptest.NewUnstartedServer(mux)
	m.url = "http://" + server.Listener.Addr().String() + "/cache"
	m.node, err = gcnode.NewNode(gcnode.Config{
		Self:      gcnode.Peer{ID: id, Addr: m.url},
		Transport: transport,
		Now:       func() time.Time { return time.Now().Add(ahead) },
	})
	require.NoError(t, err)
	m.group, err = m.node.Group("docs", gcnode.GetterFunc[gcnode.Value](c.load), gcnode.GroupOptions{MaxBytes: 64 << 20, HotAfter: 1})
	require.NoError(t, err)
	server.Start()
	// A member that is stopped says nothing to the others: it crashes.
	m.stop = sync.OnceFunc(server.Close)
	t.Cleanup(func() {
		m.stop()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = m.node.Close(ctx) // nobody is there any more to take over what it has
		transport.Close()
	})
	return m
}

// load is the origin: values say which version they are of.
func (c *cluster) load(_ context.Context, key string) (gcnode.Item[gcnode.Value], error) {
	switch key {
	case "nobody":
		return gcnode.Item[gcnode.Value]{}, fmt.Errorf("nobody lives here: %w", gcnode.ErrNotFound)
	case "broken":
		return gcnode.Item[gcnode.Value]{}, errors.New("the origin is broken")
	}
	return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(valueOf(key, c.version.Load())), Keep: gcnode.Forever}, nil
}

func valueOf(key string, version int64) string {
	v := fmt.Sprintf("%q is %d;\x00\xff", key, version)
	if size, ok := strings.CutPrefix(key, "MiB:"); ok {
		return v + strings.Repeat("0123456789abcdef", len(size)<<16)
	}
	return v
}

func (c *cluster) urls() []string {
	var urls []string
	for _, m := range c.members {
		urls = append(urls, m.url)
	}
	return urls
}

// want checks what every member serves.
func (c *cluster) want(t *testing.T, keys []string, version int64) {
	t.Helper()
	for _, m := range c.members {
		for _, key := range keys {
			v, err := m.group.Get(t.Context(), key)
			require.NoError(t, err)
			require.True(t, v.String() == valueOf(key, version), "%s serves %q of %q", m.node.Self().ID, head(v.String()), key)
		}
	}
}

func head(s string) string { return s[:min(len(s), 100)] }

var keys = []string{"net/http", "", "a b+%2F/../\x00\xff", "ключ", "MiB:1", "MiB:22222"}

func TestPythonsOwnTests(t *testing.T) {
	r := python(t, "-m", "unittest", "--buffer")
	require.Zero(t, r.status, r.stderr)
	require.Contains(t, r.stderr, "\nOK\n")
}

func TestKeysAreFetchedFromAnyMember(t *testing.T) {
	c := start(t, 3, 0)
	var want strings.Builder
	for _, key := range keys {
		want.WriteString(valueOf(key, 0))
	}
	for _, url := range c.urls() {
		r := client(t, []string{url}, "get", "docs", keys...)
		require.Zero(t, r.status, r.stderr)
		require.Empty(t, r.stderr)
		require.True(t, r.stdout == want.String(), "%d bytes have come instead of %d: %q", len(r.stdout), want.Len(), head(r.stdout))
	}
}

func TestErrorsAreToldApart(t *testing.T) {
	c := start(t, 2, 0)
	for name, test := range map[string]struct {
		group  string
		keys   []string
		status int
		stdout string
		stderr string
	}{
		"not found":     {"docs", []string{"nobody", "a"}, 3, valueOf("a", 0), "get 'nobody' of group 'docs': not found: nobody lives here"},
		"failed":        {"docs", []string{"a", "broken"}, 1, valueOf("a", 0), "get 'broken' of group 'docs': transient failure: the origin is broken"},
		"both":          {"docs", []string{"broken", "nobody"}, 1, "", "not found"},
		"no such group": {"none", []string{"a"}, 1, "", "get 'a' of group 'none': no such group"},
	} {
		t.Run(name, func(t *testing.T) {
			r := client(t, c.urls(), "get", test.group, test.keys...)
			require.Equal(t, test.status, r.status, r.stderr)
			require.Equal(t, test.stdout, r.stdout)
			require.Contains(t, r.stderr, test.stderr)
		})
	}
}

func TestAServerThatIsNoMemberIsNamed(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	r := client(t, []string{server.URL}, "get", "docs", "a")
	require.Equal(t, 1, r.status)
	require.Contains(t, r.stderr, "unreachable: "+server.URL+": it does not answer as a member: 404 404 page not found")
}

func TestARemovalReachesEveryMember(t *testing.T) {
	c := start(t, 3, 0)
	c.want(t, keys, 0)
	c.version.Store(1)
	c.want(t, keys, 0) // all of them have it
	r := client(t, c.urls()[:1], "remove", "docs", keys...)
	require.Zero(t, r.status, r.stderr)
	c.want(t, keys, 1)
	for _, m := range c.members {
		require.Equal(t, 1, m.count(gcnode.OpRemove), m.node.Self().ID)
		require.Equal(t, 1, m.count(gcnode.OpFinish), m.node.Self().ID)
	}
}

// A value that was set by a member whose clock is ahead has a stamp that is
// later than the client's own clock.
func TestARemovalIsLaterThanWhatWasSet(t *testing.T) {
	c := start(t, 3, time.Hour)
	for _, key := range keys {
		require.NoError(t, c.members[0].group.Set(t.Context(), key, gcnode.Item[gcnode.Value]{Value: gcnode.StringValue("set")}))
	}
	// That member is not among those that the client knows.
	r := client(t, c.urls()[2:], "remove", "docs", keys...)
	require.Zero(t, r.status, r.stderr)
	c.want(t, keys, 0)
}

func TestMembersThatDoNotConfirmAreNamed(t *testing.T) {
	c := start(t, 3, 0)
	c.want(t, keys, 0)
	c.version.Store(1)
	c.members[2].stop()
	r := client(t, c.urls()[:2], "remove", "docs", keys...)
	require.Equal(t, 1, r.status, r.stderr)
	require.Contains(t, r.stderr, "remove 6 keys from group 'docs': not confirmed by n3: unreachable: "+c.members[2].url)
	require.NotContains(t, r.stderr, "n1")
	require.NotContains(t, r.stderr, "n2")
	// The others have obeyed.
	c.members = c.members[:2]
	c.want(t, keys, 1)
	for _, m := range c.members {
		require.Zero(t, m.count(gcnode.OpFinish), "the end of a removal is announced that not all have confirmed")
	}
}

func TestNobodyIsThere(t *testing.T) {
	c := start(t, 1, 0)
	url := c.members[0].url
	c.members[0].stop()
	for command, text := range map[string]string{
		"get":    "get 'a' of group 'docs': unreachable: " + url,
		"remove": "remove 1 keys from group 'docs': unreachable: nobody told the time: unreachable: " + url,
	} {
		r := client(t, []string{url}, command, "docs", "a")
		require.Equal(t, 1, r.status)
		require.Empty(t, r.stdout)
		require.Contains(t, r.stderr, text)
		require.NotContains(t, r.stderr, "Traceback")
	}
}

// A client signs with its own secret, and may do what the list says.
func TestAClientSigns(t *testing.T) {
	const nodes, shop = "the secret of all nodes of the cluster", "the secret of the shop and all nodes"
	shared, err := httptransport.NewSecrets(httptransport.Secret{ID: "nodes", Secret: nodes}, httptransport.Secret{ID: "shop", Secret: shop})
	require.NoError(t, err)
	access := httptransport.NewAccess(map[string]httptransport.Grant{
		"nodes": {Member: true}, "shop": {Read: []string{"docs"}, Remove: []string{"docs"}},
	})
	c := startWith(t, &cluster{secrets: shared, access: access}, 3, 0)
	dir := t.TempDir()
	file := func(secret string) string {
		path := filepath.Join(dir, "secret")
		require.NoError(t, os.WriteFile(path, []byte(secret+"\n"), 0o600))
		return path
	}
	ask := func(secret, command, group string, keys ...string) result {
		args := []string{"main.py", "--peer", c.members[0].url, "--secret", "shop=" + file(secret), command, group}
		return python(t, append(args, keys...)...)
	}
	c.want(t, []string{"a", "MiB:1"}, 0)
	r := ask(shop, "get", "docs", "a", "MiB:1")
	require.Zero(t, r.status, r.stderr)
	require.True(t, r.stdout == valueOf("a", 0)+valueOf("MiB:1", 0))
	c.version.Store(1)
	r = ask(shop, "remove", "docs", "a")
	require.Zero(t, r.status, r.stderr)
	c.want(t, []string{"a"}, 1)
	for _, m := range c.members {
		require.Equal(t, 1, m.count(gcnode.OpRemove), m.node.Self().ID)
		require.Equal(t, 1, m.count(gcnode.OpFinish), m.node.Self().ID)
	}

	r = ask(shop, "get", "other", "a")
	require.Contains(t, r.stderr, `denied: "shop" may not read values of the group "other"`)
	r = ask(shop, "remove", "other", "a")
	require.Contains(t, r.stderr, `denied: "shop" may not remove values of the group "other"`)
	for _, command := range []string{"get", "remove"} {
		r = ask(strings.ToUpper(shop), command, "docs", "a")
		require.Equal(t, 1, r.status)
		require.Contains(t, r.stderr, `401 the signature is wrong: the secret "shop" is another one here`)
		r = client(t, c.urls(), command, "docs", "a")
		require.Equal(t, 1, r.status)
		require.Contains(t, r.stderr, "401 this member wants requests to be signed")
	}
	r = ask("short", "get", "docs", "a")
	require.Equal(t, 2, r.status)
	require.Contains(t, r.stderr, "the secret 'shop' must have 32 bytes or more")
}

// A client with a secret takes no answer of somebody without it.
func TestAClientThatSignsWantsSignatures(t *testing.T) {
	c := start(t, 1, 0)
	path := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("x", 32)), 0o600))
	r := python(t, "main.py", "--peer", c.members[0].url, "--secret", "shop="+path, "get", "docs", "a")
	require.Equal(t, 1, r.status)
	require.Contains(t, r.stderr, "it does not ask for a signature: 400")
	require.Empty(t, r.stdout)
}

// A member that did not confirm is told by the client's next removal, before
// that one: the numbers of the client leave no gap.
func TestAMemberThatDidNotConfirmIsToldAgain(t *testing.T) {
	c := start(t, 2, 0)
	c.want(t, keys, 0)
	c.version.Store(1)
	c.members[1].deaf.Store(1)
	r := python(t, "-c", `
import sys
from gcnode_peer import Client, NotConfirmed
client = Client(sys.argv[1:2])
try:
    client.remove("docs", sys.argv[2].split(","))
    sys.exit("confirmed by all")
except NotConfirmed as e:
    print(e)
client.remove("docs", ["another"])`, c.members[0].url, "net/http,ключ")
	require.Zero(t, r.status, r.stderr)
	require.Contains(t, r.stdout, "not confirmed by n2: unreachable: "+c.members[1].url+": it failed to answer: transient failure: it is deaf")
	require.Equal(t, []uint64{1, 2}, c.members[0].seqs)
	require.Equal(t, []uint64{1, 1, 2}, c.members[1].seqs)
	c.want(t, []string{"net/http", "ключ"}, 1)
	c.want(t, []string{""}, 0)
	for _, m := range c.members {
		require.Equal(t, 1, m.count(gcnode.OpFinish), m.node.Self().ID)
	}
}
