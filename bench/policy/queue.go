package policy

import "container/list"

// queue is a list of distinct keys, newest first, that finds and removes any
// of them at once.
type queue struct {
	order list.List // of uint32
	place map[uint32]*list.Element
}

func newQueue() *queue { return &queue{place: map[uint32]*list.Element{}} }

func (q *queue) len() int { return len(q.place) }

func (q *queue) has(key uint32) bool {
	_, ok := q.place[key]
	return ok
}

// push makes the key the newest.
func (q *queue) push(key uint32) {
	if e, ok := q.place[key]; ok {
		q.order.MoveToFront(e)
		return
	}
	q.place[key] = q.order.PushFront(key)
}

// remove reports whether the key was there.
func (q *queue) remove(key uint32) bool {
	e, ok := q.place[key]
	if ok {
		q.order.Remove(e)
		delete(q.place, key)
	}
	return ok
}

// pop removes the oldest key; the queue is not empty.
func (q *queue) pop() uint32 {
	key, _ := q.order.Back().Value.(uint32)
	q.remove(key)
	return key
}
