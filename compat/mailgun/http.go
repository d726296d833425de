package groupcache

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gcnode/gcnode/compat/mailgun/consistenthash"
	pb "github.com/gcnode/gcnode/compat/mailgun/groupcachepb"
	"github.com/gcnode/gcnode/compat/mailgun/internal/legacy"
	gcnode "github.com/gcnode/gcnode/core"
	httptransport "github.com/gcnode/gcnode/transport/http"
)

const defaultBasePath = "/_groupcache/"

// HTTPPool is this process as a member of a cluster over HTTP: a [gcnode.Node],
// what serves it to its peers, and how it reaches them.
type HTTPPool struct {
	self     string
	opts     HTTPPoolOptions
	registry *registry
	client   *httptransport.Client
	node     *gcnode.Node
	handler  *httptransport.Handler
	sender   gcnode.Sender // of requests that are none of the node's
	old      *oldPeers     // nil: peers are native
	serve    http.Handler
}

// HTTPPoolOptions are those of [NewHTTPPoolOpts]. The zero value is ready for
// use.
type HTTPPoolOptions struct {
	// BasePath is the path under which each peer serves its pool. "" is
	// /_groupcache/.
	BasePath string
	// Replicas and HashFn are how many points a peer has on the ring of the old
	// library, 0 is 50, and its hash, nil is FNV-1. They are used with OldPeers
	// alone: nodes have another ring, which shares keys out more evenly.
	Replicas int
	HashFn   consistenthash.Hash
	// OldPeers is for the time in which processes of the old library are on the
	// list: this one asks all peers by their protocol and finds owners by their
	// ring. What is guaranteed shrinks to what that can carry; docs/migrating.md
	// says to what, and how a deployment goes from one to the other. Without it
	// this process still answers old peers.
	OldPeers bool
	// Transport is asked for what sends a request, with the context of that; nil
	// is [http.DefaultTransport]. Requests to a peer share one connection, which
	// begins with a request of its own and its own context. What is not a plain
	// [http.Transport] may not allow that; then they are requests as usual.
	Transport func(context.Context) http.RoundTripper
	// Context is asked for the values of the context that getters get for
	// requests of peers; nil, or one that returns nil: those of the request's.
	// On a connection that is shared it is asked for all of them, once.
	Context func(*http.Request) context.Context
}

// NewHTTPPool is [NewHTTPPoolOpts] without options. The pool is served by
// [http.DefaultServeMux], too.
func NewHTTPPool(self string) *HTTPPool {
	p := NewHTTPPoolOpts(self, nil)
	http.Handle(p.opts.BasePath, p)
	return p
}

// NewHTTPPoolOpts makes the pool of this process, which has to be served at its
// BasePath, and whose peers are those of all groups from now on. self is the URL
// under which others reach this process, without the BasePath, as it is in the
// list that is given to [HTTPPool.Set].
//
// There is one pool in a process: it panics the second time, and after
// [RegisterPeerPicker]. A [gcnode.Node] with an [httptransport.Handler] and an
// [httptransport.Client] is the same without this limit, and with a choice of
// limits, timeouts, signatures and hooks; [HTTPPool.Node] is the one in a pool.
func NewHTTPPoolOpts(self string, o *HTTPPoolOptions) *HTTPPool {
	return process.newPool(self, o)
}

func (r *registry) newPool(self string, o *HTTPPoolOptions) *HTTPPool {
	p := &HTTPPool{self: self, registry: r}
	if o != nil {
		p.opts = *o
	}
	p.opts.BasePath = cmp.Or(p.opts.BasePath, defaultBasePath)
	if err := p.open(); err != nil {
		misused("%v", err)
	}
	r.registerPool(p)
	return p
}

// open makes the parts of the pool. It fails for no reason that is known.
func (p *HTTPPool) open() error {
	var seed [8]byte
	_, _ = rand.Read(seed[:]) // it never fails
	p.sender = gcnode.Sender{ID: coreName("client of " + p.self), Incarnation: binary.LittleEndian.Uint64(seed[:])}
	log := p.registry.logs.logger()
	var errs [3]error
	p.client, errs[0] = httptransport.NewClient(httptransport.ClientOptions{
		HTTPClient: &http.Client{Transport: roundTripper(p.opts.Transport)},
	})
	cfg := gcnode.Config{Self: p.member(p.self), Transport: counted{p.client, p.registry}, Logger: log}
	if p.opts.OldPeers {
		p.old, cfg.Hooks = newOldPeers(p), p.registry.hooks()
	}
	p.node, errs[1] = gcnode.NewNode(cfg)
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	var member gcnode.PromptHandler = served{p.node, p.registry}
	if p.old != nil {
		member = legacy.Awaken(member, p.old)
	}
	p.handler, errs[2] = httptransport.NewHandler(member, httptransport.HandlerOptions{Logger: log})
	p.serve = legacy.Split(legacy.NewHandler(legacy.HandlerOptions{BasePath: p.opts.BasePath, Lookup: p.registry.lookup}), p.handler)
	return errs[2]
}

// member is a peer as the core knows it.
func (p *HTTPPool) member(url string) gcnode.Peer {
	return gcnode.Peer{ID: coreName(url), Addr: url + p.opts.BasePath}
}

// Set replaces the list of peers, as URLs like that of [NewHTTPPoolOpts]. Every
// process should be given the same list, with itself on it; one that is not owns
// nothing, and all keys are asked of others. What cannot be a list is logged, and
// changes nothing; [gcnode.Node.SetPeers] returns an error.
//
// The first list begins the way into the cluster, which takes a moment if all on
// it are there: [gcnode.Node.Joined] waits for that, and says what does.
func (p *HTTPPool) Set(peers ...string) {
	if p.old != nil {
		p.old.set(peers)
		return
	}
	p.setNative(peers)
}

// setNative gives the node its list.
func (p *HTTPPool) setNative(peers []string) {
	urls := slices.Compact(slices.Sorted(slices.Values(peers)))
	members := make([]gcnode.Peer, len(urls))
	for i, url := range urls {
		members[i] = p.member(url)
	}
	if err := p.node.SetPeers(members); err != nil {
		p.registry.logs.logger().LogAttrs(context.Background(), slog.LevelError, "the list of peers cannot be used", slog.Any("err", err))
	}
}

// GetAll are all peers on the list, this process among them if it is there.
func (p *HTTPPool) GetAll() []ProtoGetter {
	all := []ProtoGetter{}
	if p.old != nil {
		for _, o := range p.old.peers.Listed() {
			all = append(all, oldPeer{p, o})
		}
		return all
	}
	for _, m := range p.node.Peers() {
		all = append(all, &peer{p, m})
	}
	return all
}

// PickPeer is the member that owns the key. It is not ok if this process does, or
// there is no list.
func (p *HTTPPool) PickPeer(key string) (ProtoGetter, bool) {
	if p.old != nil {
		o, ok := p.old.peers.Pick(key)
		if !ok {
			return nil, false
		}
		return oldPeer{p, o}, true
	}
	owner := p.node.Owner(key)
	if owner.ID == "" || owner.ID == p.node.Self().ID {
		return nil, false
	}
	return &peer{p, owner}, true
}

// ServeHTTP implements [http.Handler] for requests of peers. What is not under
// BasePath is refused with 421: an old peer would take 404 for what is said of the
// key.
func (p *HTTPPool) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, p.opts.BasePath) {
		http.Error(w, "peers are served under "+p.opts.BasePath, http.StatusMisdirectedRequest)
		return
	}
	if p.opts.Context != nil {
		if values := p.opts.Context(r); values != nil {
			r = r.WithContext(valuesOf{r.Context(), values})
		}
	}
	p.serve.ServeHTTP(w, r)
}

// Node is the node in the pool: for groups of package gcnode beside those of this
// package, its statistics, and other ways to be told of peers.
func (p *HTTPPool) Node() *gcnode.Node { return p.node }

// Close takes this process out of the cluster: what it has is handed to those
// who inherit it, and what is under way is finished, both until ctx ends. Shut
// the server down after it: a Get may fail from then on. The API that this package
// stands in for has nothing like it; a process that ends without it costs its
// peers a timeout.
func (p *HTTPPool) Close(ctx context.Context) error {
	if p.old != nil {
		p.old.stopLooking()
	}
	err := p.node.Close(ctx)
	err = errors.Join(err, p.handler.Shutdown(ctx))
	p.client.Close()
	if p.old != nil {
		p.old.client.Close()
	}
	return err
}

// valuesOf is a context with the values of another one.
type valuesOf struct {
	context.Context
	values context.Context
}

// Value implements [context.Context].
func (c valuesOf) Value(key any) any {
	if v := c.values.Value(key); v != nil {
		return v
	}
	return c.Context.Value(key)
}

// roundTripper asks for what sends each request.
type roundTripper func(context.Context) http.RoundTripper

// RoundTrip implements [http.RoundTripper].
func (t roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	if t != nil {
		if chosen := t(r.Context()); chosen != nil {
			return chosen.RoundTrip(r)
		}
	}
	return http.DefaultTransport.RoundTrip(r)
}

// peer is one member of a pool.
type peer struct {
	pool   *HTTPPool
	member gcnode.Peer
}

// GetURL implements [ProtoGetter].
func (m *peer) GetURL() string { return m.member.Addr }

// Get implements [ProtoGetter]: it asks this one member, which may load the
// value, and keeps it only if it is the owner.
func (m *peer) Get(ctx context.Context, in *pb.GetRequest, out *pb.GetResponse) error {
	var reply *gcnode.Reply
	err := m.pool.client.RoundTrip(orBackground(ctx), m.member, &gcnode.Request{
		Op: gcnode.OpFetch, From: m.pool.sender, To: m.member.ID, Group: coreName(in.GetGroup()), Keys: []string{in.GetKey()},
		Heartbeat: time.Second,
	}, replyFunc(func(r gcnode.Reply) error {
		if !r.Pending {
			reply = &r
		}
		return nil
	}))
	switch {
	case reply == nil && err == nil:
		return fmt.Errorf("groupcache: %s has not answered", m.GetURL())
	case reply == nil:
		return fmt.Errorf("groupcache: %w", err)
	case reply.Err != nil && saysSomething(reply.Err.Kind):
		reply.Err.Peer = m.member.ID
		return fromCore(reply.Err)
	case reply.Err != nil:
		return fmt.Errorf("groupcache: %w", reply.Err)
	}
	answer(out, gcnode.Item[gcnode.Value]{Value: reply.Value, Keep: reply.Keep})
	return nil
}

// answer fills in what a peer has answered with.
func answer(out *pb.GetResponse, it gcnode.Item[gcnode.Value]) {
	expire := unixOf(endOf(it.Keep))
	out.Value, out.Expire = it.Value.Bytes(), &expire
}

// Remove implements [ProtoGetter]. There is no removal from one member alone: it
// is that of all, [Group.Remove].
func (m *peer) Remove(ctx context.Context, in *pb.GetRequest) error {
	g := m.pool.registry.group(coreName(in.GetGroup()))
	if g == nil {
		return fmt.Errorf("groupcache: there is no group %q in this process", in.GetGroup())
	}
	return g.Remove(ctx, in.GetKey())
}

// Set implements [ProtoGetter]. Values are stored at the owner of their key,
// whichever member it is called on: it is [Group.Set].
func (m *peer) Set(ctx context.Context, in *pb.SetRequest) error {
	g := m.pool.registry.group(coreName(in.GetGroup()))
	if g == nil {
		return fmt.Errorf("groupcache: there is no group %q in this process", in.GetGroup())
	}
	return g.Set(ctx, in.GetKey(), in.GetValue(), timeOf(in.GetExpire()), false)
}

// replyFunc is a function that is a [gcnode.ReplyWriter].
type replyFunc func(gcnode.Reply) error

// WriteReply calls f.
func (f replyFunc) WriteReply(r gcnode.Reply) error { return f(r) }
