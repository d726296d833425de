package gcnode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gcnode/gcnode/core/internal/ring"
)

const (
	// greetings is how often a node that has heard of all looks whether they
	// have compared with it, before it goes on. Those that have are asked by it
	// and ask it at once.
	greetings  = 5
	helloFirst = 10 * time.Millisecond
	helloMax   = 500 * time.Millisecond
)

// membership is where a node stands in its cluster.
type membership uint32

const (
	// solo is a node that has never had others on its list.
	solo membership = iota
	// client is a node that is not on its own list.
	client
	// joining is one that has not been told by all members which removals are
	// under way. It keeps nothing, and whatever it loads nobody else waits for:
	//
	//	this node           a member            the remover
	//	                    applies a removal ◀ removes a key
	//	                    has the old value?
	//	starts              no, but another has
	//	gets the old value from it, keeps it
	//	                                        all on its list have confirmed
	//
	// The remover did not know this node.
	joining
	// joined is a member like the others.
	joined
)

func (n *Node) is(m membership) bool { return membership(n.phase.Load()) == m }

// keeps reports whether the node may keep answers and let others wait for them.
func (n *Node) keeps() bool { return n.is(joined) || n.is(solo) }

// enter goes from one membership to the other after the list has changed.
// roll.mu is held.
func (n *Node) enter(v *view) {
	was := membership(n.phase.Load())
	alone := len(v.others(n.cfg.Self.ID)) == 0
	switch {
	case !v.member:
		n.become(client)
	case was == joined:
	case was == joining && !alone:
		signal(n.roll.news) // the list is another
	case alone:
		n.become(solo)
	default:
		n.become(joining)
		n.emptyAll() // nobody told this node of removals so far
		n.goBackground(n.join)
	}
}

// become sets the membership. roll.mu is held.
func (n *Node) become(m membership) {
	was := membership(n.phase.Swap(uint32(m)))
	switch {
	case m == joining && was != joining:
		n.roll.ready, n.roll.greeted = make(chan struct{}), map[string]bool{}
		n.roll.joining = n.now()
	case m != joining && was == joining:
		close(n.roll.ready)
	}
}

// join says hello to all members until each has answered under the list that
// this node has.
func (n *Node) join() {
	var heard map[string][]Known // what those who have answered know
	epoch, turns, greeted := uint64(0), 0, false
	for wait := helloFirst; n.is(joining); wait = min(2*wait, helloMax) {
		v := n.view.Load()
		if v.epoch != epoch || heard == nil {
			heard, epoch, wait = map[string][]Known{}, v.epoch, helloFirst
		}
		others := slices.DeleteFunc(v.others(n.cfg.Self.ID), func(p *peer) bool { _, ok := heard[p.ID]; return ok })
		unreachable := n.helloAll(others, v.ring.Hash(), heard)
		if len(others) == 0 || len(unreachable) > 0 {
			turns++
		}
		if turns < greetings && len(heard) == len(v.owners)-1 && !greeted {
			// One more turn, so that they have the answer.
			greeted, wait = n.greeted(heard), helloFirst/2
		} else if n.finishJoin(v, heard, unreachable) {
			return
		}
		select {
		case <-time.After(wait):
		case <-n.roll.news:
		case <-n.done.Done():
			return
		}
	}
}

// greeted reports whether the members have compared with this node.
func (n *Node) greeted(members map[string][]Known) bool {
	n.roll.mu.Lock()
	defer n.roll.mu.Unlock()
	for id := range members {
		if !n.roll.greeted[id] {
			return false
		}
	}
	return true
}

// greet takes note that a member has compared with this node while it joins,
// and will take it for met.
func (n *Node) greet(id string) {
	n.roll.mu.Lock()
	defer n.roll.mu.Unlock()
	n.roll.greeted[id] = true
}

// helloAll says hello to the peers, and returns the IDs of those that did not
// answer. What those know that have answered under the list with this hash goes
// into heard.
func (n *Node) helloAll(peers []*peer, hash uint64, heard map[string][]Known) (unreachable []string) {
	var mu sync.Mutex
	broadcast(peers, func(p *peer) {
		theirs, known, err := n.hello(n.done, p.Peer)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err != nil:
			unreachable = append(unreachable, p.ID)
		case theirs == hash:
			heard[p.ID] = known
		}
	})
	return unreachable
}

// finishJoin ends the joining if all have answered but for those missing, or
// if the time is over and those cannot be reached.
func (n *Node) finishJoin(v *view, heard map[string][]Known, unreachable []string) bool {
	n.roll.mu.Lock()
	defer n.roll.mu.Unlock()
	now, missing := n.now(), len(v.owners)-1-len(heard)
	late := now-n.roll.joining >= int64(n.cfg.JoinTimeout)
	if n.view.Load().epoch != v.epoch || !n.is(joining) || missing > 0 && (!late || len(unreachable) < missing) {
		return false
	}
	if missing > 0 {
		slices.Sort(unreachable)
		n.log.LogAttrs(n.done, levelWarn, "joined without members that do not answer", slog.String("peers", strings.Join(unreachable, ", ")))
	}
	n.estrange(append(unreachable, n.behind(heard)...))
	// A set that was sent to an earlier life of this node may come now. What
	// has overtaken it meanwhile nobody may remember.
	n.removals.raise(Stamp{Time: n.stamps.seen(), Incarnation: math.MaxUint64})
	next := *n.view.Load()
	before := sync.OnceValue(func() *ring.Ring { return v.without(n.cfg.Self.ID) })
	next.estate = &estate{ring: before, until: now + int64(inheritance)}
	n.view.Store(&next)
	n.roll.since.Store(now)
	n.become(joined)
	n.goBackground(n.syncForEver)
	n.goBackground(func() { n.inheritFrom(&next) })
	return true
}

// behind are the members that have not heard of everything that this node was
// told by others.
func (n *Node) behind(heard map[string][]Known) (ids []string) {
	for id, known := range heard {
		if !n.knowledge.covered(known) {
			ids = append(ids, id)
		}
	}
	return ids
}

// awaitJoined returns when the node is not joining.
func (n *Node) awaitJoined(ctx context.Context) error {
	n.roll.mu.Lock()
	ready := n.roll.ready
	n.roll.mu.Unlock()
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("this node has not joined its cluster: %w", ctx.Err())
	case <-n.done.Done():
		return errors.New("this node was closed before it had joined its cluster")
	}
}

// Joined returns when the node is a member of its cluster like the others, or
// alone, or the client of one. Before that it keeps nothing, see
// [Config.JoinTimeout]; it can be used, but Get waits for up to
// [Config.PeerTimeout], or half of the time that its context leaves, and then for
// its own load, and Remove, Set and Clear wait until the node has joined.
func (n *Node) Joined(ctx context.Context) error { return n.awaitJoined(ctx) }

// hello introduces this life to a member, takes over what it knows, and
// returns the hash of its list and what it knows.
func (n *Node) hello(ctx context.Context, to Peer) (listHash uint64, known []Known, err error) {
	var last *Reply
	err = n.roundTrip(ctx, to, &Request{Op: OpHello}, func(r Reply) error {
		last = &r
		if r.Ack != nil {
			n.learnFrom(r.Ack, n.apply)
			if known == nil { // it is in the first one
				known = r.Ack.Known
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return 0, nil, err
	case last == nil || last.Ack == nil:
		return 0, nil, errNoAck(last)
	default:
		n.knowledge.accept(known) // now that the removals are here
		n.present(Sender{to.ID, last.Ack.Incarnation})
		return last.ListHash, known, nil
	}
}

func errNoAck(r *Reply) error {
	if r != nil && r.Err != nil {
		return r.Err
	}
	return errors.New("it finished without an acknowledgement")
}

// learnFrom takes over what another member tells but for the numbers; apply is
// for its removals.
func (n *Node) learnFrom(a *Ack, apply func(Removal)) {
	n.stamps.merge(Stamp{Time: a.Time})
	for _, who := range a.Lives {
		n.reappear(who)
	}
	for _, who := range a.Left {
		n.depart(who)
	}
	for _, r := range a.Removals {
		apply(r)
	}
}

// serveHello answers a member that starts.
func (n *Node) serveHello(req *Request, w ReplyWriter) error {
	n.arrive(req.From)
	n.knowledge.see(req.From)
	if req.ListHash == n.view.Load().ring.Hash() {
		signal(n.strangers.news) // it may be an old hello, so they have to compare
		if n.is(joining) {       // so it is there
			signal(n.roll.news)
		}
	}
	known := n.knowledge.known() // before the removals: what is counted as known must be among them
	return n.writeAcks(w, known, n.removals.underWay())
}

// writeAcks writes what this node knows, in as many replies as that needs.
func (n *Node) writeAcks(w ReplyWriter, known []Known, removals []Removal) error {
	v := n.view.Load()
	ack := Ack{Incarnation: n.incarnation, Members: v.members(n.now()), Time: n.stamps.now(), Known: known}
	ack.Left, ack.Lives = n.lives()
	for {
		end := fitting(len(removals), func(i int) *Removal { return &removals[i] })
		part := ack
		part.Removals, removals = removals[:end], removals[end:]
		if err := w.WriteReply(Reply{ListHash: v.ring.Hash(), Ack: &part}); err != nil || len(removals) == 0 {
			return err
		}
		ack.Members, ack.Known, ack.Left, ack.Lives = nil, nil, nil, nil
	}
}
