package legacy

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

const (
	// DefaultTimeout is the default of [ClientOptions.Timeout]: what takes longer is
	// older than a copy may be. It leaves a load the time to be done here.
	DefaultTimeout = gcnode.DefaultHotTTL
	// writeTimeout bounds what needs no getter, and byteTime is added for each
	// byte that is sent: a network should carry 1 MB/s.
	writeTimeout = 5 * time.Second
	byteTime     = time.Microsecond
	dialTimeout  = 2 * time.Second
	// restAfterFailure is for how long a peer that did not answer is not asked
	// for values.
	restAfterFailure = time.Second
	maxIdlePerPeer   = 256
	idleTimeout      = 90 * time.Second
)

// Peer is another process that may own keys. Its methods are called from many
// goroutines at once.
//
// Get returns [gcnode.ErrNotFound] if the key has no value, and a [*RemoteError]
// if the getter there has failed; both are final. Any other error says that there
// was no answer.
type Peer interface {
	Get(ctx context.Context, group, key string) (gcnode.Item[gcnode.Value], error)
	Set(ctx context.Context, group, key string, it gcnode.Item[gcnode.Value]) error
	// Remove takes the key out of the peer's memory, and of no other's.
	Remove(ctx context.Context, group, key string) error
	URL() string
}

// RemoteError is the failure of a getter in another process, of which the text
// is known.
type RemoteError struct{ Text string }

// Error implements the error interface.
func (e *RemoteError) Error() string { return e.Text }

// errResting is the answer of a peer that is not asked.
var errResting = errors.New("it did not answer a short time ago")

// ClientOptions are those of [NewClient]. The zero value is ready for use.
type ClientOptions struct {
	// BasePath is where peers serve; empty: [DefaultBasePath].
	BasePath string
	// Transport makes the exchanges; nil, or one that it returns:
	// [http.DefaultTransport], with limits of its own.
	Transport func(context.Context) http.RoundTripper
	// Timeout bounds the time that a peer takes to answer with a value, which it
	// may have to load; 0 is DefaultTimeout.
	Timeout time.Duration
	// Now is the clock of expiry times; nil: time.Now.
	Now func() time.Time
}

// Client asks old peers.
type Client struct {
	opts ClientOptions
	own  defaultTransport
}

// NewClient makes a client.
func NewClient(opts ClientOptions) *Client {
	opts.BasePath = cmp.Or(opts.BasePath, DefaultBasePath)
	opts.Timeout = cmp.Or(opts.Timeout, DefaultTimeout)
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Client{opts: opts}
}

// Close closes the connections that are not in use.
func (c *Client) Close() { c.own.close() }

// Peer is the peer at the URL, without the base path.
func (c *Client) Peer(url string) Peer { return &httpPeer{client: c, url: url} }

// httpPeer is one that is reached over HTTP.
type httpPeer struct {
	client *Client
	url    string
	rests  atomic.Int64 // until when it is not asked for values, in nanoseconds of Unix time
}

// URL implements [Peer].
func (p *httpPeer) URL() string { return p.url }

// Get implements [Peer].
func (p *httpPeer) Get(ctx context.Context, group, key string) (gcnode.Item[gcnode.Value], error) {
	if !p.mayAsk() {
		return gcnode.Item[gcnode.Value]{}, errResting
	}
	asking, cancel := context.WithTimeout(ctx, p.client.opts.Timeout)
	defer cancel()
	a, err := p.exchange(asking, http.MethodGet, group, key, nil)
	if err != nil {
		if !errors.Is(ctx.Err(), context.Canceled) { // nobody has left
			p.rests.Store(time.Now().Add(restAfterFailure).UnixNano())
		}
		return gcnode.Item[gcnode.Value]{}, err
	}
	p.rests.Store(0)
	switch {
	case a.status == http.StatusOK:
		return itemOf(a.body, p.client.opts.Now())
	case a.status == http.StatusNotFound && !lacksGroup(a.text(), group):
		return gcnode.Item[gcnode.Value]{}, &gcnode.Error{Kind: gcnode.KindNotFound, Group: group, Key: key, Peer: p.url, Err: errors.New(a.text())}
	case a.status == http.StatusServiceUnavailable:
		return gcnode.Item[gcnode.Value]{}, &RemoteError{Text: a.text()}
	default:
		return gcnode.Item[gcnode.Value]{}, a.unexpected()
	}
}

// lacksGroup reports whether the text beside a 404 is that of an old peer that
// does not have the group, or of a server that does not have the pool.
func lacksGroup(text, group string) bool {
	return text == "no such group: "+group || text == "404 page not found"
}

// mayAsk lets one caller through at the end of each rest.
func (p *httpPeer) mayAsk() bool {
	until := p.rests.Load()
	if until == 0 {
		return true
	}
	now := time.Now()
	return now.UnixNano() >= until && p.rests.CompareAndSwap(until, now.Add(restAfterFailure).UnixNano())
}

// Set implements [Peer].
func (p *httpPeer) Set(ctx context.Context, group, key string, it gcnode.Item[gcnode.Value]) error {
	body, err := setOf(group, key, it, p.client.opts.Now())
	if err != nil {
		return err
	}
	return p.write(ctx, http.MethodPut, group, key, body)
}

// Remove implements [Peer].
func (p *httpPeer) Remove(ctx context.Context, group, key string) error {
	return p.write(ctx, http.MethodDelete, group, key, nil)
}

func (p *httpPeer) write(ctx context.Context, method, group, key string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout+time.Duration(len(body))*byteTime)
	defer cancel()
	a, err := p.exchange(ctx, method, group, key, body)
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		return a.unexpected()
	}
	return nil
}

// answer is what a peer has sent.
type answer struct {
	status int
	body   []byte
}

func (a answer) text() string { return strings.Trim(string(a.body), "\n") }

func (a answer) unexpected() error {
	return fmt.Errorf("the peer answered %d %s: %s", a.status, http.StatusText(a.status), a.text())
}

// exchange sends a request, and reads the answer to its end so that the
// connection can be used again. It follows no redirects: a path that a server
// changes names another key.
func (p *httpPeer) exchange(ctx context.Context, method, group, key string, body []byte) (answer, error) {
	if strings.Contains(group, "/") {
		return answer{}, fmt.Errorf("the name of group %q has a slash, so that old peers take a part of it for the key", clip(group))
	}
	req, err := http.NewRequestWithContext(ctx, method, p.url+p.client.opts.BasePath+pathOf(group, key), bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	// Once more on a new connection, if the peer was ending while one that was there
	// was used: to write the same twice does no harm. nil is not sent.
	req.Header["Idempotency-Key"] = nil
	res, err := p.client.transport(ctx).RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }() // what there is to know, reading has told
	if res.StatusCode == http.StatusSwitchingProtocols {
		// Its body is the connection, that no context ends.
		return answer{}, fmt.Errorf("the answer is %s, which nobody has asked for", res.Status)
	}
	most := int64(maxTextBytes)
	if res.StatusCode == http.StatusOK {
		most = maxMessageBytes
	}
	a := answer{status: res.StatusCode}
	if a.body, err = io.ReadAll(io.LimitReader(res.Body, most+1)); err != nil {
		return answer{}, fmt.Errorf("read the answer: %w", err)
	}
	if int64(len(a.body)) > most {
		if a.status == http.StatusOK {
			return answer{}, fmt.Errorf("the answer has more than %d bytes", most)
		}
		a.body = a.body[:most]
	}
	return a, nil
}

func (c *Client) transport(ctx context.Context) http.RoundTripper {
	if c.opts.Transport != nil {
		if chosen := c.opts.Transport(ctx); chosen != nil {
			return chosen
		}
	}
	return c.own.get()
}
