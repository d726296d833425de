package model

// Rules are the mechanisms of the protocol. A scenario that takes one out must
// break the promise, or the mechanism is not needed.
type Rules struct {
	// Causal: every request carries the removals that its sender remembers, and
	// the receiver applies them before it answers.
	Causal bool
	// Detach: a removal detaches the flights of the key.
	Detach bool
	// Closure: those who confirm name the members that they know, who are told
	// too.
	Closure bool
	// Grace: members that left the list a short time ago are told.
	Grace bool
	// Barrier: a node that starts keeps nothing until all have answered its
	// hello.
	Barrier bool
	// Alone: until then nobody joins its flights either.
	Alone bool
	// SameList: an answer is kept only if the list was the same for both all
	// along.
	SameList bool
	// Apart: a request from a node joins flights that load, and no other.
	Apart bool
	// Stamps: a removal leaves what was written with a later stamp, and a Set
	// that is late is not stored.
	Stamps bool
	// OwnerFirst: a Set is stored at the owner before anybody else hears of it.
	OwnerFirst bool
	// Floors: a node that has joined, or has taken over from another what it
	// lacked, stores no Set that was called before.
	Floors bool
	// LateForgetting: an id is not forgotten while its Remove may return nil.
	LateForgetting bool
	// Meeting: members that are new to each other's lists have nothing to do
	// with each other until each knows what the other knows.
	Meeting bool
	// MeetUnderList: a hello counts only under the same list.
	MeetUnderList bool
	// Covering: a member is met only if it knows all that this node does.
	Covering bool
	// CoveredJoin: a node that joins has not met a member that lacks what others
	// have told it.
	CoveredJoin bool
	// ComparedInTime: an id is not forgotten before the members that are met
	// have compared: those that were not for half of that time are not met.
	ComparedInTime bool
	// DropAtGap: whoever lacks removals that nobody remembers drops everything.
	DropAtGap bool
	// Contiguous: what is known of a caller's writes ends before the first one
	// that is missing.
	Contiguous bool
	// ListenForHeirs: a previous owner is asked only while it is told of
	// removals.
	ListenForHeirs bool
	// AskClocks: before a write, a node asks those for their clocks who do not
	// tell it of theirs: members that it has not met, and all if it is not on its
	// own list.
	AskClocks bool
}

// Protocol has all of them.
func Protocol() Rules {
	return Rules{
		Causal: true, Detach: true, Closure: true, Grace: true, Barrier: true, Alone: true, SameList: true,
		Apart: true, Stamps: true, OwnerFirst: true, Floors: true, LateForgetting: true,
		Meeting: true, MeetUnderList: true, Covering: true, CoveredJoin: true, ComparedInTime: true,
		DropAtGap: true, Contiguous: true,
		ListenForHeirs: true, AskClocks: true,
	}
}
