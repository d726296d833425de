// Package model searches all schedules of small clusters for one in which the
// removal protocol breaks its promise. It is written after the protocol in
// docs/removal-protocol.md and knows nothing of the code in core: a new idea
// goes through here before it is coded.
//
// A cluster has up to four nodes and one key. A state holds what each node
// remembers and the messages under way; a step is what one node does at an
// instant, or one message that arrives. Messages have no order and can be
// delayed for ever, which is also how they are lost. Everything else that can
// go wrong (a time-out, a crash, an id that is forgotten) happens as often as
// the scenario allows. The search is breadth first, so what it finds is a
// shortest schedule.
//
// A value is known by what it must contain. That of a load is the set of writes
// that had been called when the load began: a Get that starts after one of the
// others has returned nil must not return it.
package model
