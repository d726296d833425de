package policy

const (
	smallShare = 10 // the small queue has 1/10 of the capacity
	maxFreq    = 3
	promoteAt  = 2 // hits in the small queue that earn a place in the main one
)

// S3FIFO is S3-FIFO (Yang et al., SOSP 2023): a small queue that new keys pass
// through, a main queue with second chances, and a ghost queue of keys that
// left the small one without a chance.
type S3FIFO struct {
	capacity, smallCapacity int
	small, main, ghost      *queue
	freq                    map[uint32]int
}

// NewS3FIFO makes an S3-FIFO of so many entries.
func NewS3FIFO(capacity int) *S3FIFO {
	return &S3FIFO{
		capacity:      capacity,
		smallCapacity: max(capacity/smallShare, 1),
		small:         newQueue(), main: newQueue(), ghost: newQueue(),
		freq: map[uint32]int{},
	}
}

// Access implements [Policy].
func (c *S3FIFO) Access(key uint32) bool {
	if f, ok := c.freq[key]; ok {
		c.freq[key] = min(f+1, maxFreq)
		return true
	}
	for len(c.freq) >= c.capacity {
		c.evict()
	}
	c.freq[key] = 0
	if c.ghost.remove(key) {
		c.main.push(key)
	} else {
		c.small.push(key)
	}
	return false
}

// evict makes room, or moves entries on the way to it.
func (c *S3FIFO) evict() {
	if c.small.len() >= c.smallCapacity || c.main.len() == 0 {
		c.evictSmall()
	} else {
		c.evictMain()
	}
}

func (c *S3FIFO) evictSmall() {
	for c.small.len() > 0 {
		key := c.small.pop()
		if c.freq[key] >= promoteAt {
			c.freq[key] = 0
			c.main.push(key)
			continue
		}
		delete(c.freq, key)
		c.ghost.push(key)
		if c.ghost.len() > c.capacity-c.smallCapacity {
			c.ghost.pop()
		}
		return
	}
}

func (c *S3FIFO) evictMain() {
	for {
		key := c.main.pop()
		if c.freq[key] == 0 {
			delete(c.freq, key)
			return
		}
		c.freq[key]--
		c.main.push(key)
	}
}
