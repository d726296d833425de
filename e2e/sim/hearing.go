package sim

import (
	"slices"

	gcnode "github.com/gcnode/gcnode/core"
)

// hearing is which lives of others a life has heard of, by a hello or a
// comparison. A member that has said goodbye is off the list of who has not
// heard of its next life.
type hearing struct {
	last  map[string]*life // of each member
	gone  map[string]int   // which of its lives was the last to say goodbye
	heard map[*life]map[string]int
}

func newHearing() hearing {
	return hearing{last: map[string]*life{}, gone: map[string]int{}, heard: map[*life]map[string]int{}}
}

// begins takes note of a life.
func (w *world) begins(l *life) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hearing.last[l.id] = l
	w.hearing.heard[l] = map[string]int{}
}

// leaves takes note of a goodbye.
func (w *world) leaves(l *life) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hearing.gone[l.id] = l.n
}

// hears takes note that a life has got a request of another.
func (w *world) hears(l, from *life, op gcnode.Op) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if op == gcnode.OpHello || op == gcnode.OpSync || op == gcnode.OpReport {
		w.hearing.note(l, from.id, from.n)
	}
}

// hearsBack takes note that a life has got a reply of another, which says of
// whom that one has heard.
func (w *world) hearsBack(l, from *life, op gcnode.Op) {
	w.hears(l, from, op)
	w.mu.Lock()
	defer w.mu.Unlock()
	if op == gcnode.OpHello || op == gcnode.OpSync {
		for id, n := range w.hearing.heard[from] {
			w.hearing.note(l, id, n)
		}
	}
}

// note is that l has heard of a member's nth life.
func (h *hearing) note(l *life, id string, n int) {
	h.heard[l][id] = max(h.heard[l][id], n)
}

// missing are, by member, the others that it takes for gone though they are
// back. It may be called from any goroutine.
func (w *world) missing() map[string][]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var missing map[string][]string
	for other, n := range w.hearing.gone {
		for id, l := range w.hearing.last {
			if id == other || w.hearing.last[other].n == n || w.hearing.heard[l][other] > n {
				continue
			}
			if missing == nil {
				missing = map[string][]string{}
			}
			missing[id] = append(missing[id], other)
			slices.Sort(missing[id])
		}
	}
	return missing
}
