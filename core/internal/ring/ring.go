// Package ring says which member of a cluster owns a key.
package ring

import (
	"cmp"
	"encoding/binary"
	"slices"
)

const (
	slotBits = 18
	slots    = 1 << slotBits
	// headroomPercent is how far a member may go beyond its fair share of
	// slots. Without a cap rendezvous hashing leaves some members several per
	// cent above it; a tight cap moves more keys when the list changes.
	headroomPercent = 2
)

// Member is one node on the ring.
type Member struct {
	ID     string
	Weight uint16 // relative share, 0 is 1
}

func (m Member) weight() uint64 { return uint64(max(m.Weight, 1)) }

// Ring maps keys to members. The key space is cut into 2^18 slots; each slot
// belongs to the member with the highest weighted rendezvous score (Thaler
// and Ravishankar 1998; weights after Schindelhauer and Schomaker 2005) that
// has not reached its cap. It depends on nothing but the set of members, so
// nodes with the same list compute the same ring. It is immutable.
type Ring struct {
	members []Member // ordered by ID
	owner   []uint16 // of each slot, an index into members; nil without members
	even    bool     // all weights are equal
	hash    uint64
}

// New makes the ring of the members, which have distinct IDs; their order
// does not matter. There can be at most 65,535.
func New(members []Member) *Ring {
	r := &Ring{members: ordered(members)}
	r.hash = listHash(r.members)
	r.even = !slices.ContainsFunc(r.members, func(m Member) bool { return m.weight() != r.members[0].weight() })
	if len(members) > 0 {
		r.assign()
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

// assign fills the slot table, slot by slot.
func (r *Ring) assign() {
	total := uint64(0)
	for _, m := range r.members {
		total += m.weight()
	}
	room := make([]uint64, len(r.members)) // not int, which has 32 bits on some machines
	seeds := make([]uint64, len(r.members))
	for i, m := range r.members {
		num, den := slots*m.weight()*(100+headroomPercent), 100*total
		room[i] = (num + den - 1) / den
		seeds[i] = Hash(m.ID)
	}
	r.owner = make([]uint16, slots)
	for s := range r.owner {
		best, bestScore := -1, score{}
		for i, m := range r.members {
			if room[i] == 0 {
				continue
			}
			if sc := r.score(seeds[i], s, m); best < 0 || sc.above(bestScore) {
				best, bestScore = i, sc
			}
		}
		room[best]--
		r.owner[s] = uint16(best)
	}
}

// Hash identifies the set of members with their weights.
func (r *Ring) Hash() uint64 { return r.hash }

// Len is the number of members.
func (r *Ring) Len() int { return len(r.members) }

// Owner is the ID of the member that owns the key; "" without members.
func (r *Ring) Owner(key string) string {
	if r.owner == nil {
		return ""
	}
	return r.members[r.owner[slotOf(key)]].ID
}

// Line returns the IDs of at most n members in the order in which they stand
// in for the key: the owner, then the others by their scores for its slot. It
// is the same on every node with the same members.
func (r *Ring) Line(key string, n int) []string {
	n = min(n, len(r.members))
	if n <= 0 {
		return nil
	}
	slot := slotOf(key)
	owner := int(r.owner[slot])
	type candidate struct {
		member int
		score  score
	}
	rest := make([]candidate, 0, len(r.members)-1)
	for i, m := range r.members {
		if i != owner {
			rest = append(rest, candidate{i, r.score(Hash(m.ID), slot, m)})
		}
	}
	slices.SortFunc(rest, func(a, b candidate) int {
		switch {
		case a.score.above(b.score):
			return -1
		case b.score.above(a.score):
			return 1
		default:
			return cmp.Compare(a.member, b.member)
		}
	})
	line := []string{r.members[owner].ID}
	for _, c := range rest[:n-1] {
		line = append(line, r.members[c.member].ID)
	}
	return line
}

func slotOf(key string) int { return int(Hash(key) >> (64 - slotBits)) }
