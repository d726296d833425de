package model

import "fmt"

// value is what a Get returns, or what a node has kept; 0 is none.
type value uint8

// firstSet is the value of the first write; those of loads are below.
const firstSet = 1 + 1<<maxWrites

// loaded is the value of a load that began when the writes had been called.
func loaded(called set) value { return value(1 + called) }

// written is the value that a Set stores.
func written(write int) value { return value(firstSet + write) }

// write is the Set that the value is of.
func (v value) write() (write int, ok bool) { return int(v) - firstSet, v >= firstSet }

// called are the writes that had been called when the value's load began.
func (v value) called() set { return set(v - 1) }

// String says where the value comes from.
func (v value) String() string {
	if write, ok := v.write(); ok {
		return fmt.Sprintf("what write %d has set", write)
	}
	if v == 0 {
		return "nothing"
	}
	return fmt.Sprintf("a load that began after the call of %v", v.called())
}
