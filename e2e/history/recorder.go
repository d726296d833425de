package history

import (
	"slices"
	"sync"
	"time"
)

// Recorder collects a history. Its methods may be called from any goroutine.
type Recorder struct {
	now func() int64

	mu    sync.Mutex
	h     History
	open  map[int]*Op
	loads map[string]*Load
	last  int64
	ids   int
}

// NewRecorder is a recorder with a clock of nanoseconds. nil is the time since
// now, a little ahead where that is needed for no two records to have the same
// time.
func NewRecorder(name string, bounds Bounds, now func() int64) *Recorder {
	r := &Recorder{now: now, h: History{Name: name, Bounds: bounds}, open: map[int]*Op{}, loads: map[string]*Load{}}
	if now == nil {
		begun := time.Now()
		r.now = func() int64 {
			r.last = max(r.last+1, int64(time.Since(begun)))
			return r.last
		}
	}
	return r
}

// Now is the time on the recorder's clock.
func (r *Recorder) Now() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now()
}

// Begin records that a client calls an operation, and returns its ID. name
// gets the ID to set the value of a Set, and may be nil.
func (r *Recorder) Begin(op Op, name func(id int) string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ids++
	op.ID, op.Start, op.Keys = r.ids, r.now(), slices.Clone(op.Keys)
	if name != nil {
		op.Value = name(op.ID)
	}
	r.open[op.ID] = &op
	return op.ID
}

// Answer records one answer to a read.
func (r *Recorder) Answer(id int, a Answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if op := r.open[id]; op != nil {
		a.End = r.now()
		op.Answers = append(op.Answers, a)
	}
}

// End records that an operation has returned; finish sets its outcome, and may
// be nil.
func (r *Recorder) End(id int, finish func(*Op)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	op := r.open[id]
	if op == nil {
		return
	}
	op.End = r.now()
	if finish != nil {
		finish(op)
	}
	delete(r.open, id)
	r.h.Ops = append(r.h.Ops, *op)
}

// BeginLoad records that the origin is asked, and returns when that was. The
// load's ID must be new.
func (r *Recorder) BeginLoad(l Load) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	l.Begin = r.now()
	r.loads[l.ID] = &l
	return l.Begin
}

// EndLoad records that the origin has answered; finish sets the outcome, and
// may be nil.
func (r *Recorder) EndLoad(id string, finish func(*Load)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.loads[id]
	if l == nil {
		return
	}
	l.End = r.now()
	if finish != nil {
		finish(l)
	}
	delete(r.loads, id)
	r.h.Loads = append(r.h.Loads, *l)
}

// Event records an event, which happens now.
func (r *Recorder) Event(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.At, e.Members = r.now(), slices.Clone(e.Members)
	r.h.Events = append(r.h.Events, e)
}

// History is all that was recorded so far, in order. What has not ended is in
// it without an end.
func (r *Recorder) History() *History {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.h
	h.Ops, h.Loads, h.Events = slices.Clone(h.Ops), slices.Clone(h.Loads), slices.Clone(h.Events)
	for _, op := range r.open {
		o := *op
		o.Answers = slices.Clone(o.Answers)
		h.Ops = append(h.Ops, o)
	}
	for _, l := range r.loads {
		h.Loads = append(h.Loads, *l)
	}
	h.Sort()
	return &h
}
