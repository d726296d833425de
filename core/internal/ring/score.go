package ring

import "math/bits"

// score ranks the members for a slot. Weighted rendezvous hashing takes the
// greatest -w/ln(u) with u uniform in (0, 1), which is the least -log2(u)/w.
// Only integers are used: floating point may be fused differently on other
// architectures, and then members would disagree.
type score struct {
	draw   uint64 // u as a fraction of 2^64
	cost   uint64 // -log2(u) in units of 2^-logBits; 0 where only draw counts
	weight uint64
}

const logBits = 24

// score is that of member m, whose ID has the hash seed, for the slot.
func (r *Ring) score(seed uint64, slot int, m Member) score {
	s := score{draw: mix(seed ^ mix(uint64(slot)*mul1+mul2)), weight: m.weight()}
	if !r.even {
		s.cost = negLog2(s.draw)
	}
	return s
}

// above reports whether s wins against t.
func (s score) above(t score) bool {
	if a, b := s.cost*t.weight, t.cost*s.weight; a != b {
		return a < b
	}
	return s.draw > t.draw
}

// negLog2 is -log2(u/2^64) with logBits fractional bits, by the digit-by-digit
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
