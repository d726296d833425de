package ring

import "math/bits"

const (
	slotMask = slots - 1
	half     = (slotBits + 1) / 2
)

// walk is the order in which a member comes to the slots: a permutation that
// depends on its ID alone. The factors are odd, so that multiplying modulo the
// number of slots can be undone; folding the upper half of the bits into the
// lower one undoes itself.
type walk struct {
	start           uint32
	factor, inverse [3]uint32
}

func newWalk(id string) walk {
	a := Hash(id)
	b := mix(a + mul1)
	w := walk{start: uint32(b >> 32), factor: [3]uint32{uint32(a) | 1, uint32(a>>32) | 1, uint32(b) | 1}}
	for i, f := range w.factor {
		inv := f // right in three bits, and each of Newton's steps doubles them
		for range 4 {
			inv *= 2 - f*inv
		}
		w.inverse[i] = inv
	}
	return w
}

// slot is the one that comes at the position.
func (w *walk) slot(position uint32) uint32 {
	x := (position*w.factor[0] + w.start) & slotMask
	x ^= x >> half
	x = x * w.factor[1] & slotMask
	x ^= x >> half
	return x * w.factor[2] & slotMask
}

// position is when the slot comes.
func (w *walk) position(slot uint32) uint32 {
	x := slot * w.inverse[2] & slotMask
	x ^= x >> half
	x = x * w.inverse[1] & slotMask
	x ^= x >> half
	return (x - w.start) * w.inverse[0] & slotMask
}

// arrival says when a member comes to a slot.
type arrival struct {
	member int
	time   uint64 // for a member of weight 1
	weight uint64
}

// arrival is that of the member with index i.
func (r *Ring) arrival(i int, slot uint32) arrival {
	p := r.walks[i].position(slot)
	if r.even {
		return arrival{i, uint64(p), 1}
	}
	return arrival{i, negLog2(^(uint64(p) << (64 - slotBits))), r.members[i].weight()}
}

// before reports whether a comes before b. Of those that come at the same time
// the first in the list is first, as in [assign].
func (a arrival) before(b arrival) bool {
	if x, y := a.time*b.weight, b.time*a.weight; x != y {
		return x < y
	}
	return a.member < b.member
}

// logBits is how many binary digits of a logarithm are behind the point.
const logBits = 24

// negLog2 is -log2(u/2^64) in units of 2^-logBits, by the digit-by-digit
// method: squaring the mantissa doubles the logarithm, and each carry is one
// more binary digit of it.
func negLog2(u uint64) uint64 {
	u |= 1
	lead := bits.LeadingZeros64(u)
	whole, m := uint64(63-lead), u<<lead // u = m/2^63 * 2^whole, 1 <= m/2^63 < 2
	frac := uint64(0)
	for range logBits {
		hi, _ := bits.Mul64(m, m) // hi/2^62 = (m/2^63)^2
		frac <<= 1
		if hi>>63 != 0 {
			frac |= 1
			m = hi
		} else {
			m = hi << 1
		}
	}
	return 64<<logBits - (whole<<logBits | frac)
}
