package store

import (
	"math/bits"
	"runtime"
)

const (
	minSlabBytes = 1 << 10
	shardBits    = 10
	// A shard's share of the limit has at least minShardBytes, because a small
	// one knows little about what is popular, and at most maxShardBytes or
	// twice that, because a large one holds up writers for long when its index
	// grows: until there are as many shards as shardBits can tell apart.
	minShardBytes = 4 << 20
	maxShardBytes = 32 << 20
	// slabsPerShard is how many slabs a shard is to have at least, so that
	// giving up one of them takes little.
	slabsPerShard = 64
	// largeShare is the part of a slab beyond which a record gets a slab of
	// its own, unless it is less than wholeSpan: then half a slab is.
	largeShare = 4
	// wholeSpan is up to which size, in bytes, the allocator has several
	// blocks share a span of memory, all of which stays in use for one of them.
	wholeSpan = 32 << 10
	// maxShare is the part of the limit that one record may take.
	maxShare = 4
)

// layout is how a store divides its memory.
type layout struct {
	limit     int64 // of all memory, less what is in use only for a moment
	shards    int
	slab      int // bytes
	large     int // bytes from which on a record has a slab of its own
	maxRecord int // bytes
}

func newLayout(maxBytes int64) layout {
	shards := max(min(maxBytes/minShardBytes, int64(4*runtime.GOMAXPROCS(0))), maxBytes/maxShardBytes, 1)
	return layoutOf(maxBytes, powerOfTwo(min(shards, 1<<shardBits)))
}

// layoutOf is the layout with a number of shards, a power of two.
func layoutOf(maxBytes int64, shards int) layout {
	l := layout{shards: shards}
	l.slab = max(powerOfTwo(min(maxBytes/int64(l.shards)/slabsPerShard, maxSlabBytes)), minSlabBytes)
	l.large = max(l.slab/largeShare, min(l.slab/2, wholeSpan))
	l.maxRecord = int(min(maxBytes/maxShare, headBytes+expiresBytes+stampBytes+maxKey+maxValue))
	// While a slab is taken apart there is one more for what stays.
	l.limit = max(maxBytes-int64(l.slab+slabOverhead), maxBytes/2)
	return l
}

// powerOfTwo is the greatest power of two up to n, which is positive.
func powerOfTwo(n int64) int { return 1 << (bits.Len64(uint64(n)) - 1) }
