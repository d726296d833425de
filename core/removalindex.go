package gcnode

import "sync/atomic"

// removalIndex finds removals by their ids: first those of the life of their
// sender, most often that of the last one, and then by their number.
type removalIndex struct {
	lives map[Sender]map[uint64]*activeRemoval
	len   atomic.Int64 // for who looks without the lock

	last   Sender
	ofLast map[uint64]*activeRemoval
}

func newRemovalIndex() removalIndex {
	return removalIndex{lives: map[Sender]map[uint64]*activeRemoval{}}
}

// of are the removals of the life of the sender.
func (x *removalIndex) of(id RemovalID) map[uint64]*activeRemoval {
	if life := (Sender{id.Sender, id.Incarnation}); life != x.last || x.ofLast == nil {
		x.last, x.ofLast = life, x.lives[life]
	}
	return x.ofLast
}

// get is the removal with the id, or nil.
func (x *removalIndex) get(id RemovalID) *activeRemoval { return x.of(id)[id.Seq] }

// add puts in a removal whose id is not there.
func (x *removalIndex) add(a *activeRemoval) {
	if x.of(a.ID) == nil {
		x.ofLast = map[uint64]*activeRemoval{}
		x.lives[x.last] = x.ofLast
	}
	x.ofLast[a.ID.Seq] = a
	x.len.Add(1)
}

// remove takes out a removal that is there.
func (x *removalIndex) remove(a *activeRemoval) {
	life := x.of(a.ID)
	delete(life, a.ID.Seq)
	x.len.Add(-1)
	if len(life) == 0 {
		delete(x.lives, x.last)
		x.ofLast = nil
	}
}

// each calls yield for all removals, in no order, as long as it returns true.
func (x *removalIndex) each(yield func(*activeRemoval) bool) {
	for _, life := range x.lives {
		for _, a := range life {
			if !yield(a) {
				return
			}
		}
	}
}
