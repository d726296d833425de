package natstransport

import "iter"

// recentCalls is how many of the calls that were begun last have a place of their
// own, a power of two.
const recentCalls = 1024

// calls are those under way on a stream, by their numbers, which are given in
// turn: only one that many others have outlived has to be searched for. The zero
// value is empty.
type calls struct {
	n      int
	older  map[uint64]*call
	recent [recentCalls]*call
}

// add adds a call.
func (cs *calls) add(c *call) {
	cs.n++
	at := &cs.recent[c.id%recentCalls]
	if old := *at; old != nil {
		if cs.older == nil {
			cs.older = map[uint64]*call{}
		}
		cs.older[old.id] = old
	}
	*at = c
}

// find is the call with a number, or nil.
func (cs *calls) find(id uint64) *call {
	if c := cs.recent[id%recentCalls]; c != nil && c.id == id {
		return c
	}
	return cs.older[id]
}

// remove takes a call out, unless it is not there.
func (cs *calls) remove(c *call) {
	if at := &cs.recent[c.id%recentCalls]; *at == c {
		*at = nil
	} else if cs.older[c.id] == c {
		delete(cs.older, c.id)
	} else {
		return
	}
	cs.n--
}

// all are the calls; each may be removed when it is handed out.
func (cs *calls) all() iter.Seq[*call] {
	return func(yield func(*call) bool) {
		for _, c := range cs.recent[:] {
			if c != nil && !yield(c) {
				return
			}
		}
		for _, c := range cs.older {
			if !yield(c) {
				return
			}
		}
	}
}
