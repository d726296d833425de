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
	i := 0
	for ; len(s)-i >= 8; i += 8 {
		h = step(h, word(s[i:]))
	}
	switch rest := len(s) - i; {
	case rest == 0:
	case i > 0: // the last eight bytes, without those that are hashed already
		h = step(h, word(s[len(s)-8:])>>(8*(8-rest)))
	default:
		h = step(h, shortWord(s))
	}
	return mix(h)
}

func step(h, w uint64) uint64 {
	return bits.RotateLeft64(h^w*mul1, 31)*mul2 + mul1
}

// word reads eight bytes, little endian; the compiler makes one load of it
// where the machine can do that.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// shortWord reads one to seven bytes as if zeros followed. Bytes that are read
// twice come to the same place.
func shortWord(s string) uint64 {
	n := len(s)
	if n >= 4 {
		return uint64(fourBytes(s)) | uint64(fourBytes(s[n-4:]))<<(8*(n-4))
	}
	return uint64(s[0]) | uint64(s[n/2])<<(8*(n/2)) | uint64(s[n-1])<<(8*(n-1))
}

func fourBytes(s string) uint32 {
	_ = s[3]
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
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
