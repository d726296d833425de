package httptransport

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// EveryGroup stands in a list of groups for all of them.
const EveryGroup = "*"

// maxAhead is how far the stamps of a client may be ahead of the clock here. Members
// take over the time of each stamp, for all groups: with one at the end of time no
// write could be later.
const maxAhead = 365 * 24 * time.Hour

// Grant is what one identity may do: a member everything, and a client of the
// members what is said of groups.
type Grant struct {
	// Member lets it be a member of the cluster: say hello and goodbye, compare
	// what it knows, and be sent and send everything. There is no half a member,
	// because each holds values of all groups for the others, and carries their
	// removals along.
	Member bool
	// Read, Write and Remove are the groups for each right; see EveryGroup. Read
	// is to fetch and peek, and to list keys. Write is to set; since a set is a
	// removal at all members but the owner, it needs Remove as well. Remove is to
	// remove one key or all.
	Read, Write, Remove []string
}

// Access says what senders may do: each by its identity, which is the ID of the
// secret that it signs with, or, where it does not sign ([Secrets.AcceptUnsigned]
// included), a name of its client certificate, the first of the common name and
// the DNS names that is on the list. Who is not on it may do nothing. Who is no
// member speaks in the name of lives whose IDs begin with its name and a slash, so
// that no member and no other client should have one like that. It may be used from
// any goroutine.
type Access struct {
	list atomic.Pointer[map[string]Grant]
}

// NewAccess has the grants of identities.
func NewAccess(list map[string]Grant) *Access {
	a := &Access{}
	a.Set(list)
	return a
}

// Set replaces the grants. It holds for the next request of each sender.
func (a *Access) Set(list map[string]Grant) {
	list = maps.Clone(list)
	a.list.Store(&list)
}

// identity is a name and what it may do.
type identity struct {
	name  string
	grant Grant
}

// identify is the first of the names that is on the list.
func (a *Access) identify(names []string) (identity, error) {
	if len(names) == 0 {
		return identity{}, errors.New("nobody knows who asks: requests need a signature or a client certificate")
	}
	if list := a.list.Load(); list != nil {
		for _, name := range names {
			if grant, ok := (*list)[name]; ok {
				return identity{name, grant}, nil
			}
		}
	}
	return identity{}, fmt.Errorf("%q may do nothing here: it is not in the access list", names[0])
}

// role is what a sender is to the cluster.
type role int

const (
	isMember role = iota
	isClient
)

// role is that of a sender with these names.
func (a *Access) role(names []string) role {
	if a == nil {
		return isMember
	}
	if id, err := a.identify(names); err != nil || !id.grant.Member {
		return isClient
	}
	return isMember
}

// admit says what a sender is, and why it may not ask for this; nil: it may.
func (h *Handler) admit(who *caller, req *gcnode.Request) (role, *gcnode.Error) {
	if who.signed == nil && h.gate != nil {
		h.unsigned.Add(1)
	}
	of := h.opts.Access.role(who.names)
	if of == isMember {
		return of, nil
	}
	id, err := h.opts.Access.identify(who.names)
	if err == nil {
		err = id.check(req, h.opts.Now().Add(maxAhead).UnixNano())
	}
	if err != nil {
		h.denied.Add(1)
		return of, &gcnode.Error{Kind: gcnode.KindDenied, Op: req.Op, Group: req.Group, Err: err}
	}
	return of, nil
}

// check says why a client may not ask for this. Removals that go along with
// something else are removals: nothing of the request is done without the right
// to all of it, or it would seem to have removed what it has not. Stamps have the
// latest time at most.
func (id identity) check(req *gcnode.Request, latest int64) error {
	if !strings.HasPrefix(req.From.ID, id.name+"/") {
		return fmt.Errorf("%q is no member, so that the ID in its requests begins with %q; it is %q", id.name, id.name+"/", req.From.ID)
	}
	var own *gcnode.Removal // of a set, which is a part of it
	switch req.Op {
	case gcnode.OpFetch, gcnode.OpPeek, gcnode.OpKeys:
		if err := id.need("read", id.grant.Read, req.Group); err != nil {
			return err
		}
	case gcnode.OpSet:
		if err := id.need("write", id.grant.Write, req.Group); err != nil {
			return err
		}
		if n := len(req.Removals); n > 0 && isOfSet(&req.Removals[n-1], req) {
			own = &req.Removals[n-1]
		}
	case gcnode.OpRemove:
	case gcnode.OpFinish, gcnode.OpSync:
		if len(id.grant.Remove) == 0 {
			return fmt.Errorf("%q may not %v: it may not remove values of any group", id.name, req.Op)
		}
	case gcnode.OpGet, gcnode.OpHello, gcnode.OpGoodbye, gcnode.OpGone, gcnode.OpReport:
		return fmt.Errorf("%q may not say %v: it is no member", id.name, req.Op)
	default:
		return fmt.Errorf("%q may not do what only members do", id.name)
	}
	ahead := req.Stamp.Time > latest
	for i := range req.Removals {
		r := &req.Removals[i]
		ahead = ahead || r.Stamp.Time > latest
		if err := id.owns(r.ID); err != nil {
			return err
		}
		if r == own {
			continue
		}
		if err := id.need("remove", id.grant.Remove, r.Group); err != nil {
			return err
		}
	}
	for _, done := range req.Finished {
		if err := id.owns(done); err != nil {
			return err
		}
	}
	if ahead {
		return fmt.Errorf("%q is no member, and has a stamp that is more than %v ahead of the clock here", id.name, maxAhead)
	}
	return nil
}

// isOfSet reports whether a removal is that of a set, and of nothing else.
func isOfSet(r *gcnode.Removal, set *gcnode.Request) bool {
	return !r.All && r.Group == set.Group && slices.Equal(r.Keys, set.Keys)
}

// need says that a right to a group is not there.
func (id identity) need(right string, groups []string, group string) error {
	if slices.Contains(groups, group) || slices.Contains(groups, EveryGroup) {
		return nil
	}
	return fmt.Errorf("%q may not %s values of the group %q", id.name, right, group)
}

// owns says that a removal is another sender's. In the name of a member a client
// could use up the numbers of its removals, which would then do nothing.
func (id identity) owns(r gcnode.RemovalID) error {
	if strings.HasPrefix(r.Sender, id.name+"/") {
		return nil
	}
	return fmt.Errorf("%q may not remove in the name of %q", id.name, r.Sender)
}

// clientWriter leaves out of replies what is for members: a client that asks for
// the time and the list is not told what is removed in groups of others.
type clientWriter struct{ gcnode.ReplyWriter }

// WriteReply implements [gcnode.ReplyWriter].
func (c clientWriter) WriteReply(r gcnode.Reply) error {
	if r.Ack != nil {
		r.Ack = &gcnode.Ack{Incarnation: r.Ack.Incarnation, Members: r.Ack.Members, Time: r.Ack.Time}
	}
	return c.ReplyWriter.WriteReply(r)
}
