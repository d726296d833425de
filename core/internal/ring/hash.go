package ring

import "math/bits"

const (
	mul1 = 0x9E3779B97F4A7C15 // 2^64 divided by the golden ratio
	mul2 = 0xC2B2AE3D27D4EB4F // an odd number with irregular bits
)

// Hash is a 64-bit hash of s that is the same on every architecture and in
// every release: members must agree on it. Words of eight bytes (little
// endian) are multiplied and rotated in; the last word is filled up with
// zeros, and the length goes into the start value, so that the zeros are not
// ambiguous.
func Hash(s string) uint64 {
	h := uint64(len(s)) * mul2
	for ; len(s) >= 8; s = s[8:] {
		h = step(h, word(s[:8]))
	}
	if s != "" {
		h = step(h, word(s))
	}
	return mix(h)
}

func step(h, w uint64) uint64 {
	return bits.RotateLeft64(h^w*mul1, 31)*mul2 + mul1
}

// word reads up to eight bytes, little endian.
func word(s string) (w uint64) {
	for i := range len(s) {
		w |= uint64(s[i]) << (8 * i)
	}
	return w
}

// mix makes every bit of the result depend on every bit of x: the finaliser
// of MurmurHash3 with the constants of David Stafford's variant 13
// ("Better Bit Mixing", 2011). Without one, keys that differ in their last
// bytes only would land on neighbouring slots.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}
