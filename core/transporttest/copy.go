package transporttest

import (
	"errors"
	"slices"

	gcnode "github.com/gcnode/gcnode/core"
)

// copyRequest is what the receiver of a request gets: memory of its own.
func copyRequest(req *gcnode.Request) *gcnode.Request {
	c := *req
	c.Keys = slices.Clone(req.Keys)
	c.Removals = slices.Clone(req.Removals)
	for i := range c.Removals {
		c.Removals[i].Keys = slices.Clone(c.Removals[i].Keys)
	}
	c.Finished = slices.Clone(req.Finished)
	return &c
}

// copyReply is what the receiver of a reply gets.
func copyReply(r gcnode.Reply) gcnode.Reply {
	if r.Err != nil {
		r.Err = copyError(r.Err)
	}
	if r.Ack != nil {
		r.Ack = &gcnode.Ack{Incarnation: r.Ack.Incarnation, Members: slices.Clone(r.Ack.Members)}
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

// copyFailure is what is left of the error of a handler; nil stays nil.
func copyFailure(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*gcnode.Error](err); ok {
		return copyError(e)
	}
	return &gcnode.Error{Kind: gcnode.KindOf(err), Err: errors.New(err.Error())}
}
