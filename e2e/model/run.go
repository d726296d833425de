package model

import "fmt"

// run makes the successors of one state. Its methods work on the successor that
// is being made.
type run struct {
	*Scenario
	from  *state
	s     state
	broke string // how the promise is broken, if it is
	// next takes a successor; say makes its line in the trace.
	next func(s *state, broke string, say func() string)
}

// breaks notes the first thing that is wrong.
func (r *run) breaks(format string, args ...any) {
	if r.broke == "" {
		r.broke = fmt.Sprintf(format, args...)
	}
}

// step makes a successor, unless change says that it is none.
func (r *run) step(change func() bool, say func() string) {
	r.s, r.broke = *r.from, ""
	if !change() {
		return
	}
	if r.broke == "" {
		r.judge()
	}
	r.next(&r.s, r.broke, say)
}

// steps makes all successors.
func (r *run) steps() {
	r.callWrites()
	for n := range r.Nodes {
		r.live(n)
		r.ask(n)
		r.fly(n)
		r.fail(n)
	}
	r.deliver()
}

// live is what a node does of itself.
func (r *run) live(n int) {
	if r.from.nodes[n].phase == down {
		r.step(func() bool { return r.start(n) }, func() string { return fmt.Sprintf("%d starts", n) })
		return
	}
	r.step(func() bool { return r.changeList(n) }, func() string { return fmt.Sprintf("%d is given the list %v", n, r.list(n)) })
	r.step(func() bool { return r.leave(n) }, func() string { return fmt.Sprintf("%d says goodbye", n) })
	r.step(func() bool { return r.depart(n) }, func() string { return fmt.Sprintf("%d is gone", n) })
	r.step(func() bool { return r.giveUpJoining(n) }, func() string {
		return fmt.Sprintf("%d joins without %v", n, r.s.nodes[n].unmet)
	})
	for p := range r.Nodes {
		r.step(func() bool { return r.meet(n, p) }, func() string { return fmt.Sprintf("%d says hello to %d", n, p) })
		r.step(func() bool { return r.inherit(n, p) }, func() string { return fmt.Sprintf("%d fetches what it inherits from %d", n, p) })
		r.step(func() bool { return r.compare(n, p) }, func() string { return fmt.Sprintf("%d compares with %d", n, p) })
	}
}

// deliver lets each message arrive.
func (r *run) deliver() {
	for i := range r.from.count() {
		m := r.from.messages[i]
		if i > 0 && m == r.from.messages[i-1] {
			continue
		}
		r.step(func() bool { r.s.take(i); return r.receive(m) }, func() string { return m.String() })
		if m.verb == put || m.verb == remove {
			r.step(func() bool { return spend(&r.s.left.duplicates) && r.receive(m) }, func() string { return m.String() + ", and once more later" })
		}
	}
}

// receive is the arrival of a message; false if it must wait.
func (r *run) receive(m message) bool {
	n, from := int(m.to), int(m.from)
	to := &r.s.nodes[n]
	switch m.verb {
	case answer, refusal, held, welcome, compared:
		if to.life != m.life || to.phase == down {
			return true // nobody waits for it
		}
	default:
		if to.phase == down {
			return false
		}
	}
	switch m.verb {
	case fetch:
		return r.serveFetch(n, m)
	case peek:
		r.servePeek(n, m)
	case answer:
		r.answered(n, m)
	case held:
		r.heldAnswered(n, m)
	case refusal:
		r.refused(n, m)
	case remove:
		r.applyWhole(n, int(m.write))
		r.confirm(n, m)
	case put:
		r.store(n, int(m.write))
		r.confirm(n, m)
	case ack:
		r.acked(n, m)
	case hello:
		return r.serveHello(n, m)
	case welcome:
		r.welcomed(n, m)
	case compare:
		r.serveCompare(n, m)
	case compared:
		r.catchUp(n, m)
	case goodbye:
		r.takeLeave(n, from, m.life)
	case gone:
		r.dismiss(n, from)
	}
	return true
}
