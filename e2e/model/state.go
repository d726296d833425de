package model

const (
	maxNodes    = 4
	maxFlights  = 3
	maxWaiters  = 2 // from other nodes, in one flight
	maxWrites   = 3
	maxMessages = 12
)

// state is a state of the whole cluster. It has no pointers, so that a copy of
// it is another state and equal states are the same.
type state struct {
	nodes    [maxNodes]node
	messages [maxMessages]message // ordered, so that equal networks are the same
	writes   [maxWrites]write
	left     budget
}

// budget is how often something may still happen.
type budget struct {
	gets, timeouts, crashes, evictions uint8
	duplicates, failures, retries      uint8
	forgets, syncs, expiries           uint8
	departures, joinTimeouts, pulls    uint8
	meets                              uint8
}

// spend takes one off, and reports whether there was one.
func spend(n *uint8) bool {
	if *n == 0 {
		return false
	}
	*n--
	return true
}

// phase is where a node stands in its cluster.
type phase uint8

const (
	down phase = iota
	joining
	joined
	client  // not on its own list
	leaving // has said goodbye, and hands over what it has
)

// kind is what a node has kept a value as.
type kind uint8

const (
	nothing kind = iota
	owned        // as the key's owner, perhaps by an earlier list
	hot          // as a copy
)

// node is what one node remembers.
type node struct {
	phase phase
	life  uint8 // its incarnation

	// The list it was given is that of its scenario at this step; gone are
	// those on it that have said goodbye, and lives the last that were heard of.
	step  uint8
	gone  set
	lives [maxNodes]uint8
	epoch uint8 // counts the changes of the list
	// estate is the list before the last change, whose owner is asked first.
	estate set
	// former left the list so short a time ago that they are told of removals;
	// they are asked for what they have as long as they are also in asked.
	former, asked set
	heard         set           // who has answered the hello
	told          [maxNodes]set // what they know
	unmet         set           // on the list, but nothing goes between the two
	pulls         set           // from whom it is to fetch what it inherits

	value   value
	kind    kind
	stamped bool // it knows the stamp of the Set that the value is of

	clock  uint8 // the latest stamp seen
	floor  uint8 // the rank of the latest write that was forgotten
	seen   set   // removals that it remembers, and carries
	stored set   // the Sets among them whose value was dealt with
	whole  set   // removals that it counts as applied
	own    set   // those among them that it has applied itself

	flights [maxFlights]flight
	uids    uint8 // of flights, so far
}

// stage is what a flight waits for.
type stage uint8

const (
	none    stage = iota
	asking        // the answer of the owner, or of the next in line
	peeking       // the previous owner
	origin        // the getter
)

// flight is a call that several wait for.
type flight struct {
	stage    stage
	uid      uint8
	epoch    uint8
	list     set   // at its start
	detached bool  // nobody joins it, nothing is kept
	linked   bool  // a load that a flight which asks has come to
	pull     bool  // a load that nobody has asked for: it does not go on to the origin
	peer     uint8 // who is asked
	tried    set   // who was asked before
	called   set   // the writes called when the origin was asked
	gets     uint8 // those who wait here: bit i for each set i of writes that had returned nil
	waiters  [maxWaiters]waiter
}

// waiter is a flight of another node that waits for this one.
type waiter struct{ node, uid, life uint8 } // node counts from 1

func (f *flight) loads() bool { return f.stage == peeking || f.stage == origin }

// status is what has become of a write.
type status uint8

const (
	idle    status = iota
	atOwner        // its value is on the way to the owner
	spreading
	confirmed // it has returned nil
	failed    // it has returned an error
)

// write is a Remove or a Set.
type write struct {
	status  status
	life    uint8 // of the caller
	stamp   uint8
	targets set // who is to be told
	acked   set
	before  set // the writes that had returned nil when it was called
	missed  set // the members that were not reached when it returned nil
}

// rank orders writes by their stamps, from 1.
func (s *state) rank(w int) uint8 { return s.writes[w].stamp*maxWrites + uint8(w) + 1 }

// confirmed are the writes that have returned nil.
func (s *state) confirmed() (ws set) {
	for w := range s.writes {
		if s.writes[w].status == confirmed {
			ws = ws.with(w)
		}
	}
	return ws
}

// called are all writes but those that are still to come.
func (s *state) called() (ws set) {
	for w := range s.writes {
		if s.writes[w].status != idle {
			ws = ws.with(w)
		}
	}
	return ws
}
