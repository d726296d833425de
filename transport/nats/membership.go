package natstransport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

const (
	// DefaultHeartbeat is the default of [MembershipOptions.Heartbeat].
	DefaultHeartbeat = time.Second
	// minHeartbeat and maxHeartbeat bound it.
	minHeartbeat = 20 * time.Millisecond
	maxHeartbeat = time.Minute
	// missedHeartbeats is how many have to be missing for a member to be gone.
	missedHeartbeats = 3
	// looksPerHeartbeat is how often the members are looked at in one.
	looksPerHeartbeat = 4
)

var (
	errDeaf     = errors.New("nothing is heard, not even the announcements of this node")
	errNotYet   = errors.New("the announcements of the others are still awaited")
	errTooMany  = fmt.Errorf("more than %d lives of members announce themselves", maxLives)
	errWatched  = errors.New("the members are watched already")
	errNotThere = errors.New("the membership has ended")
)

// MembershipOptions are those of [Announce]. The zero value is ready for use.
type MembershipOptions struct {
	// Cluster is the name of the cluster, as in [ClientOptions].
	Cluster string
	// Heartbeat is how often the node announces itself, 20 ms to 1 min. It may
	// differ between members. 0 is DefaultHeartbeat.
	Heartbeat time.Duration
	// Logger gets what is wrong with announcements. nil: nothing is logged.
	Logger *slog.Logger
}

// Membership makes a node known to the others of its cluster, and tells who
// they are: a [discovery.Source] without a list that anybody has to keep.
//
// A node announces itself in every heartbeat and says goodbye when it leaves;
// who was not heard of for three of its heartbeats is gone. All hear the same,
// so all come to the same list, also after a split of the NATS cluster has
// healed. Nothing is concluded from silence while the node itself is cut off:
// it hears its own announcements too.
//
// [discovery.Source]: https://pkg.go.dev/github.com/gcnode/gcnode/discovery#Source
type Membership struct {
	nc       *nats.Conn
	opts     MembershipOptions
	log      *slog.Logger
	subject  string
	self     wire.Announcement
	sub      *nats.Subscription
	changes  chan nats.Status
	stop     chan struct{}
	done     chan struct{}
	news     chan struct{} // the lives have changed
	watching sync.Mutex    // held by Watch

	mu    sync.Mutex
	lives lives
	began time.Time // to listen; zero: the connection is interrupted
	heard time.Time // anything
}

// Announce announces the node from now on. The address of self is that of its
// server ([Server.Addr]). Each call begins a new life of the member. A node
// without an ID is no member: it announces nothing, and is told of the others.
// It fails if an option makes no sense, if the connection is not to hear what
// it sends itself ([nats.NoEcho]), if NATS cannot be reached, and if the user of
// the connection lacks a permission, which the error names.
func Announce(nc *nats.Conn, self gcnode.Peer, opts MembershipOptions) (*Membership, error) {
	m, err := announce(nc, self, opts)
	if err != nil {
		return nil, fmt.Errorf("announce a member over NATS: %w", err)
	}
	return m, nil
}

func announce(nc *nats.Conn, self gcnode.Peer, opts MembershipOptions) (*Membership, error) {
	names, err := newSubjects(opts.Cluster)
	opts.Heartbeat = cmp.Or(opts.Heartbeat, DefaultHeartbeat)
	switch {
	case err != nil:
		return nil, err
	case nc == nil:
		return nil, errors.New("there is no connection")
	case nc.Opts.NoEcho:
		return nil, errors.New("the connection has the option NoEcho; a node that does not hear itself cannot know whether it is cut off")
	case opts.Heartbeat < minHeartbeat || opts.Heartbeat > maxHeartbeat:
		return nil, fmt.Errorf("the heartbeat %v is not between %v and %v", opts.Heartbeat, minHeartbeat, maxHeartbeat)
	case len(self.ID) > gcnode.MaxIDBytes:
		return nil, fmt.Errorf("the ID has %d bytes; at most %d are allowed", len(self.ID), gcnode.MaxIDBytes)
	case self.Addr != "" && !isToken(self.Addr):
		return nil, fmt.Errorf("the address %q is not empty and not one that a server has given", self.Addr)
	}
	now := time.Now()
	m := &Membership{
		nc: nc, opts: opts, log: opts.Logger, subject: names.members(),
		self: wire.Announcement{Peer: self, Started: now.UnixNano(), Heartbeat: opts.Heartbeat},
		stop: make(chan struct{}), done: make(chan struct{}), news: make(chan struct{}, 1),
		lives: lives{}, began: now, heard: now,
	}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	before := nc.LastError()
	if m.sub, err = nc.Subscribe(m.subject, m.receive); err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", m.subject, err)
	}
	m.changes = nc.StatusChanged(nats.CONNECTED, nats.RECONNECTING, nats.DISCONNECTED, nats.CLOSED)
	m.announce(m.self)
	if err := settle(nc, before, string(names)); err != nil {
		nc.RemoveStatusListener(m.changes)
		_ = m.sub.Unsubscribe() // the connection may be closed
		return nil, err
	}
	go m.run()
	return m, nil
}

// Close says goodbye, and announces nothing any more.
func (m *Membership) Close() {
	m.mu.Lock()
	select {
	case <-m.stop:
	default:
		close(m.stop)
	}
	m.mu.Unlock()
	<-m.done
}

// run announces the node until Close.
func (m *Membership) run() {
	defer close(m.done)
	defer m.nc.RemoveStatusListener(m.changes)
	ticker := time.NewTicker(m.opts.Heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			m.announce(m.self)
		case status := <-m.changes:
			m.changed(status)
		case <-m.stop:
			bye := m.self
			bye.Goodbye = true
			m.announce(bye)
			_ = m.sub.Unsubscribe() // the connection may be closed
			return
		}
	}
}

// announce publishes an announcement. What is said while the connection is
// interrupted would be old news.
func (m *Membership) announce(a wire.Announcement) {
	if a.Peer.ID == "" || !m.nc.IsConnected() {
		return
	}
	if err := m.nc.Publish(m.subject, wire.AppendAnnouncement(nil, &a)); err != nil {
		m.log.LogAttrs(context.Background(), slog.LevelWarn, "the node could not announce itself", slog.String("err", err.Error()))
	}
}

// changed takes note of what happens to the connection. Who was there before an
// interruption gets the same time as ever to be heard after it.
func (m *Membership) changed(status nats.Status) {
	m.mu.Lock()
	now := time.Now()
	if m.began = (time.Time{}); status == nats.CONNECTED {
		m.began, m.heard = now, now
		m.lives.forgive(now)
	}
	m.mu.Unlock()
	m.announce(m.self)
	m.tell()
}

// receive takes an announcement.
func (m *Membership) receive(msg *nats.Msg) {
	a, err := wire.DecodeAnnouncement(msg.Data)
	if err == nil {
		err = checkAnnouncement(&a)
	}
	m.mu.Lock()
	now := time.Now()
	m.heard = now
	var changed bool
	if err == nil {
		changed, err = m.lives.note(&a, now)
	}
	m.mu.Unlock()
	if err != nil {
		m.log.LogAttrs(context.Background(), slog.LevelWarn, "what was heard on the subject of the members is of no use",
			slog.String("subject", msg.Subject), slog.String("err", err.Error()))
	}
	if !changed {
		return
	}
	if a.Peer.ID == m.self.Peer.ID && a.Peer.Addr != m.self.Peer.Addr {
		m.log.LogAttrs(context.Background(), slog.LevelWarn, "another life of this member is there; the one counts that has started last",
			slog.String("id", a.Peer.ID), slog.String("other", a.Peer.Addr))
	}
	m.tell()
}

// checkAnnouncement refuses what no member says.
func checkAnnouncement(a *wire.Announcement) error {
	switch {
	case a.Peer.ID == "":
		return errors.New("an announcement without an ID")
	case a.Peer.Addr != "" && !isToken(a.Peer.Addr):
		return fmt.Errorf("the member %q has the address %q, which no server has given", a.Peer.ID, a.Peer.Addr)
	case a.Heartbeat < minHeartbeat || a.Heartbeat > maxHeartbeat:
		return fmt.Errorf("the member %q has a heartbeat of %v", a.Peer.ID, a.Heartbeat)
	default:
		return nil
	}
}

// tell wakes Watch.
func (m *Membership) tell() {
	select {
	case m.news <- struct{}{}:
	default:
	}
}

// Watch implements [discovery.Source]: it reports the members in every
// heartbeat, and at once when one has come or gone. It waits for a heartbeat
// and a half with the first list, so that nobody is missing from it. One Watch
// runs at a time; it ends with ctx, or with Close.
//
// [discovery.Source]: https://pkg.go.dev/github.com/gcnode/gcnode/discovery#Source
func (m *Membership) Watch(ctx context.Context, report func([]gcnode.Peer, error)) {
	if !m.watching.TryLock() {
		report(nil, errWatched)
		return
	}
	defer m.watching.Unlock()
	ticker := time.NewTicker(m.opts.Heartbeat / looksPerHeartbeat)
	defer ticker.Stop()
	for look := 0; ; look++ {
		due := look%looksPerHeartbeat == 0
		select {
		case <-ticker.C:
		case <-m.news:
			due = true
		case <-m.stop:
			report(nil, errNotThere)
			return
		case <-ctx.Done():
			return
		}
		peers, changed, err := m.look()
		if (due || changed) && !errors.Is(err, errNotYet) {
			report(peers, err)
		}
	}
}

// look is who the members are now, and whether one is gone that was there when
// it was called last.
func (m *Membership) look() (peers []gcnode.Peer, changed bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	switch {
	case m.began.IsZero():
		return nil, false, unusable(m.nc.Status())
	case m.self.Peer.ID != "" && now.Sub(m.heard) > missedHeartbeats*m.opts.Heartbeat:
		m.lives.forgive(now)
		return nil, false, errDeaf
	case now.Sub(m.began) < m.opts.Heartbeat*3/2:
		return nil, false, errNotYet
	case len(m.lives) >= maxLives:
		err = errTooMany
	}
	// Silence of others counts up to when anything was heard, or a node that is
	// cut off would miss them before it knows that it is.
	until := m.heard
	if m.self.Peer.ID == "" { // it does not hear itself
		until = now
	}
	changed = m.lives.expire(until)
	if err != nil {
		return nil, changed, err
	}
	return m.lives.members(), changed, nil
}

// String implements [discovery.Source].
//
// [discovery.Source]: https://pkg.go.dev/github.com/gcnode/gcnode/discovery#Source
func (m *Membership) String() string { return "NATS subject " + m.subject }
