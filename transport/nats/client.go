package natstransport

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

const (
	// DefaultReconnectWait is the default of [ClientOptions.ReconnectWait].
	DefaultReconnectWait = time.Second
	// DefaultMaxPendingBytes is the default of [ClientOptions.MaxPendingBytes]
	// and [ServerOptions.MaxPendingBytes].
	DefaultMaxPendingBytes = 64 << 20
	// minPendingBytes is the least of both: what a stream may have on its way, and
	// the heads of the packets.
	minPendingBytes = 2 * window
	// maxOpenings is how often a request tries to open a stream again that the
	// peer has not answered to.
	maxOpenings = 3
	// pauseTime is between two attempts to reach a peer that may be on its way
	// back.
	pauseTime = 20 * time.Millisecond
)

var (
	errClientClosed = errors.New("the client is closed")
	errNoResponders = errors.New("nobody serves this member (NATS: no responders)")
)

// ClientOptions are those of [NewClient]. The zero value is ready for use.
type ClientOptions struct {
	// Cluster is the name of the cluster, a part of all subjects: up to 64
	// letters, digits, - and _. Empty is DefaultCluster.
	Cluster string
	// ReconnectWait is how long a request waits for a connection to NATS that
	// is interrupted, before its peer counts as unreachable; and for how long
	// after that a peer that nobody serves may still be on its way back itself.
	// 0 is DefaultReconnectWait.
	ReconnectWait time.Duration
	// MaxPendingBytes bounds what has come from all peers and was not looked at
	// yet. More is thrown away by the connection, which calls its error handler
	// with [nats.ErrSlowConsumer]; the streams that have lost something end, and
	// their requests are asked once more. 2 MiB at least, twice what one stream
	// may have on its way; 0 is DefaultMaxPendingBytes.
	MaxPendingBytes int
}

// Client is a [gcnode.Transport]. The address of a peer is empty, or the
// [Server.Addr] of the instance that is meant.
type Client struct {
	nc       *nats.Conn
	subjects subjects
	opts     ClientOptions
	id       string // in the subject for answers
	sub      *nats.Subscription
	pub      *publisher
	watch    *watch

	mu       sync.RWMutex // taken before that of a session, never after
	closed   bool
	last     uint64
	era      era
	sessions map[uint64]*session
	// broadcasts are those under way, by the numbers of their messages, which
	// are beside those of sessions.
	broadcasts    map[uint64]*broadcast
	confirmations wire.ConfirmationDecoder // of the goroutine of the subscription
	// peers are the sessions that take requests. They are replaced as a whole.
	peers atomic.Pointer[sessionsOfPeers]
}

// NewClient returns a client on a connection, which stays the program's. It
// fails if an option makes no sense, if NATS cannot be reached, and if the user
// of the connection lacks a permission, which the error names.
func NewClient(nc *nats.Conn, opts ClientOptions) (*Client, error) {
	names, err := newSubjects(opts.Cluster)
	switch {
	case err != nil:
	case nc == nil:
		err = errors.New("there is no connection")
	case opts.ReconnectWait < 0:
		err = fmt.Errorf("ReconnectWait %v must not be negative", opts.ReconnectWait)
	default:
		err = checkPending(opts.MaxPendingBytes)
	}
	if err != nil {
		return nil, fmt.Errorf("new NATS client: %w", err)
	}
	opts.ReconnectWait = cmp.Or(opts.ReconnectWait, DefaultReconnectWait)
	opts.MaxPendingBytes = cmp.Or(opts.MaxPendingBytes, DefaultMaxPendingBytes)
	c := &Client{
		nc: nc, subjects: names, opts: opts, id: rand.Text(), era: era{nc: nc},
		sessions: map[uint64]*session{}, broadcasts: map[uint64]*broadcast{},
	}
	c.peers.Store(&sessionsOfPeers{})
	if err := c.subscribe(); err != nil {
		return nil, fmt.Errorf("new NATS client: %w", err)
	}
	c.pub = newPublisher(nc)
	c.watch = newWatch(nc, c.changed, c.tick)
	return c, nil
}

// subscribe lets answers come, and finds out whether questions may go: those
// are empty, or go where nobody is.
func (c *Client) subscribe() (err error) {
	before, subject := c.nc.LastError(), c.subjects.back(c.id, "*")
	if c.sub, err = c.nc.Subscribe(subject, c.receive); err == nil {
		err = c.sub.SetPendingLimits(-1, c.opts.MaxPendingBytes)
	}
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", subject, err)
	}
	for _, subject := range []string{
		c.subjects.node(c.id), c.subjects.at(c.id, openToken), c.subjects.event(removalsToken), c.subjects.event(endsToken),
		c.subjects.event(reportsToken),
	} {
		if err == nil {
			err = c.nc.Publish(subject, nil)
		}
	}
	if err == nil {
		err = settle(c.nc, before, string(c.subjects))
	}
	if err != nil {
		_ = c.sub.Unsubscribe() // the connection may be closed
	}
	return err
}

// Close ends all streams, and the requests on them. Further requests fail. The
// connection is left alone.
func (c *Client) Close() {
	c.mu.Lock()
	closed := c.closed
	c.closed = true
	c.mu.Unlock()
	if closed {
		return
	}
	c.watch.close()
	for _, s := range c.all() {
		s.end(errClientClosed, &gcnode.Error{Kind: gcnode.KindUnreachable, Err: errClientClosed})
	}
	for b := range c.broadcastsBelow(math.MaxUint64) {
		b.end()
	}
	c.pub.close()
	_ = c.sub.Unsubscribe() // the connection may be closed
}

// checkPending refuses a bound with which messages that are in order would be
// thrown away.
func checkPending(maxBytes int) error {
	if maxBytes != 0 && maxBytes < minPendingBytes {
		return fmt.Errorf("MaxPendingBytes is %d; at least %d are needed (0 is %d)", maxBytes, minPendingBytes, DefaultMaxPendingBytes)
	}
	return nil
}

// all are the sessions that there are.
func (c *Client) all() []*session {
	c.mu.RLock()
	defer c.mu.RUnlock()
	all := make([]*session, 0, len(c.sessions))
	for _, s := range c.sessions {
		all = append(all, s)
	}
	return all
}

// changed takes note of what happens to the connection.
func (c *Client) changed(status nats.Status) {
	if status == nats.CONNECTED {
		return
	}
	c.mu.RLock()
	over := c.era.over(status)
	c.mu.RUnlock()
	err := unusable(status)
	for _, s := range c.all() {
		if s.number < over {
			s.end(err, nil)
		}
	}
	for b := range c.broadcastsBelow(over) {
		b.end()
	}
}

// tick looks after the sessions, once in a tickTime.
func (c *Client) tick() {
	for _, s := range c.all() {
		s.tick()
	}
}

// RoundTrip implements [gcnode.Transport]. When ctx has ended, its error is in
// the chain. Otherwise the error is a [*gcnode.Error] that names the peer:
// [gcnode.KindTooLarge] for a request that is over a limit,
// [gcnode.KindUnreachable] when the peer did not answer as it should, at once
// if nobody serves it and the connection was not interrupted just now; or the kind of the error with which its handler failed.
// When the peer refuses a request as a whole, w gets that as the reply to each
// key.
func (c *Client) RoundTrip(ctx context.Context, to gcnode.Peer, req *gcnode.Request, w gcnode.ReplyWriter) error {
	err := c.exchange(ctx, to, req, w)
	if err == nil {
		return nil
	}
	if stopped, ok := errors.AsType[*writerError](err); ok {
		return stopped.err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("peer %q: %w", to.ID, endOf(ctx))
	}
	return failed(to.ID, req.Op, req.Group, err)
}

// failed is why a peer did not answer a request, if not because of its caller.
func failed(peer string, op gcnode.Op, group string, err error) *gcnode.Error {
	failure := &gcnode.Error{Kind: gcnode.KindUnreachable, Op: op, Group: group, Peer: peer, Err: err}
	if said, ok := errors.AsType[*wire.EndError](err); ok {
		failure.Kind, failure.RetryAfter = said.Cause.Kind, said.Cause.RetryAfter
	} else if over, ok := errors.AsType[*requestError](err); ok {
		failure.Kind = gcnode.KindOf(over.err)
	}
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

// buffers are for what is encoded.
var buffers = sync.Pool{New: func() any { return new([]byte) }} //nolint:gochecknoglobals // a pool is of use only to all

// keepBuffer keeps the memory for what is encoded next, unless it is much.
func keepBuffer(buf *[]byte) {
	if cap(*buf) <= keptBytes {
		buffers.Put(buf)
	}
}

// exchange sends the request and hands the replies to w. What is lost before
// any reply has come is asked once more.
func (c *Client) exchange(ctx context.Context, to gcnode.Peer, req *gcnode.Request, w gcnode.ReplyWriter) error {
	if ctx.Err() != nil {
		return endOf(ctx)
	}
	buf, _ := buffers.Get().(*[]byte)
	defer keepBuffer(buf)
	request, rest, err := wire.AppendRequestStart((*buf)[:0], req)
	if err != nil {
		return &requestError{err}
	}
	*buf = request
	answers := wire.NewAnswers(req)
	again, openings := false, 0
	for {
		s, err := c.session(ctx, to)
		if err != nil {
			return err
		}
		err = s.exchange(ctx, request, rest, answers, w)
		lost, ok := errors.AsType[*lostError](err)
		switch {
		case errors.Is(err, errSessionGone): // nothing was sent
		case ok && lost.again && lost.unsent && openings < maxOpenings:
			openings++
		case ok && lost.again && !again:
			again = true
		case ok && !lost.again && errors.Is(err, errNoResponders) && c.watch.justBack(c.opts.ReconnectWait):
			if err := pause(ctx); err != nil {
				return err
			}
		default:
			return err
		}
	}
}

// pause waits for others to be connected to NATS again.
func pause(ctx context.Context) error {
	timer := time.NewTimer(pauseTime)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return endOf(ctx)
	}
}

// place is where a peer is to be found: at an instance that is meant, or at any
// one of the member.
type place struct{ id, addr string }

func placeOf(to gcnode.Peer) place {
	if to.Addr != "" {
		return place{addr: to.Addr}
	}
	return place{id: to.ID}
}

// sessionsOfPeers are those to instances, by their addresses, and to members, by
// their IDs: who looks for one hashes one string.
type sessionsOfPeers struct{ instances, members map[string]*session }

// ready is the session that takes requests to a place, or nil.
func (c *Client) ready(at place) *session {
	peers := c.peers.Load()
	if at.addr != "" {
		return peers.instances[at.addr]
	}
	return peers.members[at.id]
}

func (c *Client) isClosed() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.closed
}

// become replaces the session that takes requests to a place, by none if it is
// nil. The client is locked.
func (c *Client) become(at place, s *session) {
	peers := *c.peers.Load()
	if at.addr != "" {
		peers.instances = with(peers.instances, at.addr, s)
	} else {
		peers.members = with(peers.members, at.id, s)
	}
	c.peers.Store(&peers)
}

// with is a copy of sessions with another one, or with none if it is nil.
func with(sessions map[string]*session, name string, s *session) map[string]*session {
	changed := map[string]*session{}
	maps.Copy(changed, sessions)
	if s == nil {
		delete(changed, name)
	} else {
		changed[name] = s
	}
	return changed
}

// session is one with the peer that takes requests.
func (c *Client) session(ctx context.Context, to gcnode.Peer) (*session, error) {
	at := placeOf(to)
	if s := c.ready(at); s != nil {
		return s, nil
	}
	if c.isClosed() {
		return nil, errClientClosed
	}
	opening, err := c.subjects.opening(to.ID, to.Addr)
	if err != nil {
		return nil, err
	}
	if err := c.watch.connected(ctx, c.opts.ReconnectWait); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errClientClosed
	}
	if s := c.ready(at); s != nil {
		return s, nil
	}
	s := newSession(c, c.number(), at, opening)
	c.sessions[s.number] = s
	c.become(at, s)
	return s, nil
}

// number is the next one for a session, or a message that is broadcast. The
// client is locked.
func (c *Client) number() uint64 {
	c.last++
	c.era.begin(c.last)
	return c.last
}

// drop gives a session no further requests.
func (c *Client) drop(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ready(s.where) == s {
		c.become(s.where, nil)
	}
}

// forget takes a session out that has ended.
func (c *Client) forget(s *session) {
	c.drop(s)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.sessions, s.number)
}

// receive takes a packet of a peer, in the one goroutine of the subscription.
func (c *Client) receive(m *nats.Msg) {
	token := lastToken(m.Subject)
	if token == confirmedToken {
		c.confirmed(m.Data)
		return
	}
	number, ok := streamNumber(token)
	c.mu.RLock()
	s, b := c.sessions[number], c.broadcasts[number]
	c.mu.RUnlock()
	switch {
	case !ok:
	case b != nil && isNoResponders(m):
		b.end()
	case b != nil: // only NATS has something to say there
	case s == nil: // it has ended
	case isNoResponders(m):
		s.noResponders()
	default:
		s.receive(m.Data)
	}
}
