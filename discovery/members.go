package discovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// Node is what is told of the members. A [*gcnode.Node] is one.
type Node interface {
	// SetPeers replaces the list of members. It does not block for long.
	SetPeers(peers []gcnode.Peer) error
	// Peers is the list that the node has.
	Peers() []gcnode.Peer
}

// Options say how a node follows a source. The zero value needs Self or Client.
type Options struct {
	// Self is the ID of the node. A list without it is refused.
	Self string
	// Client is set, and Self empty, for a node that is not a member: it asks
	// the members and owns and keeps nothing.
	Client bool
	// Confirm is how many answers in a row every change needs, so that a
	// source that goes back and forth between two lists does not move keys
	// back and forth. 0 is 1: each answer counts at once. The first list of
	// the source needs no confirmation.
	Confirm int
	// HoldBack holds back a list that loses more than half of the members at
	// once until it is confirmed. A member is lost when its ID is not on the
	// new list; another address or weight is no loss.
	HoldBack HoldBack
	// Lost is called once for each such list, before it is taken or when it is
	// held back; nil: it is only logged. It is called by the goroutine of the
	// source, which goes on when it returns, and may call the methods of
	// [Members].
	Lost func(Loss)
	// Logger gets changes (info), errors of the source and losses (warn). An
	// error that repeats itself is logged once, and then for each try at the
	// level debug. nil: nothing is logged.
	Logger *slog.Logger
}

// Loss is a change that loses more than half of the members.
type Loss struct {
	Before, After []gcnode.Peer // by ID
	// Lost are those of Before that are not in After.
	Lost []gcnode.Peer
	// Held is set if the change is held back for now.
	Held bool
}

// Members keeps the member list of a node as a source says. Its methods may be
// called by several goroutines at the same time.
type Members struct {
	node   Node
	source Source
	opts   Options
	log    *slog.Logger
	first  chan struct{} // closed when the node has a list of the source

	mu       sync.Mutex
	running  bool
	ended    bool
	guard    guard
	expiry   *time.Timer // of the list that is held back
	reported []gcnode.Peer
	status   Status
}

// New makes the node follow the source as soon as [Members.Run] is called. The
// list that the node has by then is what the first one of the source is
// compared with.
func New(node Node, source Source, opts Options) (*Members, error) {
	var errs []error
	if node == nil {
		errs = append(errs, errors.New("there is no node"))
	}
	if source == nil {
		errs = append(errs, errors.New("there is no source"))
	}
	if opts.Client == (opts.Self != "") {
		errs = append(errs, errors.New("set Self to the ID of the node, or Client for one that is not a member, and not both"))
	}
	if opts.Confirm < 0 {
		errs = append(errs, fmt.Errorf("the option Confirm is %d; it is a number of answers, and 0 is 1", opts.Confirm))
	}
	if opts.HoldBack.Answers < 0 || opts.HoldBack.For < 0 {
		errs = append(errs, fmt.Errorf("the option HoldBack, %d answers and %v, cannot be negative", opts.HoldBack.Answers, opts.HoldBack.For))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	m := &Members{
		node:   node,
		source: source,
		opts:   opts,
		log:    opts.Logger,
		first:  make(chan struct{}),
		guard:  guard{confirm: max(opts.Confirm, 1), holdBack: opts.HoldBack},
		status: Status{Source: source.String()},
	}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	m.log = m.log.With(slog.String("source", m.status.Source))
	return m, nil
}

// Run follows the source until ctx ends, and then returns nil when nothing runs
// any more. It is called once; more calls are an error.
func (m *Members) Run(ctx context.Context) error {
	m.mu.Lock()
	if m.running {
		m.mu.Unlock()
		return errors.New("discovery: Run was called before")
	}
	m.running = true
	if list := tidy(m.node.Peers()); len(list) > 1 {
		m.guard.current = list // else it is the node alone, as it was made
	}
	m.mu.Unlock()

	m.source.Watch(ctx, m.answer)
	<-ctx.Done()

	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended = true
	m.guard.waiting = nil
	m.schedule()
	return nil
}

// Await waits until the node has a list that the source has given. The error is
// that of ctx, together with the last one of the source.
func (m *Members) Await(ctx context.Context) error {
	select {
	case <-m.first:
		return nil
	case <-ctx.Done():
		select {
		case <-m.first:
			return nil // there was one all the same
		default:
		}
		return fmt.Errorf("discovery: no list of members from %s: %w", m.source, errors.Join(context.Cause(ctx), m.Status().Err))
	}
}

// Accept takes the list that waits for confirmation or is held back, and
// reports whether there was one that the node took.
func (m *Members) Accept() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended || m.guard.waiting == nil {
		return false
	}
	m.log.LogAttrs(context.Background(), slog.LevelInfo, "a list of members is taken without further confirmation")
	return m.take()
}

// answer takes what the source has found.
func (m *Members) answer(peers []gcnode.Peer, err error) {
	list := tidy(peers)
	if err == nil {
		err = check(list, m.opts.Self)
	}
	m.mu.Lock()
	loss, lost := m.decide(list, err)
	m.mu.Unlock()
	if lost && m.opts.Lost != nil {
		m.opts.Lost(loss)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.guard.confirmed(time.Now()) {
		m.take()
	}
	m.schedule()
}

// decide shows the answer to the guard, and reports a loss that was not
// reported yet.
func (m *Members) decide(list []gcnode.Peer, err error) (loss Loss, lost bool) {
	if err != nil {
		m.guard.doubt()
		m.fail(err)
		return Loss{}, false
	}
	now := time.Now()
	m.succeed(now)
	confirmed := m.guard.answer(list, now)
	c := m.guard.waiting
	if c == nil || !c.loss || slices.Equal(c.list, m.reported) {
		return Loss{}, false
	}
	m.reported = c.list
	m.status.Losses++
	loss = Loss{
		Before: slices.Clone(m.guard.current), After: slices.Clone(list),
		Lost: missing(m.guard.current, list), Held: !confirmed,
	}
	m.log.LogAttrs(context.Background(), slog.LevelWarn, "the new list of members loses more than half of the old one",
		slog.Bool("held_back", loss.Held), slog.Int("before", len(loss.Before)), slog.Int("after", len(loss.After)),
		slog.String("lost", names(loss.Lost, plain)))
	return loss, true
}

// take gives the candidate to the node, and reports whether that went well.
func (m *Members) take() bool {
	list := m.guard.waiting.list
	if err := m.node.SetPeers(slices.Clone(list)); err != nil {
		m.guard.doubt()
		m.fail(err)
		m.schedule()
		return false
	}
	joined, left := missing(list, m.guard.current), missing(m.guard.current, list)
	m.guard.take()
	m.reported = nil
	m.status.Changes++
	m.status.Changed = time.Now()
	m.log.LogAttrs(context.Background(), slog.LevelInfo, "list of members",
		slog.Int("members", len(list)), slog.String("joined", names(joined, plain)), slog.String("left", names(left, plain)))
	m.schedule()
	select {
	case <-m.first:
	default:
		close(m.first)
	}
	return true
}

// schedule sets the timer for the list that is held back, if there is one.
func (m *Members) schedule() {
	if m.expiry != nil {
		m.expiry.Stop()
		m.expiry = nil
	}
	if due := m.guard.due(); !due.IsZero() && !m.ended {
		m.expiry = time.AfterFunc(time.Until(due), m.expire)
	}
}

// expire takes the list that was held back for long enough.
func (m *Members) expire() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.ended && m.guard.confirmed(time.Now()) {
		m.take()
	}
}

// fail notes that the source could not tell, or told what cannot be.
func (m *Members) fail(err error) {
	level := slog.LevelWarn
	if m.status.Err != nil && m.status.Err.Error() == err.Error() {
		level = slog.LevelDebug
	}
	m.status.Errors++
	m.status.Err, m.status.Failed = err, time.Now()
	m.log.LogAttrs(context.Background(), level, "no new list of members; the node keeps the one it has",
		slog.Int("members", len(m.guard.current)), slog.Any("err", err))
}

// succeed notes that the source could tell.
func (m *Members) succeed(now time.Time) {
	if m.status.Err != nil {
		m.log.LogAttrs(context.Background(), slog.LevelInfo, "the source of members answers again")
	}
	m.status.Err, m.status.Answered = nil, now
}
