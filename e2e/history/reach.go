package history

import (
	"math"
	"slices"
)

// reach finds out which members a write was to reach.
type reach struct {
	h *History
	// lists are those of each member, by their begin.
	lists map[string][]listed
	lives map[life]*span
	cache map[int]map[string]bool // by ID of the write
}

// listed is a list that a member had for some time.
type listed struct {
	span
	life    int
	members []string
}

// span is a time: from, inclusive, to.
type span struct{ from, to int64 }

type life struct {
	node string
	n    int
}

func newReach(h *History) reach {
	r := reach{h: h, lists: map[string][]listed{}, lives: map[life]*span{}, cache: map[int]map[string]bool{}}
	for _, e := range h.Events {
		of := life{e.Node, e.Life}
		switch e.What {
		case Up:
			r.lives[of] = &span{e.At, math.MaxInt64}
		case Down, Closed:
			if l := r.lives[of]; l != nil {
				l.to = e.At
			}
			r.end(e)
		case List:
			r.end(e)
			r.lists[e.Node] = append(r.lists[e.Node], listed{span{e.At, math.MaxInt64}, e.Life, e.Members})
		}
	}
	return r
}

// end ends the list that a member has.
func (r *reach) end(e Event) {
	if lists := r.lists[e.Node]; len(lists) > 0 {
		last := &lists[len(lists)-1]
		last.to = min(last.to, e.At)
	}
}

// reached reports whether the member of a read was to be reached by a write
// that has ended. A life that began since has nothing from before: it was
// reached if all were that it knew at first, from whom it may get something.
func (r *reach) reached(w, read *Op) bool {
	if len(r.lists) == 0 {
		return !slices.Contains(w.Unconfirmed, read.Node)
	}
	members := r.members(w)
	up := r.lives[life{read.Node, read.Life}]
	if up == nil || up.from <= w.Start {
		return members[read.Node]
	}
	for _, l := range r.lists[read.Node] {
		if l.life != read.Life {
			continue
		}
		// It says hello to all of the first list.
		return !slices.ContainsFunc(l.members, func(id string) bool { return id != read.Node && !members[id] })
	}
	return false
}

// members are those that the write had to tell: the ones that the caller knew,
// and the ones that those who confirmed knew. Knowing is having on the list, or
// having had there a short time ago.
func (r *reach) members(w *Op) map[string]bool {
	if known := r.cache[w.ID]; known != nil {
		return known
	}
	told := map[string]bool{w.Node: true}
	for next := []string{w.Node}; len(next) > 0; next = next[1:] {
		for _, id := range r.known(next[0], w) {
			if !told[id] && !slices.Contains(w.Unconfirmed, id) {
				told[id] = true
				next = append(next, id)
			}
		}
	}
	r.cache[w.ID] = told
	return told
}

// known are the members that one certainly knew during the whole write.
func (r *reach) known(id string, w *Op) []string {
	grace := r.h.Bounds.Grace
	var known []string
	var always map[string]int
	lists := 0
	for _, l := range r.lists[id] {
		if w.End-w.Start < grace {
			if l.from < w.Start && l.to > w.End-grace && l.to > l.from && r.sameLife(id, l.life, w) {
				known = append(known, l.members...)
			}
			continue
		}
		if l.from <= w.End && l.to >= w.Start {
			lists++
			for _, m := range l.members {
				if always == nil {
					always = map[string]int{}
				}
				always[m]++
			}
		}
	}
	for m, n := range always {
		if n == lists {
			known = append(known, m)
		}
	}
	known = slices.DeleteFunc(known, func(m string) bool { return slices.Contains(w.Gone[id], m) })
	slices.Sort(known)
	return slices.Compact(known)
}

// sameLife reports whether the life of a member lasted for the whole write, so
// that it still knew then what it had known before.
func (r *reach) sameLife(id string, n int, w *Op) bool {
	l := r.lives[life{id, n}]
	return l == nil || l.from < w.Start && l.to > w.End
}

// lived reports whether the life of a read's member had begun when the write was
// called: a later one has confirmed nothing.
func (r *reach) lived(w, read *Op) bool {
	up := r.lives[life{read.Node, read.Life}]
	return up == nil || up.from < w.Start
}

// stays reports whether the member of a read has been on the writer's list
// since the write, and both have lived all the time.
func (r *reach) stays(w, read *Op) bool {
	writer, reader := r.lives[life{w.Node, w.Life}], r.lives[life{read.Node, read.Life}]
	if writer != nil && writer.to <= read.Start || reader != nil && reader.from >= w.Start {
		return false
	}
	if len(r.lists) == 0 {
		return true
	}
	found := read.Node == w.Node
	for _, l := range r.lists[w.Node] {
		if l.life != w.Life || l.to <= w.Start || l.from >= read.Start {
			continue
		}
		if !slices.Contains(l.members, read.Node) {
			return false
		}
		found = true
	}
	return found
}
