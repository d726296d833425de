package gcnode

import (
	"cmp"
	"context"
	"errors"
	"fmt"
)

// question is the fetch of one key from a peer. There are as many as there are
// fetches under way, so it has of the reply what counts.
type question struct {
	g    *Group
	v    *view // under which the peer is asked
	p    *peer
	sent int64   // on the node's clock: the life of the answer counts from then, and for the peer from some time after
	old  *answer // the copy that the peer may vouch for; nil: there is none

	value    Value
	keep     Lifetime
	err      *Error
	source   Source
	answered bool
	sameList bool // the peer has the list of the view
	owner    bool // and is the owner there
}

// ask asks and waits for the answer.
func (q *question) ask(ctx context.Context, key string) (answer, *Error) {
	q.g.counts.fetches.Add(1)
	var w wording
	q.word(&w, key)
	a, err := q.outcome(key, q.g.node.ask(ctx, q.p, &w.req, q.take))
	q.g.fetchEnded(q.p, key, q.sent, a, err)
	return a, err
}

// wording is the request of a question, with the memory for its parts.
type wording struct {
	req     Request
	keys    [1]string
	digests [1]Digest
}

// word makes the request.
func (q *question) word(w *wording, key string) {
	removals, _ := q.g.node.removals.active(q.g.name, key) // too many: the flight is alone
	w.keys[0] = key
	w.req = Request{Op: OpFetch, Group: q.g.name, Keys: w.keys[:], Removals: removals}
	if old, digest := q.g.aged(key); digest != (Digest{}) {
		q.old, w.digests[0] = new(old), digest
		w.req.Digests = w.digests[:]
	}
}

// take takes the reply.
func (q *question) take(r Reply) error {
	if r.Key != 0 || q.answered {
		return fmt.Errorf("a reply to key %d that was not asked for", r.Key)
	}
	if r.Value.Len() > MaxValueBytes {
		return fmt.Errorf("a value of %d bytes; at most %d are allowed", r.Value.Len(), MaxValueBytes)
	}
	if r.NotModified && q.old == nil {
		return errors.New("not modified, but it was not asked that")
	}
	if r.NotModified {
		q.g.vouched(&r, *q.old)
	}
	q.value, q.keep, q.source, q.err = r.Value, r.Keep, r.Source, r.Err
	q.answered, q.sameList = true, r.ListHash == q.v.ring.Hash()
	return nil
}

// outcome is the answer once the exchange has ended.
func (q *question) outcome(key string, err error) (answer, *Error) {
	g := q.g
	if err != nil || !q.answered {
		g.counts.fetchErrors.Add(1)
		return answer{}, g.noAnswer(q.p, key, err)
	}
	a, e := g.answerOfReply(&Reply{Value: q.value, Keep: q.keep, Source: q.source, Err: q.err}, q.sent)
	if e != nil {
		g.counts.fetchErrors.Add(1)
		e.Key, e.Peer = key, cmp.Or(e.Peer, q.p.ID)
		return answer{}, e
	}
	return a, nil
}

// ofOwner reports whether who has answered is the owner for both.
func (q *question) ofOwner() bool { return q.sameList && q.owner }
