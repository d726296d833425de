package discovery

import (
	"slices"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// HoldBack says what confirms a list that loses more than half of the members
// at once. Whichever comes first is enough; the zero value holds nothing back.
type HoldBack struct {
	// Answers is how often in a row the source has to give the list, the first
	// time included. 0: its number does not confirm it.
	Answers int
	// For is for how long the source has to give no other answer and no error.
	// 0: time does not confirm it.
	For time.Duration
}

// off reports whether nothing is held back.
func (h HoldBack) off() bool { return h == HoldBack{} }

// guard decides whether the list of a source replaces the current one. Lists
// are tidy. Times are given by its caller.
type guard struct {
	confirm  int // answers in a row that every change needs, at least 1
	holdBack HoldBack

	current []gcnode.Peer
	given   bool // the current list came through this guard
	waiting *candidate
}

// candidate is a list that is not confirmed yet.
type candidate struct {
	list    []gcnode.Peer
	since   time.Time
	answers int  // in a row
	loss    bool // of more than half of the members
}

// answer takes what the source gave, and reports whether the list is to
// replace the current one.
func (g *guard) answer(list []gcnode.Peer, now time.Time) bool {
	if g.given && slices.Equal(list, g.current) {
		g.waiting = nil
		return false
	}
	if g.waiting == nil || !slices.Equal(list, g.waiting.list) {
		g.waiting = &candidate{list: list, since: now, loss: lossy(g.current, list)}
	}
	g.waiting.answers++
	return g.confirmed(now)
}

// doubt takes an error of the source, which confirms nothing: the counting
// begins anew.
func (g *guard) doubt() { g.waiting = nil }

// confirmed reports whether the candidate is to replace the current list.
func (g *guard) confirmed(now time.Time) bool {
	c := g.waiting
	switch {
	case c == nil:
		return false
	case c.loss && !g.holdBack.off():
		enough := g.holdBack.Answers > 0 && c.answers >= max(g.holdBack.Answers, g.confirm)
		return enough || g.holdBack.For > 0 && now.Sub(c.since) >= g.holdBack.For
	case !g.given:
		return true // any list is better than none, or than another source's
	default:
		return c.answers >= g.confirm
	}
}

// held reports whether a candidate is held back.
func (g *guard) held() bool { return g.waiting != nil && g.waiting.loss && !g.holdBack.off() }

// due is when time alone confirms the candidate; zero: never.
func (g *guard) due() time.Time {
	if !g.held() || g.holdBack.For == 0 {
		return time.Time{}
	}
	return g.waiting.since.Add(g.holdBack.For)
}

// take makes the candidate the current list.
func (g *guard) take() {
	g.current, g.given, g.waiting = g.waiting.list, true, nil
}

// lossy reports whether more than half of the members are lost from one list
// to the next.
func lossy(from, to []gcnode.Peer) bool { return 2*len(missing(from, to)) > len(from) }
