package transporttest

import (
	"errors"
	"slices"

	gcnode "github.com/gcnode/gcnode/core"
)

// CopyRequest is what the receiver of a request gets: memory of its own.
func CopyRequest(req *gcnode.Request) *gcnode.Request {
	c := *req
	c.Keys = slices.Clone(req.Keys)
	c.Removals = copyRemovals(req.Removals)
	c.Finished = slices.Clone(req.Finished)
	c.Digests = slices.Clone(req.Digests)
	c.Known = slices.Clone(req.Known)
	return &c
}

func copyRemovals(rs []gcnode.Removal) []gcnode.Removal {
	rs = slices.Clone(rs)
	for i := range rs {
		rs[i].Keys = slices.Clone(rs[i].Keys)
	}
	return rs
}

// CopyReply is what the receiver of a reply gets.
func CopyReply(r gcnode.Reply) gcnode.Reply {
	if r.Err != nil {
		r.Err = copyError(r.Err)
	}
	r.Keys = slices.Clone(r.Keys)
	if r.Ack != nil {
		ack := *r.Ack
		ack.Members, ack.Left, ack.Lives = slices.Clone(ack.Members), slices.Clone(ack.Left), slices.Clone(ack.Lives)
		ack.Known, ack.Removals = slices.Clone(ack.Known), copyRemovals(ack.Removals)
		r.Ack = &ack
	}
	return r
}

// copyError is what is left of an error on the other side of a network: kind,
// text and the time to wait. Operation, group, key and peer are known there.
func copyError(e *gcnode.Error) *gcnode.Error {
	c := &gcnode.Error{Kind: e.Kind, RetryAfter: e.RetryAfter}
	if c.Kind > gcnode.KindDraining {
		c.Kind = gcnode.KindInternal
	}
	if e.Err != nil {
		c.Err = errors.New(e.Err.Error())
	}
	return c
}

// CopyFailure is what is left of the error of a handler on the other side of a
// network; nil stays nil.
func CopyFailure(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*gcnode.Error](err); ok {
		return copyError(e)
	}
	return &gcnode.Error{Kind: gcnode.KindOf(err), Err: errors.New(err.Error())}
}
