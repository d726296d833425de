package model

import (
	"cmp"
	"fmt"
)

// verb is what a message is.
type verb uint8

const (
	_ verb = iota
	fetch
	answer
	refusal
	peek
	held // the answer to a peek
	remove
	ack
	put // a Set on its way to the owner
	hello
	welcome
	compare // what the sender knows of removals
	compared
	goodbye
	gone
)

func (v verb) String() string {
	return [...]string{
		"", "fetch", "answer", "refusal", "peek", "held", "removal", "ack", "set",
		"hello", "welcome", "compare", "compared", "goodbye", "gone",
	}[v]
}

// message is one under way. Requests go to whatever life the receiver is in,
// answers only to the life that has asked.
type message struct {
	verb     verb
	from, to uint8
	life     uint8 // of the node that asks
	uid      uint8 // of its flight
	list     set   // the sender's; empty: not to be kept
	value    value
	carries  set // removals to apply first
	write    uint8
	members  set // those whom the sender of an ack knows
	known    set
	clock    uint8
}

// String is the message for a trace.
func (m message) String() string {
	s := fmt.Sprintf("%v %d→%d", m.verb, m.from, m.to)
	switch m.verb {
	case fetch, peek, hello:
		s += fmt.Sprintf(" under %v with the removals %v", m.list, m.carries)
	case answer, held:
		s += fmt.Sprintf(": %v, under %v", m.value, m.list)
	case remove, put:
		s += fmt.Sprintf(" of write %d", m.write)
	case ack:
		s += fmt.Sprintf(" of write %d, members %v", m.write, m.members)
	case refusal, goodbye, gone:
	case welcome, compare, compared:
		s += fmt.Sprintf(" under %v, knows %v, removals %v", m.list, m.known, m.carries)
	}
	return s
}

// order is by what is packed into two words.
func (m message) order(o message) int {
	a, b := m.pack(), o.pack()
	return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]))
}

func (m message) pack() (words [2]uint64) {
	for i, b := range [...]uint8{
		uint8(m.verb), m.from, m.to, m.life, m.uid, uint8(m.list), uint8(m.value),
		uint8(m.carries), m.write, uint8(m.members), uint8(m.known), m.clock,
	} {
		words[i/8] = words[i/8]<<8 | uint64(b)
	}
	return words
}

// send puts a message into the network.
func (r *run) send(m message) {
	i := r.s.count()
	if i == maxMessages {
		r.breaks("the model has no room for another message")
		return
	}
	for ; i > 0 && m.order(r.s.messages[i-1]) < 0; i-- {
		r.s.messages[i] = r.s.messages[i-1]
	}
	r.s.messages[i] = m
}

// take takes the i-th message out of the network.
func (s *state) take(i int) {
	copy(s.messages[i:], s.messages[i+1:])
	s.messages[maxMessages-1] = message{}
}

// count is how many messages are under way.
func (s *state) count() (n int) {
	for n < maxMessages && s.messages[n].verb != 0 {
		n++
	}
	return n
}

// recall takes out of the network what a node has sent of a kind.
func (s *state) recall(v verb, from int) {
	for i := s.count() - 1; i >= 0; i-- {
		if s.messages[i].verb == v && int(s.messages[i].from) == from {
			s.take(i)
		}
	}
}
