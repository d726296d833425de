package policy

// LRU evicts what was used least recently.
type LRU struct {
	capacity int
	used     *queue
}

// NewLRU makes an LRU of so many entries.
func NewLRU(capacity int) *LRU { return &LRU{capacity: capacity, used: newQueue()} }

// Access implements [Policy].
func (c *LRU) Access(key uint32) bool {
	hit := c.used.has(key)
	c.used.push(key)
	if c.used.len() > c.capacity {
		c.used.pop()
	}
	return hit
}
