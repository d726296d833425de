package httptransport

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

const (
	// DefaultDialTimeout is the default of [ClientOptions.DialTimeout].
	DefaultDialTimeout = 2 * time.Second
	// DefaultMaxIdlePerPeer is the default of [ClientOptions.MaxIdlePerPeer].
	DefaultMaxIdlePerPeer = 256
	// idleTimeout is how long an unused connection is kept.
	idleTimeout = 90 * time.Second
	// maxAnswerHeaderBytes bounds the header of an answer.
	maxAnswerHeaderBytes = 64 << 10
)

var errClientClosed = errors.New("the client is closed")

// ClientOptions are those of [NewClient]. The zero value is ready for use.
type ClientOptions struct {
	// HTTPClient is used in place of one made for the purpose, for example
	// for TLS with certificates of one's own. Its Timeout should be 0: loads
	// may take long, and the node watches over its peers itself; streams do
	// without. It does not follow redirects here. If it speaks HTTP/2 with a
	// peer, there is no stream.
	HTTPClient *http.Client
	// DialTimeout bounds the time to connect. 0 is DefaultDialTimeout. It
	// cannot be combined with HTTPClient.
	DialTimeout time.Duration
	// MaxIdlePerPeer is how many unused connections to one peer are kept,
	// beside the one with a stream. 0 is DefaultMaxIdlePerPeer. It cannot be
	// combined with HTTPClient.
	MaxIdlePerPeer int
	// TLS is asked for the configuration of each connection to an https address,
	// with the host of that; see package certs. nil: that of Go, with the
	// authorities of the system. It cannot be combined with HTTPClient.
	TLS func(host string) *tls.Config
	// Plain sends requests as POSTs, and never asks a peer for a stream.
	Plain bool
	// Secrets signs requests with the first of the secrets, for the ID of the peer
	// that is asked, and takes only answers that are signed with the same one
	// (unless [Secrets.AcceptUnsigned] is on). The peers must have them too. nil:
	// nothing is signed.
	Secrets *Secrets
	// Now is the clock of signatures; nil: time.Now.
	Now func() time.Time
}

// Client is a [gcnode.Transport]. The address of a peer is the absolute URL of
// its [Handler].
//
// It has one connection to a peer that carries many requests at once, a stream.
// Where a peer, or something on the way to it, does not allow that, and for
// requests of more than 256 KiB, requests are POSTs. Fetches of one key that come
// at the same time share those, as far as the peer has the answers in memory.
type Client struct {
	http     *http.Client
	upgrades *http.Client // for streams
	own      bool
	plain    bool
	dialTime time.Duration
	secrets  *Secrets // nil: nothing is signed
	now      func() time.Time

	closed atomic.Bool

	known atomic.Pointer[map[peerKey]*peer] // a copy of peers, which does not change

	mu    sync.Mutex // taken before that of a peer, never after
	peers map[peerKey]*peer
	swept time.Time // when those were looked for that may be forgotten
}

// peerKey tells peers apart: by the address, and where requests are signed for a
// member, by its ID.
type peerKey struct{ addr, id string }

// NewClient fails if an option is negative, or does not go with HTTPClient.
func NewClient(opts ClientOptions) (*Client, error) {
	if opts.DialTimeout < 0 || opts.MaxIdlePerPeer < 0 {
		return nil, fmt.Errorf("new HTTP client: DialTimeout %v and MaxIdlePerPeer %d must not be negative",
			opts.DialTimeout, opts.MaxIdlePerPeer)
	}
	c := &Client{plain: opts.Plain, peers: map[peerKey]*peer{}, swept: time.Now(), dialTime: cmp.Or(opts.DialTimeout, DefaultDialTimeout)}
	c.known.Store(&map[peerKey]*peer{})
	c.secrets, c.now = opts.Secrets, opts.Now
	if c.now == nil {
		c.now = time.Now
	}
	if opts.HTTPClient == nil {
		c.http, c.own = newHTTPClient(opts), true
	} else {
		if opts.DialTimeout != 0 || opts.MaxIdlePerPeer != 0 || opts.TLS != nil {
			return nil, errors.New("new HTTP client: DialTimeout, MaxIdlePerPeer and TLS are those of HTTPClient; set them there")
		}
		theirs := *opts.HTTPClient
		c.http = &theirs
	}
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	upgrades := *c.http
	upgrades.Timeout = 0 // which makes the connection read-only
	c.upgrades = &upgrades
	return c, nil
}

// newHTTPClient is a client for many exchanges at once with few peers. It
// uses no proxy: peers reach each other directly.
func newHTTPClient(opts ClientOptions) *http.Client {
	if opts.DialTimeout == 0 {
		opts.DialTimeout = DefaultDialTimeout
	}
	if opts.MaxIdlePerPeer == 0 {
		opts.MaxIdlePerPeer = DefaultMaxIdlePerPeer
	}
	return &http.Client{Transport: &http.Transport{
		DialTLSContext:         dialTLS(opts),
		DialContext:            (&net.Dialer{Timeout: opts.DialTimeout}).DialContext,
		TLSHandshakeTimeout:    opts.DialTimeout,
		ExpectContinueTimeout:  opts.DialTimeout,
		MaxIdleConnsPerHost:    opts.MaxIdlePerPeer,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxAnswerHeaderBytes,
		DisableCompression:     true,
	}}
}

// Close closes the connections that are not in use; those of running requests
// are closed when they are finished. Further requests fail. The connections
// of a client that was supplied are left alone, but for streams.
func (c *Client) Close() {
	c.closed.Store(true)
	c.mu.Lock()
	peers := slices.Collect(maps.Values(c.peers))
	c.mu.Unlock()
	for _, p := range peers {
		p.close()
	}
	if c.own {
		c.http.CloseIdleConnections()
	}
}

// RoundTrip implements [gcnode.Transport]. When ctx has ended, its error is in
// the chain. Otherwise the error is a [*gcnode.Error] that names peer and
// address: [gcnode.KindTooLarge] for a request that is over a limit,
// [gcnode.KindUnreachable] when the peer did not answer as it should, or
// the kind of the error with which its handler failed. When the peer refuses
// a request as a whole, w gets that as the reply to each key.
func (c *Client) RoundTrip(ctx context.Context, to gcnode.Peer, req *gcnode.Request, w gcnode.ReplyWriter) error {
	err := c.exchange(ctx, to, req, w)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		if _, stopped := errors.AsType[*writerError](err); !stopped {
			return fmt.Errorf("peer %q at %s: %w", to.ID, to.Addr, endOf(ctx))
		}
	}
	return outcomeOf(to, req, err)
}

// outcomeOf is what RoundTrip returns when ctx has not ended.
func outcomeOf(to gcnode.Peer, req *gcnode.Request, err error) error {
	if err == nil {
		return nil
	}
	if stopped, ok := errors.AsType[*writerError](err); ok {
		return stopped.err
	}
	return failed(to, req.Op, req.Group, err)
}

// failed is what RoundTrip returns for err.
func failed(to gcnode.Peer, op gcnode.Op, group string, err error) error {
	failure := &gcnode.Error{Kind: gcnode.KindUnreachable, Op: op, Group: group, Peer: to.ID}
	if said, ok := errors.AsType[*wire.EndError](err); ok {
		failure.Kind, failure.RetryAfter = said.Cause.Kind, said.Cause.RetryAfter
	} else if over, ok := errors.AsType[*requestError](err); ok {
		failure.Kind = gcnode.KindOf(over.err)
	}
	failure.Err = fmt.Errorf("%s: %w", to.Addr, err)
	return failure
}

// writerError is an error of the ReplyWriter, which RoundTrip hands on.
type writerError struct{ err error }

// Error implements the error interface.
func (e *writerError) Error() string { return e.err.Error() }

// requestError is what is wrong with a request that was not sent.
type requestError struct{ err error }

// Error implements the error interface.
func (e *requestError) Error() string { return e.err.Error() }

// endOf is why ctx ended; the error wraps both ctx.Err() and the cause.
func endOf(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// exchange sends the request and hands the replies to w.
func (c *Client) exchange(ctx context.Context, to gcnode.Peer, req *gcnode.Request, w gcnode.ReplyWriter) error {
	p, err := c.peer(to)
	if err != nil {
		return err
	}
	if c.plain && len(req.Keys) <= 1 && !mayShare(req) || req.Value.Len() > wire.PieceBytes {
		return p.post(ctx, req, w)
	}
	buf, _ := buffers.Get().(*[]byte)
	defer keepBuffer(buf)
	request, err := wire.AppendRequest((*buf)[:0], req)
	if err != nil {
		return &requestError{err}
	}
	*buf = request
	if c.plain || len(request) > wire.MaxCallRequestBytes {
		return p.ask(ctx, request, req, w)
	}
	answers := wire.NewAnswers(req)
	for again := false; ; {
		s, err := p.get(ctx)
		if err != nil {
			return err
		}
		if s == nil {
			return p.ask(ctx, request, req, w)
		}
		err = s.exchange(ctx, request, answers, w)
		lost, ok := errors.AsType[*lostError](err)
		switch {
		case errors.Is(err, errStreamGone): // nothing was sent
		case ok && lost.again && !again:
			again = true
		default:
			return err
		}
	}
}

// buffers are for what is encoded.
var buffers = sync.Pool{New: func() any { return new([]byte) }} //nolint:gochecknoglobals // a pool is of use only to all

// keepBuffer takes one back, unless it has become large.
func keepBuffer(buf *[]byte) {
	if cap(*buf) <= keptBytes {
		buffers.Put(buf)
	}
}

// peer is what there is for a peer.
func (c *Client) peer(member gcnode.Peer) (*peer, error) {
	if c.closed.Load() {
		return nil, errClientClosed
	}
	to := peerKey{addr: member.Addr}
	if c.secrets != nil {
		to.id = member.ID
	}
	// One that was used lately is not forgotten just now.
	if p := (*c.known.Load())[to]; p != nil && p.used.Load() {
		return p, nil
	}
	if err := checkAddr(to.addr); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() {
		return nil, errClientClosed
	}
	if p := c.peers[to]; p != nil {
		p.used.Store(true)
		return p, nil
	}
	// Where there is a new member, an old one may be gone for good. Whoever has
	// just got one has begun with it long before it is looked at twice.
	if now := time.Now(); now.Sub(c.swept) > idleTimeout {
		c.swept = now
		maps.DeleteFunc(c.peers, func(_ peerKey, p *peer) bool { return p.forgettable() })
	}
	p := &peer{client: c, addr: to.addr, id: to.id}
	p.bundler.p = p
	p.used.Store(true)
	c.peers[to] = p
	known := maps.Clone(c.peers)
	c.known.Store(&known)
	return p, nil
}

// checkAddr refuses addresses that are not absolute URLs.
func checkAddr(addr string) error {
	u, err := url.Parse(addr)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("the address %q is not an absolute URL like http://10.0.0.1:7001/", addr)
	}
	return nil
}

// refused is err, unless that says that the peer refused the request: then
// this is the answer to what is not answered.
func refused(err error, answers *wire.Answers, w gcnode.ReplyWriter) error {
	said, ok := errors.AsType[*wire.EndError](err)
	if !ok || !said.Refused {
		return err
	}
	for _, key := range answers.Missing() {
		if err := w.WriteReply(gcnode.Reply{Key: key, Err: said.Cause}); err != nil {
			return &writerError{err}
		}
	}
	return nil
}
