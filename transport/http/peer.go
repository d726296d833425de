package httptransport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// plainFor is how long requests to a peer are plain before it is asked
	// again for a stream.
	plainFor = time.Minute
	// brieflyPlain is the same when it is likely to be another time: the peer
	// is starting or has just died.
	brieflyPlain = 5 * time.Second
)

// peer is what a client has for one address.
type peer struct {
	client *Client
	addr   string
	id     string // of the member; empty where nothing is signed
	posts  atomic.Uint64
	// unsigned says that its last answer, or stream, was not signed.
	unsigned atomic.Bool
	used     atomic.Bool // since it was looked for peers that are not

	stream  atomic.Pointer[stream] // nil: there is none that takes requests
	bundler bundler                // for then
	split   spell                  // requests have one key

	mu        sync.Mutex
	dialing   *dialing  // nil: nobody asks for a stream
	plain     bool      // there was none
	retry     time.Time // beside plain: when to ask again
	problem   string    // beside plain: what was wrong
	streams   uint64
	fallbacks uint64
}

// dialing is an attempt to get a stream, which callers share.
type dialing struct {
	done chan struct{}
	err  error // beside done: the peer cannot be reached
}

// get returns a stream, or nil when the request is to be a plain one. It waits
// for an attempt that is under way, unless requests are plain meanwhile.
func (p *peer) get(ctx context.Context) (*stream, error) {
	for {
		if s := p.ready(); s != nil {
			return s, nil
		}
		d, err := p.dial()
		if d == nil {
			return nil, err
		}
		select {
		case <-d.done:
		case <-ctx.Done():
			return nil, endOf(ctx)
		}
		if d.err != nil {
			return nil, d.err
		}
	}
}

// ready is the stream, if there is one that can be used.
func (p *peer) ready() *stream {
	s := p.stream.Load()
	if s != nil && !p.client.signsWith(s.signed) {
		s.retire()
		return nil
	}
	return s
}

// dial returns an attempt to wait for, or nil.
func (p *peer) dial() (*dialing, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.client.closed.Load():
		return nil, errClientClosed
	case p.plain && (p.dialing != nil || time.Now().Before(p.retry)):
		return nil, nil
	case p.dialing == nil && p.stream.Load() == nil:
		p.dialing = &dialing{done: make(chan struct{})}
		go p.open(p.dialing)
		if p.plain {
			return nil, nil
		}
	case p.dialing == nil: // it came meanwhile
		d := &dialing{done: make(chan struct{})}
		close(d.done)
		return d, nil
	}
	return p.dialing, nil
}

// isPlain reports whether requests are plain ones now.
func (p *peer) isPlain() bool {
	if p.client.plain {
		return true
	}
	p.mu.Lock()
	plain := p.plain
	p.mu.Unlock()
	if !plain {
		return false
	}
	d, err := p.dial() // perhaps it is time to ask again
	return d == nil && err == nil
}

// open asks the peer for a stream.
func (p *peer) open(d *dialing) {
	s, err := p.upgrade()
	p.mu.Lock()
	dial, ok := errors.AsType[*net.OpError](err)
	switch {
	case s != nil && p.client.closed.Load():
		d.err = errClientClosed
	case s != nil:
		p.stream.Store(s)
		if s.isGone() { // it may have dropped itself before
			p.drop(s)
		}
		p.streams++
		p.plain, p.problem = false, ""
	case ok && dial.Op == "dial":
		d.err = err
	default:
		if !p.plain {
			p.fallbacks++
		}
		wait := brieflyPlain
		if refused, ok := errors.AsType[*refusedError](err); ok && !refused.passing() {
			wait = plainFor
		}
		p.plain, p.retry, p.problem = true, time.Now().Add(wait), err.Error()
	}
	p.dialing = nil
	p.mu.Unlock()
	close(d.done)
	if s != nil && d.err != nil {
		s.retire()
	}
}

// upgrade asks the peer for a stream. It belongs to no request, and has its
// own time: to connect, and to be answered.
func (p *peer) upgrade() (*stream, error) {
	ctx, cancel := context.WithCancel(context.Background())
	limit := time.AfterFunc(2*p.client.dialTime, cancel)
	var conn connHolder
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: conn.set})
	s, err := p.tryUpgrade(ctx, &conn, cancel)
	if !limit.Stop() && err == nil {
		s.retire()
		s, err = nil, errors.New("the answer to the Upgrade came too late")
	}
	if err != nil {
		cancel()
	}
	return s, err
}

func (p *peer) tryUpgrade(ctx context.Context, conn *connHolder, cancel context.CancelFunc) (*stream, error) {
	get, err := http.NewRequestWithContext(ctx, http.MethodGet, p.addr, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	get.Header.Set("Connection", "Upgrade")
	get.Header.Set("Upgrade", upgradeToken)
	get.Header.Set("User-Agent", "gcnode")
	signed, err := p.client.sign(get, p.id, nil)
	if err != nil {
		return nil, err
	}
	resp, err := p.client.upgrades.Do(get)
	if err != nil {
		return nil, withoutURL(err)
	}
	signed = p.answered(signed, resp)
	body, ok := resp.Body.(io.ReadWriteCloser)
	if resp.StatusCode == http.StatusSwitchingProtocols && hasToken(resp.Header, "Upgrade", upgradeToken) && ok {
		sealed, err := signed.stream(resp, body)
		if err != nil {
			_ = body.Close()
			return nil, err
		}
		return newStream(p, sealed, conn.get(), cancel, signed), nil
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return nil, errors.New("the connection was not upgraded to " + upgradeToken)
	}
	_ = signed.open(resp) // any refusal will do
	return nil, &refusedError{resp.StatusCode, fmt.Sprintf("%s: %q", resp.Status, problemText(resp))}
}

// refusedError is an answer to an Upgrade that is no stream.
type refusedError struct {
	status int
	text   string
}

// Error implements the error interface.
func (e *refusedError) Error() string { return "the answer to the Upgrade is " + e.text }

// passing reports whether it may be another one soon.
func (e *refusedError) passing() bool {
	return e.status >= http.StatusInternalServerError && e.status != http.StatusNotImplemented || e.status == http.StatusUnauthorized
}

// forgettable reports whether nothing would be lost with the peer, which was
// not asked for anything since this was called last.
func (p *peer) forgettable() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.used.Swap(false) && p.stream.Load() == nil && p.dialing == nil
}

// connHolder is the connection that a request was sent over.
type connHolder struct {
	mu   sync.Mutex
	conn net.Conn
}

func (h *connHolder) set(info httptrace.GotConnInfo) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conn = info.Conn
}

func (h *connHolder) get() net.Conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.conn
}

// drop gives no further requests to a stream.
func (p *peer) drop(s *stream) { p.stream.CompareAndSwap(s, nil) }

// close ends the stream with its last request.
func (p *peer) close() {
	p.mu.Lock()
	s := p.stream.Load()
	p.mu.Unlock()
	if s != nil {
		s.retire()
	}
}
