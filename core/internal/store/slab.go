package store

import "math/bits"

const (
	// slabOverhead is what a slab costs beside its block and spans, in bytes:
	// this struct and two places in the table of slabs.
	slabOverhead = 128
	spanBytes    = 16
	// allocShare is the part of a block by which the allocator makes it larger
	// at most.
	allocShare = 8
)

// slab is a block of records. Its id and block never change, and what has been
// written to the block neither; the rest is guarded by the shard's lock.
type slab struct {
	id    uint64
	block []byte

	inMain bool   // which queue it is in
	since  uint32 // when its queue got it, as the policy counts time
	filled int    // bytes with records
	dead   int    // bytes of those that were removed or replaced

	born  int64 // on the store's clock
	spans []span
}

// span counts the bytes of records that expire at about the same time.
type span struct {
	last   int64 // when the last of them expires
	bytes  int32
	bucket int16
}

// maxSpans bounds the spans of a slab, so that they are a small part of it.
func maxSpans(block int) int { return min(max(block>>10, 6), 16) }

// cost is the memory of the slab.
func (s *slab) cost() int64 {
	return int64(cap(s.block)) + slabOverhead + spanBytes*int64(maxSpans(len(s.block)))
}

// costOf is the most that a slab for one record of the size costs.
func costOf(size int) int64 {
	return int64(size+size/allocShare) + slabOverhead + spanBytes*int64(maxSpans(size))
}

// room reports whether a record of the size fits.
func (s *slab) room(size int) bool { return s.filled+size <= len(s.block) }

// put appends the record of an entry, for which there is room, and returns
// where it begins.
func (s *slab) put(key string, e Entry, size int) int {
	at := s.take(size, e.Expires)
	record(s.block[at:at+size]).put(key, e)
	return at
}

// take counts a record that the caller writes to the place that is returned.
func (s *slab) take(size int, expires int64) int {
	at := s.filled
	s.filled += size
	if expires != Never {
		sp := s.span(expires)
		sp.bytes += int32(size)
		sp.last = max(sp.last, expires)
	}
	return at
}

// kill counts a record that was removed or replaced.
func (s *slab) kill(size int, expires int64) {
	s.dead += size
	if expires != Never {
		s.span(expires).bytes -= int32(size)
	}
}

// span is the one that a record belongs to. A span covers a quarter of a power
// of two of the time to live; when there are too many, records go to the
// nearest one that is later.
func (s *slab) span(expires int64) *span {
	bucket := bucketOf(expires - s.born)
	near := -1
	for i := range s.spans {
		sp := &s.spans[i]
		if sp.bucket == bucket {
			return sp
		}
		if near < 0 || nearer(sp.bucket, s.spans[near].bucket, bucket) {
			near = i
		}
	}
	if len(s.spans) >= maxSpans(len(s.block)) {
		return &s.spans[near]
	}
	s.spans = append(s.spans, span{bucket: bucket})
	return &s.spans[len(s.spans)-1]
}

// nearer reports whether bucket a is the better one for what belongs to want:
// a later one rather than an earlier one, and of two such the nearer.
func nearer(a, b, want int16) bool {
	if a > want != (b > want) {
		return a > want
	}
	return max(a-want, want-a) < max(b-want, want-b)
}

// bucketOf is the number of a time to live on a scale that is logarithmic
// with four steps a power of two.
func bucketOf(life int64) int16 {
	if life < 4 {
		return int16(max(life, 0))
	}
	log := bits.Len64(uint64(life)) - 3
	return int16(log<<2 + int(life>>log))
}

// lifeOf is the least time to live of a bucket.
func lifeOf(bucket int16) int64 {
	if bucket < 4 {
		return int64(bucket)
	}
	log, step := (bucket-4)>>2, (bucket-4)&3
	return int64(4+step) << log
}

// expired is how many bytes of the slab's live records have expired for sure,
// and when the next ones will have.
func (s *slab) expired(now int64) (bytes int, next int64) {
	next = Never
	for i := range s.spans {
		if sp := &s.spans[i]; sp.last <= now {
			bytes += int(sp.bytes)
		} else {
			next = min(next, sp.last)
		}
	}
	return bytes, next
}
