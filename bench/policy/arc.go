package policy

// ARC is the adaptive replacement cache (Megiddo and Modha, FAST 2003): keys
// seen once (t1) and more often (t2), each with a list of what it lost (b1,
// b2); hits on those lists move the border between the two.
type ARC struct {
	capacity       int
	target         int // of t1
	t1, t2, b1, b2 *queue
}

// NewARC makes an ARC of so many entries.
func NewARC(capacity int) *ARC {
	return &ARC{capacity: capacity, t1: newQueue(), t2: newQueue(), b1: newQueue(), b2: newQueue()}
}

// Access implements [Policy].
func (c *ARC) Access(key uint32) bool {
	switch {
	case c.t1.remove(key) || c.t2.has(key):
		c.t2.push(key)
		return true
	case c.b1.has(key):
		c.target = min(c.target+max(c.b2.len()/c.b1.len(), 1), c.capacity)
		c.replace(false)
		c.b1.remove(key)
		c.t2.push(key)
	case c.b2.has(key):
		c.target = max(c.target-max(c.b1.len()/c.b2.len(), 1), 0)
		c.replace(true)
		c.b2.remove(key)
		c.t2.push(key)
	default:
		c.makeRoom()
		c.t1.push(key)
	}
	return false
}

// makeRoom is the paper's case IV.
func (c *ARC) makeRoom() {
	if c.t1.len()+c.b1.len() == c.capacity {
		if c.t1.len() == c.capacity {
			c.t1.pop()
			return
		}
		c.b1.pop()
		c.replace(false)
		return
	}
	total := c.t1.len() + c.t2.len() + c.b1.len() + c.b2.len()
	if total < c.capacity {
		return
	}
	if total == 2*c.capacity {
		c.b2.pop()
	}
	c.replace(false)
}

// replace moves one entry to the list of what was lost.
func (c *ARC) replace(inB2 bool) { //nolint:revive // flag-parameter: the paper's argument, whether the key is in b2
	if n := c.t1.len(); n > 0 && (n > c.target || inB2 && n == c.target) {
		c.b1.push(c.t1.pop())
	} else if c.t2.len() > 0 {
		c.b2.push(c.t2.pop())
	}
}
