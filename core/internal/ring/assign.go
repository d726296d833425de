package ring

import (
	"math/bits"
	"slices"
)

const (
	million = 1_000_000
	// leastHeadroom is the headroom of lists with less than 118 members.
	leastHeadroom = 15 * million / 1000
	// rounds is how many rounds have the same length; the next ones are twice
	// as long. Within a round members go one after the other, so a round
	// should be short; and when they are how long depends on nothing, so that
	// the order of two arrivals never does.
	rounds = 4096
	// nobody owns a slot yet.
	nobody = 1<<16 - 1
)

// runner is a member on its walk.
type runner struct {
	walk
	member uint16
	room   int    // how many slots it may still take
	next   uint32 // position in its walk
	ahead  uint64 // how much of its walk is ahead, as a fraction of 2^64
	pace   uint64 // what is left of that after a round, as a fraction of 2^64
}

// assign gives each slot an owner. All members walk through the slots, each in
// an order of its own. Whoever comes to a slot first has it, unless it has as
// many as it may. In a round, a member goes a part of what is ahead of it that
// is proportional to its weight: so at any time the next to come to a slot is
// one of those that have not been there, with chances by weight.
//
// That is weighted rendezvous hashing (Thaler and Ravishankar 1998; weights
// after Schindelhauer and Schomaker 2005) with the time of arrival as score.
// Few slots change hands when the list does, because when a member comes to a
// slot depends on nobody else. It takes about as many steps as it takes to
// find each of the slots by drawing at random, 14 for each, whatever the
// number of members. And as no member draws a slot twice, the sizes of the
// shares vary less than with independent scores (by 0.7 of it).
//
// Only integers are used: floating point may be fused differently on other
// architectures, and then members would disagree.
func assign(members []Member, walks []walk) []uint16 {
	total := uint64(0)
	for _, m := range members {
		total += m.weight()
	}
	limit := million + headroom(len(members))
	runners := make([]runner, len(members))
	for i, m := range members {
		num, den := slots*m.weight()*limit, million*total // not int, which has 32 bits on some machines
		runners[i] = runner{
			walk:   walks[i],
			member: uint16(i),
			room:   int((num + den - 1) / den),
			ahead:  1<<64 - 1,
			pace:   shortest(m.weight()),
		}
	}
	// Shorter rounds than those in which a member takes 2^-8 steps are left out.
	for mean := total / uint64(len(members)); mean < 1<<8; mean *= 2 {
		lengthen(runners)
	}
	owner := slices.Repeat([]uint16{nobody}, slots)
	free := slots
	for free > 0 {
		for range rounds {
			for i := range runners {
				free -= runners[i].round(owner)
			}
			if free == 0 {
				break
			}
		}
		runners = slices.DeleteFunc(runners, func(m runner) bool { return m.room == 0 })
		lengthen(runners)
	}
	return owner
}

// lengthen makes rounds twice as long.
func lengthen(runners []runner) {
	for i := range runners {
		runners[i].pace = fraction(runners[i].pace, runners[i].pace)
	}
}

// headroom is by how many millionths a member may exceed its fair share of the
// slots. Without a cap the busiest of 100 members would have some 3 % more than
// its share; a tight cap moves more keys when the list changes. The more
// members there are, the more their shares vary by themselves: by the square
// root of the number of slots, which is what they may exceed it by where that
// is more.
func headroom(members int) uint64 {
	h := uint64(leastHeadroom)
	for h*h*slots < uint64(members)*million*million {
		h++
	}
	return h
}

// round walks on for a round, and returns how many slots it took.
func (m *runner) round(owner []uint16) int {
	m.ahead = fraction(m.ahead, m.pace)
	end := slots - uint32(m.ahead>>(64-slotBits))
	if end == m.next {
		return 0
	}
	room := m.room
	for p := m.next; p < end && room > 0; p++ {
		if o := &owner[m.slot(p)]; *o == nobody {
			*o = m.member
			room--
		}
	}
	took := m.room - room
	m.next, m.room = end, room
	return took
}

// shortest is the pace of a weight for the shortest rounds, in which the
// heaviest weight takes one step: (1 - 2^-16/slots)^weight.
func shortest(weight uint64) uint64 {
	pace, power := uint64(1<<64-1), uint64(1<<64-1<<(64-16-slotBits))
	for ; weight > 0; weight >>= 1 {
		if weight&1 != 0 {
			pace = fraction(pace, power)
		}
		power = fraction(power, power)
	}
	return pace
}

// fraction multiplies fractions of 2^64.
func fraction(a, b uint64) uint64 {
	hi, _ := bits.Mul64(a, b)
	return hi
}
