package model

// Kind is a kind of write.
type Kind uint8

const (
	// Remove is a Remove, or a Clear, which is the same to each key.
	Remove Kind = iota
	// Set stores a value at the owner, and removes older ones.
	Set
	// RemoveOther is a Remove of another key: it only takes a number.
	RemoveOther
)

// String names it.
func (k Kind) String() string { return [...]string{"Remove", "Set", "Remove of another key"}[k] }

// Write is a write that a node calls.
type Write struct {
	Kind Kind
	Node int
}

// Scenario is a cluster, what is done to it, and how often what may happen.
type Scenario struct {
	Name  string
	Nodes int
	Rules Rules
	// Lists are those that each node is given, one after the other, at any time.
	Lists [][]set
	// Down are the nodes that have not started yet.
	Down set
	// Has are the nodes that have a value, loaded before any write: the owner by
	// its first list as such, others as a copy.
	Has set
	// Unmet are the members whom each node has not met.
	Unmet [maxNodes]set
	// Ahead is by how much the clock of each node is.
	Ahead  [maxNodes]uint8
	Writes []Write // called in this order, perhaps before the others have ended

	Gets, Timeouts, Evictions, Duplicates, Failures, Retries  uint8
	Forgets, Syncs, Expiries, JoinTimeouts, Pulls, Departures uint8
	Meets                                                     uint8 // hellos of members to those whom they have not met
	Crashes, Leaves                                           set   // who may, once in all
	// Outside are the nodes that a write may miss, because nobody whom it reaches
	// knows them or knew them a short time ago.
	Outside set
	// Lossless: nobody gives up waiting, so that nobody may wait for ever.
	Lossless bool
	// Strict: only what was set may be read after a Set.
	Strict bool
}

// initial is the state at the beginning.
func (sc Scenario) initial() *state {
	s := &state{left: budget{
		gets: sc.Gets, timeouts: sc.Timeouts, evictions: sc.Evictions, duplicates: sc.Duplicates,
		failures: sc.Failures, retries: sc.Retries, forgets: sc.Forgets, syncs: sc.Syncs, expiries: sc.Expiries,
		joinTimeouts: sc.JoinTimeouts, meets: sc.Meets, pulls: sc.Pulls, crashes: min(1, uint8(sc.Crashes)), departures: sc.Departures,
	}}
	for n := range sc.Nodes {
		nd := &s.nodes[n]
		nd.clock, nd.unmet = sc.Ahead[n], sc.Unmet[n]
		list := sc.Lists[n][0]
		switch {
		case sc.Down.has(n):
		case list.has(n):
			nd.phase = joined
		default:
			nd.phase = client
		}
		if sc.Has.has(n) {
			nd.value, nd.kind = loaded(0), hot
			if list.first() == n {
				nd.kind = owned
			}
		}
	}
	return s
}
