package gcnode

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/gcnode/gcnode/core/internal/flight"
)

// fill gets the answer that this node does not have: from the getter if the
// key is its own, else from the owner.
func (g *Group) fill(ctx context.Context, key string) (answer, error) {
	if !g.node.begin() {
		return answer{}, ErrDraining
	}
	defer g.node.end()
	if err := g.settleIn(ctx); err != nil {
		return answer{}, err
	}
	v := g.node.view.Load()
	owner := v.owner(key)
	if owner == "" || owner == g.node.cfg.Self.ID && !g.node.is(joining) {
		return g.load(ctx, key)
	}
	if v.member { // others keep no copies
		g.popularity.add(key, g.node.clock.Now())
	}
	// The load has the getter's whole time, and each member of the line may
	// cost one peer timeout before.
	timeout := g.timeout + (maxLine+1)*g.node.cfg.PeerTimeout
	begun := g.node.now()
	for start := begun; ; start = 0 {
		plan := flight.Plan[answer]{Role: flight.Ask, Key: key, Timeout: timeout, Start: start}
		a, err := g.wait(ctx, g.board(ctx, plan), key, timeout)
		if err != nil || !a.endedBy(begun) {
			return a, err
		}
	}
}

// endedBy reports whether the answer had a life, and it was over at a time. An
// answer can be on its way from a member for longer than it lives, and is none
// to who has joined the fetch meanwhile.
func (a answer) endedBy(t int64) bool { return a.life > 0 && a.expires <= t }

// settleIn waits while this node joins, until members had time to answer: what
// it finds afterwards it may keep. Who has less time waits for half of it. Its
// error is that of ctx, for whose caller nothing is to be begun any more.
func (g *Group) settleIn(ctx context.Context) error {
	if !g.node.is(joining) {
		return nil
	}
	g.node.roll.mu.Lock()
	since := g.node.now() - g.node.roll.joining
	g.node.roll.mu.Unlock()
	patience := g.node.cfg.PeerTimeout - time.Duration(since)
	if deadline, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(deadline)/2)
	}
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_ = g.node.awaitJoined(patient)
	return ctx.Err()
}

// load gets the answer from the getter, once for all who ask this node. Where
// the group allows it, an older value stands in for one that cannot be loaded.
//
// What this node is just inheriting it waits for, and loads what is not there
// any more.
func (g *Group) load(ctx context.Context, key string) (answer, error) {
	return g.loadBy(ctx, key, nil)
}

// loadBy is load with a flight that runs otherwise than [Group.fly], unless run
// is nil.
func (g *Group) loadBy(ctx context.Context, key string, run flightFunc) (answer, error) {
	for {
		a, err := g.loadOnce(ctx, key, run)
		if !errors.Is(err, errNotHeld) {
			return a, err
		}
	}
}

func (g *Group) loadOnce(ctx context.Context, key string, run flightFunc) (answer, error) {
	plan := flight.Plan[answer]{Role: flight.Load, Key: key, Timeout: g.timeout, Run: run}
	a, err := g.wait(ctx, g.board(ctx, plan), key, g.timeout)
	if err != nil && !errors.Is(err, errNotHeld) {
		return g.instead(ctx, key, err)
	}
	return a, err
}

// instead is the older value that stands in for one that could not be loaded,
// if there is one.
func (g *Group) instead(ctx context.Context, key string, err error) (answer, error) {
	if old, ok := g.spare(key); ok && ctx.Err() == nil {
		g.counts.staleOnError.Add(1)
		return old, nil
	}
	return answer{}, err
}

// board joins or starts a flight.
//
// Whoever calls it has begun a piece of work on the node, so that a flight can
// begin another one that may last longer.
func (g *Group) board(ctx context.Context, plan flight.Plan[answer]) flight.Seat[answer] {
	g.node.beginMore()
	// A hook would hold up whoever brings the answers.
	plan.Errand = plan.Role == flight.Ask && g.node.beginner != nil && g.node.cfg.HedgeAfter == 0 && g.node.cfg.Hooks.Fetched == nil
	seat := g.flights.Board(ctx, plan)
	if seat.Joined() { // there is no flight of its own
		g.node.end()
	}
	return seat
}

// wait is the answer of a flight. Its function's failures that are not its own
// doing, like a panic, become errors that say so.
func (g *Group) wait(ctx context.Context, seat flight.Seat[answer], key string, timeout time.Duration) (answer, error) {
	a, joined, err := seat.Wait(ctx)
	if joined {
		g.counts.joined.Add(1)
	}
	if err == nil {
		return a, nil
	}
	if p, ok := errors.AsType[*flight.PanicError](err); ok {
		err = &Error{Kind: KindInternal, Group: g.name, Key: key, Err: fmt.Errorf("the getter panicked: %v", p.Value)}
	}
	if errors.Is(err, flight.ErrExited) {
		err = &Error{Kind: KindInternal, Group: g.name, Key: key, Err: errors.New("the getter ended its goroutine")}
	}
	if errors.Is(err, flight.ErrUnanswered) {
		err = &Error{Kind: KindTransient, Group: g.name, Key: key, Err: errors.New("the getter passed the key over")}
	}
	if errors.Is(err, flight.ErrDeadline) {
		err = &Error{Kind: KindTimeout, Group: g.name, Key: key, Err: fmt.Errorf("the load took longer than %v", timeout)}
	}
	return a, err
}

// rules are those of the group's flights.
func (g *Group) rules() flight.Rules[answer] {
	return flight.Rules[answer]{
		Clock: g.node.clock, Alone: g.alone, Look: g.fresh, Run: g.fly,
		Errand: g.errand, Patience: g.node.cfg.PeerTimeout, Report: g.reportDefect,
	}
}

// flightFunc is what a flight of one key runs.
type flightFunc = func(context.Context, *flight.Call[answer]) (answer, error)

// fly is a flight of one key, as a piece of work on the node that has begun.
func (g *Group) fly(ctx context.Context, call *flight.Call[answer]) (answer, error) {
	defer g.node.end()
	if call.Role() == flight.Ask {
		return g.askLine(ctx, call, g.node.view.Load(), call.Key())
	}
	return g.loadInTurn(ctx, call, g.acquire)
}

// flyInBatch is fly for a key of a batch that is loaded in several parts.
func (g *Group) flyInBatch(ctx context.Context, call *flight.Call[answer]) (answer, error) {
	defer g.node.end()
	return g.loadInTurn(ctx, call, g.acquireInBatch)
}

// loadInTurn is the flight that loads: from a previous owner that has the value,
// or from the getter, once acquire has got a place.
func (g *Group) loadInTurn(ctx context.Context, call *flight.Call[answer], acquire acquireFunc) (answer, error) {
	key := call.Key()
	if a, ok := g.peekOne(ctx, call, key); ok {
		return a, nil
	}
	if err := acquire(ctx, 1); err != nil {
		return answer{}, err
	}
	defer g.limit.Release()
	return g.observedLoad(ctx, call, key)
}

// alone reports whether a flight must not be joined, nor its answer kept: when
// there may be removals that it cannot carry, or this node is not told of
// removals.
func (g *Group) alone(role flight.Role, key string) bool {
	if role == flight.Ask && (!g.node.view.Load().member || g.node.removals.crowded(g.name, key)) {
		return true
	}
	return g.dropped.Load() || g.node.removals.full() || g.node.is(joining)
}

// reportDefect logs what the getter should not have done.
func (g *Group) reportDefect(key string, err error) {
	attrs := []slog.Attr{slog.String("group", g.name), slog.String("key", clip(key)), errAttr(err)}
	if p, ok := errors.AsType[*flight.PanicError](err); ok {
		attrs = append(attrs, slog.String("stack", string(p.Stack)))
	}
	g.node.log.LogAttrs(g.node.done, levelError, "getter did not return", attrs...)
}

// callGetter is the flight that loads. The answer is kept if the flight has
// not been detached by a removal and the member list was the same all along:
// as an owned entry by the owner, as a hot copy by a stand-in.
func (g *Group) callGetter(ctx context.Context, call *flight.Call[answer], key string) (answer, error) {
	v := g.node.view.Load()
	g.counts.loads.Add(1)
	item, err := g.getter.GetItem(ctx, key)
	a, err := g.judge(v, key, item, err)
	if err != nil {
		return answer{}, err
	}
	call.Keep(func() { g.keepLoaded(v, key, a) })
	return a, nil
}

// judge is what a getter's answer, which was asked for under the view v, comes
// to.
func (g *Group) judge(v *view, key string, item Item[Value], err error) (answer, error) {
	now := g.node.now()
	a := answer{value: item.Value.s, source: SourceLoaded, born: now, expires: g.freshness.expires(now, item.Keep), epoch: v.epoch}
	switch {
	case err != nil && KindOf(err) == KindNotFound:
		g.counts.notFound.Add(1)
		a.value, a.notFound = messageOf(err), true
		if cause := causeOf(err); cause != nil {
			a.absent = &Error{Kind: KindNotFound, Group: g.name, Key: key, Err: cause}
		}
		a.expires = g.freshness.negativeExpires(now, item.Keep)
	case err != nil:
		g.counts.loadErrors.Add(1)
		if goesOn(KindOf(err)) { // the getter speaks of its own origin, not of a member
			err = &Error{Kind: KindTransient, Group: g.name, Key: key, Err: err}
		}
		return answer{}, err
	case item.Value.Len() > MaxValueBytes:
		g.counts.loadErrors.Add(1)
		return answer{}, &Error{
			Kind: KindTooLarge, Group: g.name, Key: key,
			Err: fmt.Errorf("the getter's value has %d bytes; at most %d are allowed", item.Value.Len(), MaxValueBytes),
		}
	}
	a.life = a.expires - now
	if e := g.node.view.Load().estate; e.open(now) {
		e.loaded(g.name, key)
	}
	return a, nil
}

// keepLoaded keeps what was loaded: as an owned entry by the owner, as a hot
// copy by a stand-in. It must be called in a flight's Keep.
func (g *Group) keepLoaded(v *view, key string, a answer) {
	switch {
	case !g.keepable(v):
	case g.owns(key):
		g.keepOwned(key, a)
	default:
		g.keepHot(key, a, a.born)
	}
}

// maxMessageBytes bounds the messages that are kept or sent.
const maxMessageBytes = 1 << 10

// causeOf is what a not-found error says beyond that, nil for nothing.
func causeOf(err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Err
	}
	if err == ErrNotFound { //nolint:errorlint // the bare sentinel says nothing more; a wrapped one does
		return nil
	}
	return err
}

// messageOf is the text of that, to be kept or sent.
func messageOf(err error) string {
	cause := causeOf(err)
	if cause == nil {
		return ""
	}
	msg := cause.Error()
	return strings.Clone(msg[:min(len(msg), maxMessageBytes)])
}

// askLine is the flight that asks: the owner, and if it is not there the next
// in line, until this node's own turn comes. An answer about the key is final
// whatever it says. What a stand-in said, or a member with another list, is
// not kept here.
func (g *Group) askLine(ctx context.Context, call *flight.Call[answer], v *view, key string) (answer, error) {
	line := g.line(v, key)
	if g.node.cfg.HedgeAfter > 0 && len(line) > 0 {
		a, err := g.askHedged(ctx, call, v, line, key)
		if !errors.Is(err, errGoOn) {
			return a, err
		}
		line = line[min(2, len(line)):]
	}
	for _, p := range line {
		a, err := g.askOne(ctx, call, v, p, key)
		if !errors.Is(err, errGoOn) {
			return a, err
		}
	}
	return g.load(ctx, key)
}

// line are the members that are asked for a key in turn before this node loads
// it, as far as they are up.
func (g *Group) line(v *view, key string) []*peer {
	line := make([]*peer, 0, maxLine)
	for i, id := range v.ring.Line(key) {
		if i == maxLine || id == g.node.cfg.Self.ID && !g.node.is(joining) {
			break
		}
		if id == g.node.cfg.Self.ID {
			continue // it is joining: those who come after it had the key before
		}
		if p := v.peers[id]; p.down.Load() || g.node.strangers.has(id) {
			g.counts.failovers.Add(1)
		} else {
			line = append(line, p)
		}
	}
	return line
}

// errGoOn says that a member could not say anything about the key, so that the
// next in line is to be asked.
var errGoOn = errors.New("the next in line is to be asked")

// askOne asks one member of the line.
func (g *Group) askOne(ctx context.Context, call *flight.Call[answer], v *view, p *peer, key string) (answer, error) {
	q := &question{g: g, v: v, p: p, owner: p.ID == v.owner(key), sent: g.node.now()}
	a, e := q.ask(ctx, key)
	switch {
	case e == nil:
		if q.ofOwner() {
			call.Keep(func() { g.keepFetched(v, key, a, q.sent) })
		}
		return a, nil
	case ctx.Err() != nil:
		return answer{}, ctx.Err()
	case !goesOn(e.Kind):
		return answer{}, e
	}
	g.failedOver(ctx, p, e)
	return answer{}, errGoOn
}

// failedOver takes note that a member could say nothing about a key.
func (g *Group) failedOver(ctx context.Context, p *peer, e *Error) {
	g.counts.failovers.Add(1)
	g.node.log.LogAttrs(ctx, levelWarn, "peer cannot answer, asking the next in line", slog.String("group", g.name), peerAttr(p.Peer), errAttr(e))
}

// keepFetched keeps what the owner has answered as a hot copy, if it is asked
// for often enough. It must be called in a flight's Keep.
func (g *Group) keepFetched(v *view, key string, a answer, sent int64) {
	switch {
	case !g.keepable(v):
	case g.hotAfter > 1 && g.popularity.count(key, g.node.clock.Now()) < g.hotAfter:
		g.counts.hotRefused.Add(1)
	default:
		g.counts.hotAdmitted.Add(1)
		g.keepHot(key, a, sent)
	}
}

// goesOn reports whether an error says nothing about the key, so that the
// next in line is to be asked.
func goesOn(k Kind) bool {
	return k == KindUnreachable || k == KindDraining || k == KindNoSuchGroup || k == KindUnsupported
}

// noAnswer is the error of a fetch that has ended without an answer about the
// key, with an error of its own or nil.
func (g *Group) noAnswer(p *peer, key string, err error) *Error {
	kind := KindUnreachable
	if errors.Is(err, ErrTooLarge) {
		kind = KindTooLarge
	}
	return &Error{Kind: kind, Op: OpFetch, Group: g.name, Key: key, Peer: p.ID, Err: cmp.Or(err, errors.New("it finished without an answer"))}
}

// aged is a hot copy that has to be vouched for anew, and the digest to ask
// with; zero if there is none, or it is too small to be worth it.
func (g *Group) aged(key string) (answer, Digest) {
	e, ok := g.hotEntry(key)
	if !ok || e.NotFound || len(e.Value) < minDigest {
		return answer{}, Digest{}
	}
	return answerOf(e, SourceHot), digestOf(StringValue(e.Value))
}

// vouched puts the copy that a peer has vouched for into its reply.
func (g *Group) vouched(r *Reply, copied answer) {
	g.counts.revalidated.Add(1)
	r.Value = StringValue(copied.value)
}

// answerOfReply is what a peer has said about a key, or its error. The life of
// the answer counts from sent.
func (g *Group) answerOfReply(r *Reply, sent int64) (answer, *Error) {
	a := answer{value: r.Value.s, source: SourceOwner, expires: expiry(sent, r.Keep.or(NoStore))}
	a.life = a.expires - sent
	if r.Source == SourceLoaded {
		a.source = SourceLoaded
	}
	switch {
	case r.Err == nil:
		return a, nil
	case r.Err.Kind == KindNotFound:
		a.value, a.notFound = messageOf(r.Err), true
		return a, nil
	}
	remote := *r.Err
	remote.Op, remote.Group = OpFetch, g.name
	return answer{}, &remote
}
