package store

import "slices"

// queue is a queue of records, first in, first out: slabs from the oldest to
// the youngest. Records are appended to the last one while it is open.
type queue struct {
	slabs []*slab
	open  *slab // nil, or the last of slabs
	bytes int64 // cost of the slabs
}

// push appends a slab. One that holds a single large record goes before the
// open one.
func (q *queue) push(s *slab) {
	q.bytes += s.cost()
	if q.open != nil {
		q.slabs = slices.Insert(q.slabs, len(q.slabs)-1, s)
		return
	}
	q.slabs = append(q.slabs, s)
}

// pop takes the i-th slab out.
func (q *queue) pop(i int) *slab {
	s := q.slabs[i]
	q.slabs = slices.Delete(q.slabs, i, i+1)
	q.bytes -= s.cost()
	if s == q.open {
		q.open = nil
	}
	return s
}
