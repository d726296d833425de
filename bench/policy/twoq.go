package policy

// TwoQ is 2Q in its full version (Johnson and Shasha, VLDB 1994): new keys
// pass through a FIFO queue of a quarter of the capacity, and those asked for
// again after they left it, while they are remembered, get into an LRU queue.
type TwoQ struct {
	capacity, inCapacity, outCapacity int
	in, out, main                     *queue
}

// NewTwoQ makes a 2Q of so many entries, with the paper's sizes.
func NewTwoQ(capacity int) *TwoQ {
	return &TwoQ{
		capacity:    capacity,
		inCapacity:  max(capacity/4, 1),
		outCapacity: max(capacity/2, 1),
		in:          newQueue(), out: newQueue(), main: newQueue(),
	}
}

// Access implements [Policy].
func (c *TwoQ) Access(key uint32) bool {
	switch {
	case c.main.has(key):
		c.main.push(key)
		return true
	case c.in.has(key):
		return true
	case c.out.has(key):
		c.makeRoom()
		c.out.remove(key)
		c.main.push(key)
	default:
		c.makeRoom()
		c.in.push(key)
	}
	return false
}

func (c *TwoQ) makeRoom() {
	switch {
	case c.in.len()+c.main.len() < c.capacity:
	case c.in.len() > c.inCapacity || c.main.len() == 0:
		c.out.push(c.in.pop())
		if c.out.len() > c.outCapacity {
			c.out.pop()
		}
	default:
		c.main.pop()
	}
}
