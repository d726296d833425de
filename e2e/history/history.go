// Package history records what happened to a cluster and checks it against
// what the cluster promises.
//
// A history has four kinds of records: operations of clients, loads of the
// origin, events of the cluster (members that start and end, lists, faults),
// and one header with the bounds that hold for it. All times are nanoseconds on
// one clock. They need not be unique: what happened at the same time counts as
// happened in either order, and is judged in favour of the cluster.
package history

import "slices"

// Kind is what a client asked for.
type Kind string

// The kinds of operations.
const (
	Get     Kind = "get"
	GetMany Kind = "getmany"
	Set     Kind = "set"
	Remove  Kind = "remove"
	Clear   Kind = "clear"
)

// writes reports whether the operation takes older values out.
func (k Kind) writes() bool { return k == Set || k == Remove || k == Clear }

// Kinds of errors that the checker tells apart. All others stand for
// themselves.
const (
	// Unconfirmed is that of a write that some members have not confirmed.
	Unconfirmed = "unconfirmed"
	// Refused is that of a write that has not begun.
	Refused = "refused"
)

// Op is an operation of a client.
type Op struct {
	ID     int  `json:"id"`
	Client int  `json:"client"`
	Kind   Kind `json:"kind"`
	// Node is the ID of the member that was asked, and Life counts its starts.
	Node string `json:"node"`
	Life int    `json:"life"`
	// Keys are one for Get and Set, and none for Clear.
	Keys []string `json:"keys,omitempty"`
	// Value is that of a Set, as [Value.String] writes it.
	Value string `json:"value,omitempty"`
	// Keep is the life of the value of a Set; 0 is for ever.
	Keep  int64 `json:"keep,omitempty"`
	Start int64 `json:"start"`
	// End is 0 for an operation that did not return: the member crashed, or
	// the history was cut off.
	End int64 `json:"end,omitempty"`
	// Error is the kind of the error of a write; empty for nil.
	Error string `json:"error,omitempty"`
	// Unconfirmed are the members that the error of a write names.
	Unconfirmed []string `json:"unconfirmed,omitempty"`
	// Gone are, by member, those that it did not have on its list when a write
	// returned, whatever list it was given, because they have said goodbye and
	// it has not heard of their next life.
	Gone map[string][]string `json:"gone,omitempty"`
	// Answers are those of a Get or GetMany, in the order of their arrival.
	Answers []Answer `json:"answers,omitempty"`
	// Final marks a read after the faults are healed and time has passed: the
	// members must agree now.
	Final bool `json:"final,omitempty"`
	// Excused marks a read whose failure is nobody's fault: the client gave up,
	// the member was closing, or the origin failed.
	Excused bool `json:"excused,omitempty"`
}

// Answer is what was said about one key.
type Answer struct {
	Key string `json:"key"`
	End int64  `json:"end"`
	// Value is what the client got, and for a key without value the message
	// beside not found, which has the same form.
	Value    string `json:"value,omitempty"`
	NotFound bool   `json:"notFound,omitempty"`
	// Source is hit, hot, owner or loaded, if it is known.
	Source string `json:"source,omitempty"`
	// Error is the kind of the error, other than not found; empty for nil.
	Error string `json:"error,omitempty"`
}

// Load is one call of the origin.
type Load struct {
	// ID is unique in the history.
	ID   string `json:"id"`
	Node string `json:"node"`
	Life int    `json:"life"`
	Key  string `json:"key"`
	// Version is that of the value, which was read at Begin.
	Version int   `json:"version"`
	Begin   int64 `json:"begin"`
	// End is 0 for a load that has not returned.
	End int64 `json:"end,omitempty"`
	// Keep is the life of the value, from End at the earliest; 0 is for ever.
	Keep     int64 `json:"keep,omitempty"`
	NotFound bool  `json:"notFound,omitempty"`
	// Failed says that it brought no value.
	Failed bool `json:"failed,omitempty"`
	// Since is when its flight began, if that is known to be before Begin: it
	// has asked another member first.
	Since int64 `json:"since,omitempty"`
}

// What happened to the cluster.
const (
	// Up is the start of a life of a member.
	Up = "up"
	// Down is the end of a life without goodbye.
	Down = "down"
	// Closed is the end of a life with goodbye.
	Closed = "closed"
	// List is a member list that a member was given.
	List = "list"
	// Fault is a time from which messages, or members, may suffer.
	Fault = "fault"
	// Healed is a time from which nothing does.
	Healed = "healed"
	// Gap is a time at which a member dropped everything, because it could not
	// vouch for it.
	Gap = "gap"
	// Outside says that what the promises assume did not hold. Detail says what.
	Outside = "outside"
	// Note is for the reader.
	Note = "note"
)

// Event is something that happened to the cluster.
type Event struct {
	At   int64  `json:"at"`
	What string `json:"what"`
	Node string `json:"node,omitempty"`
	Life int    `json:"life,omitempty"`
	// Members are the IDs of a List.
	Members []string `json:"members,omitempty"`
	Detail  string   `json:"detail,omitempty"`
}

// Bounds are what holds for a history, in nanoseconds.
type Bounds struct {
	// Resolution is that of the members' clocks: how much longer than its life
	// a value may be served.
	Resolution int64 `json:"resolution"`
	// Grace is for how long a member that left a list is still told of removals.
	Grace int64 `json:"grace"`
	// Copy is for how long a copy of another member's value is served.
	Copy int64 `json:"copy"`
	// Heal is how long after the end of all faults a removal that was not
	// confirmed is obeyed everywhere.
	Heal int64 `json:"heal"`
	// Settle is how long a member takes to join, and how long after a change
	// of its list it may load what is being loaded already.
	Settle int64 `json:"settle"`
	// Remember is for how long after its end a removal is certainly not applied
	// for a second time, and Again how long after its end it may still be.
	Remember int64 `json:"remember"`
	Again    int64 `json:"again"`
	// Memory is for how long after the call of a removal those that have
	// confirmed it do not fetch older values from those that have not.
	Memory int64 `json:"memory"`
	// Hedged says that a second member is asked when the first is slow, so that
	// both may load a key.
	Hedged bool `json:"hedged,omitempty"`
}

// History is all that was recorded. A history without List events is that of
// members that all know each other all the time.
type History struct {
	Name   string
	Bounds Bounds
	Ops    []Op
	Loads  []Load
	Events []Event
}

// Sort puts the records into the order of their times, and equal ones into one
// that depends on nothing but their content.
func (h *History) Sort() {
	slices.SortStableFunc(h.Ops, compareOps)
	slices.SortStableFunc(h.Loads, compareLoads)
	slices.SortStableFunc(h.Events, compareEvents)
	for i := range h.Ops {
		slices.SortStableFunc(h.Ops[i].Answers, compareAnswers)
	}
}
