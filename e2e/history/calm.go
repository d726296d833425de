package history

import "math"

// calm finds out when nothing happened to a cluster.
type calm struct {
	h *History
}

func newCalm(h *History) calm { return calm{h} }

// since is for how long there has been no fault at a time; long if there was
// never one.
func (c calm) since(at int64) int64 {
	last, healed := int64(math.MinInt64), true
	for _, e := range c.h.Events {
		if e.At > at {
			break
		}
		switch e.What {
		case Fault:
			last, healed = e.At, false
		case Healed:
			last, healed = e.At, true
		case Down, Gap:
			last = e.At
		}
	}
	switch {
	case !healed:
		return -1
	case last == math.MinInt64:
		return math.MaxInt64
	default:
		return at - last
	}
}

// faulty reports whether a fault began in a time.
func (c calm) faulty(from, to int64) bool {
	for _, e := range c.h.Events {
		if e.At >= from && e.At <= to && (e.What == Fault || e.What == Down || e.What == Gap) {
			return true
		}
	}
	return false
}

// changed reports whether a member, or with "" any, started, ended, changed
// its list or dropped everything in a time.
func (c calm) changed(node string, from, to int64) bool {
	for _, e := range c.h.Events {
		if e.At < from || e.At > to || node != "" && e.Node != node {
			continue
		}
		switch e.What {
		case Up, Down, Closed, List, Gap:
			return true
		}
	}
	return false
}
