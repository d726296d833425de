package discovery

import "time"

// Status is what is known about a source and the list of the node.
type Status struct {
	// Source is the source's name.
	Source string
	// Members is the length of the list that the node has.
	Members int
	// Changes counts the lists that were given to the node, the first one
	// included, and Changed is when it got the last one; zero: never.
	Changes uint64
	Changed time.Time
	// Answered is when the source gave a list that is fit for use, whether
	// there was something new or not; zero: never.
	Answered time.Time
	// Errors counts what could not be used, and Failed is when that was last
	// so; zero: never.
	Errors uint64
	Failed time.Time
	// Err is why the last answer could not be used; nil: it could.
	Err error
	// Losses counts the lists that lost more than half of the members.
	Losses uint64
	// Waiting is the length of a list that is not taken yet, 0 when there is
	// none; Held is set if that is because it loses more than half of the
	// members, and Since is when it was first given.
	Waiting int
	Held    bool
	Since   time.Time
}

// Status is a snapshot.
func (m *Members) Status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.status
	s.Members = len(m.guard.current)
	if c := m.guard.waiting; c != nil {
		s.Waiting, s.Held, s.Since = len(c.list), m.guard.held(), c.since
	}
	return s
}
