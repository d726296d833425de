package policy

import "math/bits"

const (
	ways        = 8 // ghosts in a bucket
	ghostFactor = 2 // ghosts for one entry
	bucketBytes = 3 * ways
)

// ghosts remembers keys that have left, by a print of their hashes, and about
// when. It costs six bytes for each entry of the cache, and remembers about
// twice as many keys as that has entries. One key in 4,000 is taken for
// another.
type ghosts struct {
	buckets []bucket
	shift   int // the unit of ages is 2^shift keys inserted
}

// bucket holds the latest ghosts of one part of the hashes, the newest first.
type bucket struct {
	prints [ways]uint16 // 0 for none
	times  [ways]uint8  // in units of 2^shift, modulo 256
}

// find returns the bucket and the print of a hash, whose bits are mixed once
// more: a shard sees only hashes that agree in some.
func (g *ghosts) find(hash uint64) (*bucket, uint16) {
	hash *= 0x9E3779B97F4A7C15 // 2^64 divided by the golden ratio
	i, _ := bits.Mul64(hash, uint64(len(g.buckets)))
	return &g.buckets[i], uint16(hash>>16) | 1
}

// add remembers a key that leaves now, in place of the oldest of its bucket.
func (g *ghosts) add(hash uint64, now uint32) {
	if len(g.buckets) == 0 {
		return
	}
	b, mark := g.find(hash)
	copy(b.prints[1:], b.prints[:])
	copy(b.times[1:], b.times[:])
	b.prints[0], b.times[0] = mark, uint8(now>>g.shift)
}

// take returns how long ago a key left, if that is known, and forgets it.
func (g *ghosts) take(hash uint64, now uint32) (age uint32, ok bool) {
	if len(g.buckets) == 0 {
		return 0, false
	}
	b, mark := g.find(hash)
	for i, p := range b.prints {
		if p == mark {
			age = uint32(uint8(now>>g.shift)-b.times[i]) << g.shift
			copy(b.prints[i:], b.prints[i+1:])
			copy(b.times[i:], b.times[i+1:])
			b.prints[ways-1] = 0
			return age, true
		}
	}
	return 0, false
}

// resize makes the table for a number of entries. What is remembered stays as
// far as it is in place: all of it when the number doubles.
func (g *ghosts) resize(entries int, now uint32) {
	old := *g
	g.buckets = make([]bucket, max(entries*ghostFactor/ways, 1))
	// The unit is between 1/64 and 1/32 of the entries, so that a time comes
	// round again after 4 to 8 times as many keys: nearly all that are as old
	// have left their buckets.
	g.shift = bits.Len(uint(entries / 64))
	for i := range g.buckets {
		if len(old.buckets) == 0 {
			break
		}
		b := old.buckets[int(uint64(i)*uint64(len(old.buckets))/uint64(len(g.buckets)))]
		for j, t := range b.times {
			age := uint32(uint8(now>>old.shift)-t) << old.shift >> g.shift
			b.times[j] = uint8(now>>g.shift) - uint8(min(age, 255))
		}
		g.buckets[i] = b
	}
}

func (g *ghosts) bytes() int64 { return int64(len(g.buckets)) * bucketBytes }
