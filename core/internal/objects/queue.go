package objects

// fifo is a queue of entries, linked through them. The zero value is empty.
type fifo[T any] struct {
	oldest, newest *Entry[T]
	cost           int64
}

func (q *fifo[T]) push(e *Entry[T]) {
	e.older, e.newer = q.newest, nil
	if q.newest != nil {
		q.newest.newer = e
	} else {
		q.oldest = e
	}
	q.newest = e
	q.cost += e.cost
}

func (q *fifo[T]) remove(e *Entry[T]) {
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		q.oldest = e.newer
	}
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		q.newest = e.older
	}
	e.older, e.newer = nil, nil // whoever still holds it holds no others
	q.cost -= e.cost
}

// replace puts e where old was.
func (q *fifo[T]) replace(old, e *Entry[T]) {
	e.older, e.newer = old.older, old.newer
	if e.older != nil {
		e.older.newer = e
	} else {
		q.oldest = e
	}
	if e.newer != nil {
		e.newer.older = e
	} else {
		q.newest = e
	}
	old.older, old.newer = nil, nil
	q.cost += e.cost - old.cost
}
