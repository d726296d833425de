// Package ring says which member of a cluster owns a key.
package ring

import (
	"cmp"
	"encoding/binary"
	"iter"
	"slices"
)

// The key space is cut into 2^19 slots. More of them make fewer move when the
// list changes, and the table larger: it has two bytes for each.
const (
	slotBits = 19
	slots    = 1 << slotBits
)

// Member is one node on the ring.
type Member struct {
	ID     string
	Weight uint16 // relative share, 0 is 1
}

func (m Member) weight() uint64 { return uint64(max(m.Weight, 1)) }

// Ring maps keys to members. It depends on nothing but the set of members, so
// nodes with the same list compute the same ring. It is immutable.
type Ring struct {
	members []Member // ordered by ID
	walks   []walk   // of the members
	owner   []uint16 // of each slot, an index into members; nil with fewer than two: a node alone needs no megabyte
	even    bool     // all weights are equal
	hash    uint64
}

// New makes the ring of the members, which have distinct IDs; their order
// does not matter. There can be at most 65,535.
func New(members []Member) *Ring {
	r := &Ring{members: ordered(members)}
	r.hash = listHash(r.members)
	r.even = !slices.ContainsFunc(r.members, func(m Member) bool { return m.weight() != r.members[0].weight() })
	r.walks = make([]walk, len(r.members))
	for i, m := range r.members {
		r.walks[i] = newWalk(m.ID)
	}
	if len(members) > 1 {
		r.owner = assign(r.members, r.walks)
	}
	return r
}

// Is reports whether r is the ring of the members, in any order.
func (r *Ring) Is(members []Member) bool {
	return r.hash == listHash(ordered(members))
}

func ordered(members []Member) []Member {
	return slices.SortedFunc(slices.Values(members), func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
}

// listHash identifies the set of members, which are ordered, with their
// weights.
func listHash(members []Member) uint64 {
	var b []byte
	for _, m := range members {
		b = binary.AppendUvarint(b, uint64(len(m.ID)))
		b = append(b, m.ID...)
		b = binary.AppendUvarint(b, m.weight())
	}
	return Hash(string(b))
}

// Hash identifies the set of members with their weights.
func (r *Ring) Hash() uint64 { return r.hash }

// Len is the number of members.
func (r *Ring) Len() int { return len(r.members) }

// Owner is the ID of the member that owns the key; "" without members.
func (r *Ring) Owner(key string) string {
	if i := r.OwnerIndex(key); i >= 0 {
		return r.members[i].ID
	}
	return ""
}

// OwnerIndex is the place of the owner in a list of all members that is ordered
// by ID; -1 without members.
func (r *Ring) OwnerIndex(key string) int {
	if r.owner == nil {
		return len(r.members) - 1 // there is one, or none
	}
	return int(r.owner[slotOf(key)])
}

func slotOf(key string) uint32 { return uint32(Hash(key) >> (64 - slotBits)) }

// Line yields the IDs of all members, numbered, in the order in which they
// stand in for the key: the owner, then the others as they come to its slot.
// So the second is the one that inherits the key when the owner leaves, unless
// it has its cap. The line is the same on every node with the same members.
//
// The owner costs a look at the table, and each other member a pass over the
// list when it is asked for: most lines are left after the owner.
func (r *Ring) Line(key string) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		if len(r.members) == 0 {
			return
		}
		slot, owner := slotOf(key), 0
		if r.owner != nil {
			owner = int(r.owner[slot])
		}
		if !yield(0, r.members[owner].ID) {
			return
		}
		var last arrival
		for n := 1; n < len(r.members); n++ {
			next := arrival{member: -1}
			for i := range r.members {
				if i == owner {
					continue
				}
				a := r.arrival(i, slot)
				if (n == 1 || last.before(a)) && (next.member < 0 || a.before(next)) {
					next = a
				}
			}
			if !yield(n, r.members[next.member].ID) {
				return
			}
			last = next
		}
	}
}
