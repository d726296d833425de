package httptransport

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
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
	// maxProblemBytes is how much an error shows of what a server says that
	// does not answer as a peer.
	maxProblemBytes = 256
)

// ClientOptions are those of [NewClient]. The zero value is ready for use.
type ClientOptions struct {
	// HTTPClient is used in place of one made for the purpose, for example
	// for TLS with certificates of one's own. Its Timeout should be 0: loads
	// may take long, and the node watches over its peers itself. It does not
	// follow redirects here.
	HTTPClient *http.Client
	// DialTimeout bounds the time to connect. 0 is DefaultDialTimeout. It
	// cannot be combined with HTTPClient.
	DialTimeout time.Duration
	// MaxIdlePerPeer is how many unused connections to one peer are kept. 0
	// is DefaultMaxIdlePerPeer. It cannot be combined with HTTPClient.
	MaxIdlePerPeer int
	// TLS is asked for the configuration of each connection to an https address,
	// with the host of that; see package certs. nil: that of Go, with the
	// authorities of the system. It cannot be combined with HTTPClient.
	TLS func(host string) *tls.Config
}

// Client is a [gcnode.Transport]. The address of a peer is the absolute URL of
// its [NewHandler].
type Client struct {
	http   *http.Client
	own    bool
	closed atomic.Bool
}

// NewClient fails if an option is negative, or does not go with HTTPClient.
func NewClient(opts ClientOptions) (*Client, error) {
	if opts.DialTimeout < 0 || opts.MaxIdlePerPeer < 0 {
		return nil, fmt.Errorf("new HTTP client: DialTimeout %v and MaxIdlePerPeer %d must not be negative",
			opts.DialTimeout, opts.MaxIdlePerPeer)
	}
	c := &Client{}
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
// of a client that was supplied are left alone.
func (c *Client) Close() {
	c.closed.Store(true)
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
	err := c.exchange(ctx, to.Addr, req, w)
	if err == nil {
		return nil
	}
	if stopped, ok := errors.AsType[*writerError](err); ok {
		return stopped.err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("peer %q at %s: %w", to.ID, to.Addr, endOf(ctx))
	}
	failure := &gcnode.Error{Kind: gcnode.KindUnreachable, Op: req.Op, Group: req.Group, Peer: to.ID}
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
func (c *Client) exchange(ctx context.Context, addr string, req *gcnode.Request, w gcnode.ReplyWriter) error {
	if c.closed.Load() {
		return errors.New("the client is closed")
	}
	if err := checkAddr(addr); err != nil {
		return err
	}
	var body bytes.Buffer
	large := req.Value.Len() > wire.PieceBytes
	if large {
		body.Grow(req.Value.Len() + req.Value.Len()/1024) // with what goes before each piece
	}
	if err := wire.NewWriter(&body).WriteRequest(req); err != nil {
		return &requestError{err}
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, addr, bytes.NewReader(body.Bytes()))
	if err != nil {
		return fmt.Errorf("make the request: %w", err)
	}
	post.Header.Set("Content-Type", contentType)
	post.Header.Set("Accept", contentType)
	post.Header.Set("User-Agent", "gcnode")
	if large { // nothing of it is sent to a peer that refuses the request
		post.Header.Set("Expect", "100-continue")
	}
	// Every request may be repeated. This says so to net/http, which then
	// tries another connection when the peer has closed one that was kept;
	// without a value it is not sent.
	post.Header["Idempotency-Key"] = nil
	resp, err := c.http.Do(post)
	if err != nil {
		if outer, ok := errors.AsType[*url.Error](err); ok {
			err = outer.Err // it names the address a second time
		}
		return err
	}
	defer resp.Body.Close()
	return receive(resp, wire.NewAnswers(req), w)
}

// checkAddr refuses addresses that are not absolute URLs.
func checkAddr(addr string) error {
	u, err := url.Parse(addr)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("the address %q is not an absolute URL like http://10.0.0.1:7001/", addr)
	}
	return nil
}

// receive hands the replies in resp to w. It reads a complete answer to the
// end, so that the connection can be used again.
func receive(resp *http.Response, answers *wire.Answers, w gcnode.ReplyWriter) error {
	if err := checkResponse(resp); err != nil {
		return refused(err, answers, w)
	}
	frames := wire.NewReader(resp.Body)
	for {
		r, err := frames.ReadReply()
		if errors.Is(err, io.EOF) {
			return frames.ReadEOF()
		}
		if err != nil {
			return refused(err, answers, w)
		}
		if err := answers.Add(r); err != nil {
			return err
		}
		if err := w.WriteReply(r); err != nil {
			return &writerError{err}
		}
	}
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

// checkResponse tells the answer of a peer from that of some other server.
func checkResponse(resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxProblemBytes))
		err := fmt.Errorf("the answer is %s: %q", resp.Status, strings.TrimSpace(string(text)))
		if resp.StatusCode == http.StatusRequestEntityTooLarge {
			return &wire.EndError{Refused: true, Cause: &gcnode.Error{Kind: gcnode.KindTooLarge, Err: err}}
		}
		return err
	}
	header := resp.Header.Get("Content-Type")
	if got, _, err := mime.ParseMediaType(header); err != nil || got != contentType {
		return fmt.Errorf("the answer has the content type %q and not %s: is this the URL of a peer?", header, contentType)
	}
	return nil
}
